"""Records how far a wave is, while it moves and while it is paused. Called by wave_observed.py."""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.model.reasons import Code, Reason
from agent.core.planning.progress import Beginning, eta_seconds, smoothed_rate
from agent.core.step import StepContext


def bytes_left(ctx: StepContext, observation: msg.WaveObserved) -> int:
    """The bytes on the sources; while a source does not answer, those that were seen last."""
    wave = ctx.migration.wave
    assert wave is not None
    return wave.left[1] if observation.silent else observation.bytes_left


def tell(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """Records the progress every few seconds, and a stall when nothing has moved for too long."""
    p = ctx.migration.progress
    moved = p is None or (p.bytes_moved, p.replicas_left) != (
        observation.bytes_moved,
        observation.replicas_left,
    )
    if (
        p is None
        or ctx.at >= p.at + ctx.policy.progress_seconds
        or (moved and ctx.at >= p.at + 1.0)
    ):
        rate = smoothed_rate(p, ctx.at, observation.bytes_moved)
        _last_logs(ctx, observation, rate, _eta(ctx, observation, rate))
    p = ctx.migration.progress
    if (
        p is not None
        and not ctx.migration.stalled
        and ctx.at >= p.changed_at + ctx.policy.stall_seconds
    ):
        seen = (
            f"no byte and no replica has moved for {ctx.at - p.changed_at:.0f} s, "
            f"{observation.moving} moves in flight"
        )
        ctx.emit(
            ev.MovementStalled(at=ctx.at, wave=observation.wave, reason=Reason(Code.STALLED, seen))
        )


def tell_standstill(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """Records what is left during a pause, when it is not what was recorded before.

    Somebody else may have moved something, or the stop could not count.
    """
    wave = ctx.migration.wave
    if wave is not None and not observation.silent and observation.replicas_left != wave.left[0]:
        _last_logs(ctx, observation, 0.0, None)


def _eta(ctx: StepContext, observation: msg.WaveObserved, rate: float) -> float | None:
    wave, throttle = ctx.migration.wave, ctx.migration.rate(ctx.policy)
    assert wave is not None
    told = wave.estimate.low_seconds if wave.estimate else 0.0
    beginning = Beginning(
        elapsed_seconds=ctx.at - ctx.migration.phase_since,
        size_bytes=ctx.migration.attempt_bytes,
        planned_seconds=told * min(ctx.migration.attempt_bytes / wave.size_bytes, 1.0)
        if wave.size_bytes
        else told,
    )
    limit = throttle * len(wave.destination_broker_ids) if throttle else None
    return eta_seconds(bytes_left(ctx, observation), rate, limit, beginning)


def _last_logs(
    ctx: StepContext, observation: msg.WaveObserved, rate: float, eta: float | None
) -> None:
    ctx.emit(
        ev.WaveProgressed(
            at=ctx.at,
            wave=observation.wave,
            replicas_left=observation.replicas_left,
            bytes_left=bytes_left(ctx, observation),
            bytes_moved=observation.bytes_moved,
            moving=observation.moving,
            rate_bytes_per_second=rate,
            eta_seconds=eta,
        )
    )
