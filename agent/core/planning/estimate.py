"""How much a wave moves and how long it takes, with the reasoning. Pure; called by wave_sizing.py.

Source: KIP-73 and its throttling test (real time between 0.9 and 2.0 times size over rate); field
notes, section 4: a copy gains on its leader only by what the throttle lets through beyond what
producers write meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.core.model.cluster import BrokerLogs, ClusterFacts, Partition, TopicPartition

# Without a throttle the rate is unknown. Measured: 27 MB/s for one partition, 61 MB/s for eleven
# terabytes, 93 to 130 MB/s for one broker with all partitions at once, at best 225 MB/s
# over a network, 370 MB/s on one machine.
UNTHROTTLED_LOW_BYTES_PER_SECOND = 40_000_000
UNTHROTTLED_HIGH_BYTES_PER_SECOND = 350_000_000
# The fixed cost of a wave: checks, request, start of the executor, verification; at worst one more
# poll of Cruise Control.
OVERHEAD_LOW_SECONDS, OVERHEAD_HIGH_SECONDS = 3.0, 8.0
# KIP-73 measures over 11 windows of 1 s, and ten of them are empty at the first byte: the burst was
# worth 7 s of the rate. A large move does not use the rate fully.
BURST_SECONDS = 7.0
SLACK = 1.6
# At least this share of the rate is assumed to be left for the move, so that the estimate stays
# finite; a check refuses such a throttle.
NET_SHARE_MIN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a wave is expected to cost.

    The time is an interval in seconds; the first ETA is compared with `low_seconds`.
    """

    low_seconds: float
    high_seconds: float
    cross_az_bytes: (
        int  # copied from a leader in another AZ than the destination, which clouds bill
    )
    largest_partition: str
    largest_partition_bytes: int
    reasoning: str
    growth_bytes_per_second: float = 0.0  # what producers add to all that moves
    # to what moves at once, for each receiving broker
    in_flight_growth_bytes_per_second: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What a rollback costs after this wave has ended: this wave and all before it are copied back
    over the same network.
    """

    size_bytes: int
    cross_az_bytes: int
    low_seconds: float
    high_seconds: float


def estimate(
    moved: Sequence[Partition],
    sizes: Sequence[int],
    source_broker_ids: Sequence[int],
    facts: ClusterFacts,
    az: str,
    rate_bytes_per_second: int | None,
    concurrency: int,
    interval_ms: int,
    growth: Mapping[TopicPartition, float] | None = None,
) -> Estimate:
    """Estimate one wave.

    In: the partitions it moves, and the size of each in bytes; its sources; the cluster; its AZ;
    the throttle in bytes per second (None: none); the partition movements per broker and the poll
    interval in milliseconds that Cruise Control will get (0: the agent moves the wave itself); and
    what producers add to each partition in bytes per second. Out: the estimate, in bytes and
    seconds.
    """
    racks = facts.racks
    total = cross = 0
    led: dict[int, int] = defaultdict(int)
    largest, largest_size = None, 0
    for p, size in zip(moved, sizes, strict=True):
        total += size
        led[p.leader] += size
        if p.leader >= 0 and racks.get(p.leader) != az:
            cross += size
        if largest is None or size > largest_size:
            largest, largest_size = p, size
    brokers = max(len(source_broker_ids), 1)
    grows = sum(growth.get(p.name, 0.0) for p in moved) if growth else 0.0
    at_once = min(concurrency * brokers / len(moved), 1.0) if moved else 0.0
    in_flight = grows / brokers * at_once
    batches = -(-len(moved) // max(concurrency * brokers, 1)) if moved else 0
    # The last batch needs no poll: its end is seen in Kafka.
    polling = max(batches - 1, 0) * interval_ms / 1_000
    per_broker = max(total / brokers, max(led.values(), default=0), largest_size)
    fast = rate_bytes_per_second or UNTHROTTLED_HIGH_BYTES_PER_SECOND
    slow = rate_bytes_per_second or UNTHROTTLED_LOW_BYTES_PER_SECOND
    # A partition that has been moved no longer slows the move by its growth: on average half of
    # them count.
    copying = per_broker / max(fast - in_flight / 2, fast * NET_SHARE_MIN)
    if rate_bytes_per_second:
        copying = max(copying - BURST_SECONDS, per_broker / UNTHROTTLED_HIGH_BYTES_PER_SECOND)
    low = max(polling, copying)
    high = max(polling, per_broker / max(slow - grows / brokers, slow * NET_SHARE_MIN))
    return Estimate(
        low_seconds=OVERHEAD_LOW_SECONDS + low,
        high_seconds=OVERHEAD_HIGH_SECONDS + high * SLACK,
        cross_az_bytes=cross,
        largest_partition=str(largest.name) if largest else "",
        largest_partition_bytes=largest_size,
        growth_bytes_per_second=grows,
        in_flight_growth_bytes_per_second=in_flight,
        reasoning=f"{total} bytes over {brokers} broker{'s' if brokers > 1 else ''}; the limit is "
        + _bottleneck(rate_bytes_per_second, polling > copying, total / brokers, led, largest_size)
        + (f"; producers add {grows:.0f} bytes/s meanwhile" if grows >= 1 else ""),
    )


def _bottleneck(
    rate: int | None, polled: bool, per_broker: float, led: Mapping[int, int], largest_bytes: int
) -> str:
    if polled:
        return "Cruise Control's polling"
    binds = "the throttle" if rate else "the network and disks (no throttle is set)"
    sender = max(led, key=lambda broker_id: led[broker_id], default=-1)
    if led and led[sender] > per_broker:
        return f"{binds} of broker {sender}, which leads {led[sender]} bytes of it"
    if largest_bytes > per_broker * 0.5 and largest_bytes < sum(led.values()):
        binds += f", with {largest_bytes / max(per_broker, 1):.0%} of it in one partition"
    return binds


def total_estimate(waves: Sequence[Estimate], soak_seconds: float) -> Estimate | None:
    """The estimate of all waves one after the other with the soak time in seconds between them;
    None without a wave.
    """
    if not waves:
        return None
    largest = max(waves, key=lambda wave: wave.largest_partition_bytes)
    longest = max(range(len(waves)), key=lambda index: waves[index].high_seconds)
    resting = soak_seconds * (len(waves) - 1)
    words = f"{len(waves)} wave{'s' if len(waves) > 1 else ''} one after the other"
    if resting:
        words += f", {resting:.0f} s of soak time between them"
    return Estimate(
        low_seconds=sum(w.low_seconds for w in waves) + resting,
        high_seconds=sum(w.high_seconds for w in waves) + resting,
        cross_az_bytes=sum(w.cross_az_bytes for w in waves),
        largest_partition=largest.largest_partition,
        largest_partition_bytes=largest.largest_partition_bytes,
        growth_bytes_per_second=sum(w.growth_bytes_per_second for w in waves),
        in_flight_growth_bytes_per_second=max(w.in_flight_growth_bytes_per_second for w in waves),
        reasoning=f"{words}; the longest is wave {longest + 1}: {waves[longest].reasoning}",
    )


def undo_costs(waves: Sequence[tuple[int, Estimate]]) -> list[Undo]:
    """What a rollback would cost after each of these waves.

    In: (bytes, estimate) of each wave in order. What has moved is copied back, with what producers
    added meanwhile, and without soak time.
    """
    undone = []
    size = cross = 0
    low = high = 0.0
    for size_bytes, e in waves:
        size += size_bytes + int(e.growth_bytes_per_second * e.high_seconds)
        cross += e.cross_az_bytes
        low += e.low_seconds
        high += e.high_seconds
        undone.append(
            Undo(size_bytes=size, cross_az_bytes=cross, low_seconds=low, high_seconds=high)
        )
    return undone


def growth_between(
    partitions: Iterable[Partition],
    before: Mapping[int, BrokerLogs],
    after: Mapping[int, BrokerLogs],
    seconds: float,
) -> dict[TopicPartition, float]:
    """What producers add to each partition, in bytes per second; only partitions that grew are in
    it.

    In: the partitions; the log dirs of brokers at two looks; and the seconds between them. Only
    replicas that are in sync and not being added count, since a copy in progress grows by the copy
    itself. A partition from which retention deleted more than was written is left out.
    """
    found: dict[TopicPartition, float] = {}
    if seconds <= 0:
        return found
    for p in partitions:
        name = p.name
        for b in p.isr:
            if b not in before or b not in after or b in p.adding:
                continue
            size = after[b].size_bytes.get(name, 0)
            grown = size - before[b].size_bytes.get(name, size)
            if grown > 0:
                found[name] = max(found.get(name, 0.0), grown / seconds)
    return found
