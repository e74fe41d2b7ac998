"""The throttle that follows the headroom: half at once, back in steps."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.handlers.adaptive_throttle import next_throttle
from agent.core.metrics.adaptive_rate import DECREASE, GRID, RECOVERY_SECONDS, next_rate, on_grid
from agent.core.migration import AdaptedRate, Migration, Phase
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.policy import Policy

FLOOR, CEILING = 10_000_000, 100_000_000


def test_without_headroom_the_rate_is_halved_down_to_the_floor() -> None:
    """Multiplicative decrease: a broker beyond its threshold is relieved at once."""
    rates = [CEILING]
    for _ in range(6):
        rates.append(next_rate(rates[-1], FLOOR, CEILING, 0.0, 10.0))
    assert all(after <= before * DECREASE or after == FLOOR for before, after in pairwise(rates))
    assert rates[-1] == FLOOR


def test_with_headroom_it_climbs_to_the_ceiling_the_faster_the_more() -> None:
    """Additive increase: at full headroom it is back in about the recovery time, at a quarter
    of it in four times.
    """

    def seconds_to_recover(headroom: float) -> float:
        rate, since, now = FLOOR, 0.0, 0.0
        while rate < CEILING:
            now += 10.0
            after = next_rate(rate, FLOOR, CEILING, headroom, now - since)
            if after != rate:
                rate, since = after, now
        return now

    assert seconds_to_recover(1.0) <= RECOVERY_SECONDS * 1.5
    assert seconds_to_recover(0.25) > 2.5 * seconds_to_recover(1.0)


def test_a_change_is_worth_its_requests() -> None:
    """Less than a tenth of difference is no change."""
    assert next_rate(CEILING // 2, FLOOR, CEILING, 0.1, 10.0) == CEILING // 2


@given(
    st.integers(1, 10**9),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(10, 600)), max_size=80),
    st.floats(0.01, 1.0),
)
def test_rates_stay_between_floor_and_ceiling_and_are_few(
    ceiling: int, seen: list[tuple[float, float]], floor_share: float
) -> None:
    """Whatever the headroom does: never beyond the bounds, neighbours a tenth apart, a bounded
    ledger of own rates.
    """
    floor = max(1, int(ceiling * floor_share))
    rate, rates = ceiling, {ceiling}
    for headroom, seconds in seen:
        after = next_rate(rate, floor, ceiling, headroom, seconds)
        assert floor <= after <= ceiling
        assert (after <= rate) if headroom <= 0 else (after >= rate)
        rate = after
        rates.add(rate)
    assert all(r in (floor, ceiling) or on_grid(r, floor, ceiling) == r for r in rates)
    if floor_share >= 0.1 and floor > 1_000:
        assert len(rates) <= 24
        assert all(low <= high * GRID + 1 for low, high in pairwise(sorted(rates)[1:]))


def moving(**changes: object) -> Migration:
    """The agent sets its throttle of 100 MB/s, and its wave moves since second 100."""
    options = Options(throttle_by=ThrottleBy.AGENT, throttle_bytes_per_second=CEILING)
    start = Migration(cluster="c", phase=Phase.MOVING, phase_since=100.0, options=options)
    return replace(start, **changes)


def adapted(rate: int, since: float) -> AdaptedRate:
    return AdaptedRate(bytes_per_second=rate, ceiling_bytes_per_second=CEILING, since=since)


POLICY = Policy(slow_bytes_per_second=FLOOR, adapt_seconds=10.0)


def test_the_first_lack_of_headroom_brings_the_asked_rate_down() -> None:
    """At once, however short the wave has moved."""
    change = next_throttle(moving(), POLICY, 0.0, 100.0)
    assert change is not None
    assert change.bytes_per_second is not None
    assert change.bytes_per_second <= CEILING * DECREASE
    assert (change.before_bytes_per_second, change.ceiling_bytes_per_second) == (CEILING, CEILING)


def test_back_at_the_ceiling_the_asked_rate_holds_again() -> None:
    """None in the change: the state then forgets that it was ever adapted."""
    almost = moving(adapted_rate=adapted(int(CEILING * GRID), 100.0))
    change = next_throttle(almost, POLICY, 1.0, 200.0)
    assert change is not None
    assert change.bytes_per_second is None


@pytest.mark.parametrize(
    ("migration", "headroom", "at"),
    [
        (moving(options=Options(throttle_by=ThrottleBy.CRUISE_CONTROL)), 0.0, 200.0),
        (moving(phase=Phase.PAUSED, adapted_rate=adapted(FLOOR, 0.0)), 0.5, 200.0),
        (moving(phase=Phase.DRAINED), 0.0, 200.0),
        (moving(adapted_rate=adapted(CEILING // 2, 195.0)), 0.0, 200.0),
        (moving(), 0.5, 200.0),
        (moving(adapted_rate=adapted(FLOOR, 100.0)), 0.0, 200.0),
    ],
    ids=["not ours", "nothing moves", "at rest", "just changed", "never slowed", "at the floor"],
)
def test_else_the_throttle_stays(migration: Migration, headroom: float, at: float) -> None:
    """Every change costs requests to each broker, so only one that helps is made."""
    assert next_throttle(migration, POLICY, headroom, at) is None
