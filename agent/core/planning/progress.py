"""Progress of a wave: how much is left, how fast it moves, how long it will take. Pure; called by
wave_progress.py.
"""

from dataclasses import dataclass

# With one observation a second, this evens out Kafka's 11 s quota window (KIP-73) and lags little.
SMOOTHING_SECONDS = 10.0
WINDOW_SECONDS = 11.0  # replication.quota.window.num x .size.seconds
CLOSING_SECONDS = 1.0  # last look, leader election, verification: 0.1 to 1 s were measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last figures of the current wave."""

    at: float  # when they were published
    changed_at: float  # when a byte or a replica last moved
    replicas_left: int
    bytes_left: int
    bytes_moved: int
    moving: int
    rate_bytes_per_second: float = 0.0
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is known of an attempt in its first seconds.

    `planned_seconds` is the whole duration by the plan; 0: the plan did not say.
    """

    elapsed_seconds: float
    size_bytes: int
    planned_seconds: float = 0.0


def smoothed_rate(before: Progress | None, at: float, bytes_moved: int) -> float:
    """The rate in bytes per second, exponentially smoothed.

    In: the last progress; the time now in seconds since the epoch; and the bytes moved so far.
    Formula: rate += (new - rate) * dt / (dt + SMOOTHING_SECONDS).
    """
    if before is None or at <= before.at:
        return before.rate_bytes_per_second if before else 0.0
    elapsed = at - before.at
    now = max(bytes_moved - before.bytes_moved, 0) / elapsed
    if before.rate_bytes_per_second == 0:
        return now
    return before.rate_bytes_per_second + (now - before.rate_bytes_per_second) * elapsed / (
        elapsed + SMOOTHING_SECONDS
    )


def eta_seconds(
    bytes_left: int,
    rate_bytes_per_second: float,
    limit_bytes_per_second: int | None = None,
    beginning: Beginning | None = None,
) -> float | None:
    """Seconds until the wave is verified; None while that is unknown.

    In: the bytes left; the measured rate and the throttle, both in bytes per second; and what is
    known of the beginning.

    In the first eleven seconds the measured rate is misleading: a throttle lets a burst through
    that it takes back later (KIP-73), and without a throttle the rate has not settled. Until then
    the whole duration is size over throttle, or else that of the plan; the time elapsed is
    subtracted, but no more than the share of bytes that has moved. After that the measured rate
    counts, but at most the throttle.
    """
    if beginning is not None and beginning.elapsed_seconds < WINDOW_SECONDS:
        size = beginning.size_bytes
        whole = (
            size / limit_bytes_per_second if limit_bytes_per_second else beginning.planned_seconds
        )
        if whole:
            share_left = min(bytes_left / max(size, 1), 1.0)
            return max(whole - beginning.elapsed_seconds, whole * share_left, CLOSING_SECONDS)
    rate = min(rate_bytes_per_second, limit_bytes_per_second or rate_bytes_per_second)
    return bytes_left / rate + CLOSING_SECONDS if rate > 0 else None
