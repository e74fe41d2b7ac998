"""Whether a stored plan still fits the cluster:

`start --plan ID` runs just that plan, or says why not.

Pure; called by survey.py with a plan made anew from the same options.
"""

import zlib
from collections.abc import Iterable

from agent.core.model.cluster import ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import EXAMPLES_MAX, listed
from agent.core.planning.wave import Plan, Wave

# A wave that has grown by more than this part since the plan takes longer than was promised: plan
# again. Below the second figure nobody would notice.
GROWN_SHARE_MAX = 0.25
GROWN_BYTES_MIN = 64 * 1024 * 1024


def fingerprint(facts: ClusterFacts, sources: Iterable[int]) -> int:
    """Which partitions lie on which of these brokers, as one number; the order in which they
    are told is no matter.
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
    """Every reason why the stored plan does not fit any more: brokers, partitions, sizes.

    In: the plan as it was stored, and one made of the same options from the cluster as it is.
    """
    reasons = []
    if _routes(planned) != _routes(now):
        seen = (
            f"the plan's waves were {_describe_waves(planned)}, the brokers of the cluster "
            f"now give {_describe_waves(now)}"
        )
        reasons.append(Reason(Code.PLAN_OUTDATED, seen, "the same brokers, in the same AZs"))
        return tuple(reasons)  # there is nothing to compare wave by wave
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
            "other partitions lie on the sources than when it was planned "
            f"({counts or 'as many, but not the same'})"
        )
        reasons.append(
            Reason(Code.PLAN_OUTDATED, seen, ("the same partitions on the same source brokers"))
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
                (f"there is more to move than was planned ({sizes} bytes)"),
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
