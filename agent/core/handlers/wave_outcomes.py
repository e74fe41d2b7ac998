"""Meets the outcome of an effect that drives the wave, by the type of the outcome.

Called by effect_outcomes.py.
"""

from collections.abc import Callable
from typing import Any

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import Effect, MovePartitions, StartWave
from agent.core.handlers import discovery, flow, pause_causes, wave_health
from agent.core.handlers.wave_observed import fell_short
from agent.core.migration import Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext


def wave_effect_ended(ctx: StepContext, effect: Effect, outcome: msg.Outcome) -> None:
    """Carries the wave on, waits, blocks, or ends a stop."""
    _OUTCOMES[type(outcome)](ctx, effect, outcome)


def _not_done(ctx: StepContext, _effect: Effect, outcome: msg.Busy | msg.Unreachable) -> None:
    """Waits for the retry, and blocks once the wait has lasted `busy_patience_seconds`."""
    ctx.report_waiting(outcome.reason)
    if ctx.at >= ctx.migration.waiting_since + ctx.policy.busy_patience_seconds:
        _block(ctx, outcome.reason)


def _rejected(ctx: StepContext, _effect: Effect, outcome: msg.Rejected) -> None:
    """Blocks at once: the same request would be rejected again."""
    if not _block(ctx, outcome.reason):
        ctx.report_waiting(outcome.reason)


def _block(ctx: StepContext, reason: Reason) -> bool:
    """Block for `reason`; False in a phase that cannot block."""
    if ctx.in_phase(Phase.REQUESTING):
        flow.stop(ctx, StopFor.BLOCK, reason)
        return True
    if ctx.in_phase(Phase.CHECKING, Phase.CLOSING, Phase.PROVING):
        flow.block(ctx, reason)
        return True
    return False


def _checked(ctx: StepContext, _effect: Effect, outcome: msg.Checked) -> None:
    if ctx.in_phase(Phase.PAUSED):
        pause_causes.set_safety_causes(ctx, outcome.reasons)
        _lift_clear_safety_causes(ctx)
        return
    if not ctx.in_phase(Phase.CHECKING):
        return
    if reasons := wave_health.against_going_on(ctx, outcome.reasons):
        pause_causes.set_safety_causes(ctx, reasons)
        flow.pause_if_moving(ctx)
        return
    ctx.report_waiting(*outcome.passing)
    wave = ctx.migration.wave
    assert wave is not None
    if outcome.passing:
        if ctx.at >= ctx.migration.waiting_since + ctx.policy.busy_patience_seconds:
            flow.block(ctx, *outcome.passing)
        return
    if outcome.replicas == 0:
        ctx.emit(ev.SourceEmptied(at=ctx.at, wave=wave.number))
        flow.retry_pending_effect(ctx)
        return
    ctx.emit(
        ev.ChecksPassed(
            at=ctx.at,
            wave=wave.number,
            replicas=outcome.replicas,
            leaders=outcome.leaders,
            size_bytes=outcome.size_bytes,
        )
    )
    flow.start_wave(ctx)


def _lift_clear_safety_causes(ctx: StepContext) -> None:
    for c in ctx.migration.pause_causes:
        if (
            c.is_safety
            and c.clear_since is not None
            and ctx.at >= c.clear_since + ctx.policy.resume_delay_seconds
        ):
            ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=c.name))
    flow.resume_if_clear(ctx)


def _execution_requested(ctx: StepContext, effect: Effect, outcome: msg.ExecutionRequested) -> None:
    if not ctx.in_phase(Phase.REQUESTING):
        return
    wave = ctx.migration.wave
    assert wave is not None
    ctx.report_waiting()
    ctx.emit(
        ev.ExecutionStarted(
            at=ctx.at,
            wave=wave.number,
            attempt=wave.attempt,
            user_task_id=outcome.user_task_id,
            adopted=outcome.adopted,
            by_agent=wave.selection is not None,
        )
    )
    if isinstance(effect, (StartWave, MovePartitions)) and (
        effect.throttle_bytes_per_second != ctx.migration.rate(ctx.policy)
        or effect.partition_movements_per_broker != flow.movements_at_once(ctx)
    ):
        flow.retune(ctx)  # tuned while it was being asked


def _inspected(ctx: StepContext, _effect: Effect, outcome: msg.Inspected) -> None:
    if not ctx.in_phase(Phase.CLOSING):
        return
    wave = ctx.migration.wave
    assert wave is not None
    if outcome.faults:
        flow.block(ctx, *outcome.faults)
        return
    # The sources were seen empty before: under load a broker's metadata may be seconds older than
    # that look.
    waited = ctx.at >= ctx.migration.phase_since + ctx.policy.settle_seconds
    if outcome.replicas_left and waited:
        # it was stopped when all had moved, and something has come to the source since
        wave_health.stopped_by_others(ctx, outcome)
        fell_short(
            ctx,
            outcome.replicas_left,
            outcome.bytes_left - outcome.stray_bytes,
            "after the move",
        )
        return
    # A broker that was down when its replicas left keeps their logs, and in ZooKeeper mode nobody
    # deletes them (seen on 3.9). No assignment names them, so nothing depends on them. They count
    # for a while all the same, because deletion takes time.
    unsettled = {
        "replicas on the source": outcome.replicas_left,
        "bytes on the source": outcome.bytes_left - (outcome.stray_bytes if waited else 0),
        "leaders on the source": outcome.leaders_left,
        "reassignments in flight": outcome.reassignments,
        "partitions not fully in sync": outcome.not_in_sync,
        "partitions not led by their preferred replica": outcome.not_preferred,
        "throttle entries": outcome.throttles_left,
        "partitions whose replicas stand in another order": outcome.order_changed,
        "destinations that load coordinators": outcome.coordinators_loading,
    }
    seen = ", ".join(f"{n} {what}" for what, n in unsettled.items() if n)
    if seen:
        reason = Reason(
            Code.WAVE_NOT_VERIFIED, f"wave {wave.number} still shows {seen}", "none of them"
        )
        ctx.report_waiting(reason)
        if ctx.at >= ctx.migration.phase_since + ctx.policy.verify_patience_seconds:
            flow.block(ctx, reason)
        return
    ctx.report_waiting()
    ctx.emit(
        ev.WaveVerified(
            at=ctx.at,
            wave=wave.number,
            facts=outcome,
            seconds=ctx.at - ctx.migration.wave_since,
        )
    )
    flow.advance(ctx)


def _compared(ctx: StepContext, _effect: Effect, outcome: msg.Compared) -> None:
    ctx.emit(ev.RollbackCompleted(at=ctx.at, comparison=outcome))
    discovery.update_registry_at_rest(ctx)


def _performed(ctx: StepContext, _effect: Effect, outcome: msg.Performed) -> None:
    if ctx.in_phase(Phase.STOPPING):
        wave_health.told_by_a_stop(ctx, outcome)
        flow.execution_stopped(ctx)


_OUTCOMES: dict[type[msg.Outcome], Callable[[StepContext, Effect, Any], None]] = {
    msg.Busy: _not_done,
    msg.Unreachable: _not_done,
    msg.Rejected: _rejected,
    msg.Checked: _checked,
    msg.ExecutionRequested: _execution_requested,
    msg.Inspected: _inspected,
    msg.Compared: _compared,
    msg.Performed: _performed,
}
