"""Produce latency as the brokers reported it while a wave moved, counted in buckets.

Pure; one object for each cluster, kept in memory by the worker that drives it
(agent/worker/metric_evaluation.py). After a take-over it starts empty, and `since` shows that.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.core.metrics.rule_evaluator import Sample

# As the collector's mapping names them. A broker's p99 falls slowly; its mean follows at once.
METRICS = frozenset({"produce_latency_p99_ms", "produce_latency_mean_ms"})
SERIES_MAX = 2_000  # brokers times metrics
# Each bucket is 2 % wide, and so exact are median and p99. The maximum is kept exactly.
BUCKET = 1.02
LEAST_MS = 0.01
BUCKETS_MAX = 1_200  # the last one holds latencies of days


@dataclass(frozen=True, slots=True, kw_only=True)
class ProduceLatency:
    """One metric of produce latency while a wave moved, over all samples of all brokers, in
    milliseconds.
    """

    metric: str
    samples: int
    brokers: int
    median_ms: float
    p99_ms: float
    max_ms: float
    max_broker: int | None
    # median of the newest value of each broker before the wave; None: there was none
    before_ms: float | None
    since: float  # time of the first sample, seconds since the epoch
    until: float  # and of the last one

    def __str__(self) -> str:
        before = "" if self.before_ms is None else f", {_ms(self.before_ms)} before"
        where = "" if self.max_broker is None else f" on broker {self.max_broker}"
        spread = (
            f"median {_ms(self.median_ms)}, p99 {_ms(self.p99_ms)}, most "
            f"{_ms(self.max_ms)} ms{where}"
        )
        return f"{self.metric.removesuffix('_ms')} {spread}{before}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(slots=True)
class _LatencyCounts:
    """The samples of one metric while the wave moved."""

    before_ms: float | None
    counts: dict[int, int] = field(default_factory=dict)  # bucket -> samples
    brokers: set[int | None] = field(default_factory=set)
    samples: int = 0
    max_ms: float = -1.0
    max_broker: int | None = None
    since: float = 0.0
    until: float = 0.0

    def count(self, broker: int | None, value: float, time: float) -> None:
        bucket = (
            min(math.ceil(math.log(value / LEAST_MS, BUCKET)), BUCKETS_MAX)
            if value > LEAST_MS
            else 0
        )
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.brokers.add(broker)
        self.since = min(self.since, time) if self.samples else time
        self.until = max(self.until, time)
        self.samples += 1
        if value > self.max_ms:
            self.max_ms, self.max_broker = value, broker

    def quantile(self, share: float) -> float:
        """The upper bound of the bucket that holds the quantile `share` (0 to 1), in
        milliseconds.
        """
        left = share * self.samples
        for bucket, n in sorted(self.counts.items()):
            left -= n
            if left <= 0:
                return (
                    min(LEAST_MS * BUCKET**bucket, self.max_ms)
                    if bucket
                    else max(0.0, min(LEAST_MS, self.max_ms))
                )
        return self.max_ms


class WaveLatency:
    """Produce latency while the current wave moves, or the last one did, counted in buckets; kept
    in memory only.
    """

    def __init__(self) -> None:
        # series -> (time, value)
        self._newest: dict[tuple[str, int | None], tuple[float, float]] = {}
        self._wave: tuple[str, int] | None = None
        self._counts: dict[str, _LatencyCounts] = {}

    def add_samples(
        self, samples: Iterable[Sample], moving: tuple[str, int] | None, since: float
    ) -> None:
        """Count the samples measured while a wave moves; others serve as the value before the next
        wave.

        In: the samples; the (migration id, wave number) that moves now, or None; and since when, in
        seconds since the epoch. Late and duplicate samples are left out.
        """
        for metric, broker, _, value, time in samples:
            if metric not in METRICS or not math.isfinite(value):
                continue
            series = metric, broker
            known = self._newest.get(series)
            if (known is None and len(self._newest) >= SERIES_MAX) or (
                known is not None and time <= known[0]
            ):
                continue
            if moving is not None and time >= since:
                self._begin(moving)
                self._counts[metric].count(broker, value, time)
            self._newest[series] = time, value

    def of(self, migration_id: str, wave: int) -> tuple[ProduceLatency, ...] | None:
        """The produce latency counted while this wave moved; None if no sample came."""
        if self._wave != (migration_id, wave):
            return None
        return tuple(
            ProduceLatency(
                metric=metric,
                samples=t.samples,
                brokers=len(t.brokers),
                median_ms=round(t.quantile(0.5), 3),
                p99_ms=round(t.quantile(0.99), 3),
                max_ms=round(t.max_ms, 3),
                max_broker=t.max_broker,
                before_ms=None if t.before_ms is None else round(t.before_ms, 3),
                since=t.since,
                until=t.until,
            )
            for metric, t in sorted(self._counts.items())
            if t.samples
        )

    def _begin(self, moving: tuple[str, int]) -> None:
        if self._wave == moving:
            return
        self._wave = moving
        # Values that the wave before it raised may be among the newest: that was the state before.
        self._counts = {metric: _LatencyCounts(self._median_before(metric)) for metric in METRICS}

    def _median_before(self, metric: str) -> float | None:
        values = sorted(value for (of, _), (_, value) in self._newest.items() if of == metric)
        return values[len(values) // 2] if values else None
