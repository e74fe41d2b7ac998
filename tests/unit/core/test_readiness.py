"""Readiness: what counts against it, and that it closes at once and opens slowly."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.core.checks.readiness import (
    Criterion,
    HealthObservation,
    Readiness,
    ReadinessPolicy,
    ReplicaDeficit,
    as_of,
    find_unhealthy,
    next_readiness,
    reasons,
)
from agent.core.model.cluster import Partition
from agent.core.model.reasons import Code, Reason

POLICY = ReadinessPolicy(ready_after_looks=3, ready_after_seconds=30.0, stale_seconds=35.0)
SLACK = replace(POLICY, criterion=Criterion.MIN_ISR_SLACK)
SICK = (Reason(Code.UNDER_REPLICATED, "1 partition"),)


def look(*doubtful: Partition, min_isr: int = 2, partitions: int = 100) -> HealthObservation:
    return HealthObservation(
        broker_ids=(11, 12, 13),
        topics=1,
        partitions=partitions,
        doubtful=doubtful,
        min_isr={"t": min_isr},
    )


def partition(
    isr: tuple[int, ...], leader: int = 11, adding: tuple[int, ...] = (), number: int = 0
) -> Partition:
    return Partition("t", number, leader, (11, 12, 13, *adding), isr, adding=adding)


def codes(one: HealthObservation, policy: ReadinessPolicy = POLICY) -> list[tuple[Code, ...]]:
    return [f.codes for f in find_unhealthy(one, policy).named]


def test_a_partition_counts_for_each_of_its_reasons() -> None:
    """Under-replicated, under min ISR, offline: each implies the ones before it, and the worst
    comes first.
    """
    found = look(
        partition((11, 12)), partition((11,), number=1), partition((), leader=-1, number=2)
    )
    assert codes(found) == [
        (Code.OFFLINE_PARTITION, Code.UNDER_MIN_ISR, Code.UNDER_REPLICATED),
        (Code.UNDER_MIN_ISR, Code.UNDER_REPLICATED),
        (Code.UNDER_REPLICATED,),
    ]


def test_adding_replicas_do_not_count() -> None:
    """A moving partition whose old replicas are in sync is not sick (KIP-352)."""
    assert codes(look(partition((11, 12, 13), adding=(31, 32)))) == []
    assert codes(look(partition((11, 12), adding=(31, 32)))) == [(Code.UNDER_REPLICATED,)]


def test_slack_lets_an_under_replicated_partition_pass_while_one_more_may_be_lost() -> None:
    """min_isr_slack: of three replicas with min ISR 1, two in sync are enough; with min ISR 2
    they are not.
    """
    assert codes(look(partition((11, 12)), min_isr=1), SLACK) == []
    assert codes(look(partition((11, 12)), min_isr=2), SLACK) == [(Code.NO_MIN_ISR_SLACK,)]
    assert codes(look(partition((11,)), min_isr=2), SLACK) == [
        (Code.UNDER_MIN_ISR, Code.NO_MIN_ISR_SLACK)
    ]


def test_full_sync_never_counts() -> None:
    """Where all replicas are in sync, no waiting gives more slack: such a topic must not close
    the budget for ever.
    """
    assert codes(look(partition((11, 12, 13)), min_isr=3), SLACK) == []
    assert codes(look(partition((11, 12, 13)), min_isr=5)) == []


def test_reasons_count_and_name_a_few() -> None:
    """One reason a kind, with its number and the first names."""
    sick = look(*(partition((11, 12), number=n) for n in range(5)))
    (reason,) = reasons(sick, find_unhealthy(sick, POLICY))
    assert reason.code is Code.UNDER_REPLICATED
    assert reason.seen == (
        "5 partitions are under-replicated, not counting replicas being added: t-0, t-1, t-2 and 2 "
        "more"
    )


def test_what_is_only_counted_counts() -> None:
    """Partitions too many to name are judged by what they lack, as those with a name are."""
    many = replace(
        look(partition((11, 12))),
        rest={
            ReplicaDeficit("t", 3, 1, leaderless=False): 7,
            ReplicaDeficit("u", 3, 2, leaderless=False): 2,
        },
    )
    found = find_unhealthy(many, POLICY)
    assert (found.total, found.by_code) == (10, {Code.UNDER_REPLICATED: 10, Code.UNDER_MIN_ISR: 7})
    assert reasons(many, found)[0].seen == "7 partitions are under min ISR: 7 more"


def test_what_shows_nothing_is_not_healthy() -> None:
    """Kafka leaves out topics that one may not see: no partition at all is a reason."""
    assert [
        r.code for r in reasons(look(partitions=0), find_unhealthy(look(partitions=0), POLICY))
    ] == [Code.NOTHING_VISIBLE]


def after(*steps: tuple[float, bool], policy: ReadinessPolicy = POLICY) -> Readiness:
    state = Readiness()
    for now, healthy in steps:
        state = next_readiness(state, () if healthy else SICK, now, policy)
    return state


def healthy(start: float, end: float, step: float = 10.0) -> list[tuple[float, bool]]:
    return [(start + i * step, True) for i in range(int((end - start) / step) + 1)]


def test_it_is_not_ready_before_it_has_looked_long_enough() -> None:
    """A fresh monitor knows nothing: it needs as many healthy looks, over as long a time, as
    after a finding.
    """
    assert as_of(Readiness(), 0.0, POLICY).reasons[0].code is Code.LOOK_OVERDUE
    assert not after(*healthy(0, 20)).ready
    assert after(*healthy(0, 20)).reasons[0].code is Code.NOT_HEALTHY_FOR_LONG
    assert after(*healthy(0, 30)).ready
    # Three looks are needed, and these are two.
    assert not after((0, True), (40, True), policy=replace(POLICY, stale_seconds=100)).ready


def test_one_sick_look_closes_and_the_wait_begins_anew() -> None:
    """Closing is at once; a flap does not open the budget."""
    state = after(*healthy(0, 50), (60, False))
    assert (state.ready, state.reasons, state.since) == (False, SICK, 60)
    assert not after(
        *healthy(0, 50), (60, False), *healthy(70, 90), (100, False), *healthy(110, 130)
    ).ready
    state = after(*healthy(0, 50), (60, False), *healthy(70, 100))
    assert (state.ready, state.since, state.reasons) == (True, 100, ())


def test_an_old_look_is_no_look() -> None:
    """When looks stop, readiness ends by itself; and what was healthy before the gap does not
    count after it.
    """
    state = after(*healthy(0, 50))
    assert as_of(state, 85, POLICY).ready
    assert [r.code for r in as_of(state, 86, POLICY).reasons] == [Code.LOOK_OVERDUE]
    resumed = next_readiness(state, (), 100, POLICY)
    assert (resumed.ready, resumed.healthy_checks, resumed.since) == (False, 1, 100)


@given(st.lists(st.tuples(st.floats(0.1, 60), st.booleans()), max_size=60))
def test_ready_means_healthy_for_long_enough(steps: list[tuple[float, bool]]) -> None:
    """Whatever happens: ready implies three healthy looks at least, over 30 s, without a gap."""
    state, now, history = Readiness(), 0.0, []
    for wait, is_healthy in steps:
        now += wait
        state = next_readiness(state, () if is_healthy else SICK, now, POLICY)
        history.append((now, is_healthy))
        if state.ready:
            recent = [h for t, h in history if t >= now - POLICY.ready_after_seconds]
            times = [t for t, _ in history][-3:]
            assert all(recent)
            assert len(times) == 3
            assert all(b - a <= POLICY.stale_seconds for a, b in pairwise(times))
            assert history[0][0] <= now - POLICY.ready_after_seconds
        assert state.ready == (not state.reasons)
