"""The throttle that follows the headroom: half at once, back in steps."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.core.metrics.adaptive_rate import DECREASE, GRID, RECOVERY_SECONDS, next_rate, on_grid

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
