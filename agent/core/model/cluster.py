"""Facts about a Kafka cluster, as Kafka itself reports them.

Immutable, made by agent/adapters/kafka, read by pure functions. 200,000 partitions must fit into
memory: hence slots, tuples and no derived fields.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class TopicPartition(NamedTuple):
    """A partition's name."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """As Kafka's tools print it: `topic-number`."""
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class Broker:
    """A live broker; `rack` is its AZ (broker.rack)."""

    broker_id: int
    rack: str | None


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. While it is reassigned `replicas` holds old and new replicas (KIP-455,
    KIP-860).
    """

    topic: str
    partition: int
    leader: int  # -1: offline
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @property
    def name(self) -> TopicPartition:
        """The topic and the number of the partition."""
        return TopicPartition(self.topic, self.partition)

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas after the reassignment in flight."""
        return (
            tuple(r for r in self.replicas if r not in self.removing)
            if self.removing
            else self.replicas
        )

    @property
    def origin(self) -> tuple[int, ...]:
        """The replicas before the reassignment in flight."""
        return (
            tuple(r for r in self.replicas if r not in self.adding)
            if self.adding
            else self.replicas
        )

    @property
    def is_moving(self) -> bool:
        """Whether a reassignment of the partition is in flight."""
        return bool(self.adding or self.removing)

    @property
    def is_offline(self) -> bool:
        """Whether the partition has no leader."""
        return self.leader < 0

    @property
    def is_under_replicated(self) -> bool:
        """Whether replicas are out of sync. Replicas being added are not counted, as in Kafka since
        KIP-352.
        """
        return len(self.isr) < len(self.origin)


@dataclass(frozen=True, slots=True)
class Reassignment:
    """A reassignment in flight, as ListPartitionReassignments returns it."""

    topic: str
    partition: int
    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]

    @property
    def name(self) -> TopicPartition:
        """The topic and the number of the partition."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The whole cluster at one moment."""

    brokers: tuple[Broker, ...]
    partitions: tuple[Partition, ...]
    # topic -> min.insync.replicas; absent: 1
    min_isr: Mapping[str, int] = field(default_factory=dict)
    controller_id: int = -1

    @property
    def racks(self) -> dict[int, str | None]:
        """Broker id -> AZ, of live brokers only."""
        return {b.broker_id: b.rack for b in self.brokers}

    def moving(self) -> Iterator[Partition]:
        """Partitions with a reassignment in flight."""
        return (p for p in self.partitions if p.is_moving)

    def is_under_min_isr(self, partition: Partition) -> bool:
        """Whether producers with acks=all fail on this partition: fewer replicas in sync than
        min.insync.replicas, or than it has.
        """
        return len(partition.isr) < min(self.min_isr.get(partition.topic, 1), len(partition.origin))

    def held_by(self, broker_ids: frozenset[int]) -> Iterator[Partition]:
        """Partitions that have a replica on one of these brokers, once all reassignments in flight
        have ended.
        """
        return (p for p in self.partitions if not broker_ids.isdisjoint(p.target))


class LogDir(NamedTuple):
    """One log dir of a broker."""

    path: str
    replicas: int  # Kafka puts a new replica into the dir with the fewest, whatever their sizes
    free_bytes: int  # usable on its volume; -1: not reported (before KIP-827)
    total_bytes: int = -1


class LogTotals(NamedTuple):
    """What one broker's log dirs hold (DescribeLogDirs)."""

    replicas: int
    size_bytes: int
    # usable bytes on its volumes; -1: not reported (before KIP-827)
    free_bytes: int


@dataclass(frozen=True, slots=True)
class BrokerLogs:
    """The log dirs of one broker, with the size in bytes of each replica; future replicas are left
    out.
    """

    broker_id: int
    size_bytes: Mapping[TopicPartition, int]
    free_bytes: int = -1
    dirs: tuple[LogDir, ...] = ()  # empty: not reported one by one

    @property
    def volumes(self) -> tuple[LogDir, ...]:
        """Its log dirs, or one that stands for all where the broker did not report each."""
        return self.dirs or (LogDir("its log dirs", len(self.size_bytes), self.free_bytes),)

    @property
    def totals(self) -> LogTotals:
        """How many replicas there are, their bytes, and the free bytes of the disks."""
        return LogTotals(len(self.size_bytes), sum(self.size_bytes.values()), self.free_bytes)
