"""The lease and the broker watch against a real ZooKeeper that is paused and killed."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agent.adapters.zookeeper.sessions import BrokerWatch, ZooKeeperLease
from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Role, free_base_port

pytestmark = pytest.mark.lab

SESSION_SECONDS = 4.0


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of its own: what is done to its ZooKeeper would cost other tests their brokers."""
    folder: Path = tmp_path_factory.mktemp("zoo")
    brokers = (
        BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),
        BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION),
    )
    config = LabConfig(
        directory=folder,
        base_port=free_base_port(),
        brokers=brokers,
        cruise_control=CruiseControlKind.NONE,
    )
    with Lab(config).running() as lab:
        yield lab


@pytest.fixture
async def leases(zoo: Lab) -> AsyncIterator[Callable[[], ZooKeeperLease]]:
    """Makes started leases, and lets them go after the test."""
    made: list[ZooKeeperLease] = []

    def make() -> ZooKeeperLease:
        lease = ZooKeeperLease(zoo.config.zookeeper.address, session_seconds=SESSION_SECONDS)
        lease.start()
        made.append(lease)
        return lease

    yield make
    for lease in made:
        await asyncio.to_thread(lease.close)


async def until(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> float:
    """How long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout_seconds, "it has not come about"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_two_leases_exclude_each_other(leases: Callable[[], ZooKeeperLease]) -> None:
    """One of two holds it and is named to the other; let go, it passes on."""
    first = leases()
    await until(first.held)
    second = leases()
    await asyncio.sleep(SESSION_SECONDS + 2)  # longer than one try
    assert first.held()
    assert not second.held()
    own_name = first.holder().removeprefix("this agent (").removesuffix(")")
    await until(lambda: own_name in second.holder())
    await asyncio.to_thread(first.close)
    assert not first.held()
    print(f"passed on after {await until(second.held):.2f} s")


async def test_short_loss_of_zookeeper(zoo: Lab, leases: Callable[[], ZooKeeperLease]) -> None:
    """A killed ZooKeeper ends held() at once; back within the session, the same agent holds it
    again, and no other.
    """
    first, second = leases(), leases()
    await until(lambda: first.held() or second.held())
    holder, other = (first, second) if first.held() else (second, first)
    zoo.kill("zookeeper")
    took = await until(lambda: not holder.held(), 1.0)
    print(f"noticed after {took:.2f} s")
    assert "ZooKeeper" in holder.holder()
    await asyncio.sleep(1)
    assert not any(lease.held() for lease in (first, second))
    zoo.start("zookeeper")
    print(f"held again after {await until(holder.held):.2f} s")
    assert not other.held()


async def test_hanging_zookeeper(zoo: Lab, leases: Callable[[], ZooKeeperLease]) -> None:
    """A ZooKeeper that hangs costs the lease well within the session, before another could be
    given it.
    """
    lease = leases()
    await until(lease.held)
    zoo.pause("zookeeper")
    try:
        took = await until(lambda: not lease.held(), SESSION_SECONDS)
        print(f"given up after {took:.2f} s of a session of {SESSION_SECONDS:.0f} s")
        assert took < SESSION_SECONDS * 0.8
    finally:
        zoo.unpause("zookeeper")
    await until(lease.held, 30)


LOOKS = """
import sys, time
from agent.adapters.zookeeper.sessions import ZooKeeperLease
lease = ZooKeeperLease(sys.argv[1], session_seconds=float(sys.argv[2]))
lease.start()
while True:
    print(time.monotonic(), lease.held(), flush=True)
    time.sleep(0.005)
"""


class Line:
    """A connection to ZooKeeper that can fall silent: nothing gets through, and neither side is
    told.
    """

    def __init__(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._relays: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def to(self, port: int) -> AsyncIterator[str]:
        async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection("127.0.0.1", port)
            for source, sink in ((reader, there[1]), (there[0], writer)):
                self._relays.add(asyncio.create_task(self._relay(source, sink)))

        server = await asyncio.start_server(join, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for relay in self._relays:
                relay.cancel()

    async def _relay(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65_536):
                await self.flowing.wait()
                sink.write(data)
        await self.flowing.wait()
        sink.close()


async def test_a_stopped_process_does_not_believe_in_its_lock(
    zoo: Lab, leases: Callable[[], ZooKeeperLease], tmp_path: Path
) -> None:
    """A process that is stopped for longer than its session does not hold the lease for a
    moment when it goes on.
    """
    seen = tmp_path / "seen"
    line = Line()
    async with line.to(zoo.config.zookeeper.port) as address:
        with seen.open("w") as output:
            command = [sys.executable, "-c", LOOKS, address, str(SESSION_SECONDS)]
            process = subprocess.Popen(command, stdout=output)  # noqa: ASYNC220 - it is stopped and killed here
        try:
            await until(lambda: "True" in seen.read_text())
            other = leases()
            line.flowing.clear()  # or the closed connection would tell it, by chance soon enough
            process.send_signal(signal.SIGSTOP)
            await until(other.held, SESSION_SECONDS * 3)
            other_since = time.monotonic()
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(2)
        finally:
            process.kill()
            process.wait()
    looks = [line.split() for line in seen.read_text().splitlines() if line.count(" ") == 1]
    after = [held for at, held in looks if float(at) > other_since]
    assert len(after) > 50
    assert set(after) == {"False"}


async def test_a_restarted_container_does_not_wait_for_its_last_life(
    zoo: Lab, tmp_path: Path
) -> None:
    """Killed as process 1 of a container, a holder has the lease again at once as process 1 of
    the next.
    """
    container = (
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    )
    session_seconds = 20.0
    took_seconds = []
    for life in (1, 2):
        seen = tmp_path / f"life-{life}"
        with seen.open("w") as output:
            command = [
                *container,
                sys.executable,
                "-c",
                LOOKS,
                zoo.config.zookeeper.address,
                str(session_seconds),
            ]
            process = subprocess.Popen(command, stdout=output)  # noqa: ASYNC220 - it is killed here
        try:
            took_seconds.append(
                await until(lambda seen=seen: "True" in seen.read_text(), session_seconds * 2)
            )
        finally:
            process.kill()
            process.wait()
    print(
        f"held after {took_seconds[0]:.2f} s in the first life, and after "
        f"{took_seconds[1]:.2f} s in the second"
    )
    assert took_seconds[1] < session_seconds / 4


async def test_a_lock_that_was_removed_is_not_held(
    zoo: Lab, leases: Callable[[], ZooKeeperLease]
) -> None:
    """Whoever deletes our lock by hand takes the lease from us."""
    from kazoo.client import KazooClient

    lease = leases()
    await until(lease.held)
    client = KazooClient(hosts=zoo.config.zookeeper.address)
    client.start(timeout=10)
    try:
        (node,) = client.get_children("/kafka-migration/driver")
        client.create(
            "/kafka-migration/driver/0__lock__0000000000", b"another agent", ephemeral=True
        )
        client.delete(f"/kafka-migration/driver/{node}")
        await until(lambda: not lease.held(), SESSION_SECONDS)
        await until(lambda: "another agent" in lease.holder())
        assert not lease.held()
    finally:
        client.stop()
        client.close()
    await until(lease.held)


async def test_broker_watch(zoo: Lab) -> None:
    """The brokers as they are, at once each change, None while ZooKeeper is away, and the
    brokers again after it.
    """
    told: list[frozenset[int] | None] = []

    async def on_change(brokers: frozenset[int] | None) -> None:
        told.append(brokers)

    watch = BrokerWatch(zoo.config.zookeeper.address, on_change, session_seconds=SESSION_SECONDS)
    watch.start()
    try:
        await until(lambda: told == [{11, 31}])
        zoo.stop("broker-31")
        print(
            f"a broker that left was told {await until(lambda: told[-1] == {11}):.2f} s "
            "after it had ended"
        )
        zoo.kill("zookeeper")
        await until(lambda: told[-1] is None, 2.0)
        zoo.start("zookeeper")
        await until(lambda: told[-1] == {11}, 40)
        zoo.start("broker-31")
        await until(lambda: told[-1] == {11, 31})
    finally:
        await watch.stop()
    count = len(told)
    zoo.stop("broker-31")
    await asyncio.sleep(1)
    assert len(told) == count
