"""The migrated cluster through kafka-python's admin client: implements KafkaPort.

The library is synchronous: it is asked in a thread of its own, off the event loop
(admin_thread.py). Every failure becomes PortError, and the next call connects anew.
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
CHANGE_SECONDS_PER_TOPIC = 0.1  # ZooKeeper's writes; measured: 0.02 to 0.04
_PREFERRED = 0
_ELECTION_TIMEOUT_MS = 10_000


class KafkaCluster:
    """One cluster's facts and settings."""

    def __init__(self, connection: KafkaConnection, admin: KafkaAdminClient | None = None) -> None:
        """`admin`: a client that is connected already; without one, the first call connects."""
        self._connection = connection
        self._admin_thread = AdminThread(connection, admin)
        self._min_isr = metadata.MinIsr()

    async def close(self) -> None:
        """Disconnect; nothing may be asked after."""
        await self._admin_thread.close()

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────
    async def cluster(self) -> ClusterFacts:
        """Everything: metadata, what is in flight, min ISR."""
        return await self._call("metadata", lambda admin: metadata.cluster(admin, self._min_isr))

    async def health(self) -> HealthObservation:
        """Who is sick, of all partitions: for the monitor, many times cheaper than cluster()."""
        return await self._call("health", lambda admin: health.observe(admin, self._min_isr))

    async def alive(self) -> Mapping[int, str | None]:
        """Live brokers and their racks."""
        return await self._call("brokers", lambda admin: metadata.racks(admin.describe_cluster()))

    async def reassignments(self) -> Sequence[Reassignment]:
        """What is in flight."""
        return await self._call("reassignments", metadata.reassignments)

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        """Log dirs, asked of each broker itself; those that do not answer, or cannot read a
        dir, are left out.
        """
        wanted = sorted(set(broker_ids))
        if not wanted:
            return {}
        return await self._call("log dirs", lambda admin: log_dirs.read(admin, wanted, names))

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        """These partitions only."""
        return await self._call("topics", lambda admin: metadata.describe(admin, names))

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        """End offsets and group lags of a bounded sample."""
        return await self._call("offsets", lambda admin: offsets.positions(admin, names))

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Asked of each broker itself; those that do not answer are left out."""
        wanted = sorted(set(broker_ids))
        return await self._call("broker settings", lambda admin: brokers.settings(admin, wanted))

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """What each broker has in its own file, asked itself; those that do not answer are left
        out.
        """
        wanted = sorted(set(broker_ids))
        return await self._call(
            "broker settings", lambda admin: brokers.file_settings(admin, wanted)
        )

    async def quorum(self, broker_id: int) -> QuorumFacts:
        """The controllers, as that broker in KRaft mode has it from their leader."""
        return await self._call("quorum", lambda admin: quorum.quorum(admin, broker_id))

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Registered brokers that take no connection from here."""
        wanted = set(broker_ids)
        where = await self._call("brokers", brokers.addresses)
        return await brokers.without_connection({b: at for b, at in where.items() if b in wanted})

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        """By Cruise Control's metrics topic, with a client of its own: what cannot be read in
        time is not known.
        """
        try:
            if not await self._call(
                "metrics topic",
                lambda admin: admin_requests.topics(admin, [metrics_reporters.TOPIC]),
            ):
                return None
        except PortError:  # it may not be seen
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
        """Asked of each broker itself; those that do not answer are left out."""
        wanted = sorted(set(broker_ids))
        return await self._call("coordinators", lambda admin: coordinators.loading(admin, wanted))

    # ── throttle, election ────────────────────────────────────────────────────────────────────────
    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        """KIP-73 settings in force."""
        wanted, named = sorted(set(broker_ids)), None if topics is None else sorted(set(topics))
        return await self._call("throttle", lambda admin: throttle.read(admin, wanted, named))

    async def set_throttle(self, change: ThrottleChange) -> None:
        """Set rates and lists; entries of others stay."""
        await self._call(
            "throttle change",
            lambda admin: throttle.apply_change(admin, change),
            _seconds_for(change),
        )

    async def clear_throttle(self, change: ThrottleChange) -> None:
        """Remove rates and list entries; entries of others stay."""
        await self._call(
            "throttle removal",
            lambda admin: throttle.remove_change(admin, change),
            _seconds_for(change),
        )

    async def reorder_replicas(
        self, replica_orders: Mapping[TopicPartition, Sequence[int]]
    ) -> None:
        """A reassignment onto the same brokers; what is refused shows in the next look."""
        if replica_orders:
            wanted = {
                KafkaTopicPartition(*name): list(replicas)
                for name, replicas in replica_orders.items()
            }
            await self._call(
                "replica order", lambda admin: admin.alter_partition_reassignments(wanted)
            )

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        """Begin or cancel reassignments; what is refused shows in the next look."""
        named = sorted(targets)
        for start in range(0, len(named), PARTITIONS_PER_REQUEST):
            some = {n: targets[n] for n in named[start : start + PARTITIONS_PER_REQUEST]}
            wanted = {
                KafkaTopicPartition(*n): None if t is None else list(t) for n, t in some.items()
            }
            await self._call("reassignment", partial(_reassign, wanted=wanted))

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        """Preferred leader election; what cannot be elected shows in the next look."""
        for start in range(0, len(names), PARTITIONS_PER_REQUEST):
            some = names[start : start + PARTITIONS_PER_REQUEST]
            await self._call("leader election", partial(_elect, names=some))

    # ── the line ──────────────────────────────────────────────────────────────────────────────────
    async def _call(
        self, what: str, ask: Callable[[KafkaAdminClient], T], more_seconds: float = 0.0
    ) -> T:
        # Several requests may stand behind one question: the bound is on the whole of it, whatever
        # the library does.
        limit = self._connection.request_timeout_seconds * 6 + more_seconds
        admin_thread = self._admin_thread
        try:
            return await admin_thread.call(ask, limit)
        except TimeoutError:
            if admin_thread is self._admin_thread:  # else another question has given it up
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
        return f"Kafka at {self._connection.bootstrap_servers} did not tell its {what}: {trouble}"


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
