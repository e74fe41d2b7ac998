"""Whether the cluster can lose a broker now: criteria for one look, and hysteresis over many.

Pure; called by services/monitor. The answer turns to no at once and to yes slowly, so that a short
recovery does not open a disruption budget.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from agent.core.model.cluster import Partition
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import listed

NAMES_IN_A_SENTENCE = 3


class Criterion(StrEnum):
    """Which partitions count against readiness, besides those without a leader or under min ISR."""

    UNDER_REPLICATED = (
        "under_replicated"  # any replica is out of sync; those being added do not count
    )
    # too few replicas are in sync beyond min.insync.replicas
    MIN_ISR_SLACK = "min_isr_slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessPolicy:
    """The rules of readiness. Seconds are of a monotonic clock."""

    criterion: Criterion = Criterion.UNDER_REPLICATED
    # in-sync replicas beyond min.insync.replicas: so many brokers may be lost
    slack_replicas: int = 1
    ready_after_looks: int = 3
    ready_after_seconds: float = 30.0
    stale_seconds: float = 35.0


class ReplicaDeficit(NamedTuple):
    """What a partition lacks: how many of its replicas are in sync, and whether it has a leader."""

    topic: str
    replicas: int  # without adding ones
    in_sync: int
    leaderless: bool

    @classmethod
    def of(cls, partition: Partition) -> "ReplicaDeficit":
        """The deficit of one partition against the replicas that it should have."""
        return cls(partition.topic, len(partition.origin), len(partition.isr), partition.is_offline)

    @property
    def is_deficient(self) -> bool:
        """Whether the partition lacks an in-sync replica or a leader."""
        return self.leaderless or self.in_sync < self.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthObservation:
    """What one look at the cluster showed.

    Partitions that are neither in `doubtful` nor counted in `rest` are in full sync. `rest` counts
    those that are too many to name: with an AZ down it may be all.
    """

    broker_ids: tuple[int, ...]
    topics: int
    partitions: int
    doubtful: tuple[Partition, ...] = ()
    rest: Mapping[ReplicaDeficit, int] = field(default_factory=dict)
    min_isr: Mapping[str, int] = field(
        default_factory=dict
    )  # of the topics in `doubtful` and `rest`
    reassigning: int = 0


class UnhealthyPartition(NamedTuple):
    """A partition that counts against readiness, with every reason."""

    partition: Partition
    min_isr: int
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessResult:
    """The partitions that count against readiness: some by name, the worst first, and how many
    there are in all and for each code.
    """

    named: tuple[UnhealthyPartition, ...] = ()
    total: int = 0
    by_code: Mapping[Code, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer, and what the next one depends on.

    `healthy_checks` and `healthy_since` are of the unbroken series of looks without a reason
    against readiness.
    """

    ready: bool = False
    since: float = 0.0  # when `ready` last changed
    reasons: tuple[Reason, ...] = ()
    looked_at: float | None = None
    healthy_checks: int = 0
    healthy_since: float = 0.0


def find_unhealthy(observation: HealthObservation, policy: ReadinessPolicy) -> ReadinessResult:
    """Every partition of a look that counts against readiness under the policy."""
    named = [
        UnhealthyPartition(p, min_isr, codes)
        for p in observation.doubtful
        if (
            codes := _codes(
                ReplicaDeficit.of(p), min_isr := observation.min_isr.get(p.topic, 1), policy
            )
        )
    ]
    named.sort(key=lambda finding: (_SEVERITY[finding.codes[0]], finding.partition.name))
    by_code = Counter(code for f in named for code in f.codes)
    total = len(named)
    for deficit, number in observation.rest.items():
        if codes := _codes(deficit, observation.min_isr.get(deficit.topic, 1), policy):
            by_code.update(dict.fromkeys(codes, number))
            total += number
    return ReadinessResult(named=tuple(named), total=total, by_code=by_code)


