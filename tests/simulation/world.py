"""A Kafka cluster in memory: brokers that die, replicas that are copied, throttles, in virtual
time.

Moved only by `advance` and by what the ports and the faults call. It has no clock and no chance of
its own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.core.model.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.throttle import BrokerRate, ThrottleChange, ThrottleFacts

EPOCH = 1_000.0
COPY_BYTES_PER_SECOND = 100.0  # of one replica, without a throttle
REJOIN_SECONDS = 1.0  # a restarted broker catches up and is in sync again
STEP_SECONDS_MAX = 0.5  # copies are looked at this often


@dataclass
class Replicated:
    """One partition as the controller sees it."""

    name: TopicPartition
    replicas: list[int]
    isr: set[int]
    leader: int
    size: float
    adding: list[int] = field(default_factory=list)
    removing: list[int] = field(default_factory=list)
    copied: dict[int, float] = field(default_factory=dict)

    @property
    def target(self) -> list[int]:
        return [r for r in self.replicas if r not in self.removing]

    @property
    def is_moving(self) -> bool:
        return bool(self.adding or self.removing)

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
    """The cluster. `version` grows with every change of an assignment."""

    def __init__(
        self, racks: dict[int, str], min_isr: int = 2, growth_bytes_per_second: float = 0.0
    ) -> None:
        self.now = EPOCH
        self.racks = racks
        self.alive = set(racks)
        self.min_isr = min_isr
        self.growth_bytes_per_second = growth_bytes_per_second
        self.partitions: dict[TopicPartition, Replicated] = {}
        self.rates: dict[int, int] = {}
        self.leaders: dict[str, set[tuple[int, int]]] = {}
        self.followers: dict[str, set[tuple[int, int]]] = {}
        self.rejoin_at: dict[int, float] = {}
        self.moving: dict[TopicPartition, Replicated] = {}
        self.version = 0

    def create(self, topic: str, partition: int, replicas: Iterable[int], size: float) -> None:
        """A new partition, all replicas in sync that are alive."""
        placed = list(replicas)
        name = TopicPartition(topic, partition)
        live = {r for r in placed if r in self.alive}
        leader = next((r for r in placed if r in live), -1)
        self.partitions[name] = Replicated(name, placed, live, leader, size)
        self.version += 1

    def delete(self, topic: str) -> None:
        for name in [n for n in self.partitions if n.topic == topic]:
            del self.partitions[name]
            self.moving.pop(name, None)
        self.leaders.pop(topic, None)
        self.followers.pop(topic, None)
        self.version += 1

    # ── brokers ───────────────────────────────────────────────────────────────────────────────────
    def kill(self, broker: int) -> None:
        self.alive.discard(broker)
        self.rejoin_at.pop(broker, None)
        for p in self.partitions.values():
            if broker in p.isr and len(p.isr) > 1:
                p.isr.discard(broker)
            p.copied.pop(broker, None)
            if p.leader == broker:
                self._lead(p)

    def restart(self, broker: int) -> None:
        self.alive.add(broker)
        self.rejoin_at[broker] = self.now + REJOIN_SECONDS

    def _lead(self, p: Replicated) -> None:
        p.leader = next((r for r in p.replicas if r in p.isr and r in self.alive), -1)

    def _rejoin(self) -> None:
        for broker, due in list(self.rejoin_at.items()):
            if due <= self.now:
                del self.rejoin_at[broker]
                for p in self.partitions.values():
                    if broker in p.replicas and broker not in p.adding:
                        p.isr.add(broker)
                    if p.leader < 0:
                        self._lead(p)

    # ── reassignments ─────────────────────────────────────────────────────────────────────────────
    def reassign(self, name: TopicPartition, target: Sequence[int]) -> None:
        """AlterPartitionReassignments: replicas become the union, target first (KIP-455)."""
        p = self.partitions.get(name)
        if p is None or not set(target) <= self.alive | set(p.replicas):
            return
        origin = [r for r in p.replicas if r not in p.adding]
        p.isr -= set(p.adding) - set(target)
        p.adding = [r for r in target if r not in origin]
        p.removing = [r for r in origin if r not in target]
        p.replicas = [*target, *(r for r in origin if r not in target)]
        p.copied = {r: p.copied.get(r, 0.0) for r in p.adding}
        if p.is_moving:
            self.moving[name] = p
        else:
            self.moving.pop(name, None)
        self.version += 1
        self._settle(p)

    def cancel(self, name: TopicPartition) -> None:
        """A null target.

        Kafka takes the adding ones out of the union again: the order changes (recorded).
        """
        p = self.partitions.get(name)
        if p is None or not p.is_moving:
            return
        p.replicas = [r for r in p.replicas if r not in p.adding]
        p.isr -= set(p.adding)
        p.adding, p.removing, p.copied = [], [], {}
        self.moving.pop(name, None)
        if p.leader not in p.replicas:
            self._lead(p)
        self.version += 1

    def elect(self, names: Iterable[TopicPartition]) -> None:
        for name in names:
            p = self.partitions.get(name)
            if p and p.replicas[0] in p.isr and p.replicas[0] in self.alive:
                p.leader = p.replicas[0]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    def advance(self, seconds: float) -> None:
        """At most STEP_SECONDS_MAX while something moves."""
        self.now += seconds
        if self.rejoin_at:
            self._rejoin()
        if self.growth_bytes_per_second:
            for p in self.partitions.values():
                p.size += self.growth_bytes_per_second * seconds
        if self.moving:
            receiving = Counter(r for p in self.moving.values() for r in p.adding)
            sending = Counter(p.leader for p in self.moving.values())
            for p in list(self.moving.values()):
                self._copy(p, seconds, receiving, sending)
                self._settle(p)

    def _copy(
        self, p: Replicated, seconds: float, receiving: Counter[int], sending: Counter[int]
    ) -> None:
        if p.leader < 0:
            return
        topic, number = p.name
        for r in p.adding:
            if r not in self.alive:
                continue
            rate = COPY_BYTES_PER_SECOND
            if (number, r) in self.followers.get(topic, ()) and r in self.rates:
                rate = min(rate, self.rates[r] / receiving[r])
            if (number, p.leader) in self.leaders.get(topic, ()) and p.leader in self.rates:
                rate = min(rate, self.rates[p.leader] / sending[p.leader])
            p.copied[r] = p.copied.get(r, 0.0) + seconds * rate

    def _settle(self, p: Replicated) -> None:
        for r in p.adding:
            if r in self.alive and p.copied.get(r, 0.0) >= p.size:
                p.isr.add(r)
        if p.is_moving and p.isr.issuperset(p.target):
            p.replicas = p.target
            p.isr &= set(p.replicas)
            p.adding, p.removing, p.copied = [], [], {}
            self.moving.pop(p.name, None)
            if p.leader not in p.replicas:
                self._lead(p)
            self.version += 1

    # ── facts, as the ports tell them ─────────────────────────────────────────────────────────────
    def facts(self) -> ClusterFacts:
        return ClusterFacts(
            brokers=tuple(Broker(b, self.racks[b]) for b in sorted(self.alive)),
            partitions=tuple(p.facts() for p in self.partitions.values()),
            min_isr={p.name.topic: self.min_isr for p in self.partitions.values()},
        )

    def reassignments(self) -> list[Reassignment]:
        return [
            Reassignment(
                p.name.topic,
                p.name.partition,
                tuple(p.replicas),
                tuple(p.adding),
                tuple(p.removing),
            )
            for p in self.moving.values()
        ]

    def logs(self, broker: int) -> BrokerLogs:
        sizes = {
            p.name: int(
                p.size if broker not in p.adding else min(p.copied.get(broker, 0.0), p.size)
            )
            for p in self.partitions.values()
            if broker in p.replicas
        }
        return BrokerLogs(broker_id=broker, size_bytes=sizes)

    def held(self, broker: int) -> set[TopicPartition]:
        """What has a replica on this broker, or is about to have one."""
        return {p.name for p in self.partitions.values() if broker in p.replicas}

    # ── throttle ──────────────────────────────────────────────────────────────────────────────────
    def throttle(self, brokers: Iterable[int], topics: Iterable[str] | None) -> ThrottleFacts:
        wanted = None if topics is None else set(topics)
        leaders, followers = (
            {t: frozenset(v) for t, v in lists.items() if v and (wanted is None or t in wanted)}
            for lists in (self.leaders, self.followers)
        )
        asked = set(brokers) & self.alive
        rates = {b: BrokerRate(leader=r, follower=r) for b, r in self.rates.items() if b in asked}
        return ThrottleFacts(rates=rates, leaders=leaders, followers=followers)

    def set_throttle(self, order: ThrottleChange) -> None:
        self.rates |= {b: r for b, r in order.rates.items() if b in self.alive}
        for lists, more in ((self.leaders, order.leaders), (self.followers, order.followers)):
            for topic, replicas in more.items():
                if any(name.topic == topic for name in self.partitions):
                    lists.setdefault(topic, set()).update(replicas)

    def clear_throttle(self, order: ThrottleChange) -> None:
        for b in order.rates:
            if b in self.alive:  # a broker that is down keeps its setting
                self.rates.pop(b, None)
        for lists, gone in ((self.leaders, order.leaders), (self.followers, order.followers)):
            for topic, replicas in gone.items():
                lists.get(topic, set()).difference_update(replicas)
