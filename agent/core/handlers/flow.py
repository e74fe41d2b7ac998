"""Decides what comes next: the only place that begins or stops a wave, pauses, or ends a migration.

The other handlers call it after they have recorded what happened.
"""

from agent.core import events as ev
from agent.core.effects import (
    WAVE_EFFECTS,
    CheckCluster,
    CloseWave,
    CompareSnapshot,
    DeregisterEndpoints,
    MovePartitions,
    StartWave,
    StopWave,
    TuneWave,
)
from agent.core.handlers import discovery
from agent.core.migration import Phase, StopFor
from agent.core.model.executor import Executor
from agent.core.model.reasons import Reason
from agent.core.planning.options import Approval
from agent.core.planning.plan import Direction, Wave, WaveState, pace
from agent.core.planning.rollback import rollback_waves
from agent.core.step import StepContext


def advance(ctx: StepContext) -> None:
    """Between waves, goes on: pauses if a cause holds, waits for soak time or approval, begins the
    next wave, or ends the waves. In other phases it does nothing.
    """
    if not ctx.in_phase(Phase.BETWEEN_WAVES):
        return
    ctx.abandon(DeregisterEndpoints)  # It moves again: no broker is taken out of the service.
    if ctx.migration.pause_causes:
        _pause_when_idle(ctx)
        return
    wave = ctx.migration.wave
    if wave is None:
        _end_waves(ctx)
        return
    if ctx.at < ctx.migration.soak_until:
        return
    if discovery.must_register_brokers(ctx):
        return
    if _needs_approval(ctx, wave):
        ctx.emit(ev.ApprovalAwaited(at=ctx.at, wave=wave.number, az=wave.az))
        return
    ctx.emit(ev.WaveBegun(at=ctx.at, wave=wave.number, attempt=wave.attempt + 1))
    ctx.request(CheckCluster(scope=ctx.migration.scope()))


def _needs_approval(ctx: StepContext, wave: Wave) -> bool:
    gate = ctx.migration.options.approval
    ended = [
        w
        for w in ctx.migration.waves
        if w.direction is wave.direction and w.state in (WaveState.DONE, WaveState.SKIPPED)
    ]
    if (
        gate is Approval.NONE
        or wave.attempt > 0
        or not ended
        or wave.number in ctx.migration.approved
    ):
        return False
    return gate is Approval.WAVE or ended[-1].az != wave.az


def _end_waves(ctx: StepContext) -> None:
    ctx.report_waiting()
    if ctx.migration.direction is Direction.BACK:
        verify_rollback(ctx)
        return
    # Nothing is called drained that was refilled while other waves moved: it is swept first.
    if refilled := sorted(
        {s.wave for s in ctx.migration.sources if s.wave and s.empty_since is None and not s.left}
    ):
        for number in refilled:
            ctx.emit(
                ev.WaveReopened(at=ctx.at, wave=number, why="replicas have landed on its source")
            )
        advance(ctx)
        return
    if not any(s.wave for s in ctx.migration.sources):
        enter_drained(ctx)  # every wave was skipped
    # Else the watch over the sources has the last word (drained_sources.py): its next look may find
    # one refilled.


def enter_drained(ctx: StepContext) -> None:
    """Ends the moving; call it when every wave has ended and every source was just seen empty."""
    whole = (w for w in ctx.migration.waves if w.state is WaveState.DONE and w.selection is None)
    emptied = tuple(b for w in whole for b in w.source_broker_ids)
    ctx.emit(ev.MigrationDrained(at=ctx.at, broker_ids=emptied))


def verify_rollback(ctx: StepContext) -> None:
    """Everything is moved back: compares with the assignment before the start."""
    ctx.emit(ev.RollbackMoved(at=ctx.at))
    ctx.request(CompareSnapshot(migration_id=ctx.migration.migration_id))


def pause_if_moving(ctx: StepContext) -> None:
    """Stops what moves and begins nothing; call it when a cause to pause was added."""
    if ctx.in_phase(Phase.REQUESTING, Phase.MOVING):
        stop(ctx, StopFor.PAUSE)
    elif ctx.in_phase(Phase.CHECKING, Phase.BETWEEN_WAVES, Phase.AWAITING_APPROVAL):
        _pause_when_idle(ctx)
    # CLOSING ends by itself and moves nothing; STOPPING ends in a pause as long as a cause holds.


def _pause_when_idle(ctx: StepContext) -> None:
    """Pauses where nothing runs.

    An attempt that fell short has left its throttle in force, which is cleared first.
    """
    if ctx.migration.wave is not None and ctx.migration.wave.attempt > 1:
        stop(ctx, StopFor.PAUSE)
    else:
        _enter_paused(ctx)


def _enter_paused(ctx: StepContext) -> None:
    ctx.abandon(CheckCluster)
    ctx.emit(
        ev.MigrationPaused(at=ctx.at, causes=tuple(c.name for c in ctx.migration.pause_causes))
    )
    if any(c.is_safety for c in ctx.migration.pause_causes) and ctx.migration.wave is not None:
        ctx.request(CheckCluster(scope=ctx.migration.scope()))


def resume_if_clear(ctx: StepContext) -> None:
    """Goes on if no cause to pause is left; call it when one was lifted."""
    if ctx.in_phase(Phase.PAUSED) and not ctx.migration.pause_causes:
        ctx.abandon(CheckCluster)
        ctx.emit(ev.MigrationResumed(at=ctx.at))
        advance(ctx)


