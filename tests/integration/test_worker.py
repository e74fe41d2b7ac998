"""The worker as a process on a real control Kafka: how it starts, dies, comes back and goes.

No wave moves here.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType, NewTopic

from agent.client import ClientError, ControlClient
from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Role, free_base_port
from deploy.lab.cluster.environment import lab_environment
from deploy.lab.cluster.ports import free_ports

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

# Measured on an idle machine: 2 s. The tests run beside others on two cores.
COME_BACK_SECONDS_MAX = 20.0
LEASE_SECONDS_MAX = 4.0  # the dead one's session alone would last 10 s
RESUME = {"type": "resume", "cluster": "lab"}


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The smallest lab: a control Kafka, a ZooKeeper for the lease, a broker on each side."""
    brokers = (
        BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),
        BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION),
    )
    config = LabConfig(
        directory=tmp_path_factory.mktemp("control"),
        base_port=free_base_port(),
        brokers=brokers,
        cruise_control=CruiseControlKind.NONE,
    )
    with Lab(config).running() as lab:
        yield lab


class Worker:
    """One agent process, with what it says."""

    def __init__(self, lab: Lab, folder: Path, **environment: str) -> None:
        self.port = free_ports(1)[0]
        self.log = folder / "worker.log"
        self.client = ControlClient(
            {"bootstrap_servers": lab.status()["control_bootstrap_servers"]}
        )
        given = {**lab_environment(lab.status(), lab.folders.root, self.port), **environment}
        self._environment = {**os.environ, "KAFKA_MIGRATION_INSTANCE_ID": "agent-1", **given}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, module: str = "agent.main") -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", module]
            self.process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    async def exit_code(self, seconds: float = 30.0) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, seconds)

    async def page(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as http:
            return await http.get(f"http://127.0.0.1:{self.port}{path}", timeout=2.0)

    async def ready(self) -> bool:
        try:
            answer = await self.page("/ready")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.json()["drives"] == ["lab"]

    async def may_act(self) -> bool:
        """Whether it holds the lease."""
        return 'kafka_migration_lease_held{cluster="lab"} 1.0' in (await self.page("/metrics")).text

    async def until_ready(self) -> float:
        """How long it took."""
        return await until(self.ready)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not await holds():
        assert time.monotonic() < began + seconds, "it has not come about"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def make_worker(control: Lab, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(**environment: str) -> Worker:
        made.append(Worker(control, tmp_path, **environment))
        return made[-1]

    yield make
    for worker in made:
        worker.end()


def admin(lab: Lab) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=lab.status()["control_bootstrap_servers"])


# ── topics ────────────────────────────────────────────────────────────────────────────────────────
async def test_topics_are_made_and_mended(control: Lab, make_worker: Callable[..., Worker]) -> None:
    """Status, snapshots and the table are kept by key for ever, also a topic that somebody made
    before without that.
    """
    kafka = admin(control)
    kafka.create_topics(
        [NewTopic(name="kafka-migration.status", num_partitions=1, replication_factor=1)]
    )
    worker = make_worker()
    worker.start()
    await worker.until_ready()
    names = [
        "kafka-migration.status",
        "kafka-migration.snapshots",
        "kafka-migration-migrations-changelog",
    ]
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, n, ["cleanup.policy", "segment.bytes"])
        for n in names
    ]
    found = kafka.describe_configs(asked, config_filter=ConfigFilterType.ALL)["topic"]
    kafka.close()
    assert {found[n]["cleanup.policy"]["value"] for n in names} == {"compact"}
    assert {int(found[n]["segment.bytes"]["value"]) for n in names} == {16 * 1024 * 1024}


async def test_another_shape_of_the_inbox_is_refused(make_worker: Callable[..., Worker]) -> None:
    """A partition count that does not fit the inbox ends the start with a sentence and exit
    code 2.
    """
    worker = make_worker(KAFKA_MIGRATION_TOPIC_PARTITIONS="5")
    worker.start()
    assert await worker.exit_code() == 2
    says = "KAFKA_MIGRATION_TOPIC_PARTITIONS is 5: set it to the topic's number"
    assert says in worker.log.read_text()


async def test_no_kafka_is_told_in_a_sentence(make_worker: Callable[..., Worker]) -> None:
    """Without a control Kafka: exit code 2, and the variable to set."""
    worker = make_worker(KAFKA_MIGRATION_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_ports(1)[0]}")
    worker.start()
    assert await worker.exit_code(60.0) == 2
    last = worker.log.read_text().splitlines()[-1]
    assert last.startswith("kafka-migration agent: the control Kafka at 127.0.0.1:")
    assert "Traceback" not in worker.log.read_text()


