"""Order and size of waves: pairs of brokers become lanes, the brokers of an AZ become waves of
bounded size.

Pure; called by plan.py. The order of a pair is: internal topics (if they go first), large
partitions, the rest. The canary goes before everything. Internal topics that go last are what is
left for Cruise Control after the agent has moved all others (docs/lanes.md says why).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from agent.core.model.cluster import BrokerLogs, Partition, TopicPartition
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import InternalTopics, Options, Pairing
from agent.core.planning.policy import Policy
from agent.core.planning.selection import INTERNAL_TOPICS, Lane, Selection
from agent.core.planning.wave import Wave

# Large partitions are named one by one in the saved state.
LARGE_PARTITIONS_MAX = 1_000
# With few at once each gets a good part of the throttle and ends soon, so a pause loses little.
LARGE_AT_ONCE = 2
# A coordinator that moves reads its whole partition: few at once, and slowly.
INTERNAL_AT_ONCE = 5
INTERNAL_SHARE = 10  # without a throttle of their own they get one tenth of the migration's


def incompatible_options(options: Options) -> tuple[Reason, ...]:
    """A reason for each pair of options that cannot be combined."""
    reasons = []
    if has_lanes(options) and options.pairing is not Pairing.ONE_TO_ONE:
        seen = (
            f"a canary, large partitions or internal topics apart, with pairing {options.pairing}"
        )
        reasons.append(
            Reason(
                Code.LANES_NEED_PAIRS,
                seen,
                "pairing one_to_one: only that fixes where each replica goes",
            )
        )
    if (options.wave_brokers_max or options.wave_bytes_max) and options.pairing is not Pairing.ZONE:
        seen = f"a bound on waves, with pairing {options.pairing}"
        reasons.append(
            Reason(
                Code.WAVE_BOUNDS_NEED_ZONE,
                seen,
                "pairing zone: with one_to_one a wave is one broker",
            )
        )
    return tuple(reasons)


def has_lanes(options: Options) -> bool:
    """Whether any wave takes only a part of what its source holds."""
    apart = options.internal_topics is not InternalTopics.WITH_OTHERS
    return bool(options.canary_partitions or options.large_partition_bytes or apart)


def split_into_lanes(
    pairs: Sequence[Wave],
    options: Options,
    policy: Policy,
    held: Mapping[int, Sequence[Partition]],
    logs: Mapping[int, BrokerLogs],
) -> tuple[tuple[Wave, ...], tuple[Reason, ...]]:
    """The waves in their order, numbered anew.

    In: one wave for each pair of brokers; the options; the policy; the partitions that each source
    holds; and the log dirs. Out: the waves, or no wave and the reasons against them.
    """
    slow = _internal_rate(options, policy)
    large_partitions = {
        w.number: _large_partitions(held[w.source_broker_ids[0]], _sizes(w, logs), options)
        for w in pairs
    }
    if (named := sum(len(g) for g in large_partitions.values())) > LARGE_PARTITIONS_MAX:
        seen = f"{named} partitions have {options.large_partition_bytes} bytes or more"
        return (), (
            Reason(
                Code.WAVE_TOO_LARGE_FOR_STATE,
                seen,
                f"at most {LARGE_PARTITIONS_MAX}: raise the bound",
            ),
        )
    first: list[Wave] = []
    last: list[Wave] = []
    if pairs and options.canary_partitions:
        first += _canary(pairs, options.canary_partitions, held, logs, large_partitions)
    for w in pairs:
        if options.internal_topics is InternalTopics.FIRST and _holds_internal(
            held[w.source_broker_ids[0]]
        ):
            selection = Selection(topics=INTERNAL_TOPICS)
            first.append(_slow(replace(w, lane=Lane.INTERNAL, selection=selection), slow))
        if large_partitions[w.number]:
            selection = Selection(partitions=large_partitions[w.number])
            first.append(
                replace(
                    w, lane=Lane.LARGE, selection=selection, partition_movements_max=LARGE_AT_ONCE
                )
            )
        if options.internal_topics is InternalTopics.LAST:
            first.append(
                replace(w, lane=Lane.OTHERS, selection=Selection(excluded_topics=INTERNAL_TOPICS))
            )
            last.append(_slow(w, slow))
        else:
            first.append(w)
    return tuple(replace(w, number=n) for n, w in enumerate((*first, *last), 1)), ()


def _slow(wave: Wave, rate_bytes_per_second: int) -> Wave:
    return replace(
        wave,
        throttle_bytes_per_second_max=rate_bytes_per_second,
        partition_movements_max=INTERNAL_AT_ONCE,
    )


def _internal_rate(options: Options, policy: Policy) -> int:
    asked = options.internal_throttle_bytes_per_second
    if asked is not None:
        return asked
    whole = options.throttle_bytes_per_second
    return max(whole // INTERNAL_SHARE, 1) if whole else policy.slow_bytes_per_second


def _sizes(wave: Wave, logs: Mapping[int, BrokerLogs]) -> Mapping[TopicPartition, int]:
    log = logs.get(wave.source_broker_ids[0])
    return log.size_bytes if log else {}


def _holds_internal(held: Iterable[Partition]) -> bool:
    return any(p.topic in INTERNAL_TOPICS for p in held)


def _large_partitions(
    held: Iterable[Partition], sizes: Mapping[TopicPartition, int], options: Options
) -> tuple[tuple[str, int], ...]:
    bound = options.large_partition_bytes
    if not bound:
        return ()
    large = {n for n, size in sizes.items() if size >= bound and n.topic not in INTERNAL_TOPICS}
    found = [p.name for p in held if (p.topic, p.partition) in large] if large else []
    return tuple(
        (n.topic, n.partition) for n in sorted(found, key=lambda name: (-sizes[name], name))
    )


def _canary(
    pairs: Sequence[Wave],
    count: int,
    held: Mapping[int, Sequence[Partition]],
    logs: Mapping[int, BrokerLogs],
    large_partitions: Mapping[int, tuple[tuple[str, int], ...]],
) -> list[Wave]:
    """A canary wave of the smallest partitions, for the first pair that holds any: it tries one
    destination at the least risk.
    """
    for w in pairs:
        sizes, large = _sizes(w, logs), frozenset(large_partitions[w.number])
        names = [
            p.name
            for p in held[w.source_broker_ids[0]]
            if p.topic not in INTERNAL_TOPICS and p.name not in large
        ]
        if names:
            chosen = sorted(names, key=lambda name: (sizes.get(name, 0), name))[:count]
            selection = Selection(partitions=tuple((n.topic, n.partition) for n in chosen))
            return [replace(w, lane=Lane.CANARY, selection=selection)]
    return []


def split_by_bounds(
    sources: Sequence[int],
    destinations: Sequence[int],
    options: Options,
    logs: Mapping[int, BrokerLogs],
) -> list[tuple[tuple[int, ...], tuple[int, ...]]] | None:
    """Split the brokers of an AZ into groups of at most so many brokers or bytes, each with as many
    destinations as sources. None if the AZ has more of one than of the other.

    A source larger than the bound has a group of its own, since a wave moves whole brokers.
    """
    if not options.wave_brokers_max and not options.wave_bytes_max:
        return [(tuple(sources), tuple(destinations))]
    if len(sources) != len(destinations):
        return None
    groups: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    group: list[int] = []
    size = 0
    start = 0
    for n, b in enumerate(sources):
        more = logs[b].totals.size_bytes if b in logs else 0
        too_many = bool(options.wave_brokers_max) and len(group) >= (options.wave_brokers_max or 0)
        too_large = bool(options.wave_bytes_max) and size + more > (options.wave_bytes_max or 0)
        if group and (too_many or too_large):
            groups.append((tuple(group), tuple(destinations[start:n])))
            group, size, start = [], 0, n
        group.append(b)
        size += more
    groups.append((tuple(group), tuple(destinations[start:])))
    return groups


def next_moves(
    partitions: Iterable[Partition],
    sizes: Mapping[TopicPartition, int],
    source: int,
    destination: int,
    count: int,
    *,
    largest_first: bool,
) -> dict[TopicPartition, tuple[int, ...]]:
    """The next reassignments of a lane: the destination takes the place of the source in each list
    of replicas.

    In: the partitions of the lane; sizes in bytes; source and destination; how many to return at
    most. Partitions that move already, or that have a replica on the destination, are left out.
    """
    waiting = [
        p
        for p in partitions
        if not p.is_moving and source in p.replicas and destination not in p.replicas
    ]
    sign = -1 if largest_first else 1
    waiting.sort(key=lambda partition: (sign * sizes.get(partition.name, 0), partition.name))
    return {
        p.name: tuple(destination if r == source else r for r in p.replicas)
        for p in waiting[: max(count, 0)]
    }
