"""The load of a cluster as Cruise Control models it.

A replica has the weight of the leader of its partition. This file has no input or output.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from deploy.lab.standin.cluster import ClusterView, TopicPartition

BYTES_PER_MB = 1024 * 1024
BYTES_PER_KB = 1024


@dataclass
class BrokerLoad:
    """The load of one broker: disk in MB, network in KB/s.

    The stand-in does not measure CPU, which is 0.
    """

    broker: int
    alive: bool
    disk_mb: float = 0.0
    leader_in_kb: float = 0.0
    follower_in_kb: float = 0.0
    out_kb: float = 0.0
    potential_out_kb: float = 0.0
    leaders: int = 0
    replicas: int = 0


@dataclass(frozen=True)
class ClusterModel:
    """A view of the cluster with the size and the write rate of each partition.

    `removed` are the brokers that a request removes. The model treats them as dead, as Cruise
    Control does.
    """

    view: ClusterView
    size_bytes: Mapping[TopicPartition, int] = field(default_factory=dict)
    bytes_in_per_second: Mapping[TopicPartition, float] = field(default_factory=dict)
    removed: frozenset[int] = frozenset()

    def brokers(self) -> list[int]:
        return sorted(self.view.brokers.keys() | self.view.dead())

    def alive(self) -> list[int]:
        return [broker for broker in sorted(self.view.brokers) if broker not in self.removed]

    def without(self, removed: Iterable[int]) -> "ClusterModel":
        return replace(self, removed=frozenset(removed))

    def loads(self) -> list[BrokerLoad]:
        """One row for each broker, also for dead ones that hold replicas."""
        rows = {
            broker: BrokerLoad(broker, alive=broker in self.alive()) for broker in self.brokers()
        }
        for tp, partition in self.view.partitions.items():
            size = self.size_bytes.get(tp, 0) / BYTES_PER_MB
            rate = self.bytes_in_per_second.get(tp, 0.0) / BYTES_PER_KB
            for broker in partition.replicas:
                row = rows[broker]
                row.replicas += 1
                row.disk_mb += size
                row.potential_out_kb += rate
                if broker == partition.leader:
                    row.leaders += 1
                    row.leader_in_kb += rate
                    row.out_kb += rate * (len(partition.replicas) - 1)
                else:
                    row.follower_in_kb += rate
        return list(rows.values())

    def statistics(self) -> dict[str, dict[str, float]]:
        """AVG, STD, MIN and MAX of each resource over the brokers that are alive."""
        rows = [row for row in self.loads() if row.alive]
        topics = {tp.topic for tp in self.view.partitions}
        per_topic = Counter(
            (tp.topic, broker) for tp, p in self.view.partitions.items() for broker in p.replicas
        )
        values: dict[str, list[float]] = {
            "disk": [row.disk_mb for row in rows],
            "replicas": [row.replicas for row in rows],
            "leaderReplicas": [row.leaders for row in rows],
            "cpu": [0.0 for _ in rows],
            "networkOutbound": [row.out_kb for row in rows],
            "networkInbound": [row.leader_in_kb + row.follower_in_kb for row in rows],
            "topicReplicas": [per_topic[topic, row.broker] for topic in topics for row in rows],
            "potentialNwOut": [row.potential_out_kb for row in rows],
        }
        statistics: dict[str, dict[str, float]] = {"AVG": {}, "STD": {}, "MIN": {}, "MAX": {}}
        for resource, numbers in values.items():
            sample = numbers or [0.0]
            average = sum(sample) / len(sample)
            statistics["AVG"][resource] = float(average)
            statistics["STD"][resource] = math.sqrt(
                sum((x - average) ** 2 for x in sample) / len(sample)
            )
            statistics["MIN"][resource] = min(sample)
            statistics["MAX"][resource] = max(sample)
        return statistics


_DISTRIBUTION_GOALS = {
    "ReplicaDistributionGoal": "replicas",
    "DiskUsageDistributionGoal": "disk",
    "NetworkInboundUsageDistributionGoal": "networkInbound",
    "NetworkOutboundUsageDistributionGoal": "networkOutbound",
    "LeaderReplicaDistributionGoal": "leaderReplicas",
}
_BALANCE_MARGIN = 0.1


def violated_distribution_goals(model: ClusterModel) -> frozenset[str]:
    """Distribution goals from whose average some broker deviates by more than a tenth."""
    statistics = model.statistics()
    violated = set()
    for goal, resource in _DISTRIBUTION_GOALS.items():
        average = statistics["AVG"][resource]
        low, high = average * (1 - _BALANCE_MARGIN), average * (1 + _BALANCE_MARGIN)
        if statistics["MIN"][resource] < math.floor(low) or statistics["MAX"][resource] > math.ceil(
            high
        ):
            violated.add(goal)
    return frozenset(violated)
