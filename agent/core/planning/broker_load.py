"""What each broker carries before a plan and would carry after it. Pure; called by survey.py.

By Kafka's own figures: what stands on disk, who leads, by how much the logs grow. Cruise Control's
model is not asked.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agent.core.model.cluster import BrokerLogs, ClusterFacts, TopicPartition
from agent.core.planning.wave import Wave

BROKERS_MAX = 300  # told in an event: 60 kB of it


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLoad:
    """One broker before and after.

    Written: what its logs grow by, from producers and from leaders; it comes in.
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
    """The brokers of these waves, when all of them have ended and leaders are the preferred
    replicas.

    In: the plan's waves, the cluster, the log dirs of their brokers, what producers add to each
    partition in bytes per second. A destination takes what its source has; of several, equal
    shares. What grows meanwhile is not in it.
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
    # 600,000 names: nothing slower
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
