"""What each wave of a plan moves, how long it takes, and what undoing it costs. Pure; called by
plan.py.

One pass over the partitions serves the whole plan: 200,000 partitions and a hundred waves must take
less than a second.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.core.model.cluster import BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.planning.estimate import estimate, undo_costs
from agent.core.planning.options import Options
from agent.core.planning.selection import EVERYTHING
from agent.core.planning.wave import Wave

# Partition movements per broker. In the whole cluster Cruise Control allows 1,250 by default.
MOVEMENTS_MIN, MOVEMENTS_MAX = 10, 300
# What an unthrottled broker may reach with 10 Gbit/s and fast disks. It only sizes the concurrency;
# estimate.py predicts the time, and is more careful. Too low a value leaves slots empty between two
# polls (4 GB took 17.5 s, Kafka's own tool took 13.7 s); too high a value opens unused slots.
FASTEST_BYTES_PER_SECOND = 500_000_000


def partitions_by_broker(facts: ClusterFacts, brokers: Iterable[int]) -> dict[int, list[Partition]]:
    """The partitions that each of these brokers holds, once all reassignments in flight
    have ended.
    """
    held: dict[int, list[Partition]] = {b: [] for b in brokers}
    for p in facts.partitions:
        for r in p.target:
            if r in held:
                held[r].append(p)
    return held


def with_estimates(
    waves: Sequence[Wave],
    options: Options,
    facts: ClusterFacts,
    held: Mapping[int, Sequence[Partition]],
    logs: Mapping[int, BrokerLogs],
    growth: Mapping[TopicPartition, float],
) -> tuple[Wave, ...]:
    """The waves with their replicas, leaders, bytes, estimate, and the cost of a rollback after
    each.

    In: the waves; the options; the cluster; what each source holds (`partitions_by_broker`); the
    log dirs; and what producers add in bytes per second. What an earlier wave takes from a broker
    does not count for a later one.
    """
    left = {b: list(partitions) for b, partitions in held.items()}
    estimated = [_with_estimate(w, left, options, facts, logs, growth) for w in waves]
    undone = undo_costs([(w.size_bytes, w.estimate) for w in estimated if w.estimate])
    return tuple(replace(w, undo=u) for w, u in zip(estimated, undone, strict=True))


def _with_estimate(
    wave: Wave,
    left: dict[int, list[Partition]],
    options: Options,
    facts: ClusterFacts,
    logs: Mapping[int, BrokerLogs],
    growth: Mapping[TopicPartition, float],
) -> Wave:
    # Two lists instead of pairs: with 600,000 replicas the garbage collector would take longer than
    # everything else.
    moved: list[Partition] = []
    sizes: list[int] = []
    leaders = 0
    for b in wave.source_broker_ids:
        there: Mapping[tuple[str, int], int] = logs[b].size_bytes if b in logs else {}  # type: ignore[assignment]
        taken, left[b] = _split(wave, left[b])
        moved += taken
        # a plain tuple is an equal key, and cheaper to make
        sizes += [there.get((p.topic, p.partition), 0) for p in taken]
        leaders += sum(p.leader == b for p in taken)
    size = sum(sizes)
    # The pace that the wave will be given later (flow.py), as far as it is known now.
    rate = lower_limit(options.throttle_bytes_per_second, wave.throttle_bytes_per_second_max)
    concurrency, interval_ms = pace(len(moved), size, rate)
    concurrency = movements_at_once(options, wave, concurrency)
    return replace(
        wave,
        replicas=len(moved),
        leaders=leaders,
        size_bytes=size,
        estimate=estimate(
            moved,
            sizes,
            wave.source_broker_ids,
            facts,
            wave.az,
            rate,
            concurrency,
            0 if wave.selection else options.progress_check_interval_ms or interval_ms,
            growth,
        ),
    )


def _split(wave: Wave, partitions: list[Partition]) -> tuple[list[Partition], list[Partition]]:
    """(what the wave takes of these partitions, what it leaves)."""
    if wave.selection is None:
        return partitions, []
    is_selected = (wave.selection or EVERYTHING).contains
    taken: list[Partition] = []
    left: list[Partition] = []
    for p in partitions:
        (taken if is_selected((p.topic, p.partition)) else left).append(p)
    return taken, left


def movements_at_once(options: Options, wave: Wave, chosen: int) -> int:
    """Partition movements per broker: as asked or as chosen, within the limits of the wave and of
    the whole cluster.

    One wave moves at a time, and each movement occupies a destination. So the limit of the cluster
    is divided by the number of destinations.
    """
    whole = options.partition_movements_in_cluster
    share = None if whole is None else max(whole // max(len(wave.destination_broker_ids), 1), 1)
    return (
        lower_limit(
            lower_limit(
                options.partition_movements_per_broker or chosen, wave.partition_movements_max
            ),
            share,
        )
        or 1
    )


def lower_limit(wanted: int | None, bound: int | None) -> int | None:
    """The lower of two limits; None means no limit."""
    return min((n for n in (wanted, bound) if n is not None), default=None)


def pace(replicas: int, size_bytes: int, rate_bytes_per_second: int | None) -> tuple[int, int]:
    """How a wave is given to Cruise Control: (partition movements per broker, poll interval in
    milliseconds).

    In: the number of replicas, their bytes, and the throttle in bytes per second (None: none).
    Cruise Control refills its slots only when it polls. So there are four times as many slots as
    movements end between two polls, and the interval is 5,000 ms, the shortest that it executes
    with. Small replicas all go at once, as with Kafka's own tool: with 100 slots for 168 replicas a
    broker was seen idle for 7 s between two batches.
    """
    interval_ms = 5_000
    rate = rate_bytes_per_second or FASTEST_BYTES_PER_SECOND
    seconds_per_replica = max(size_bytes / max(replicas, 1) / rate, 0.001)
    return max(
        MOVEMENTS_MIN, min(MOVEMENTS_MAX, math.ceil(4 * interval_ms / 1_000 / seconds_per_replica))
    ), interval_ms
