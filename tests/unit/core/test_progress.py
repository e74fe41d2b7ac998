"""Rates and remaining time."""

import pytest

from agent.core.planning.progress import (
    CLOSING_SECONDS,
    SMOOTHING_SECONDS,
    WINDOW_SECONDS,
    Beginning,
    Progress,
    eta_seconds,
    smoothed_rate,
)


def _at(at: float, moved: int, rate: float = 0.0) -> Progress:
    return Progress(
        at=at,
        changed_at=at,
        replicas_left=1,
        bytes_left=1,
        bytes_moved=moved,
        moving=1,
        rate_bytes_per_second=rate,
    )


def test_the_first_rate_is_what_was_seen() -> None:
    """Without history, the rate is bytes over seconds; without time, there is none."""
    assert smoothed_rate(None, 10.0, 500) == 0.0
    assert smoothed_rate(_at(10.0, 0), 12.0, 500) == 250.0


def test_the_rate_follows_slowly() -> None:
    """After one time constant of a new rate, half of the way is gone; it never overshoots."""
    rate = smoothed_rate(_at(0.0, 0, rate=100.0), SMOOTHING_SECONDS, int(200 * SMOOTHING_SECONDS))
    assert rate == pytest.approx(150.0)


def test_a_clock_that_stands_still_or_bytes_that_shrink_give_no_negative_rate() -> None:
    """A look at the same second keeps the rate; a cancelled move, whose bytes vanish, counts as
    none.
    """
    assert smoothed_rate(_at(10.0, 100, rate=7.0), 10.0, 900) == 7.0
    assert smoothed_rate(_at(10.0, 1_000, rate=100.0), 20.0, 0) == 50.0


def test_eta_is_unknown_without_a_rate() -> None:
    """Nothing moves: nobody can tell how long."""
    assert eta_seconds(100, 0.0) is None
    assert eta_seconds(100, 50.0) == 2.0 + CLOSING_SECONDS


def test_eta_goes_by_the_throttle_when_a_burst_is_faster() -> None:
    """What a throttle lets through at first it takes back: never is more than its rate counted
    on.
    """
    assert eta_seconds(1_000, 500.0, 100) == 10.0 + CLOSING_SECONDS
    assert eta_seconds(1_000, 50.0, 100) == 20.0 + CLOSING_SECONDS


def test_at_the_beginning_all_that_was_to_move_counts() -> None:
    """In the first quota window the rate says nothing: size over throttle does, or what the
    plan has told.
    """
    begun = Beginning(elapsed_seconds=3.0, size_bytes=3_000, planned_seconds=50.0)
    assert eta_seconds(2_000, 999.0, 100, begun) == 30.0 - 3.0
    assert eta_seconds(2_000, 999.0, None, begun) == 47.0
    assert eta_seconds(2_000, 0.0, None, begun) == 47.0
    over = Beginning(elapsed_seconds=5.0, size_bytes=3_000, planned_seconds=6.0)
    assert eta_seconds(2_000, 0.0, None, over) == 4.0  # two thirds are left, whatever time is over
    assert eta_seconds(2_000, 0.0, 500, over) == 4.0  # also under a throttle that is not what binds
    later = Beginning(elapsed_seconds=WINDOW_SECONDS, size_bytes=3_000, planned_seconds=50.0)
    assert eta_seconds(2_000, 80.0, 100, later) == 25.0 + CLOSING_SECONDS
    unknown = Beginning(elapsed_seconds=3.0, size_bytes=3_000)
    assert eta_seconds(2_000, 0.0, None, unknown) is None
