"""What comes next: the only place that begins a wave, stops one, pauses, or ends a migration.

Called by commands.py and observations.py after they have said what happened.
"""

from agent.core import events as ev
from agent.core.effects import (
    CheckCluster,
    CloseWave,
    CompareSnapshot,
    DeregisterEndpoints,
    Effect,
    MovePartitions,
    StartWave,
    StopWave,
    TuneWave,
)
from agent.core.evolve_remaining import rollback_waves
from agent.core.handlers import discovery
from agent.core.messages import Executor
from agent.core.migration import Phase, StopFor
from agent.core.model.reasons import Reason
from agent.core.planning.options import Approval
from agent.core.planning.plan import Direction, Wave, WaveState, pace
from agent.core.step import StepContext

# Effects that drive the wave; plans and surveys run beside them.
WAVE_EFFECTS: tuple[type[Effect], ...] = (
    CheckCluster,
    StartWave,
    MovePartitions,
    TuneWave,
    StopWave,
    CloseWave,
    CompareSnapshot,
)


def advance(d: StepContext) -> None:
    """From BETWEEN_WAVES: pause if a cause holds, wait for soak or approval, begin the next wave, or end."""
    if not d.in_phase(Phase.BETWEEN_WAVES):
        return
    d.abandon(DeregisterEndpoints)  # it moves again: nobody is sent away
    if d.migration.pause_causes:
        _pause_when_idle(d)
        return
    wave = d.migration.wave
    if wave is None:
        _end_waves(d)
        return
    if d.at < d.migration.soak_until:
        return
    if discovery.must_register_brokers(d):
        return
    if _needs_approval(d, wave):
        d.emit(ev.ApprovalAwaited(at=d.at, wave=wave.number, az=wave.az))
        return
    d.emit(ev.WaveBegun(at=d.at, wave=wave.number, attempt=wave.attempt + 1))
    d.request(CheckCluster(scope=d.migration.scope()))


def _needs_approval(d: StepContext, wave: Wave) -> bool:
    gate = d.migration.options.approval
    ended = [
        w for w in d.migration.waves if w.direction is wave.direction and w.state in (WaveState.DONE, WaveState.SKIPPED)
    ]
    if gate is Approval.NONE or wave.attempt > 0 or not ended or wave.number in d.migration.approved:
        return False
    return gate is Approval.WAVE or ended[-1].az != wave.az


def _end_waves(d: StepContext) -> None:
    d.report_waiting()
    if d.migration.direction is Direction.BACK:
        verify_rollback(d)
        return
    # Nothing is called drained that was refilled while other waves moved: it is swept first.
    if refilled := sorted({s.wave for s in d.migration.sources if s.wave and s.empty_since is None and not s.left}):
        for number in refilled:
            d.emit(ev.WaveReopened(at=d.at, wave=number, why="replicas have landed on its source"))
        advance(d)
        return
    if not any(s.wave for s in d.migration.sources):
        enter_drained(d)  # every wave was skipped
    # Else the watch over the sources has the last word (drained_sources.py): its next look may find one refilled.


def enter_drained(d: StepContext) -> None:
    """Every wave has ended, and every source was just seen empty."""
    whole = (w for w in d.migration.waves if w.state is WaveState.DONE and w.selection is None)
    emptied = tuple(b for w in whole for b in w.source_broker_ids)
    d.emit(ev.MigrationDrained(at=d.at, broker_ids=emptied))


def verify_rollback(d: StepContext) -> None:
    """Everything is back: compare with the assignment before the start."""
    d.emit(ev.RollbackMoved(at=d.at))
    d.request(CompareSnapshot(migration_id=d.migration.migration_id))


def pause_if_moving(d: StepContext) -> None:
    """A pause cause was added: stop what moves, and begin nothing."""
    if d.in_phase(Phase.REQUESTING, Phase.MOVING):
        stop(d, StopFor.PAUSE)
    elif d.in_phase(Phase.CHECKING, Phase.BETWEEN_WAVES, Phase.AWAITING_APPROVAL):
        _pause_when_idle(d)
    # CLOSING ends by itself and moves nothing; STOPPING ends in a pause as long as a cause holds.


def _pause_when_idle(d: StepContext) -> None:
    """Nothing runs. But an attempt that fell short has left its throttle in force: that is swept first."""
    if d.migration.wave is not None and d.migration.wave.attempt > 1:
        stop(d, StopFor.PAUSE)
    else:
        _enter_paused(d)


def _enter_paused(d: StepContext) -> None:
    d.abandon(CheckCluster)
    d.emit(ev.MigrationPaused(at=d.at, causes=tuple(c.name for c in d.migration.pause_causes)))
    if any(c.is_safety for c in d.migration.pause_causes) and d.migration.wave is not None:
        d.request(CheckCluster(scope=d.migration.scope()))


def resume_if_clear(d: StepContext) -> None:
    """A pause cause was lifted: go on if none is left."""
    if d.in_phase(Phase.PAUSED) and not d.migration.pause_causes:
        d.abandon(CheckCluster)
        d.emit(ev.MigrationResumed(at=d.at))
        advance(d)


