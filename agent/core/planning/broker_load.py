"""What each broker carries before a plan and after it. Pure; called by survey.py.

Computed from Kafka's own figures (sizes on disk, leaders, growth of logs), not from Cruise
Control's model.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agent.core.model.cluster import BrokerLogs, ClusterFacts, TopicPartition
from agent.core.planning.wave import Wave

BROKERS_MAX = 300  # in one event, where they take 60 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLoad:
    """The load of one broker before and after.

    `written` is the rate at which its logs grow, by producers and by replication from leaders.
    """

    broker_id: int
    replicas: int
    replicas_after: int
    leaders: int
    leaders_after: int
    size_bytes: int
    size_bytes_after: int
    written_bytes_per_second: float
    written_bytes_per_second_after: float


def predict_loads(
    waves: Iterable[Wave],
    facts: ClusterFacts,
    logs: Mapping[int, BrokerLogs],
    growth: Mapping[TopicPartition, float],
) -> tuple[BrokerLoad, ...]:
    """The load of every broker of these waves, once all waves have ended and every preferred
    replica leads.

    In: the waves of the plan; the cluster; the log dirs of the brokers; and what producers add to
    each partition in bytes per second. Destinations of one wave get equal shares of what its
    sources have. What producers add during the move is not included.
    """
    ways = dict.fromkeys((w.source_broker_ids, w.destination_broker_ids) for w in waves)
    leaders = Counter(p.leader for p in facts.partitions)
    loads = {
        b: _now(b, leaders[b], logs.get(b), growth) for way in ways for side in way for b in side
    }
    for sources, destinations in ways:
        parts = max(len(destinations), 1)
        gone = [loads[s] for s in sources]
        for d in destinations:
            before = loads[d]
            loads[d] = replace(
                before,
                replicas_after=before.replicas_after + -(-sum(s.replicas for s in gone) // parts),
                leaders_after=before.leaders_after + -(-sum(s.leaders for s in gone) // parts),
                size_bytes_after=before.size_bytes_after + sum(s.size_bytes for s in gone) // parts,
                written_bytes_per_second_after=before.written_bytes_per_second_after
                + sum(s.written_bytes_per_second for s in gone) / parts,
            )
        for s in gone:
            loads[s.broker_id] = replace(
                s,
                replicas_after=0,
                leaders_after=0,
                size_bytes_after=0,
                written_bytes_per_second_after=0.0,
            )
    return tuple(loads[b] for b in sorted(loads))


def _now(
    broker: int, leaders: int, log: BrokerLogs | None, growth: Mapping[TopicPartition, float]
) -> BrokerLoad:
    sizes = log.size_bytes if log else {}
    size = sum(sizes.values())
    # for 600,000 names a loop would be too slow
    written = sum(filter(None, map(growth.get, sizes))) if growth else 0.0
    return BrokerLoad(
        broker_id=broker,
        replicas=len(sizes),
        replicas_after=len(sizes),
        leaders=leaders,
        leaders_after=leaders,
        size_bytes=size,
        size_bytes_after=size,
        written_bytes_per_second=round(written, 1),
        written_bytes_per_second_after=round(written, 1),
    )
