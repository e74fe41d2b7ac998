"""How facts are met: the end of an effect, a look at the wave, the passing of time.

Called by decide.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import (
    CONCURRENT_EFFECTS,
    DeregisterEndpoints,
    MakePlan,
    MovePartitions,
    Pending,
    PrepareMigration,
    RegisterEndpoints,
    StartWave,
)
from agent.core.handlers import (
    discovery,
    flow,
    kraft_commands,
    kraft_flow,
    pause_causes,
    wave_health,
    wave_progress,
)
from agent.core.kraft.effects import ReleaseZooKeeper, RestartNode, SurveyKraft
from agent.core.migration import RESTING, Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext

_TASK_ENDED = frozenset(
    {msg.TaskStatus.NONE, msg.TaskStatus.COMPLETED, msg.TaskStatus.COMPLETED_WITH_ERROR}
)
_RETRY_FACTOR = 1.5
_RETRY_SECONDS_MAX = 15.0


def tick(ctx: StepContext, observation: msg.Tick) -> None:
    """Something has become due."""
    pause_causes.end_suppressions(ctx)
    if ctx.migration.retry_at is not None and observation.at >= ctx.migration.retry_at:
        flow.retry_pending_effect(ctx)
    flow.advance(ctx)
    discovery.update_registry_at_rest(ctx)


# ── how effects end ───────────────────────────────────────────────────────────────────────────────
def effect_ended(ctx: StepContext, observation: msg.EffectEnded) -> None:
    """Only what is pending counts: a late echo of something abandoned changes nothing."""
    pending = next((p for p in ctx.migration.pending if p.effect_id == observation.effect_id), None)
    if pending is None:
        return
    failed = isinstance(observation.outcome, (msg.Busy, msg.Unreachable, msg.Rejected))
    ctx.emit(
        ev.EffectFinished(
            at=ctx.at,
            effect_id=observation.effect_id,
            name=type(pending.effect).__name__,
            outcome=observation.outcome,
            retry_at=_retry_at(ctx, pending, observation.outcome),
        )
    )
    if isinstance(pending.effect, (MakePlan, PrepareMigration)):
        _surveyed(ctx, pending.effect, observation.outcome)
    elif isinstance(pending.effect, (RegisterEndpoints, DeregisterEndpoints)):
        discovery.registration_ended(ctx, observation.outcome)
        flow.advance(ctx)
    elif isinstance(pending.effect, SurveyKraft):
        kraft_commands.kraft_surveyed(ctx, pending.effect, observation.outcome)
    elif isinstance(pending.effect, (RestartNode, ReleaseZooKeeper)):
        kraft_flow.kraft_effect_ended(ctx, pending.effect, observation.outcome)
    elif failed:
        _effect_not_done(ctx, observation.outcome)
    elif isinstance(observation.outcome, msg.Checked):
        _checked(ctx, observation.outcome)
    elif isinstance(observation.outcome, msg.ExecutionRequested):
        _execution_requested(ctx, pending, observation.outcome)
    elif isinstance(observation.outcome, msg.Inspected):
        _inspected(ctx, observation.outcome)
    elif isinstance(observation.outcome, msg.Compared):
        ctx.emit(ev.RollbackCompleted(at=ctx.at, comparison=observation.outcome))
        discovery.update_registry_at_rest(ctx)
    elif ctx.in_phase(Phase.STOPPING):
        wave_health.told_by_a_stop(ctx, observation.outcome)
        flow.execution_stopped(ctx)


def _retry_at(ctx: StepContext, pending: Pending, outcome: msg.Outcome) -> float | None:
    if isinstance(pending.effect, CONCURRENT_EFFECTS) or not discovery.uses_retry_clock(
        ctx, pending.effect
    ):
        return ctx.migration.retry_at  # what runs beside the main line does not touch its clock
    backoff = _RETRY_FACTOR ** min(ctx.migration.retries, 10)
    if isinstance(outcome, msg.Busy):
        return ctx.at + min(ctx.policy.busy_retry_seconds * backoff, _RETRY_SECONDS_MAX)
    if isinstance(outcome, msg.Unreachable):
        return ctx.at + min(ctx.policy.unreachable_retry_seconds * backoff, _RETRY_SECONDS_MAX)
    if isinstance(outcome, msg.Rejected):
        # Only while stopping or paused is there no block to fall into: look again, patiently.
        return ctx.at + _RETRY_SECONDS_MAX if ctx.in_phase(Phase.STOPPING, Phase.PAUSED) else None
    if isinstance(outcome, msg.Checked):
        if ctx.in_phase(Phase.PAUSED):
            held = outcome.reasons or any(c.is_safety for c in ctx.migration.pause_causes)
            return ctx.at + ctx.policy.recheck_seconds if held else None
        return ctx.at + ctx.policy.busy_retry_seconds if outcome.passing else None
    if isinstance(outcome, msg.Inspected):
        return ctx.at + ctx.policy.busy_retry_seconds
    if isinstance(outcome, msg.Deregistered) and outcome.held:
        return ctx.at + _RETRY_SECONDS_MAX
    return None


def _surveyed(ctx: StepContext, effect: MakePlan | PrepareMigration, outcome: msg.Outcome) -> None:
    considered = next(
        (c for c in ctx.migration.considered if c.command_id == effect.command_id), None
    )
    if considered is None:
        return
    if isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)):
        outcome = msg.Surveyed(reasons=(outcome.reason,), plan=None)
    assert isinstance(outcome, msg.Surveyed), outcome
    plan, reasons, told = outcome.plan, outcome.reasons, outcome.check_results
    accepted = ev.CommandAccepted(
        at=ctx.at,
        command_id=considered.command_id,
        command=considered.command,
        issued_by=considered.issued_by,
        reason=considered.reason,
    )
    if isinstance(effect, MakePlan):
        ctx.emit(accepted)
        ctx.emit(
            ev.PlanMade(
                at=ctx.at,
                command_id=effect.command_id,
                plan=plan,
                reasons=reasons,
                check_results=told,
                blocked_waves=outcome.blocked_waves,
                load=outcome.load,
            )
        )
        return
    # a rollback, a retry or a sweep began while the cluster was surveyed
    if ctx.migration.phase not in RESTING:
        reasons = (
            *reasons,
            Reason(
                Code.ALREADY_RUNNING, (f"{ctx.migration.migration_id} is {ctx.migration.phase}")
            ),
        )
    reasons = (*reasons, *kraft_commands.reasons_against_moves(ctx))
    if plan is None or reasons:
        ctx.emit(
            ev.CommandRefused(
                at=ctx.at,
                command_id=considered.command_id,
                command=considered.command,
                issued_by=considered.issued_by,
                reasons=reasons,
            )
        )
        return
    ctx.emit(accepted)
    ctx.emit(
        ev.MigrationStarted(
            at=ctx.at,
            migration_id=effect.migration_id,
            command_id=considered.command_id,
            options=effect.options,
            plan=plan,
            snapshot_partitions=outcome.snapshot_partitions,
        )
    )
    flow.advance(ctx)


def _effect_not_done(ctx: StepContext, outcome: msg.Outcome) -> None:
    assert isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected))
    if isinstance(outcome, msg.Rejected):
        if ctx.in_phase(Phase.REQUESTING):
            flow.stop(ctx, StopFor.BLOCK, outcome.reason)
        elif ctx.in_phase(Phase.CHECKING, Phase.CLOSING, Phase.PROVING):
            flow.block(ctx, outcome.reason)
        else:
            ctx.report_waiting(outcome.reason)
        return
    ctx.report_waiting(outcome.reason)
    patience_ends = ctx.migration.waiting_since + ctx.policy.busy_patience_seconds
    if ctx.at >= patience_ends and ctx.in_phase(Phase.CHECKING, Phase.CLOSING, Phase.PROVING):
        flow.block(ctx, outcome.reason)
    elif ctx.at >= patience_ends and ctx.in_phase(Phase.REQUESTING):
        flow.stop(ctx, StopFor.BLOCK, outcome.reason)


def _checked(ctx: StepContext, outcome: msg.Checked) -> None:
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


def _execution_requested(
    ctx: StepContext, pending: Pending, outcome: msg.ExecutionRequested
) -> None:
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
    asked = pending.effect
    if isinstance(asked, (StartWave, MovePartitions)) and (
        asked.throttle_bytes_per_second != ctx.migration.rate(ctx.policy)
        or asked.partition_movements_per_broker != flow.movements_at_once(ctx)
    ):
        flow.retune(ctx)  # tuned while it was being asked


def _inspected(ctx: StepContext, observation: msg.Inspected) -> None:
    if not ctx.in_phase(Phase.CLOSING):
        return
    wave = ctx.migration.wave
    assert wave is not None
    if observation.faults:
        flow.block(ctx, *observation.faults)
        return
    # It was seen empty already: a broker's metadata may be older than that look, by seconds under
    # load.
    waited = ctx.at >= ctx.migration.phase_since + ctx.policy.settle_seconds
    if observation.replicas_left and waited:
        _fell_short(
            ctx,
            observation.replicas_left,
            observation.bytes_left - observation.stray_bytes,
            "after the move",
        )
        return
    # A broker that was down when its replicas left keeps their logs, and in ZooKeeper mode nobody
    # deletes them (seen on 3.9): no assignment names them, so nothing depends on them. They get a
    # while, as deletion is not at once.
    unsettled = {
        "replicas on the source": observation.replicas_left,
        "bytes on the source": observation.bytes_left - (observation.stray_bytes if waited else 0),
        "leaders on the source": observation.leaders_left,
        "reassignments in flight": observation.reassignments,
        "partitions not fully in sync": observation.not_in_sync,
        "partitions not led by their preferred replica": observation.not_preferred,
        "throttle entries": observation.throttles_left,
        "partitions whose replicas stand in another order": observation.order_changed,
        "destinations that load coordinators": observation.coordinators_loading,
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
            facts=observation,
            seconds=ctx.at - ctx.migration.wave_since,
        )
    )
    flow.advance(ctx)


# ── the wave while it moves ───────────────────────────────────────────────────────────────────────
def wave_observed(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """Kafka's facts first: stop when it is not safe, close when the source is empty, ask again
    when it fell short.
    """
    wave = ctx.migration.wave
    if wave is None or (wave.number, wave.attempt) != (observation.wave, observation.attempt):
        return
    if ctx.in_phase(Phase.PAUSED):
        wave_health.stopped_by_others(ctx, observation)
        if observation.executor is msg.Executor.OURS:
            flow.stop(ctx, StopFor.PAUSE)  # started after all, by a request that we had given up
        else:
            wave_progress.tell_standstill(ctx, observation)
        return
    if not ctx.in_phase(Phase.MOVING):
        return
    if (
        wave.selection is None
        and observation.executor is not None
        and (observation.executor, observation.task) != (ctx.migration.executor, ctx.migration.task)
    ):
        ctx.emit(ev.ExecutorSeen(at=ctx.at, executor=observation.executor, task=observation.task))
    wave_progress.tell(ctx, observation)
    stopped = wave_health.stopped_by_others(ctx, observation)
    if wave_health.update_safety_causes(ctx, observation):
        flow.pause_if_moving(ctx)
        return
    if observation.replicas_left == 0 and observation.moving == 0:
        ctx.report_waiting()
        ctx.emit(ev.SourceEmptied(at=ctx.at, wave=wave.number))
        ctx.abandon(*flow.WAVE_EFFECTS)
        flow.retry_pending_effect(ctx)
        return
    if stopped:
        flow.pause_if_moving(ctx)
    elif wave.selection is None:
        _check_execution(ctx, observation)
    else:
        _feed(ctx, observation)


def _feed(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """A selection: more of it moves as soon as half of the places are free; when nothing moves
    for long, look anew.
    """
    if observation.moving:
        ctx.report_waiting()
    if ctx.migration.pending_effect(*flow.WAVE_EFFECTS):
        return
    still_since = max(
        ctx.migration.progress.changed_at if ctx.migration.progress else ctx.at,
        ctx.migration.executor_since,
    )
    if not observation.moving and ctx.at >= still_since + ctx.policy.settle_seconds:
        _fell_short(
            ctx,
            observation.replicas_left,
            wave_progress.bytes_left(ctx, observation),
            "and nothing moves",
        )
    elif (
        observation.replicas_left > observation.moving
        and observation.moving <= flow.movements_at_once(ctx) // 2
    ):
        flow.move_more_partitions(ctx, begins=False)


def _check_execution(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """By what Cruise Control said last: it is asked less often than Kafka is looked at."""
    executor, task = ctx.migration.executor, ctx.migration.task
    if executor is msg.Executor.UNREACHABLE:
        if observation.executor is None:
            return  # what it was is said already
        trouble = observation.trouble or Reason(
            Code.CRUISE_CONTROL_UNREACHABLE, "Cruise Control does not answer"
        )
        ctx.report_waiting(
            Reason(
                trouble.code,
                f"{trouble.seen}; the wave is watched in Kafka meanwhile",
                trouble.needed,
            )
        )
    elif executor is msg.Executor.OURS or task not in _TASK_ENDED:
        ctx.report_waiting()
    elif observation.moving:
        ctx.report_waiting(
            Reason(
                Code.ORPHANED_MOVES,
                (f"{observation.moving} moves go on in Kafka that Cruise Control does not know"),
            )
        )
    elif ctx.at >= ctx.migration.executor_since + ctx.policy.settle_seconds:
        ctx.report_waiting()
        _fell_short(
            ctx,
            observation.replicas_left,
            wave_progress.bytes_left(ctx, observation),
            _word_of(executor, task),
        )


def _word_of(executor: msg.Executor, task: msg.TaskStatus) -> str:
    """What Cruise Control says of a request that does not run any more."""
    if task is msg.TaskStatus.NONE:
        return f"Cruise Control knows no request of ours any more, and its executor is {executor}"
    return f"Cruise Control says {task} of our request"


def _fell_short(ctx: StepContext, replicas_left: int, bytes_left: int, why: str) -> None:
    wave = ctx.migration.wave
    assert wave is not None
    reason = Reason(Code.NOT_DRAINED, f"{replicas_left} replicas are left, {why}")
    progressed = replicas_left < ctx.migration.attempt_replicas
    if (
        not progressed
        and ctx.migration.attempts_without_progress + 1 >= ctx.policy.attempts_without_progress
    ):
        times = ctx.policy.attempts_without_progress
        seen = f"{times} requests have moved nothing, {replicas_left} replicas are left, {why}"
        flow.stop(ctx, StopFor.BLOCK, Reason(Code.NO_PROGRESS, seen))
        return
    ctx.emit(
        ev.WaveFellShort(
            at=ctx.at,
            wave=wave.number,
            attempt=wave.attempt,
            reason=reason,
            progressed=progressed,
            replicas_left=replicas_left,
            bytes_left=bytes_left,
        )
    )
    ctx.abandon(*flow.WAVE_EFFECTS)
    flow.advance(ctx)
