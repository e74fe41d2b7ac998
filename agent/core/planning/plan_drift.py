"""Whether a stored plan still fits the cluster: `start --plan ID` runs exactly that plan, or is
refused with the reason.

Pure; called by survey.py with a second plan made now from the same options.
"""

import zlib
from collections.abc import Iterable

from agent.core.model.cluster import ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import EXAMPLES_MAX, listed
from agent.core.planning.wave import Plan, Wave

# A wave that has grown by more than this share takes longer than the plan said, and needs a new
# plan. A growth below the second figure makes no difference.
GROWN_SHARE_MAX = 0.25
GROWN_BYTES_MIN = 64 * 1024 * 1024


def fingerprint(facts: ClusterFacts, sources: Iterable[int]) -> int:
    """One number for which partitions are on which of these brokers; the order of partitions and
    brokers has no effect. Never 0.
    """
    wanted = frozenset(sources)
    topics: dict[str, int] = {}
    total = 0
    for p in facts.partitions:
        number = topics.get(p.topic)
        if number is None:
            number = topics[p.topic] = zlib.crc32(p.topic.encode()) * 2_654_435_761
        for r in p.target:
            if r in wanted:
                # Squared, so that what two partitions exchange does not cancel out in the sum.
                one = number + p.partition * 40_503 + r * 1_000_000_007
                total += one * one
    return total & 0xFFFF_FFFF_FFFF_FFFF or 1  # 0 stands for none


def drift_reasons(planned: Plan, now: Plan) -> tuple[Reason, ...]:
    """Every reason why the stored plan no longer fits: brokers, partitions or sizes have changed.

    In: the plan as it was stored, and one made from the same options on the cluster as it is now.
    """
    reasons = []
    if _routes(planned) != _routes(now):
        seen = (
            f"the plan's waves were {_describe_waves(planned)}, the brokers of the cluster "
            f"now give {_describe_waves(now)}"
        )
        reasons.append(Reason(Code.PLAN_OUTDATED, seen, "the same brokers, in the same AZs"))
        return tuple(reasons)  # waves between other brokers cannot be compared
    if planned.fingerprint != now.fingerprint:
        differ = [
            (a, b)
            for a, b in zip(planned.waves, now.waves, strict=True)
            if a.replicas != b.replicas
        ]
        counts = ", ".join(
            f"wave {a.number}: {a.replicas} then, {b.replicas} now"
            for a, b in differ[:EXAMPLES_MAX]
        )
        seen = (
            "the source brokers hold other partitions than when it was planned "
            f"({counts or 'the same number, but other ones'})"
        )
        reasons.append(
            Reason(Code.PLAN_OUTDATED, seen, "the same partitions on the same source brokers")
        )
    grown = [(a, b) for a, b in zip(planned.waves, now.waves, strict=True) if _has_grown(a, b)]
    if grown:
        sizes = ", ".join(
            f"wave {a.number}: {a.size_bytes} then, {b.size_bytes} now"
            for a, b in grown[:EXAMPLES_MAX]
        )
        needed = f"waves grown by at most {GROWN_SHARE_MAX:.0%}"
        reasons.append(
            Reason(
                Code.PLAN_OUTDATED,
                f"there is more to move than planned ({sizes} bytes)",
                needed,
            )
        )
    return tuple(reasons)


def _has_grown(then: Wave, now: Wave) -> bool:
    more = now.size_bytes - then.size_bytes
    return more > GROWN_BYTES_MIN and more > then.size_bytes * GROWN_SHARE_MAX


def _routes(plan: Plan) -> list[tuple[str, str, tuple[int, ...], tuple[int, ...]]]:
    return [(w.az, w.lane, w.source_broker_ids, w.destination_broker_ids) for w in plan.waves]


def _describe_waves(plan: Plan) -> str:
    lanes = {w.number: "" if w.selection is None else f" ({w.lane})" for w in plan.waves}
    described = [
        (
            f"{list(w.source_broker_ids)} to {list(w.destination_broker_ids)} in "
            f"{w.az}{lanes[w.number]}"
        )
        for w in plan.waves
    ]
    return listed(described)
