"""A cluster of 100 brokers and 200,000 partitions in three copies, in memory.

Used by plan.py and wire.py.

Half of the brokers are sources and hold everything, as before a migration; the other half are empty
destinations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.planning.policy import Policy

BROKERS, TOPICS, PARTITIONS_PER_TOPIC = 100, 2_000, 100
PARTITIONS = TOPICS * PARTITIONS_PER_TOPIC
AZS = ("az-a", "az-b", "az-c")
DESTINATIONS_FROM = 101
REPLICA_BYTES = 500_000_000  # 200,000 partitions in three copies: 300 TB
FREE_BYTES = 20_000_000_000_000

SOURCES = tuple(range(1, BROKERS // 2 + 1))
DESTINATIONS = tuple(b + DESTINATIONS_FROM - 1 for b in SOURCES)
RACKS = {b: AZS[n % 3] for side in (SOURCES, DESTINATIONS) for n, b in enumerate(side)}
POLICY = Policy(source_broker_ids=SOURCES, destination_broker_ids=DESTINATIONS)
HEIR = dict(zip(SOURCES, DESTINATIONS, strict=True))

_BY_AZ = [[b for b in SOURCES if RACKS[b] == az] for az in AZS]


def topic(number: int) -> str:
    """Names as long as people make them."""
    return f"service-{number % 100:02}.domain-events.aggregate-{number:04}.v1"


def replicas_of(number: int) -> tuple[int, ...]:
    """One in each AZ, the preferred leader by turns."""
    spread = [
        brokers[(number + n * (number // 17)) % len(brokers)] for n, brokers in enumerate(_BY_AZ)
    ]
    turn = number % 3
    return (*spread[turn:], *spread[:turn])


def size_of(number: int) -> int:
    """From a tenth of the mean to nearly twice of it, always the same for the same partition."""
    return int(REPLICA_BYTES * (0.1 + (number * 2_654_435_761 % 1_000) / 555))


@dataclass
class LargeCluster:
    """What is true.

    `flying`: number of a partition -> (source, destination); `moved`: those that have arrived.
    """

    flying: dict[int, tuple[int, int]] = field(default_factory=dict)
    moved: dict[int, tuple[int, int]] = field(default_factory=dict)

    def partition(self, number: int) -> Partition:
        """As Kafka shows it: the union while it moves."""
        home = replicas_of(number)
        t, p = topic(number // PARTITIONS_PER_TOPIC), number % PARTITIONS_PER_TOPIC
        if number in self.flying:
            source, destination = self.flying[number]
            target = tuple(destination if r == source else r for r in home)
            return Partition(t, p, home[0], (*target, source), home, (destination,), (source,))
        if number in self.moved:
            source, destination = self.moved[number]
            home = tuple(destination if r == source else r for r in home)
        return Partition(t, p, home[0], home, home)

    def on(self, broker: int) -> Mapping[int, int]:
        """Number -> bytes of each replica on its disks; what is on its way has half of them."""
        held: dict[int, int] = {}
        if broker in HEIR:
            gone = {n for n, (source, _) in self.moved.items() if source == broker}
            held = {n: size_of(n) for n in self._homes()[broker] if n not in gone}
        held |= {n: size_of(n) for n, (_, to) in self.moved.items() if to == broker}
        return held | {n: size_of(n) // 2 for n, (_, to) in self.flying.items() if to == broker}

    def _homes(self) -> dict[int, list[int]]:
        if not self._home:
            self._home = {b: [] for b in SOURCES}
            for number in range(PARTITIONS):
                for b in replicas_of(number):
                    self._home[b].append(number)
        return self._home

    _home: dict[int, list[int]] = field(default_factory=dict, repr=False)

    def facts(self) -> ClusterFacts:
        """Everything, as the adapter makes it."""
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        partitions = []
        for number in range(PARTITIONS):
            p = self.partition(number)
            held = shared.setdefault(p.replicas, p.replicas)
            isr = shared.setdefault(p.isr, p.isr)
            partitions.append(
                Partition(p.topic, p.partition, p.leader, held, isr, p.adding, p.removing)
            )
        return ClusterFacts(
            brokers=tuple(Broker(b, rack) for b, rack in sorted(RACKS.items())),
            partitions=tuple(partitions),
            min_isr={topic(n): 2 for n in range(TOPICS)},
            controller_id=SOURCES[0],
        )

    def logs(self) -> dict[int, BrokerLogs]:
        """The log dirs of every broker."""
        names = [name_of(n) for n in range(PARTITIONS)]
        return {
            b: BrokerLogs(b, {names[n]: size for n, size in self.on(b).items()}, FREE_BYTES)
            for b in RACKS
        }


def name_of(number: int) -> TopicPartition:
    return TopicPartition(topic(number // PARTITIONS_PER_TOPIC), number % PARTITIONS_PER_TOPIC)
