"""How far a wave is, as looks at it show: told while it moves and while it is paused. Called by observations.py."""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.model.reasons import Code, Reason
from agent.core.planning.progress import Beginning, eta_seconds, smoothed_rate
from agent.core.step import StepContext


def bytes_left(d: StepContext, o: msg.WaveObserved) -> int:
    """As seen; while a source is silent, as it was seen last: what is not told is not gone."""
    wave = d.migration.wave
    assert wave is not None
    return wave.left[1] if o.silent else o.bytes_left


def tell(d: StepContext, o: msg.WaveObserved) -> None:
    """How far it is, at least every few seconds; and that it stalls, when nothing has moved for long."""
    p = d.migration.progress
    moved = p is None or (p.bytes_moved, p.replicas_left) != (o.bytes_moved, o.replicas_left)
    if p is None or d.at >= p.at + d.policy.progress_seconds or (moved and d.at >= p.at + 1.0):
        rate = smoothed_rate(p, d.at, o.bytes_moved)
        _last_logs(d, o, rate, _eta(d, o, rate))
    p = d.migration.progress
    if p is not None and not d.migration.stalled and d.at >= p.changed_at + d.policy.stall_seconds:
        seen = f"no byte and no replica has moved for {d.at - p.changed_at:.0f} s, {o.moving} moves in flight"
        d.emit(ev.MovementStalled(at=d.at, wave=o.wave, reason=Reason(Code.STALLED, seen)))


def tell_standstill(d: StepContext, o: msg.WaveObserved) -> None:
    """What is left while it is paused, when that is not what was told: another hand, or a stop that could not count."""
    wave = d.migration.wave
    if wave is not None and not o.silent and o.replicas_left != wave.left[0]:
        _last_logs(d, o, 0.0, None)


def _eta(d: StepContext, o: msg.WaveObserved, rate: float) -> float | None:
    wave, throttle = d.migration.wave, d.migration.rate(d.policy)
    assert wave is not None
    told = wave.estimate.low_seconds if wave.estimate else 0.0
    beginning = Beginning(
        elapsed_seconds=d.at - d.migration.phase_since,
        size_bytes=d.migration.attempt_bytes,
        planned_seconds=told * min(d.migration.attempt_bytes / wave.size_bytes, 1.0) if wave.size_bytes else told,
    )
    limit = throttle * len(wave.destination_broker_ids) if throttle else None
    return eta_seconds(bytes_left(d, o), rate, limit, beginning)


def _last_logs(d: StepContext, o: msg.WaveObserved, rate: float, eta: float | None) -> None:
    d.emit(
        ev.WaveProgressed(
            at=d.at,
            wave=o.wave,
            replicas_left=o.replicas_left,
            bytes_left=bytes_left(d, o),
            bytes_moved=o.bytes_moved,
            moving=o.moving,
            rate_bytes_per_second=rate,
            eta_seconds=eta,
        )
    )