def stop(d: StepContext, purpose: StopFor, *reasons: Reason) -> None:
    """End the execution and clear its throttle, whatever comes after; or go on at once where nothing can run."""
    if d.in_phase(Phase.STOPPING):
        d.emit(ev.StopRequested(at=d.at, purpose=purpose, reasons=reasons))
        return
    wave = d.migration.wave
    if wave is None or wave.attempt == 0 or d.in_phase(Phase.AWAITING_APPROVAL, Phase.DRAINED, Phase.CANCELLED):
        _after_stop(d, purpose)
        return
    # Where ours is not what runs, nobody is told to stop before a look: that would end somebody else's execution.
    ours = wave.selection is not None or d.migration.executor in (Executor.OURS, Executor.UNREACHABLE)
    running = d.in_phase(Phase.MOVING) and ours
    d.emit(ev.StopRequested(at=d.at, purpose=purpose, reasons=reasons))
    d.abandon(CheckCluster, StartWave, MovePartitions, TuneWave, CloseWave)
    d.request(StopWave(scope=d.migration.scope(), at_once=running, asked_at=d.at))


def execution_stopped(d: StepContext) -> None:
    """Nothing of ours moves any more."""
    _after_stop(d, d.migration.stop_for or StopFor.PAUSE)


def _after_stop(d: StepContext, purpose: StopFor) -> None:
    d.abandon(CheckCluster)
    if purpose is StopFor.CANCEL:
        d.emit(ev.MigrationCancelled(at=d.at))
    elif purpose is StopFor.ROLLBACK:
        d.emit(ev.RollbackStarted(at=d.at, waves=rollback_waves(d.migration.waves)))
        advance(d)
    elif purpose is StopFor.BLOCK:
        block(d, *d.migration.blocked)
    else:
        _enter_paused(d)
        resume_if_clear(d)  # the cause may have been lifted while it stopped


def block(d: StepContext, *reasons: Reason) -> None:
    """It cannot go on without a human."""
    wave = d.migration.wave
    d.abandon(CheckCluster, StartWave, MovePartitions, TuneWave, CloseWave)
    d.emit(ev.MigrationBlocked(at=d.at, wave=wave.number if wave else 0, reasons=reasons))


def start_wave(d: StepContext) -> None:
    """Ask Cruise Control for the wave, or move its selection, with what its size and the operator want."""
    m = d.migration
    if m.wave is not None and m.wave.selection is not None:
        move_more_partitions(d, begins=True)
        return
    _, interval_ms = pace(m.attempt_replicas, m.attempt_bytes, m.asked_rate())
    d.request(
        StartWave(
            scope=m.scope(),
            throttle_by=m.options.throttle_by,
            throttle_bytes_per_second=m.rate(d.policy),
            partition_movements_per_broker=movements_at_once(d),
            progress_check_interval_ms=m.options.progress_check_interval_ms or interval_ms,
        )
    )


def movements_at_once(d: StepContext) -> int:
    """How many partitions of the current wave may move at once, per broker.

    By the rate that was asked for: what slows it meanwhile is lifted again, and the wave shall not be held back then.
    """
    return d.migration.movements_at_once(
        pace(d.migration.attempt_replicas, d.migration.attempt_bytes, d.migration.asked_rate())[0]
    )


def move_more_partitions(d: StepContext, *, begins: bool) -> None:
    """Let more of the wave's selection move; what moves already is found and left alone."""
    d.request(
        MovePartitions(
            scope=d.migration.scope(),
            throttle_bytes_per_second=d.migration.rate(d.policy),
            partition_movements_per_broker=movements_at_once(d),
            begins=begins,
        )
    )


def retune(d: StepContext, *, rate_only: bool = False) -> None:
    """The rate or the concurrency has changed: let what moves feel it. What has not begun will begin with it.

    `slowed`: only the rate, and for a while. Another rate that was asked for wants another concurrency as well, unless
    that was asked for too: at ten movements a poll the highest throttle is no use.
    """
    options = d.migration.options
    by_agent = d.migration.throttles
    if d.in_phase(Phase.MOVING) and (by_agent or options.partition_movements_per_broker is not None):
        d.abandon(TuneWave, MovePartitions)
        d.request(
            TuneWave(
                scope=d.migration.scope(),
                throttle_bytes_per_second=d.migration.rate(d.policy) if by_agent else None,
                partition_movements_per_broker=None if rate_only else movements_at_once(d),
            )
        )


def retry_pending_effect(d: StepContext) -> None:
    """Time to ask for what could not be had: the main line of the phase, once more."""
    phase = d.migration.phase
    if d.migration.pending_effect(*WAVE_EFFECTS):
        return
    if phase in (Phase.CHECKING, Phase.PAUSED):
        d.request(CheckCluster(scope=d.migration.scope()))
    elif phase is Phase.REQUESTING:
        start_wave(d)
    elif phase is Phase.MOVING:
        retune(d)
    elif phase is Phase.CLOSING:
        d.request(CloseWave(scope=d.migration.scope()))
    elif phase is Phase.STOPPING:
        d.request(StopWave(scope=d.migration.scope(), at_once=False))
    elif phase is Phase.PROVING:
        d.request(CompareSnapshot(migration_id=d.migration.migration_id))
