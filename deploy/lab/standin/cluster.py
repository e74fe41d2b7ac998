"""What the stand-in needs from a Kafka cluster: the values it reads and the port it acts through.

Implemented by kafka_cluster.KafkaCluster (real brokers) and by the tests' in-memory cluster. No I/O
here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

NO_LEADER = -1


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class ClusterUnavailableError(Exception):
    """The cluster did not answer a call; the caller may try the same call again later."""


@dataclass(frozen=True)
class Broker:
    """A broker that is alive."""

    id: int
    host: str
    rack: str


@dataclass(frozen=True)
class Partition:
    """One partition as Kafka's metadata tell it: while it moves, `replicas` is the union of old
    and new ones.
    """

    tp: TopicPartition
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    offline: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClusterView:
    """One reading of the metadata."""

    brokers: Mapping[int, Broker]
    controller: int
    partitions: Mapping[TopicPartition, Partition]

    def rack(self, broker: int) -> str:
        """Cruise Control knows no rack of a broker that is dead: it is the empty string."""
        return self.brokers[broker].rack if broker in self.brokers else ""

    def holders(self) -> frozenset[int]:
        return frozenset(
            broker for partition in self.partitions.values() for broker in partition.replicas
        )

    def dead(self) -> frozenset[int]:
        """Brokers that hold replicas and are not alive.

        A dead broker without replicas is not known at all.
        """
        return self.holders() - self.brokers.keys()


@dataclass(frozen=True)
class LogDirs:
    """Where the replicas of the brokers that are alive lie, and how large they are."""

    directories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    offline_directories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    bytes_by_replica: Mapping[tuple[TopicPartition, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reassignment:
    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


class Cluster(Protocol):
    """The calls.

    Each has a timeout inside and raises ClusterUnavailableError when the cluster does not answer.
    """

    async def describe(self) -> ClusterView: ...

    async def log_dirs(self, brokers: Collection[int]) -> LogDirs: ...

    async def min_in_sync(self, topics: Collection[str]) -> Mapping[str, int]: ...

    async def reassignments(self) -> Mapping[TopicPartition, Reassignment]: ...

    async def reassign(
        self, targets: Mapping[TopicPartition, tuple[int, ...] | None]
    ) -> Mapping[TopicPartition, str | None]:
        """None as target cancels.

        Answers the name of the error per partition, None where it was accepted.
        """
        ...

    async def elect_preferred(self, partitions: Collection[TopicPartition]) -> None: ...

    async def broker_configs(self, broker: int) -> Mapping[str, str]:
        """Dynamic configs of this broker."""
        ...

    async def topic_configs(self, topic: str) -> Mapping[str, str]: ...

    async def change_broker_configs(self, broker: int, changes: Mapping[str, str | None]) -> None:
        """None as value deletes the key."""
        ...

    async def change_topic_configs(self, topic: str, changes: Mapping[str, str | None]) -> None: ...

    async def close(self) -> None: ...
