"""The benchmark's arithmetic: a target that is missed must be seen."""

from dataclasses import replace

from tests.benchmarks import recovery
from tests.benchmarks.figures import Measured, figures, numbered


def _moves(
    way: str, *seconds: float, gigabytes: float = 1.0, rate: int | None = None
) -> list[Measured]:
    return [
        Measured(gigabytes, number, way, 1_000_000_000, empty, empty + 1.0, rate)
        for number, empty in enumerate(seconds, 1)
    ]


def _held(measured: list[Measured]) -> dict[str, bool | None]:
    return {row["figure"]: row["held"] for row in figures(measured) if row["held"] is not None}


def test_medians_decide() -> None:
    """A ratio is that of the medians, so that one disturbed round decides nothing."""
    by_hand = _moves("cruise control by hand", 100.0, 100.0, 5.0)
    held = _held(by_hand + _moves("agent", 40.0, 50.0, 900.0))
    assert held == {"agent / cruise control by hand, 1 GB (real)": True}


def test_a_missed_target_is_told() -> None:
    """A ratio above its target does not hold, on each of the targets."""
    measured = [
        *_moves("kafka", 10.0),
        *_moves("agent", 30.0),
        *_moves("cruise control by hand", 40.0),
        *_moves("article", 100.0),
        *_moves("agent, article's rate", 30.0),
        *_moves("agent, throttle binds", 12.0, rate=100_000_000),
    ]
    held = _held(measured)
    assert len(held) == 4
    assert not any(held.values())


def test_falling_with_size() -> None:
    """The ratio to Kafka's own tool must fall from each size to the next."""
    small = _moves("kafka", 5.0, gigabytes=0.25) + _moves("agent", 15.0, gigabytes=0.25)
    fell = _held(small + _moves("kafka", 20.0) + _moves("agent", 30.0))
    rose = _held(small + _moves("kafka", 5.0) + _moves("agent", 30.0))
    assert fell["agent / kafka falls with size (real)"] is True
    assert rose["agent / kafka falls with size (real)"] is False


def test_a_throttle_that_does_not_bind_is_told() -> None:
    """A move much faster than bytes divided by rate was not throttled, and does not hold."""
    too_fast = _held(_moves("agent, throttle binds", 5.0, rate=100_000_000))
    right = _held(_moves("agent, throttle binds", 10.5, rate=100_000_000))
    assert [*too_fast.values(), *right.values()] == [False, True]


def test_sittings_are_merged() -> None:
    """What is measured later goes on with the rounds of its kind, size and way; other kinds
    stand beside it.
    """
    before = [*_moves("kafka", 5.0, 6.0), *_moves("agent", 7.0)]
    merged = numbered(_moves("kafka", 7.0), before)
    assert [(m.way, m.round) for m in merged] == [
        ("kafka", 1),
        ("kafka", 2),
        ("agent", 1),
        ("kafka", 3),
    ]
    lab = [replace(m, cruise_control="stand-in") for m in before]
    names = [row["figure"] for row in figures(numbered(lab, before))]
    assert "kafka, source empty, 1 GB (real)" in names
    assert "kafka, source empty, 1 GB (stand-in)" in names


def test_the_slowest_recovery_counts() -> None:
    """One kill that took too long, one execution too many, or a wave that was stopped: the
    figure does not hold.
    """
    calm = {"executions": 1, "disturbances": 0, "moving at the end": 9}
    held = [
        row["held"] for row in recovery.figures([2.0, 2.1], [11.0], calm) if row["held"] is not None
    ]
    assert held == [True] * 4
    bad = {"executions": 2, "disturbances": 1, "moving at the end": 9}
    missed = [
        row["held"] for row in recovery.figures([2.0, 5.1], [15.5], bad) if row["held"] is not None
    ]
    assert missed == [False] * 4
