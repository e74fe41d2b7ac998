"""From facts and options to waves. Pure; called by the performer that surveyed the cluster.

A wave is one Cruise Control user task and never crosses an AZ (design: "Waves").
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.core.cluster import BrokerLogs, ClusterFacts
from agent.core.estimate import Estimate, estimate, in_all, moved_by
from agent.core.options import Mode, Options, Pairing, Policy
from agent.core.reasons import Code, Reason


class Direction(StrEnum):
    """Forward: source to destination. Back: a rollback's way."""

    FORWARD = "forward"
    BACK = "back"


class WaveState(StrEnum):
    """Where a wave stands."""

    PENDING = "pending"
    ACTIVE = "active"
    DONE = "done"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"  # a rollback began before its turn, or undoes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One request to Cruise Control, and what it was planned to move."""

    number: int  # from 1, never reused within a migration
    az: str
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    replicas: int = 0
    leaders: int = 0
    size_bytes: int = 0
    direction: Direction = Direction.FORWARD
    state: WaveState = WaveState.PENDING
    attempt: int = 0
    estimate: Estimate | None = None  # None: a way back, or a plan of an older version


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would move. `eta_seconds`: from the throttle alone; `estimate`: an interval, with the reasoning."""

    plan_id: str
    waves: tuple[Wave, ...]
    partitions: int
    replicas: int
    size_bytes: int
    eta_seconds: float | None = None
    options: Options = field(default_factory=Options)
    estimate: Estimate | None = None


def make_plan(
    options: Options, policy: Policy, facts: ClusterFacts, logs: Mapping[int, BrokerLogs], plan_id: str
) -> tuple[Plan | None, tuple[Reason, ...]]:
    """Plan a migration.

    In: what is asked, the cluster's standing orders, the cluster, and the log dirs of the brokers involved.
    Out: the plan, or every reason why there is none.
    """
    sources, destinations, reasons = choose_brokers(options, policy, facts)
    if reasons:
        return None, reasons
    waves, reasons = _waves(options, facts, sources, destinations)
    if reasons:
        return None, reasons
    waves = tuple(_with_figures(waves, options, facts, logs))
    total = sum(w.size_bytes for w in waves)
    rate = options.throttle_bytes_per_second
    plan = Plan(
        plan_id=plan_id,
        waves=waves,
        partitions=len(facts.partitions),
        replicas=sum(w.replicas for w in waves),
        size_bytes=total,
        options=options,
        eta_seconds=sum(w.size_bytes / (rate * len(w.source_broker_ids)) for w in waves) if rate else None,
        estimate=in_all([w.estimate for w in waves if w.estimate], options.soak_seconds),
    )
    return plan, ()


def choose_brokers(
    options: Options, policy: Policy, facts: ClusterFacts
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Reason, ...]]:
    """Which brokers are meant: (sources, destinations, reasons against)."""
    sources = options.source_broker_ids or policy.source_broker_ids
    destinations = options.destination_broker_ids or policy.destination_broker_ids
    racks = facts.racks
    reasons: list[Reason] = []
    if not sources or not destinations:
        named = "source" if not sources else "destination"
        reasons.append(
            Reason(
                Code.UNKNOWN_BROKER,
                f"no {named} brokers are named",
                f"`{named}_broker_ids` in the command or in clusters.yaml",
            )
        )
    if overlap := sorted(set(sources) & set(destinations)):
        reasons.append(Reason(Code.BROKER_SETS_OVERLAP, f"brokers {_ids(overlap)} are both source and destination"))
    if twice := sorted(b for named in (sources, destinations) for b in set(named) if named.count(b) > 1):
        reasons.append(Reason(Code.BROKER_SETS_OVERLAP, f"brokers {_ids(twice)} are named twice", "each once"))
    if options.mode is Mode.AZ:
        az = options.az or ""
        known = {rack for b in (*sources, *destinations) if (rack := racks.get(b))}
        sources = tuple(b for b in sources if racks.get(b) == az)
        destinations = tuple(b for b in destinations if racks.get(b) == az)
        if not sources or not destinations:
            reasons.append(
                Reason(
                    Code.UNKNOWN_AZ,
                    f"AZ '{az}' has {len(sources)} live source and {len(destinations)} live destination brokers",
                    f"one of {', '.join(sorted(known)) or 'the AZs of the cluster'}",
                )
            )
    return sources, destinations, tuple(reasons)


def _waves(
    options: Options, facts: ClusterFacts, sources: Sequence[int], destinations: Sequence[int]
) -> tuple[tuple[Wave, ...], tuple[Reason, ...]]:
    racks = facts.racks
    # Mode `brokers` with one_to_one pairs by position, as the operator wrote them; AZ equality is a check of its own.
    if options.mode is Mode.BROKERS and options.pairing is Pairing.ONE_TO_ONE:
        if len(sources) != len(destinations):
            return (), (
                Reason(
                    Code.PAIRS_UNEVEN,
                    f"{len(sources)} source brokers and {len(destinations)} destination brokers are named",
                    "as many of one as of the other",
                ),
            )
        pairs = list(zip(sources, destinations, strict=True))
        return tuple(
            Wave(number=n, az=racks.get(s) or "?", source_broker_ids=(s,), destination_broker_ids=(d,))
            for n, (s, d) in enumerate(pairs, 1)
        ), ()
    by_az: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, brokers in enumerate((sources, destinations)):
        for b in sorted(brokers):
            by_az[racks.get(b) or "?"][side].append(b)
    waves: list[Wave] = []
    reasons: list[Reason] = []
    for az in _az_order(options.az_order, by_az):
        src, dst = by_az[az]
        if not src:
            continue
        if not dst or (options.pairing is Pairing.ONE_TO_ONE and len(src) != len(dst)):
            reasons.append(
                Reason(
                    Code.PAIRS_UNEVEN, f"{az}: source brokers {_ids(src)}, destination brokers {_ids(dst) or 'none'}"
                )
            )
            continue
        groups = (
            [((s,), (d,)) for s, d in zip(src, dst, strict=True)]
            if options.pairing is Pairing.ONE_TO_ONE
            else [(tuple(src), tuple(dst))]
        )
        for s, d in groups:
            waves.append(Wave(number=len(waves) + 1, az=az, source_broker_ids=s, destination_broker_ids=d))
    return tuple(waves), tuple(reasons)


def _az_order(asked: Sequence[str], by_az: Mapping[str, object]) -> list[str]:
    return [az for az in asked if az in by_az] + sorted(az for az in by_az if az not in asked)


def _with_figures(
    waves: Sequence[Wave], options: Options, facts: ClusterFacts, logs: Mapping[int, BrokerLogs]
) -> list[Wave]:
    replicas: dict[int, int] = defaultdict(int)
    leaders: dict[int, int] = defaultdict(int)
    for p in facts.partitions:
        for r in p.target:
            replicas[r] += 1
        leaders[p.leader] += 1
    return [
        replace(
            w,
            replicas=(held := sum(replicas[b] for b in w.source_broker_ids)),
            leaders=sum(leaders[b] for b in w.source_broker_ids),
            size_bytes=(size := sum(logs[b].figures.size_bytes for b in w.source_broker_ids if b in logs)),
            estimate=_estimate(w, held, size, options, facts, logs),
        )
        for w in waves
    ]


def _estimate(
    wave: Wave, replicas: int, size_bytes: int, options: Options, facts: ClusterFacts, logs: Mapping[int, BrokerLogs]
) -> Estimate:
    """With the pace that the wave will be given (course.py), as far as it can be known now."""
    concurrency, interval_ms = pace(replicas, size_bytes, options.throttle_bytes_per_second)
    return estimate(
        moved_by(facts, wave.source_broker_ids, logs),
        wave.source_broker_ids,
        facts,
        wave.az,
        options.throttle_bytes_per_second,
        options.partition_movements_per_broker or concurrency,
        options.progress_check_interval_ms or interval_ms,
    )


def pace(replicas: int, size_bytes: int, rate_bytes_per_second: int | None) -> tuple[int, int]:
    """Concurrency and poll interval for a wave: (partition movements per broker, interval in ms).

    Cruise Control's pace is its polling: a slot freed between two polls stays empty. So each poll should find as many
    slots as moves end within it, four times over; 5,000 ms is the least interval it executes with, 100 moves is what
    one broker was seen to take at once without harm.
    """
    interval_ms = 5_000
    rate = rate_bytes_per_second or 100_000_000
    seconds_per_replica = max(size_bytes / max(replicas, 1) / rate, 0.001)
    return max(10, min(100, math.ceil(4 * interval_ms / 1_000 / seconds_per_replica))), interval_ms


def way_back(waves: Sequence[Wave]) -> tuple[Wave, ...]:
    """The waves that undo what `waves` moved or began to move, last first, numbered after them."""
    touched = [w for w in reversed(waves) if w.direction is Direction.FORWARD and w.attempt > 0]
    first = max((w.number for w in waves), default=0) + 1
    return tuple(
        Wave(
            number=first + n,
            az=w.az,
            source_broker_ids=w.destination_broker_ids,
            destination_broker_ids=w.source_broker_ids,
            replicas=w.replicas,
            leaders=w.leaders,
            size_bytes=w.size_bytes,
            direction=Direction.BACK,
        )
        for n, w in enumerate(touched)
    )


def _ids(brokers: Sequence[int]) -> str:
    return ", ".join(str(b) for b in brokers)
