"""The benchmark's arithmetic: a target that is missed must be seen."""

from tests.benchmarks.figures import Measured, figures


def _moves(way: str, *seconds: float, gigabytes: float = 1.0, rate: int | None = None) -> list[Measured]:
    return [
        Measured(gigabytes, number, way, 1_000_000_000, empty, empty + 1.0, rate)
        for number, empty in enumerate(seconds, 1)
    ]


def _held(measured: list[Measured]) -> dict[str, bool | None]:
    return {row["figure"]: row["held"] for row in figures(measured, "real") if row["held"] is not None}


def test_medians_decide() -> None:
    """A ratio is that of the medians, so that one disturbed round decides nothing."""
    by_hand = _moves("cruise control by hand", 100.0, 100.0, 5.0)
    held = _held(by_hand + _moves("agent", 40.0, 50.0, 900.0))
    assert held == {"agent / cruise control by hand, 1 GB": True}


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
    assert fell["agent / kafka falls with size"] is True
    assert rose["agent / kafka falls with size"] is False
