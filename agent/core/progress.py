"""How far, how fast, how long still. Pure; called by observations.py."""

from dataclasses import dataclass

# One observation a second: a time constant of ten rides over Kafka's own 11 s quota window (KIP-73) without lagging.
SMOOTHING_SECONDS = 10.0


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


def smoothed_rate(before: Progress | None, at: float, bytes_moved: int) -> float:
    """Bytes per second, exponentially smoothed: rate += (new - rate) * dt / (dt + SMOOTHING_SECONDS)."""
    if before is None or at <= before.at:
        return before.rate_bytes_per_second if before else 0.0
    elapsed = at - before.at
    now = max(bytes_moved - before.bytes_moved, 0) / elapsed
    if before.rate_bytes_per_second == 0:
        return now
    return before.rate_bytes_per_second + (now - before.rate_bytes_per_second) * elapsed / (elapsed + SMOOTHING_SECONDS)


def eta_seconds(bytes_left: int, rate_bytes_per_second: float) -> float | None:
    """Seconds still to go at this rate; None while nothing is known."""
    return bytes_left / rate_bytes_per_second if rate_bytes_per_second > 0 else None
