"""From options and facts to a plan of waves. Pure; called by the performer that surveyed the
cluster.

A wave never crosses an AZ. It is one Cruise Control user task or, with a selection, a set of
reassignments that the agent makes itself (lanes.py).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from agent.core.model.cluster import BrokerLogs, ClusterFacts, TopicPartition
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import ids
from agent.core.planning import lanes
from agent.core.planning.estimate import total_estimate
from agent.core.planning.options import Mode, Options, Pairing
from agent.core.planning.plan_drift import fingerprint
from agent.core.planning.policy import Policy
from agent.core.planning.wave import Direction, Plan, Wave, WaveState
from agent.core.planning.wave_sizing import pace, partitions_by_broker, with_estimates

__all__ = ["Direction", "Plan", "Wave", "WaveState", "choose_brokers", "make_plan", "pace"]


def make_plan(
    options: Options,
    policy: Policy,
    facts: ClusterFacts,
    logs: Mapping[int, BrokerLogs],
    plan_id: str,
    growth: Mapping[TopicPartition, float] | None = None,
) -> tuple[Plan | None, tuple[Reason, ...]]:
    """Plan a migration.

    In: the options of the command; the policy of the cluster; the cluster; the log dirs of the
    brokers involved; the id of the plan; and what producers add to each partition in bytes per
    second (None: not measured). Out: the plan, or None with every reason why there is none.
    """
    against_brokers = reasons_against_brokers(options, policy, facts)
    if reasons := (*against_brokers, *lanes.incompatible_options(options)):
        return None, reasons
    sources, destinations = choose_brokers(options, policy, facts)
    waves, reasons = _waves(options, facts, logs, sources, destinations)
    if reasons:
        return None, reasons
    held = partitions_by_broker(facts, sources)
    if lanes.has_lanes(options):
        waves, reasons = lanes.split_into_lanes(waves, options, policy, held, logs)
        if reasons:
            return None, reasons
    waves = with_estimates(waves, options, facts, held, logs, growth or {})
    total = sum(w.size_bytes for w in waves)
    rate = options.throttle_bytes_per_second
    plan = Plan(
        plan_id=plan_id,
        waves=waves,
        partitions=len(facts.partitions),
        replicas=sum(w.replicas for w in waves),
        leaders=sum(w.leaders for w in waves),
        size_bytes=total,
        options=options,
        eta_seconds=sum(w.size_bytes / (rate * len(w.source_broker_ids)) for w in waves)
        if rate
        else None,
        estimate=total_estimate([w.estimate for w in waves if w.estimate], options.soak_seconds),
        fingerprint=fingerprint(facts, sources),
    )
    return plan, ()


def choose_brokers(
    options: Options, policy: Policy, facts: ClusterFacts
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The brokers to move: (sources, destinations), in mode `az` only those of the AZ.

    They may be unusable: `reasons_against_brokers` says why.
    """
    sources, destinations = _named_brokers(options, policy)
    if options.mode is not Mode.AZ:
        return sources, destinations
    racks, az = facts.racks, options.az or ""
    return (
        tuple(broker for broker in sources if racks.get(broker) == az),
        tuple(broker for broker in destinations if racks.get(broker) == az),
    )


def _named_brokers(options: Options, policy: Policy) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (
        options.source_broker_ids or policy.source_broker_ids,
        options.destination_broker_ids or policy.destination_broker_ids,
    )


def reasons_against_brokers(
    options: Options, policy: Policy, facts: ClusterFacts
) -> tuple[Reason, ...]:
    """Every reason why the brokers that the command or the policy names cannot be used; empty if
    they can.
    """
    sources, destinations = _named_brokers(options, policy)
    reasons: list[Reason] = []
    if not sources or not destinations:
        side = "destination" if sources else "source"
        needed = f"`{side}_broker_ids` in the command or in clusters.yaml"
        reasons.append(Reason(Code.UNKNOWN_BROKER, f"no {side} brokers are named", needed))
    if overlap := set(sources) & set(destinations):
        seen = f"brokers {ids(overlap)} are both source and destination"
        reasons.append(Reason(Code.BROKER_SETS_OVERLAP, seen))
    if repeated := [b for side in (sources, destinations) for b in set(side) if side.count(b) > 1]:
        seen = f"brokers {ids(repeated)} are named twice"
        reasons.append(Reason(Code.BROKER_SETS_OVERLAP, seen, "each broker once"))
    in_az = choose_brokers(options, policy, facts)
    if options.mode is Mode.AZ and not all(in_az):
        racks = facts.racks
        known = {rack for broker in (*sources, *destinations) if (rack := racks.get(broker))}
        seen = (
            f"AZ '{options.az or ''}' has {len(in_az[0])} live source and {len(in_az[1])} live "
            "destination brokers"
        )
        needed = f"one of {', '.join(sorted(known)) or 'the AZs of the cluster'}"
        reasons.append(Reason(Code.UNKNOWN_AZ, seen, needed))
    return tuple(reasons)


def _waves(
    options: Options,
    facts: ClusterFacts,
    logs: Mapping[int, BrokerLogs],
    sources: Sequence[int],
    destinations: Sequence[int],
) -> tuple[tuple[Wave, ...], tuple[Reason, ...]]:
    racks = facts.racks
    # Mode `brokers` with `one_to_one` pairs brokers by position, as the operator wrote them. That
    # both are in one AZ is a check of its own.
    if options.mode is Mode.BROKERS and options.pairing is Pairing.ONE_TO_ONE:
        if len(sources) != len(destinations):
            return (), (
                Reason(
                    Code.PAIRS_UNEVEN,
                    (
                        f"{len(sources)} source brokers and {len(destinations)} destination "
                        "brokers are named"
                    ),
                    "as many source as destination brokers",
                ),
            )
        pairs = list(zip(sources, destinations, strict=True))
        return tuple(
            Wave(
                number=n,
                az=racks.get(s) or "?",
                source_broker_ids=(s,),
                destination_broker_ids=(d,),
            )
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
        one_to_one = options.pairing is Pairing.ONE_TO_ONE
        groups = lanes.split_by_bounds(src, dst, options, logs) if dst and not one_to_one else None
        if one_to_one and len(src) == len(dst):
            groups = [((s,), (d,)) for s, d in zip(src, dst, strict=True)]
        if groups is None:
            reasons.append(
                Reason(
                    Code.PAIRS_UNEVEN,
                    f"{az}: source brokers {ids(src)}, destination brokers {ids(dst) or 'none'}",
                )
            )
            continue
        for s, d in groups:
            waves.append(
                Wave(number=len(waves) + 1, az=az, source_broker_ids=s, destination_broker_ids=d)
            )
    return tuple(waves), tuple(reasons)


def _az_order(asked: Sequence[str], by_az: Mapping[str, object]) -> list[str]:
    return [az for az in asked if az in by_az] + sorted(az for az in by_az if az not in asked)
