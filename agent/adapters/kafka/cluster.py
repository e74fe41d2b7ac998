"""The migrated cluster through kafka-python's admin client: implements KafkaPort.

The library is synchronous: it is asked in a thread of its own, off the event loop
(admin_thread.py). Every failure becomes PortError, and the next call connects anew.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition as KafkaTopicPartition

from agent.adapters.kafka import admin as kafka_admin
from agent.adapters.kafka import brokers as kafka_brokers
from agent.adapters.kafka import coordinators, metrics_reporters, offsets
from agent.adapters.kafka import health as kafka_health
from agent.adapters.kafka import quorum as kafka_quorum
from agent.adapters.kafka import throttle as kafka_throttle
from agent.adapters.kafka.admin_thread import AdminThread
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.checks.readiness import HealthObservation
from agent.core.kraft.facts import QuorumFacts
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    LogDir,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.reasons import Code
from agent.core.model.throttle import ThrottleChange, ThrottleFacts
from agent.performer.ports import PortError

T = TypeVar("T")

MIN_ISR = "min.insync.replicas"
# min.insync.replicas changes by hand and seldom: a minute late is soon enough for a check that also
# runs before waves.
MIN_ISR_SECONDS = 60.0
TOPICS_PER_REQUEST = 500
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
        self._min_isr: dict[str, tuple[int, float]] = {}  # topic -> (value, read at)

    async def close(self) -> None:
        """Disconnect; nothing may be asked after."""
        await self._admin_thread.close()

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────
    async def cluster(self) -> ClusterFacts:
        """Everything: metadata, what is in flight, min ISR."""
        return await self._call("metadata", self._cluster)

    async def health(self) -> HealthObservation:
        """Who is sick, of all partitions: for the monitor, many times cheaper than cluster()."""
        return await self._call(
            "health", lambda admin: kafka_health.observe(admin, _reassignments, self._min_isr_of)
        )

    async def alive(self) -> Mapping[int, str | None]:
        """Live brokers and their racks."""
        return await self._call("brokers", lambda admin: _racks(admin.describe_cluster()))

    async def reassignments(self) -> Sequence[Reassignment]:
        """What is in flight."""
        return await self._call("reassignments", _reassignments)

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        """Log dirs, asked of each broker itself; those that do not answer, or cannot read a
        dir, are left out.
        """
        wanted = sorted(set(broker_ids))
        only = None if names is None else by_topic(names)
        if not wanted:
            return {}

        def ask(admin: KafkaAdminClient) -> dict[int, BrokerLogs]:
            shared: dict[TopicPartition, TopicPartition] = {}
            answers = kafka_admin.log_dirs(admin, wanted, only)
            return {b: _logs(b, answers.given.pop(b), shared) for b in list(answers.given)}

        return await self._call("log dirs", ask)

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        """These partitions only."""

        def ask(admin: KafkaAdminClient) -> list[Partition]:
            wanted = frozenset(names)
            topics = sorted({name.topic for name in wanted})
            found: list[Partition] = []
            for start in range(0, len(topics), TOPICS_PER_REQUEST):
                found += _partitions(admin, topics[start : start + TOPICS_PER_REQUEST])
            return [p for p in found if p.name in wanted]

        return await self._call("topics", ask)

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        """End offsets and group lags of a bounded sample."""
        return await self._call("offsets", lambda admin: offsets.positions(admin, names))

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Asked of each broker itself; those that do not answer are left out."""
        wanted = sorted(set(broker_ids))
        return await self._call(
            "broker settings", lambda admin: kafka_brokers.settings(admin, wanted)
        )

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """What each broker has in its own file, asked itself; those that do not answer are left
        out.
        """
        wanted = sorted(set(broker_ids))
        return await self._call(
            "broker settings", lambda admin: kafka_brokers.file_settings(admin, wanted)
        )

    async def quorum(self, broker_id: int) -> QuorumFacts:
        """The controllers, as that broker in KRaft mode has it from their leader."""
        return await self._call("quorum", lambda admin: kafka_quorum.quorum(admin, broker_id))

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Registered brokers that take no connection from here."""
        wanted = set(broker_ids)
        where = await self._call("brokers", kafka_brokers.addresses)
        return await kafka_brokers.without_connection(
            {b: at for b, at in where.items() if b in wanted}
        )

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        """By Cruise Control's metrics topic, with a client of its own: what cannot be read in
        time is not known.
        """
        try:
            if not await self._call(
                "metrics topic", lambda admin: kafka_admin.topics(admin, [metrics_reporters.TOPIC])
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
        brokers, named = sorted(set(broker_ids)), None if topics is None else sorted(set(topics))
        return await self._call(
            "throttle", lambda admin: kafka_throttle.read(admin, brokers, named)
        )

    async def set_throttle(self, change: ThrottleChange) -> None:
        """Set rates and lists; entries of others stay."""
        await self._call(
            "throttle change",
            lambda admin: kafka_throttle.apply_change(admin, change),
            _seconds_for(change),
        )

    async def clear_throttle(self, change: ThrottleChange) -> None:
        """Remove rates and list entries; entries of others stay."""
        await self._call(
            "throttle removal",
            lambda admin: kafka_throttle.remove_change(admin, change),
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
            refused = isinstance(error, kafka_admin.LOGIN_REFUSED)
            code = Code.KAFKA_LOGIN_REFUSED if refused else Code.KAFKA_UNREACHABLE
            raise PortError(self._says(what, kafka_admin.words(error)), code) from error

    def _says(self, what: str, trouble: str) -> str:
        return f"Kafka at {self._connection.bootstrap_servers} did not tell its {what}: {trouble}"

    def _cluster(self, admin: KafkaAdminClient) -> ClusterFacts:
        described = admin.describe_cluster()
        partitions = _partitions(admin, None)
        return ClusterFacts(
            brokers=tuple(Broker(b, rack) for b, rack in sorted(_racks(described).items())),
            partitions=tuple(partitions),
            min_isr=self._min_isr_of(admin, {p.topic for p in partitions}),
            controller_id=described["controller_id"],
        )

    def _min_isr_of(self, admin: KafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
        now = time.monotonic()
        # what was deleted is forgotten
        known = {t: self._min_isr[t] for t in topics if t in self._min_isr}
        stale = [t for t in topics if t not in known or known[t][1] + MIN_ISR_SECONDS < now]
        for start in range(0, len(stale), TOPICS_PER_REQUEST):
            found = kafka_admin.topic_configs(
                admin, stale[start : start + TOPICS_PER_REQUEST], [MIN_ISR]
            )
            known |= {topic: (int(entries[MIN_ISR].value), now) for topic, entries in found.items()}
        self._min_isr = known
        return {t: value for t, (value, _) in known.items()}


def _seconds_for(change: ThrottleChange) -> float:
    return CHANGE_SECONDS_PER_TOPIC * len({*change.leaders, *change.followers})


def _racks(described: Mapping[str, Any]) -> dict[int, str | None]:
    return {
        b["broker_id"]: b["rack"] or None for b in described["brokers"] if not b.get("is_fenced")
    }


def _reassignments(admin: KafkaAdminClient) -> list[Reassignment]:
    return [
        Reassignment(
            topic=tp.topic,
            partition=tp.partition,
            replicas=tuple(found["replicas"]),
            adding=tuple(found["adding_replicas"]),
            removing=tuple(found["removing_replicas"]),
        )
        for tp, found in admin.list_partition_reassignments().items()
    ]


def _partitions(admin: KafkaAdminClient, topics: Sequence[str] | None) -> list[Partition]:
    """These topics' partitions (None: all), with what is in flight.

    Metadata and reassignments are two answers: a move that begins or ends between them looks like a
    sick partition. Topics of such partitions are looked at once more, and what is really sick stays
    so.
    """
    in_flight = {(r.topic, r.partition): r for r in _reassignments(admin)}
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    found = [
        p
        for topic in kafka_admin.taken(kafka_admin.topics(admin, topics))
        for p in _of_topic(topic, in_flight, shared)
    ]
    doubtful = sorted({p.topic for p in found if p.is_under_replicated})
    if not doubtful:
        return found
    again = kafka_admin.topics(admin, doubtful)
    in_flight |= {(r.topic, r.partition): r for r in _reassignments(admin)}
    newer = {p.name: p for topic in again for p in _of_topic(topic, in_flight, shared)}
    return [newer.get(p.name, p) for p in found]


def _of_topic(
    topic: Any,
    in_flight: Mapping[tuple[str, int], Reassignment],
    shared: dict[tuple[int, ...], tuple[int, ...]] | None = None,
) -> Iterable[Partition]:
    """In order, which a broker in KRaft mode does not keep.

    `shared`: equal replica lists are kept once; 100 brokers have far fewer of them than partitions.
    """
    name, shared = topic.name, {} if shared is None else shared
    for p in sorted(topic.partitions, key=_number):
        replicas, isr = tuple(p.replica_nodes), tuple(p.isr_nodes)
        r = in_flight.get((name, p.partition_index))
        if r and not {*r.adding, *r.removing} <= set(p.replica_nodes):
            r = None  # the other answer is from before it began, or from after its end
        yield Partition(
            topic=name,
            partition=p.partition_index,
            leader=p.leader_id,
            replicas=shared.setdefault(replicas, replicas),
            isr=shared.setdefault(isr, isr),
            adding=r.adding if r else (),
            removing=r.removing if r else (),
        )


_number = attrgetter("partition_index")


def _logs(
    broker_id: int, response: Any, shared: dict[TopicPartition, TopicPartition] | None = None
) -> BrokerLogs:
    """`shared`: a partition's name is kept once, on however many brokers it is."""
    shared = {} if shared is None else shared
    sizes = {
        shared.setdefault(
            name := TopicPartition(topic.name, p.partition_index), name
        ): p.partition_size
        for log_dir in response.results
        for topic in log_dir.topics
        for p in topic.partitions
        if not p.is_future_key
    }
    dirs = tuple(
        LogDir(
            d.log_dir,
            sum(len(t.partitions) for t in d.topics),
            *(_bytes_or_unknown(n) for n in (d.usable_bytes, d.total_bytes)),
        )
        for d in response.results
    )
    known_free = [d.free_bytes for d in dirs if d.free_bytes >= 0]
    return BrokerLogs(
        broker_id=broker_id,
        size_bytes=sizes,
        free_bytes=sum(known_free) if known_free else -1,
        dirs=dirs,
    )


def _bytes_or_unknown(size_bytes: int | None) -> int:
    """Absent before Kafka 3.3 (KIP-827)."""
    return -1 if size_bytes is None else size_bytes


def _reassign(
    admin: KafkaAdminClient, wanted: Mapping[KafkaTopicPartition, list[int] | None]
) -> None:
    admin.alter_partition_reassignments(wanted)


def _elect(admin: KafkaAdminClient, names: Sequence[TopicPartition]) -> None:
    response = admin.elect_leaders(
        _PREFERRED, by_topic(names), _ELECTION_TIMEOUT_MS, raise_errors=False
    )
    if code := getattr(response, "error_code", 0):
        raise kafka_admin.error(code, None, "the election")


def by_topic(names: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Topic -> partitions: as most requests want it."""
    found: dict[str, list[int]] = defaultdict(list)
    for name in names:
        found[name.topic].append(name.partition)
    return dict(found)