def stop(ctx: StepContext, purpose: StopFor, *reasons: Reason) -> None:
    """Stops the execution and clears its throttle, for `purpose`; where nothing can run, does at
    once what comes after the stop.
    """
    if ctx.in_phase(Phase.STOPPING):
        ctx.emit(ev.StopRequested(at=ctx.at, purpose=purpose, reasons=reasons))
        return
    wave = ctx.migration.wave
    if (
        wave is None
        or wave.attempt == 0
        or ctx.in_phase(Phase.AWAITING_APPROVAL, Phase.DRAINED, Phase.CANCELLED)
    ):
        _after_stop(ctx, purpose)
        return
    # Where ours is not what runs, nobody is told to stop before a look: that would end somebody
    # else's execution.
    ours = wave.selection is not None or ctx.migration.executor in (
        Executor.OURS,
        Executor.UNREACHABLE,
    )
    running = ctx.in_phase(Phase.MOVING) and ours
    ctx.emit(ev.StopRequested(at=ctx.at, purpose=purpose, reasons=reasons))
    ctx.abandon(CheckCluster, StartWave, MovePartitions, TuneWave, CloseWave)
    ctx.request(StopWave(scope=ctx.migration.scope(), at_once=running, asked_at=ctx.at))


def execution_stopped(ctx: StepContext) -> None:
    """Does what the stop was for: nothing of ours moves any more."""
    _after_stop(ctx, ctx.migration.stop_for or StopFor.PAUSE)


def _after_stop(ctx: StepContext, purpose: StopFor) -> None:
    ctx.abandon(CheckCluster)
    if purpose is StopFor.CANCEL:
        ctx.emit(ev.MigrationCancelled(at=ctx.at))
    elif purpose is StopFor.ROLLBACK:
        ctx.emit(ev.RollbackStarted(at=ctx.at, waves=rollback_waves(ctx.migration.waves)))
        advance(ctx)
    elif purpose is StopFor.BLOCK:
        block(ctx, *ctx.migration.blocked)
    else:
        _enter_paused(ctx)
        resume_if_clear(ctx)  # the cause may have been lifted while it stopped


def block(ctx: StepContext, *reasons: Reason) -> None:
    """Blocks the migration until an operator says what to do."""
    wave = ctx.migration.wave
    ctx.abandon(CheckCluster, StartWave, MovePartitions, TuneWave, CloseWave)
    ctx.emit(ev.MigrationBlocked(at=ctx.at, wave=wave.number if wave else 0, reasons=reasons))


def start_wave(ctx: StepContext) -> None:
    """Requests the wave from Cruise Control, or moves its selection, with the rate and the
    concurrency that its size and the operator call for.
    """
    migration = ctx.migration
    if migration.wave is not None and migration.wave.selection is not None:
        move_more_partitions(ctx, begins=True)
        return
    _, interval_ms = pace(
        migration.attempt_replicas, migration.attempt_bytes, migration.asked_rate()
    )
    ctx.request(
        StartWave(
            scope=migration.scope(),
            throttle_by=migration.options.throttle_by,
            throttle_bytes_per_second=migration.rate(ctx.policy),
            partition_movements_per_broker=movements_at_once(ctx),
            progress_check_interval_ms=migration.options.progress_check_interval_ms or interval_ms,
        )
    )


def movements_at_once(ctx: StepContext) -> int:
    """How many partitions of the current wave may move at once, per broker.

    By the rate that was asked for: what slows it meanwhile is lifted again, and the wave shall not
    be held back then.
    """
    return ctx.migration.movements_at_once(
        pace(
            ctx.migration.attempt_replicas, ctx.migration.attempt_bytes, ctx.migration.asked_rate()
        )[0]
    )


def move_more_partitions(ctx: StepContext, *, begins: bool) -> None:
    """Moves more of the wave's selection; what moves already is found and left alone."""
    ctx.request(
        MovePartitions(
            scope=ctx.migration.scope(),
            throttle_bytes_per_second=ctx.migration.rate(ctx.policy),
            partition_movements_per_broker=movements_at_once(ctx),
            begins=begins,
        )
    )


def retune(ctx: StepContext, *, rate_only: bool = False) -> None:
    """Applies a changed rate or concurrency to what moves; what has not begun will begin with it.

    `rate_only`: the rate changes for a while, and the concurrency stays. Another rate that an
    operator asks for needs another concurrency as well, unless that was asked for too: with ten
    movements a poll the highest throttle is of no use.
    """
    options = ctx.migration.options
    by_agent = ctx.migration.throttles
    if ctx.in_phase(Phase.MOVING) and (
        by_agent or options.partition_movements_per_broker is not None
    ):
        ctx.abandon(TuneWave, MovePartitions)
        ctx.request(
            TuneWave(
                scope=ctx.migration.scope(),
                throttle_bytes_per_second=ctx.migration.rate(ctx.policy) if by_agent else None,
                partition_movements_per_broker=None if rate_only else movements_at_once(ctx),
            )
        )


def retry_pending_effect(ctx: StepContext) -> None:
    """Requests this phase's effect, again or first; does nothing while one is pending."""
    phase = ctx.migration.phase
    if ctx.migration.pending_effect(*WAVE_EFFECTS):
        return
    if phase in (Phase.CHECKING, Phase.PAUSED):
        ctx.request(CheckCluster(scope=ctx.migration.scope()))
    elif phase is Phase.REQUESTING:
        start_wave(ctx)
    elif phase is Phase.MOVING:
        retune(ctx)
    elif phase is Phase.CLOSING:
        ctx.request(CloseWave(scope=ctx.migration.scope()))
    elif phase is Phase.STOPPING:
        ctx.request(StopWave(scope=ctx.migration.scope(), at_once=False))
    elif phase is Phase.PROVING:
        ctx.request(CompareSnapshot(migration_id=ctx.migration.migration_id))
