"""The znodes of a migration to KRaft: reads them, and deletes two of them for a rollback.

Implements KraftZooKeeperPort. Each call has a session of its own, so that kazoo's threads end with
it even when ZooKeeper has been removed.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TypeVar

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError

from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.core.kraft.facts import ZooKeeperFacts
from agent.core.kraft.messages import ZooKeeperReleased
from agent.core.model.reasons import Code
from agent.performer.ports import PortError

CONTROLLER, EPOCH, MIGRATION, BROKERS = (
    "/controller",
    "/controller_epoch",
    "/migration",
    "/brokers/ids",
)
SECONDS_MAX = 5.0
T = TypeVar("T")


class KraftZooKeeper:
    """The ZooKeeper of one cluster; `hosts` has the form of zookeeper.connect."""

    def __init__(self, hosts: str, access: ZooKeeperAccess | None = None) -> None:
        self._hosts = hosts
        self._access = access or ZooKeeperAccess()

    async def facts(self) -> ZooKeeperFacts:
        """Read the znodes; never raises: without an answer, the facts say `reachable=False`."""
        try:
            return await self._with_client(_facts)
        except PortError:
            return ZooKeeperFacts(reachable=False)

    async def release(self) -> ZooKeeperReleased:
        """Delete /migration, and /controller if a KRaft controller holds it; may be repeated.

        Returns what was deleted, and /controller_epoch before and after. Raises PortError.
        """
        return await self._with_client(_release)

    async def _with_client(self, work: Callable[[KazooClient], T]) -> T:
        def run() -> T:
            with _client(self._hosts, self._access) as client:
                return work(client)

        try:
            async with asyncio.timeout(SECONDS_MAX * 4):
                return await asyncio.to_thread(run)
        except (KazooException, KazooTimeoutError, OSError, TimeoutError) as error:
            says = f"ZooKeeper at {self._hosts} does not answer: {error!r}"
            raise PortError(says, Code.KRAFT_ZOOKEEPER_UNREACHABLE) from error


@contextlib.contextmanager
def _client(hosts: str, access: ZooKeeperAccess) -> Iterator[KazooClient]:
    client = KazooClient(hosts=hosts, timeout=SECONDS_MAX, **access.for_kazoo())
    try:
        client.start(timeout=SECONDS_MAX)
        yield client
    finally:
        with contextlib.suppress(KazooException, OSError):
            client.stop()
            client.close()


def _read(client: KazooClient, path: str) -> str:
    """The content of a znode; empty when it does not exist."""
    try:
        return bytes(client.get(path)[0]).decode()
    except NoNodeError:
        return ""


def kraft_epoch(controller: str) -> int | None:
    """Return the epoch of the KRaft controller in `controller`, the content of /controller.

    None when a broker holds it, or nobody.
    """
    try:
        epoch = json.loads(controller).get("kraftControllerEpoch", -1)
    except (ValueError, AttributeError):
        return None
    return int(epoch) if epoch is not None and int(epoch) >= 0 else None


def _facts(client: KazooClient) -> ZooKeeperFacts:
    controller = _read(client, CONTROLLER)
    epoch = kraft_epoch(controller)
    try:
        brokers = tuple(sorted(int(b) for b in client.get_children(BROKERS)))
    except NoNodeError:
        brokers = ()
    return ZooKeeperFacts(
        reachable=True,
        controller_id=int(json.loads(controller)["brokerid"]) if controller else None,
        kraft_controller=epoch is not None,
        kraft_epoch=epoch or 0,
        controller_epoch=int(_read(client, EPOCH) or 0),
        migration_node=client.exists(MIGRATION) is not None,
        broker_ids=brokers,
    )


def _release(client: KazooClient) -> ZooKeeperReleased:
    """Raise the epoch first and delete /controller last.

    A call that is interrupted in between is completed by the next one.
    """
    controller, migration = _read(client, CONTROLLER), _read(client, MIGRATION)
    epoch = kraft_epoch(controller)
    held_by_kraft = epoch is not None
    before = int(_read(client, EPOCH) or 0)
    after = max(before, epoch or 0)
    if after != before:
        client.set(EPOCH, str(after).encode())
    for path in (*([MIGRATION] if migration else []), *([CONTROLLER] if held_by_kraft else [])):
        with contextlib.suppress(NoNodeError):
            client.delete(path)
    return ZooKeeperReleased(
        controller=controller if held_by_kraft else "",
        migration=migration,
        epoch_before=before,
        epoch_after=after,
    )