def reasons(observation: HealthObservation, result: ReadinessResult) -> tuple[Reason, ...]:
    """One reason for each kind of problem, with its number and a few names; none if the cluster is
    healthy.
    """
    if not observation.partitions:
        seen = (
            "no partition is visible: the cluster is empty, or the user may not describe its topics"
        )
        return (Reason(Code.NOTHING_VISIBLE, seen, "Describe on every topic and on the cluster"),)
    return tuple(
        Reason(code, f"{number} partitions {_WORDS[code]}: {_names(result, code, number)}", "none")
        for code in _SEVERITY
        if (number := result.by_code.get(code, 0))
    )


def next_readiness(
    before: Readiness, against: tuple[Reason, ...], now: float, policy: ReadinessPolicy
) -> Readiness:
    """The answer after one look.

    In: the answer before; the reasons against readiness by this look alone, of which a failed look
    is one; the time now in seconds of a monotonic clock; and the policy.
    """
    if against:
        since = now if before.ready or before.looked_at is None else before.since
        return Readiness(ready=False, since=since, reasons=against, looked_at=now)
    interrupted = before.healthy_checks == 0 or is_stale(before, now, policy)
    looks = 1 if interrupted else before.healthy_checks + 1
    healthy_since = now if interrupted else before.healthy_since
    state = replace(before, looked_at=now, healthy_checks=looks, healthy_since=healthy_since)
    long_enough = (
        looks >= policy.ready_after_looks and now - healthy_since >= policy.ready_after_seconds
    )
    if (before.ready and not interrupted) or long_enough:
        return replace(state, ready=True, since=before.since if before.ready else now, reasons=())
    settling = Reason(
        Code.NOT_HEALTHY_FOR_LONG,
        f"healthy in the last {looks} looks, for {now - healthy_since:.0f} s",
        f"{policy.ready_after_looks} looks in a row, over {policy.ready_after_seconds:.0f} s",
    )
    return replace(
        state, ready=False, since=now if before.ready else before.since, reasons=(settling,)
    )


def as_of(state: Readiness, now: float, policy: ReadinessPolicy) -> Readiness:
    """The answer for someone who asks now: it is no if the last look is too old."""
    if state.looked_at is None:
        return replace(
            state,
            ready=False,
            reasons=(Reason(Code.LOOK_OVERDUE, "no look at the cluster has been completed yet"),),
        )
    if not is_stale(state, now, policy):
        return state
    seen = f"the last look at the cluster ended {now - state.looked_at:.0f} s ago"
    return replace(
        state,
        ready=False,
        reasons=(Reason(Code.LOOK_OVERDUE, seen, f"{policy.stale_seconds:.0f} s at most"),),
    )


def is_stale(state: Readiness, now: float, policy: ReadinessPolicy) -> bool:
    """Whether the last look is too old to say anything."""
    return state.looked_at is not None and now - state.looked_at > policy.stale_seconds


def _codes(deficit: ReplicaDeficit, min_isr: int, policy: ReadinessPolicy) -> tuple[Code, ...]:
    codes = []
    if deficit.leaderless:
        codes.append(Code.OFFLINE_PARTITION)
    if deficit.in_sync < min(
        min_isr, deficit.replicas
    ):  # as Kafka counts: with fewer replicas than min ISR, all must be in sync
        codes.append(Code.UNDER_MIN_ISR)
    if policy.criterion is Criterion.UNDER_REPLICATED and deficit.in_sync < deficit.replicas:
        codes.append(Code.UNDER_REPLICATED)
    # If all replicas are in sync, waiting gives no more slack; `doctor` reports RF_EQUALS_MIN_ISR.
    if policy.criterion is Criterion.MIN_ISR_SLACK and deficit.in_sync < min(
        min_isr + policy.slack_replicas, deficit.replicas
    ):
        codes.append(Code.NO_MIN_ISR_SLACK)
    return tuple(codes)


_WORDS = {
    Code.OFFLINE_PARTITION: "have no leader",
    Code.UNDER_MIN_ISR: "are under min ISR",
    Code.UNDER_REPLICATED: "are under-replicated, not counting replicas being added",
    Code.NO_MIN_ISR_SLACK: "would be under min ISR with one more loss",
}
_SEVERITY = {code: place for place, code in enumerate(_WORDS)}


def _names(result: ReadinessResult, code: Code, number: int) -> str:
    named = [f.partition.name for f in result.named if code in f.codes]
    return listed(named, number, NAMES_IN_A_SENTENCE)
