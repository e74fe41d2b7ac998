"""The migrated cluster through kafka-python's admin client: implements KafkaPort.

The library is synchronous, so it is called in a thread of its own, off the event loop
(admin_thread.py). Every failure of a call becomes PortError, and the next call connects again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition as KafkaTopicPartition

from agent.adapters.kafka import (
    admin_requests,
    brokers,
    coordinators,
    health,
    log_dirs,
    metadata,
    metrics_reporters,
    offsets,
    quorum,
    throttle,
)
from agent.adapters.kafka.admin_thread import AdminThread
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.checks.readiness import HealthObservation
from agent.core.kraft.facts import QuorumFacts
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import (
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.reasons import Code
from agent.core.model.throttle import ThrottleChange, ThrottleFacts
from agent.performer.ports import PortError

T = TypeVar("T")

PARTITIONS_PER_REQUEST = 2_000
CHANGE_SECONDS_PER_TOPIC = 0.1  # for the writes to ZooKeeper; measured: 0.02 to 0.04
_PREFERRED = 0
_ELECTION_TIMEOUT_MS = 10_000


class KafkaCluster:
    """The facts and settings of one cluster. Methods that ask Kafka raise PortError."""

    def __init__(self, connection: KafkaConnection, admin: KafkaAdminClient | None = None) -> None:
        """`admin` is a client that is already connected; without one, the first call connects."""
        self._connection = connection
        self._admin_thread = AdminThread(connection, admin)
        self._min_isr = metadata.MinIsr()

    async def close(self) -> None:
        """Disconnect after the calls that are queued; no call may follow."""
        await self._admin_thread.close()

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────
    async def cluster(self) -> ClusterFacts:
        """Return all brokers and partitions, with reassignments and min.insync.replicas."""
        return await self._call("metadata", lambda admin: metadata.cluster(admin, self._min_isr))

    async def health(self) -> HealthObservation:
        """Return the unhealthy partitions of the cluster; many times cheaper than cluster()."""
        return await self._call("health", lambda admin: health.observe(admin, self._min_isr))

    async def alive(self) -> Mapping[int, str | None]:
        """Return the live brokers and their racks."""
        return await self._call("brokers", lambda admin: metadata.racks(admin.describe_cluster()))

    async def reassignments(self) -> Sequence[Reassignment]:
        """Return the reassignments in flight."""
        return await self._call("reassignments", metadata.reassignments)

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        """Return the log dirs of each broker, asked of the broker itself.

        `names`: only these partitions; None means all. Brokers that do not answer, or cannot read a
        dir, are left out.
        """
        wanted = sorted(set(broker_ids))
        if not wanted:
            return {}
        return await self._call("log dirs", lambda admin: log_dirs.read(admin, wanted, names))

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        """Return these partitions; those that no longer exist are left out."""
        return await self._call("topics", lambda admin: metadata.describe(admin, names))

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        """Return end offsets and group lags of a sample of these partitions (see offsets.py)."""
        return await self._call("offsets", lambda admin: offsets.positions(admin, names))

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Return the settings of each broker; those that do not answer are left out."""
        wanted = sorted(set(broker_ids))
        return await self._call("broker settings", lambda admin: brokers.settings(admin, wanted))

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Return the settings in each broker's properties file.

        Brokers that do not answer are left out.
        """
        wanted = sorted(set(broker_ids))
        return await self._call(
            "broker settings", lambda admin: brokers.file_settings(admin, wanted)
        )

    async def quorum(self, broker_id: int) -> QuorumFacts:
        """Return the controllers' quorum as this broker, which must be in KRaft mode, knows it."""
        return await self._call("quorum", lambda admin: quorum.quorum(admin, broker_id))

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Return the registered brokers that accept no connection from here, with the reasons."""
        wanted = set(broker_ids)
        where = await self._call("brokers", brokers.addresses)
        return await brokers.without_connection({b: at for b, at in where.items() if b in wanted})

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        """Return which of these brokers have lately reported to Cruise Control's metrics topic.

        None when the topic does not exist, or cannot be read (in time). Uses a client of its own.
        """
        try:
            if not await self._call(
                "metrics topic",
                lambda admin: admin_requests.topics(admin, [metrics_reporters.TOPIC]),
            ):
                return None
        except PortError:  # this agent may not see the topic
            return None
        work = asyncio.to_thread(
            metrics_reporters.reporting, self._connection, frozenset(broker_ids)
        )
        try:
            async with asyncio.timeout(self._connection.request_timeout_seconds * 3):
                return await work
        except TimeoutError:
            return None

    async def loading_coordinators(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Return the brokers that are still loading coordinators, with what they load, as text.

        Brokers that do not answer are left out.
        """
        wanted = sorted(set(broker_ids))
        return await self._call("coordinators", lambda admin: coordinators.loading(admin, wanted))

    # ── throttle, election ────────────────────────────────────────────────────────────────────────
    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        """Return the throttle (KIP-73) of these brokers and topics; `topics` None means all."""
        wanted, named = sorted(set(broker_ids)), None if topics is None else sorted(set(topics))
        return await self._call("throttle", lambda admin: throttle.read(admin, wanted, named))

    async def set_throttle(self, change: ThrottleChange) -> None:
        """Set rates and add to the lists of replicas; entries of others stay."""
        await self._call(
            "throttle change",
            lambda admin: throttle.apply_change(admin, change),
            _seconds_for(change),
        )

    async def clear_throttle(self, change: ThrottleChange) -> None:
        """Remove rates and entries of the lists; entries of others stay."""
        await self._call(
            "throttle removal",
            lambda admin: throttle.remove_change(admin, change),
            _seconds_for(change),
        )

    async def reorder_replicas(
        self, replica_orders: Mapping[TopicPartition, Sequence[int]]
    ) -> None:
        """Change the order of replicas by a reassignment onto the same brokers.

        What Kafka refuses is not an error here; the next observation shows it.
        """
        if replica_orders:
            wanted = {
                KafkaTopicPartition(*name): list(replicas)
                for name, replicas in replica_orders.items()
            }
            await self._call(
                "replica order", lambda admin: admin.alter_partition_reassignments(wanted)
            )

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        """Begin reassignments, or cancel those whose target is None.

        What Kafka refuses is not an error here; the next observation shows it.
        """
        named = sorted(targets)
        for start in range(0, len(named), PARTITIONS_PER_REQUEST):
            some = {n: targets[n] for n in named[start : start + PARTITIONS_PER_REQUEST]}
            wanted = {
                KafkaTopicPartition(*n): None if t is None else list(t) for n, t in some.items()
            }
            await self._call("reassignment", partial(_reassign, wanted=wanted))

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        """Elect the preferred leaders; the next observation shows what could not be elected."""
        for start in range(0, len(names), PARTITIONS_PER_REQUEST):
            some = names[start : start + PARTITIONS_PER_REQUEST]
            await self._call("leader election", partial(_elect, names=some))

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────
    async def _call(
        self, what: str, ask: Callable[[KafkaAdminClient], T], more_seconds: float = 0.0
    ) -> T:
        # One call may send several requests; the limit is on all of them together.
        limit = self._connection.request_timeout_seconds * 6 + more_seconds
        admin_thread = self._admin_thread
        try:
            return await admin_thread.call(ask, limit)
        except TimeoutError:
            if admin_thread is self._admin_thread:  # otherwise another call has abandoned it
                self._admin_thread = AdminThread(self._connection)
                admin_thread.abandon_thread()
            raise PortError(
                self._says(what, f"no answer within {limit:.0f} s"), Code.KAFKA_UNREACHABLE
            ) from None
        # RuntimeError: the library's "no active controller"
        except (KafkaError, OSError, RuntimeError) as error:
            refused = isinstance(error, admin_requests.LOGIN_REFUSED)
            code = Code.KAFKA_LOGIN_REFUSED if refused else Code.KAFKA_UNREACHABLE
            raise PortError(self._says(what, admin_requests.words(error)), code) from error

    def _says(self, what: str, trouble: str) -> str:
        where = self._connection.bootstrap_servers
        return f"Kafka at {where}: the request for {what} failed: {trouble}"


def _seconds_for(change: ThrottleChange) -> float:
    return CHANGE_SECONDS_PER_TOPIC * len({*change.leaders, *change.followers})


def _reassign(
    admin: KafkaAdminClient, wanted: Mapping[KafkaTopicPartition, list[int] | None]
) -> None:
    admin.alter_partition_reassignments(wanted)


def _elect(admin: KafkaAdminClient, names: Sequence[TopicPartition]) -> None:
    response = admin.elect_leaders(
        _PREFERRED, metadata.by_topic(names), _ELECTION_TIMEOUT_MS, raise_errors=False
    )
    if code := getattr(response, "error_code", 0):
        raise admin_requests.error(code, None, "the election")
