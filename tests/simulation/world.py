"""A Kafka cluster in memory: brokers that die, replicas that are copied, throttles, in virtual time.

Moved only by `advance` and by what the ports and the faults call. Deterministic: it has no clock and no random of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.throttle import BrokerRate, ThrottleFacts, ThrottleOrder

COPY_BYTES_PER_SECOND = 100
REJOIN_SECONDS = 1.0


@dataclass
class Replicated:
    """One partition as the controller sees it."""

    name: TopicPartition
    replicas: list[int]
    isr: set[int]
    leader: int
    size: int
    adding: list[int] = field(default_factory=list)
    removing: list[int] = field(default_factory=list)
    copied: dict[int, float] = field(default_factory=dict)

    @property
    def target(self) -> list[int]:
        return [r for r in self.replicas if r not in self.removing]

    def facts(self) -> Partition:
        return Partition(
            topic=self.name.topic,
            partition=self.name.partition,
            leader=self.leader,
            replicas=tuple(self.replicas),
            isr=tuple(sorted(self.isr)),
            adding=tuple(self.adding),
            removing=tuple(self.removing),
        )


class World:
    """The cluster."""

    def __init__(self, racks: dict[int, str], min_isr: int = 2) -> None:
        self.now = 1_000.0
        self.racks = racks
        self.alive = set(racks)
        self.min_isr = min_isr
        self.partitions: dict[TopicPartition, Replicated] = {}
        self.rates: dict[int, int] = {}
        self.leaders: dict[str, set[tuple[int, int]]] = {}
        self.followers: dict[str, set[tuple[int, int]]] = {}
        self.rejoin_at: dict[int, float] = {}

    def create(self, topic: str, partition: int, replicas: Iterable[int], size: int) -> None:
        """A new partition, all replicas in sync that are alive."""
        placed = list(replicas)
        name = TopicPartition(topic, partition)
        live = {r for r in placed if r in self.alive}
        leader = next((r for r in placed if r in live), -1)
        self.partitions[name] = Replicated(name, placed, live, leader, size)

    # ── brokers ─────────────────────────────────────────────────────────────────────────────────────────────────
    def kill(self, broker: int) -> None:
        self.alive.discard(broker)
        self.rejoin_at.pop(broker, None)
        for p in self.partitions.values():
            if broker in p.isr and len(p.isr) > 1:
                p.isr.discard(broker)
            p.copied.pop(broker, None)
            if p.leader == broker:
                p.leader = next((r for r in p.replicas if r in p.isr and r in self.alive), -1)

    def restart(self, broker: int) -> None:
        self.alive.add(broker)
        self.rejoin_at[broker] = self.now + REJOIN_SECONDS

    # ── reassignments ───────────────────────────────────────────────────────────────────────────────────────────
    def reassign(self, name: TopicPartition, target: list[int]) -> None:
        """AlterPartitionReassignments: replicas become the union, target first (KIP-455)."""
        p = self.partitions[name]
        origin = [r for r in p.replicas if r not in p.adding]
        p.adding = [r for r in target if r not in origin]
        p.removing = [r for r in origin if r not in target]
        p.replicas = [*target, *(r for r in origin if r not in target)]
        p.copied = {r: p.copied.get(r, 0.0) for r in p.adding}
        self._settle(p)

    def cancel(self, name: TopicPartition) -> None:
        """A null target: back to the origin, copied bytes lost."""
        p = self.partitions[name]
        if p.adding or p.removing:
            # Kafka keeps the target first in the union, and takes the adding ones out again: the order changes (seen).
            p.replicas = [r for r in p.replicas if r not in p.adding]
            p.isr -= set(p.adding)
            p.adding, p.removing, p.copied = [], [], {}
            if p.leader not in p.replicas:
                p.leader = next((r for r in p.replicas if r in p.isr and r in self.alive), -1)

    def elect(self, names: Iterable[TopicPartition]) -> None:
        for name in names:
            p = self.partitions.get(name)
            if p and p.replicas[0] in p.isr and p.replicas[0] in self.alive:
                p.leader = p.replicas[0]

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────
    def advance(self, seconds: float) -> None:
        self.now += seconds
        for broker, due in list(self.rejoin_at.items()):
            if due <= self.now:
                del self.rejoin_at[broker]
                for p in self.partitions.values():
                    if broker in p.replicas and broker not in p.adding:
                        p.isr.add(broker)
                        if p.leader < 0:
                            p.leader = broker
        for p in self.partitions.values():
            if p.adding or p.removing:
                self._copy(p, seconds)
                self._settle(p)

    def _copy(self, p: Replicated, seconds: float) -> None:
        if p.leader < 0:
            return
        for r in p.adding:
            if r in self.alive and r not in p.isr:
                p.copied[r] = p.copied.get(r, 0.0) + seconds * self._rate(p, r)

    def _rate(self, p: Replicated, to: int) -> float:
        listed = (p.name.partition, to) in self.followers.get(p.name.topic, ())
        return (
            min(COPY_BYTES_PER_SECOND, self.rates.get(to, COPY_BYTES_PER_SECOND)) if listed else COPY_BYTES_PER_SECOND
        )

    def _settle(self, p: Replicated) -> None:
        for r in p.adding:
            if r in self.alive and p.copied.get(r, 0.0) >= p.size:
                p.isr.add(r)
        if (p.adding or p.removing) and all(r in p.isr for r in p.target):
            p.replicas = p.target
            p.isr &= set(p.replicas)
            p.adding, p.removing, p.copied = [], [], {}
            if p.leader not in p.replicas:
                p.leader = next((r for r in p.replicas if r in p.isr), -1)

    # ── facts, as the ports tell them ───────────────────────────────────────────────────────────────────────────
    def facts(self) -> ClusterFacts:
        return ClusterFacts(
            brokers=tuple(Broker(b, self.racks[b]) for b in sorted(self.alive)),
            partitions=tuple(p.facts() for p in self.partitions.values()),
            min_isr={p.name.topic: self.min_isr for p in self.partitions.values()},
        )

    def reassignments(self) -> list[Reassignment]:
        return [
            Reassignment(p.name.topic, p.name.partition, tuple(p.replicas), tuple(p.adding), tuple(p.removing))
            for p in self.partitions.values()
            if p.adding or p.removing
        ]

    def logs(self, broker: int) -> BrokerLogs:
        sizes = {
            p.name: int(min(p.copied.get(broker, p.size if broker not in p.adding else 0.0), p.size))
            for p in self.partitions.values()
            if broker in p.replicas
        }
        return BrokerLogs(broker_id=broker, size_bytes=sizes)

    def throttle(self) -> ThrottleFacts:
        return ThrottleFacts(
            rates={b: BrokerRate(leader=r, follower=r) for b, r in self.rates.items() if b in self.alive},
            leaders={t: frozenset(v) for t, v in self.leaders.items() if v},
            followers={t: frozenset(v) for t, v in self.followers.items() if v},
        )

    def set_throttle(self, order: ThrottleOrder) -> None:
        self.rates |= {b: r for b, r in order.rates.items() if b in self.alive}
        for lists, more in ((self.leaders, order.leaders), (self.followers, order.followers)):
            for topic, replicas in more.items():
                lists.setdefault(topic, set()).update(replicas)

    def clear_throttle(self, order: ThrottleOrder) -> None:
        for b in order.rates:
            if b in self.alive:
                self.rates.pop(b, None)
        for lists, gone in ((self.leaders, order.leaders), (self.followers, order.followers)):
            for topic, replicas in gone.items():
                lists.get(topic, set()).difference_update(replicas)
