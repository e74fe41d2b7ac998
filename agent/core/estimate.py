"""How much a wave moves and how long that will take, with the reasoning. Pure; called by plan.py.

Source: KIP-73 and its throttling test (real time between 0.9 and 2.0 times size over rate); field notes section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.core.cluster import BrokerLogs, ClusterFacts, Partition, TopicPartition

# Without a throttle nobody can know the rate. Seen: 27 MB/s for one partition, up to 225 MB/s for a broker.
UNTHROTTLED_LOW_BYTES_PER_SECOND = 40_000_000
UNTHROTTLED_HIGH_BYTES_PER_SECOND = 200_000_000
# A wave's fixed cost: checks, one poll of Cruise Control at each end, election, verification.
OVERHEAD_SECONDS = 4.0
# KIP-73 meters over 11 windows of 1 s, so that small moves overshoot, and large ones waste a little of the rate.
SLACK = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a wave is expected to cost. Seconds are an interval: `low_seconds` is what the first ETA is measured by."""

    low_seconds: float
    high_seconds: float
    cross_az_bytes: int  # copied from a leader in another AZ than the destination: clouds bill it
    largest_partition: str
    largest_partition_bytes: int
    reasoning: str


def estimate(
    moved: Sequence[tuple[Partition, int]],
    source_broker_ids: Sequence[int],
    facts: ClusterFacts,
    az: str,
    rate_bytes_per_second: int | None,
    concurrency: int,
    interval_ms: int,
) -> Estimate:
    """Estimate one wave.

    In: the partitions it moves with the size of each, its sources, the cluster, its AZ, the throttle (None: none), and
    the concurrency and poll interval that Cruise Control will be given. Out: bytes in bytes, times in seconds.
    """
    total = sum(size for _, size in moved)
    largest, largest_size = max(moved, key=lambda ps: ps[1], default=(None, 0))
    racks = facts.racks
    cross = sum(size for p, size in moved if p.leader >= 0 and racks.get(p.leader) != az)
    brokers = max(len(source_broker_ids), 1)
    batches = -(-len(moved) // max(concurrency * brokers, 1)) if moved else 0
    polling = batches * interval_ms / 1_000
    fast = rate_bytes_per_second or UNTHROTTLED_HIGH_BYTES_PER_SECOND
    slow = rate_bytes_per_second or UNTHROTTLED_LOW_BYTES_PER_SECOND
    per_broker = total / brokers
    copying_low = max(per_broker, largest_size) / fast
    copying_high = max(per_broker, largest_size) / slow
    binds = "the throttle" if rate_bytes_per_second else "the network and disks (no throttle is set)"
    if polling > copying_low:
        binds = "Cruise Control's polling"
    elif largest_size > per_broker * 0.5 and len(moved) > 1:
        binds += f", with {largest_size / max(per_broker, 1):.0%} of it in one partition"
    return Estimate(
        low_seconds=OVERHEAD_SECONDS + max(polling, copying_low),
        high_seconds=(OVERHEAD_SECONDS + max(polling, copying_high)) * SLACK,
        cross_az_bytes=cross,
        largest_partition=str(largest.name) if largest else "",
        largest_partition_bytes=largest_size,
        reasoning=f"{total} bytes over {brokers} broker{'s' if brokers > 1 else ''}; what binds is {binds}",
    )


def in_all(waves: Sequence[Estimate], soak_seconds: float) -> Estimate | None:
    """The waves one after the other, with the rest between them; None where there is no wave."""
    if not waves:
        return None
    largest = max(waves, key=lambda w: w.largest_partition_bytes)
    longest = max(range(len(waves)), key=lambda n: waves[n].high_seconds)
    resting = soak_seconds * (len(waves) - 1)
    words = f"{len(waves)} wave{'s' if len(waves) > 1 else ''} one after the other"
    if resting:
        words += f", {resting:.0f} s of rest between them"
    return Estimate(
        low_seconds=sum(w.low_seconds for w in waves) + resting,
        high_seconds=sum(w.high_seconds for w in waves) + resting,
        cross_az_bytes=sum(w.cross_az_bytes for w in waves),
        largest_partition=largest.largest_partition,
        largest_partition_bytes=largest.largest_partition_bytes,
        reasoning=f"{words}; the longest is wave {longest + 1}: {waves[longest].reasoning}",
    )


def moved_by(
    facts: ClusterFacts, source_broker_ids: Sequence[int], logs: Mapping[int, BrokerLogs]
) -> list[tuple[Partition, int]]:
    """The partitions that a wave from these brokers moves, each with the size of its replica there (0: not known)."""
    sizes: dict[TopicPartition, int] = {}
    for b in source_broker_ids:
        if b in logs:
            sizes.update(logs[b].size_bytes)
    return [(p, sizes.get(p.name, 0)) for p in facts.held_by(frozenset(source_broker_ids))]
