"""The stand-in's Cluster port in memory: a small Kafka that copies a replica in a set time of the
clock it is given.

Keeps Kafka's own habits with reassignments: the target first, the leaving replicas after it, and a
cancel that drops the adding ones and does not restore the old order.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from deploy.lab.standin.clock import Clock
from deploy.lab.standin.cluster import (
    NO_LEADER,
    Broker,
    ClusterUnavailableError,
    ClusterView,
    LogDirs,
    Partition,
    Reassignment,
    TopicPartition,
)

DEFAULT_SIZE_BYTES = 10 * 1024 * 1024


@dataclass
class _Moving:
    target: tuple[int, ...]
    ready_at: float


class MemoryCluster:
    """Six brokers by default as in the recordings: 11, 12, 13 hold everything, 31, 32, 33 are
    empty.
    """

    def __init__(
        self, clock: Clock, *, copy_seconds: float = 2.0, racks: Mapping[int, str] | None = None
    ) -> None:
        self.clock = clock
        self.copy_seconds = copy_seconds
        racks = racks or {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
        self._known = {broker: Broker(broker, "127.0.0.1", rack) for broker, rack in racks.items()}
        self._dead: set[int] = set()
        self._partitions: dict[TopicPartition, Partition] = {}
        self._moving: dict[TopicPartition, _Moving] = {}
        self.size_bytes: dict[TopicPartition, int] = {}
        self.configs: dict[tuple[str, str], dict[str, str]] = {}
        self.config_changes: list[tuple[str, str]] = []
        self.answer_seconds = 0.0
        """How long the cluster takes to describe itself."""
        self.unavailable = False
        self.closed = False

    # ---- what tests do to it

    def add_topic(
        self,
        name: str,
        assignments: Iterable[tuple[int, ...]],
        size_bytes: int = DEFAULT_SIZE_BYTES,
    ) -> None:
        for index, replicas in enumerate(assignments):
            tp = TopicPartition(name, index)
            self._partitions[tp] = Partition(tp, replicas[0], tuple(replicas), tuple(replicas))
            self.size_bytes[tp] = size_bytes

    def fill(self, topics: int = 23, partitions: int = 91) -> None:
        """The recorded cluster: 23 topics, 91 partitions, all six orders of the three source
        brokers.
        """
        orders = [
            (11, 12, 13),
            (12, 13, 11),
            (13, 11, 12),
            (11, 13, 12),
            (12, 11, 13),
            (13, 12, 11),
        ]
        for number in range(topics):
            count = partitions // topics + (1 if number < partitions % topics else 0)
            self.add_topic(
                f"topic-{number:02}",
                [orders[(number + index) % len(orders)] for index in range(count)],
            )

    def kill(self, broker: int) -> None:
        self._dead.add(broker)
        for tp, partition in self._partitions.items():
            in_sync = tuple(b for b in partition.in_sync if b != broker)
            leader = (
                partition.leader if partition.leader != broker else next(iter(in_sync), NO_LEADER)
            )
            self._partitions[tp] = replace(partition, in_sync=in_sync, leader=leader)

    def revive(self, broker: int) -> None:
        self._dead.discard(broker)
        for tp, partition in self._partitions.items():
            if broker in partition.replicas and tp not in self._moving:
                self._partitions[tp] = replace(partition, in_sync=(*partition.in_sync, broker))

    def lead(self, tp: TopicPartition, broker: int) -> None:
        self._partitions[tp] = replace(self._partitions[tp], leader=broker)

    def replicas_on(self, broker: int) -> int:
        return sum(broker in partition.replicas for partition in self._partitions.values())

    def partition(self, tp: TopicPartition) -> Partition:
        self._settle()
        return self._partitions[tp]

    # ---- the port

    async def describe(self) -> ClusterView:
        if self.answer_seconds:
            await self.clock.sleep(self.answer_seconds)
        self._settle()
        alive = {broker: value for broker, value in self._known.items() if broker not in self._dead}
        partitions = {
            tp: replace(p, offline=tuple(b for b in p.replicas if b not in alive))
            for tp, p in self._partitions.items()
        }
        return ClusterView(alive, min(alive, default=NO_LEADER), partitions)

    async def log_dirs(self, brokers: Collection[int]) -> LogDirs:
        self._settle()
        alive = [broker for broker in brokers if broker not in self._dead]
        sizes = {
            (tp, broker): self.size_bytes[tp]
            for tp, p in self._partitions.items()
            for broker in p.replicas
            if broker in alive
        }
        return LogDirs(
            {b: (f"/var/lib/kafka-{b}",) for b in alive}, dict.fromkeys(alive, ()), sizes
        )

    async def min_in_sync(self, topics: Collection[str]) -> Mapping[str, int]:
        return dict.fromkeys(topics, 2)

    async def reassignments(self) -> Mapping[TopicPartition, Reassignment]:
        self._settle()
        return {tp: self._reassignment(tp) for tp in self._moving}

    async def reassign(
        self, targets: Mapping[TopicPartition, tuple[int, ...] | None]
    ) -> Mapping[TopicPartition, str | None]:
        self._settle()
        return {
            tp: self._cancel(tp) if target is None else self._move(tp, target)
            for tp, target in targets.items()
        }

    async def elect_preferred(self, partitions: Collection[TopicPartition]) -> None:
        self._settle()
        for tp in partitions:
            partition = self._partitions[tp]
            if partition.replicas[0] in partition.in_sync:
                self.lead(tp, partition.replicas[0])

    async def broker_configs(self, broker: int) -> Mapping[str, str]:
        return dict(self.configs.get(("broker", str(broker)), {}))

    async def topic_configs(self, topic: str) -> Mapping[str, str]:
        return dict(self.configs.get(("topic", topic), {}))

    async def change_broker_configs(self, broker: int, changes: Mapping[str, str | None]) -> None:
        self._change("broker", str(broker), changes)

    async def change_topic_configs(self, topic: str, changes: Mapping[str, str | None]) -> None:
        self._change("topic", topic, changes)

    async def close(self) -> None:
        self.closed = True

    # ---- how it works

    def _change(self, kind: str, name: str, changes: Mapping[str, str | None]) -> None:
        self.config_changes.append((kind, name))
        configs = self.configs.setdefault((kind, name), {})
        for key, value in changes.items():
            if value is None:
                configs.pop(key, None)
            else:
                configs[key] = value

    def _origin(self, tp: TopicPartition) -> tuple[int, ...]:
        if tp not in self._moving:
            return self._partitions[tp].replicas
        adding = self._reassignment(tp).adding
        return tuple(broker for broker in self._partitions[tp].replicas if broker not in adding)

    def _reassignment(self, tp: TopicPartition) -> Reassignment:
        replicas = self._partitions[tp].replicas
        target = self._moving[tp].target
        removing = tuple(broker for broker in replicas if broker not in target)
        adding = tuple(broker for broker in target if broker not in self._partitions[tp].in_sync)
        return Reassignment(replicas, adding, removing)

    def _move(self, tp: TopicPartition, target: tuple[int, ...]) -> str | None:
        if tp not in self._partitions:
            return "UnknownTopicOrPartitionError"
        if any(broker not in self._known or broker in self._dead for broker in target):
            return "InvalidReplicaAssignmentError"
        origin = self._origin(tp)
        union = tuple(dict.fromkeys((*target, *origin)))
        self._partitions[tp] = replace(self._partitions[tp], replicas=union)
        copies = bool(set(target) - set(origin))
        self._moving[tp] = _Moving(
            target, self.clock.now() + (self.copy_seconds if copies else 0.0)
        )
        return None

    def _cancel(self, tp: TopicPartition) -> str | None:
        if tp not in self._moving:
            return "NoReassignmentInProgressError"
        self._partitions[tp] = replace(self._partitions[tp], replicas=self._origin(tp))
        del self._moving[tp]
        return None

    def _settle(self) -> None:
        """Ends the copies whose time has come; one to a dead broker never ends."""
        if self.unavailable:
            raise ClusterUnavailableError("The memory cluster is told to be away.")
        now = self.clock.now()
        for tp, moving in list(self._moving.items()):
            if moving.ready_at > now or self._dead & set(moving.target):
                continue
            leader = self._partitions[tp].leader
            self._partitions[tp] = replace(
                self._partitions[tp],
                replicas=moving.target,
                in_sync=moving.target,
                leader=leader if leader in moving.target else moving.target[0],
            )
            del self._moving[tp]