# ── life and death ────────────────────────────────────────────────────────────────────────────────
async def test_killed_it_is_back_at_once_and_sigterm_ends_it_in_order(
    make_worker: Callable[..., Worker],
) -> None:
    """kill -9: the same instance owns its cluster and its lease again, waiting for no session;
    SIGTERM: exit code 0.
    """
    worker = make_worker()
    worker.start()
    await worker.until_ready()
    await until(worker.may_act)
    worker.end()
    worker.start()
    seconds = await worker.until_ready()
    assert seconds < COME_BACK_SECONDS_MAX, seconds
    seconds = await until(worker.may_act)
    assert seconds < LEASE_SECONDS_MAX, seconds
    assert (await worker.client.send_command(RESUME))["type"] == "CommandRefused"
    assert worker.process is not None
    worker.process.terminate()
    assert await worker.exit_code(20.0) == 0
    assert "Traceback" not in worker.log.read_text()


async def test_a_bug_stops_the_worker_and_loses_no_message(
    make_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """An exception in a turn: nothing saved, exit code 1, and the restarted worker answers that
    very command.
    """
    worker = make_worker(FAIL_AT="bug", FAIL_ONCE=str(tmp_path / "struck"))
    worker.start("tests.integration.failing_worker")
    await worker.until_ready()
    with pytest.raises(ClientError):
        await worker.client.send_command({**RESUME, "command_id": "bug"}, 5.0)
    assert await worker.exit_code() == 1
    assert "stops the worker; nothing of it was saved" in worker.log.read_text()
    worker.start("tests.integration.failing_worker")
    await worker.until_ready()
    await until(lambda: told(worker.client, "bug"))


async def test_events_of_a_saved_state_are_never_lost(
    make_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """Dead between the save and the publication: the next life publishes them, once for each
    id, without a gap.
    """
    worker = make_worker(FAIL_AT="saved", FAIL_ONCE=str(tmp_path / "struck"))
    worker.start("tests.integration.failing_worker")
    await worker.until_ready()
    with pytest.raises(ClientError):
        await worker.client.send_command({**RESUME, "command_id": "saved"}, 5.0)
    assert await worker.exit_code() == -9
    assert not await told(worker.client, "saved")
    worker.start("tests.integration.failing_worker")
    await worker.until_ready()
    await until(lambda: told(worker.client, "saved"))
    events = await worker.client.past_events("lab")
    assert sorted({e["sequence"] for e in events}) == list(
        range(max(e["sequence"] for e in events) + 1)
    )
    assert len({e["id"] for e in events if e["data"].get("command_id") == "saved"}) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [("join", "no share of the clusters for 8 s"), ("table", "no more of the table for 20 s")],
)
async def test_a_worker_that_never_gets_ready_ends(
    make_worker: Callable[..., Worker], tmp_path: Path, fault: str, says: str
) -> None:
    """Its part in the group has failed, or its table is never read: exit code 1, a sentence;
    its next life works.
    """
    seconds = {"KAFKA_MIGRATION_STUCK_SECONDS": "8"} if fault == "join" else {}
    worker = make_worker(FAIL_AT=fault, FAIL_ONCE=str(tmp_path / "struck"), **seconds)
    worker.start("tests.integration.failing_worker")
    assert await worker.exit_code(60.0) == 1
    assert says in worker.log.read_text()
    worker.start("tests.integration.failing_worker")
    await worker.until_ready()


async def told(client: ControlClient, command_id: str) -> bool:
    """Whether an answer to that command is on the events topic."""
    return any(e["data"].get("command_id") == command_id for e in await client.past_events("lab"))


# ── what it shows ─────────────────────────────────────────────────────────────────────────────────
async def test_pages_show_figures_and_no_states(make_worker: Callable[..., Worker]) -> None:
    """/ready and /metrics answer on loopback; Faust's pages that would show tables are off."""
    worker = make_worker()
    worker.start()
    await worker.until_ready()
    await worker.client.send_command(RESUME)

    async def figures() -> dict[str, Any]:
        lines = (
            line
            for line in (await worker.page("/metrics")).text.splitlines()
            if not line.startswith("#")
        )
        return dict(line.rsplit(" ", 1) for line in lines)

    refused = 'kafka_migration_events_total{cluster="lab",type="CommandRefused"}'
    await until(lambda: _has(figures, refused), 20.0)
    assert (await figures())[refused] == "1.0"
    for path in ("/tables", "/tables/migrations/lab", "/router"):
        assert (await worker.page(path)).status_code == 404


async def _has(figures: Callable[[], Awaitable[dict[str, Any]]], name: str) -> bool:
    return name in await figures()
