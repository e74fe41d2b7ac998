"""How far, how fast, how long still. Pure; called by wave_progress.py."""

from dataclasses import dataclass

# One observation a second: a time constant of ten rides over Kafka's own 11 s quota window (KIP-73)
# without lagging.
SMOOTHING_SECONDS = 10.0
WINDOW_SECONDS = 11.0  # replication.quota.window.num x .size.seconds
CLOSING_SECONDS = 1.0  # the last look, the election, the proof: 0.1 to 1 s were seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last figures of the current wave."""

    at: float  # when they were told
    changed_at: float  # when a byte or a replica last moved
    replicas_left: int
    bytes_left: int
    bytes_moved: int
    moving: int
    rate_bytes_per_second: float = 0.0
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What is known while an attempt has only begun.

    `told_seconds`: by the plan, all of it; 0: no plan told.
    """

    elapsed_seconds: float
    size_bytes: int
    planned_seconds: float = 0.0


def smoothed_rate(before: Progress | None, at: float, bytes_moved: int) -> float:
    """Bytes per second, exponentially smoothed: rate += (new - rate) * dt / (dt +
    SMOOTHING_SECONDS).
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
    """Seconds until the wave is verified; None while nothing is known.

    At first a throttle lets a burst through that it takes back later (KIP-73 meters over eleven
    seconds), and without one nothing has settled yet. Until then the whole counts: the bytes at the
    throttle's rate (the burst pays for what follows the last byte), or else what was told before
    the wave. Of it the time that is over is gone, but no more than the share of the bytes that have
    moved. After it the measured rate, but never more than the throttle.
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
