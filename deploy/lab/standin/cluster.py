"""What the stand-in needs from a Kafka cluster: values that it reads, and a port to act through.

kafka_cluster.KafkaCluster implements the port for real brokers, and tests have an in-memory
cluster. This file has no input or output.
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
    """The cluster did not answer a call. The caller may repeat the call later."""


@dataclass(frozen=True)
class Broker:
    """A broker that is alive."""

    id: int
    host: str
    rack: str


@dataclass(frozen=True)
class Partition:
    """One partition as in Kafka's metadata.

    While it moves, `replicas` is the union of the old and the new ones.
    """

    tp: TopicPartition
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    offline: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClusterView:
    """The metadata of one moment."""

    brokers: Mapping[int, Broker]
    controller: int
    partitions: Mapping[TopicPartition, Partition]

    def rack(self, broker: int) -> str:
        """The rack of a broker. Cruise Control does not know that of a dead one, so it is empty."""
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
    """Which replicas are on the disks of the brokers that are alive, and their sizes."""

    directories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    offline_directories: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    bytes_by_replica: Mapping[tuple[TopicPartition, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reassignment:
    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


class Cluster(Protocol):
    """The calls to Kafka.

    Each has a timeout of its own and raises ClusterUnavailableError when the cluster does not
    answer.
    """

    async def describe(self) -> ClusterView: ...

    async def log_dirs(self, brokers: Collection[int]) -> LogDirs: ...

    async def min_in_sync(self, topics: Collection[str]) -> Mapping[str, int]: ...

    async def reassignments(self) -> Mapping[TopicPartition, Reassignment]: ...

    async def reassign(
        self, targets: Mapping[TopicPartition, tuple[int, ...] | None]
    ) -> Mapping[TopicPartition, str | None]:
        """Start reassignments; None as a target cancels one.

        Returns the name of the error for each partition, or None where the request was accepted.
        """
        ...

    async def elect_preferred(self, partitions: Collection[TopicPartition]) -> None: ...

    async def broker_configs(self, broker: int) -> Mapping[str, str]:
        """The dynamic configs of this broker."""
        ...

    async def topic_configs(self, topic: str) -> Mapping[str, str]: ...

    async def change_broker_configs(self, broker: int, changes: Mapping[str, str | None]) -> None:
        """Change dynamic configs of this broker; None as a value deletes the key."""
        ...

    async def change_topic_configs(self, topic: str, changes: Mapping[str, str | None]) -> None: ...

    async def close(self) -> None: ...
