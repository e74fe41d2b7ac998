"""Produce latency while a wave moves: what counts, and how exact it is."""

import random

import pytest

from agent.core.metrics.produce_latency import SERIES_MAX, WaveLatency

P99, MEAN = "produce_latency_p99_ms", "produce_latency_mean_ms"
WAVE = ("lab-1", 2)


def _sample(
    broker: int | None, value: float, time: float, metric: str = P99
) -> tuple[str, int | None, None, float, float]:
    return metric, broker, None, value, time


def test_what_was_told_before_during_and_after_is_kept_apart() -> None:
    """Only samples measured while the wave moved count; the newest of each broker from before
    it is how it was.
    """
    seen = WaveLatency()
    seen.add_samples(
        [_sample(11, 3.0, 90.0), _sample(12, 5.0, 90.0), _sample(13, 4.0, 90.0)], None, 0.0
    )
    seen.add_samples([_sample(11, 900.0, 99.0)], WAVE, 100.0)  # measured before, arrived during
    seen.add_samples(
        [_sample(11, 6.0, 101.0), _sample(12, 8.0, 101.0), _sample(13, 7.0, 111.0)], WAVE, 100.0
    )
    seen.add_samples([_sample(11, 700.0, 120.0)], None, 115.0)
    (told,) = seen.of(*WAVE) or ()
    assert (told.metric, told.samples, told.brokers) == (P99, 3, 3)
    assert told.median_ms == pytest.approx(7.0, rel=0.02)
    assert (told.max_ms, told.max_broker) == (8.0, 12)
    assert told.before_ms == 5.0  # of 900, 5 and 4
    assert (told.since, told.until) == (101.0, 111.0)
    assert str(told) == "produce_latency_p99 median 7.03, p99 8, most 8 ms on broker 12, 5 before"


def test_without_a_sample_nothing_is_told() -> None:
    """No collector, another metric, no number, or another wave: None, never zero milliseconds."""
    seen = WaveLatency()
    seen.add_samples([_sample(11, 3.0, 90.0)], None, 0.0)
    seen.add_samples(
        [_sample(11, 1.0, 101.0, "disk_used_ratio"), _sample(11, float("inf"), 101.0)], WAVE, 100.0
    )
    assert seen.of(*WAVE) is None
    seen.add_samples([_sample(11, 3.0, 102.0)], WAVE, 100.0)
    assert seen.of("lab-1", 3) is None
    assert seen.of(*WAVE) is not None


def test_doubled_and_late_samples_do_not_count_twice() -> None:
    """At least once is the topic's promise: each series goes on in the order of its own times."""
    seen = WaveLatency()
    seen.add_samples([_sample(11, 3.0, 101.0)] * 5 + [_sample(11, 9.0, 100.5)], WAVE, 100.0)
    (told,) = seen.of(*WAVE) or ()
    assert (told.samples, told.max_ms, told.before_ms) == (1, 3.0, None)


def test_the_next_wave_begins_anew_and_a_second_attempt_goes_on() -> None:
    """A pause in the middle of a wave leaves one set of figures for all of its attempts."""
    seen = WaveLatency()
    seen.add_samples([_sample(11, 3.0, 101.0)], WAVE, 100.0)
    seen.add_samples([_sample(11, 50.0, 105.0)], None, 103.0)  # paused
    seen.add_samples([_sample(11, 4.0, 111.0), _sample(11, 1.5, 111.0, MEAN)], WAVE, 110.0)
    mean, p99 = seen.of(*WAVE) or ()
    assert (mean.metric, mean.samples, p99.samples, p99.max_ms) == (MEAN, 1, 2, 4.0)
    seen.add_samples([_sample(11, 7.0, 121.0)], ("lab-1", 3), 120.0)
    (told,) = seen.of("lab-1", 3) or ()
    assert (told.samples, told.before_ms) == (1, 4.0)


def test_quantiles_are_exact_to_a_bucket_whatever_the_values() -> None:
    """Within two percent, from hundredths of a millisecond to minutes; the most is exact;
    memory is bounded.
    """
    values = [random.Random(n).lognormvariate(1.0, 3.0) for n in range(5_000)]
    seen = WaveLatency()
    seen.add_samples([_sample(n % 100, v, 101.0 + n) for n, v in enumerate(values)], WAVE, 100.0)
    (told,) = seen.of(*WAVE) or ()
    ordered = sorted(values)
    assert told.median_ms == pytest.approx(ordered[2_499], rel=0.021, abs=0.01)
    assert told.p99_ms == pytest.approx(ordered[4_949], rel=0.021)
    assert told.max_ms == round(max(values), 3)
    assert told.brokers == 100
    assert len(seen._counts[P99].counts) < 1_200
    seen.add_samples([_sample(n, 1.0, 9_000.0) for n in range(SERIES_MAX * 2)], WAVE, 100.0)
    assert len(seen._newest) == SERIES_MAX


def test_an_idle_broker_waits_no_time() -> None:
    """Zero milliseconds is what an exporter shows where nobody has produced yet."""
    seen = WaveLatency()
    seen.add_samples([_sample(11, 0.0, 101.0)], WAVE, 100.0)
    (told,) = seen.of(*WAVE) or ()
    assert (told.median_ms, told.p99_ms, told.max_ms) == (0.0, 0.0, 0.0)
