"""How facts are met: the end of an effect, a look at the wave, the passing of time. Called by decide.py."""

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
from agent.core.handlers import discovery, flow, kraft_commands, kraft_flow, pause_causes, wave_health, wave_progress
from agent.core.kraft.effects import ReleaseZooKeeper, RestartNode, SurveyKraft
from agent.core.migration import RESTING, Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext

_TASK_ENDED = frozenset({msg.TaskStatus.NONE, msg.TaskStatus.COMPLETED, msg.TaskStatus.COMPLETED_WITH_ERROR})
_RETRY_FACTOR = 1.5
_RETRY_SECONDS_MAX = 15.0


def tick(d: StepContext, o: msg.Tick) -> None:
    """Something has become due."""
    pause_causes.end_suppressions(d)
    if d.migration.retry_at is not None and o.at >= d.migration.retry_at:
        flow.retry_pending_effect(d)
    flow.advance(d)
    discovery.update_registry_at_rest(d)


# ── how effects end ─────────────────────────────────────────────────────────────────────────────────────────────
def effect_ended(d: StepContext, o: msg.EffectEnded) -> None:
    """Only what is pending counts: a late echo of something abandoned changes nothing."""
    pending = next((p for p in d.migration.pending if p.effect_id == o.effect_id), None)
    if pending is None:
        return
    failed = isinstance(o.outcome, (msg.Busy, msg.Unreachable, msg.Rejected))
    d.emit(
        ev.EffectFinished(
            at=d.at,
            effect_id=o.effect_id,
            name=type(pending.effect).__name__,
            outcome=o.outcome,
            retry_at=_retry_at(d, pending, o.outcome),
        )
    )
    if isinstance(pending.effect, (MakePlan, PrepareMigration)):
        _surveyed(d, pending.effect, o.outcome)
    elif isinstance(pending.effect, (RegisterEndpoints, DeregisterEndpoints)):
        discovery.registration_ended(d, o.outcome)
        flow.advance(d)
    elif isinstance(pending.effect, SurveyKraft):
        kraft_commands.kraft_surveyed(d, pending.effect, o.outcome)
    elif isinstance(pending.effect, (RestartNode, ReleaseZooKeeper)):
        kraft_flow.kraft_effect_ended(d, pending.effect, o.outcome)
    elif failed:
        _effect_not_done(d, o.outcome)
    elif isinstance(o.outcome, msg.Checked):
        _checked(d, o.outcome)
    elif isinstance(o.outcome, msg.ExecutionRequested):
        _execution_requested(d, pending, o.outcome)
    elif isinstance(o.outcome, msg.Inspected):
        _inspected(d, o.outcome)
    elif isinstance(o.outcome, msg.Compared):
        d.emit(ev.RollbackCompleted(at=d.at, comparison=o.outcome))
        discovery.update_registry_at_rest(d)
    elif d.in_phase(Phase.STOPPING):
        wave_health.told_by_a_stop(d, o.outcome)
        flow.execution_stopped(d)


def _retry_at(d: StepContext, pending: Pending, outcome: msg.Outcome) -> float | None:
    if isinstance(pending.effect, CONCURRENT_EFFECTS) or not discovery.uses_retry_clock(d, pending.effect):
        return d.migration.retry_at  # what runs beside the main line does not touch its clock
    backoff = _RETRY_FACTOR ** min(d.migration.retries, 10)
    if isinstance(outcome, msg.Busy):
        return d.at + min(d.policy.busy_retry_seconds * backoff, _RETRY_SECONDS_MAX)
    if isinstance(outcome, msg.Unreachable):
        return d.at + min(d.policy.unreachable_retry_seconds * backoff, _RETRY_SECONDS_MAX)
    if isinstance(outcome, msg.Rejected):
        # Only while stopping or paused is there no block to fall into: look again, patiently.
        return d.at + _RETRY_SECONDS_MAX if d.in_phase(Phase.STOPPING, Phase.PAUSED) else None
    if isinstance(outcome, msg.Checked):
        if d.in_phase(Phase.PAUSED):
            held = outcome.reasons or any(c.is_safety for c in d.migration.pause_causes)
            return d.at + d.policy.recheck_seconds if held else None
        return d.at + d.policy.busy_retry_seconds if outcome.passing else None
    if isinstance(outcome, msg.Inspected):
        return d.at + d.policy.busy_retry_seconds
    if isinstance(outcome, msg.Deregistered) and outcome.held:
        return d.at + _RETRY_SECONDS_MAX
    return None


def _surveyed(d: StepContext, effect: MakePlan | PrepareMigration, outcome: msg.Outcome) -> None:
    considered = next((c for c in d.migration.considered if c.command_id == effect.command_id), None)
    if considered is None:
        return
    if isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)):
        outcome = msg.Surveyed(reasons=(outcome.reason,), plan=None)
    assert isinstance(outcome, msg.Surveyed), outcome
    plan, reasons, told = outcome.plan, outcome.reasons, outcome.check_results
    accepted = ev.CommandAccepted(
        at=d.at,
        command_id=considered.command_id,
        command=considered.command,
        issued_by=considered.issued_by,
        reason=considered.reason,
    )
    if isinstance(effect, MakePlan):
        d.emit(accepted)
        d.emit(
            ev.PlanMade(
                at=d.at,
                command_id=effect.command_id,
                plan=plan,
                reasons=reasons,
                check_results=told,
                blocked_waves=outcome.blocked_waves,
                load=outcome.load,
            )
        )
        return
    if d.migration.phase not in RESTING:  # a rollback, a retry or a sweep began while the cluster was surveyed
        reasons = (*reasons, Reason(Code.ALREADY_RUNNING, f"{d.migration.migration_id} is {d.migration.phase}"))
    reasons = (*reasons, *kraft_commands.reasons_against_moves(d))
    if plan is None or reasons:
        d.emit(
            ev.CommandRefused(
                at=d.at,
                command_id=considered.command_id,
                command=considered.command,
                issued_by=considered.issued_by,
                reasons=reasons,
            )
        )
        return
    d.emit(accepted)
    d.emit(
        ev.MigrationStarted(
            at=d.at,
            migration_id=effect.migration_id,
            command_id=considered.command_id,
            options=effect.options,
            plan=plan,
            snapshot_partitions=outcome.snapshot_partitions,
        )
    )
    flow.advance(d)


def _effect_not_done(d: StepContext, outcome: msg.Outcome) -> None:
    assert isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected))
    if isinstance(outcome, msg.Rejected):
        if d.in_phase(Phase.REQUESTING):
            flow.stop(d, StopFor.BLOCK, outcome.reason)
        elif d.in_phase(Phase.CHECKING, Phase.CLOSING, Phase.PROVING):
            flow.block(d, outcome.reason)
        else:
            d.report_waiting(outcome.reason)
        return
    d.report_waiting(outcome.reason)
    patience_ends = d.migration.waiting_since + d.policy.busy_patience_seconds
    if d.at >= patience_ends and d.in_phase(Phase.CHECKING, Phase.CLOSING, Phase.PROVING):
        flow.block(d, outcome.reason)
    elif d.at >= patience_ends and d.in_phase(Phase.REQUESTING):
        flow.stop(d, StopFor.BLOCK, outcome.reason)


def _checked(d: StepContext, outcome: msg.Checked) -> None:
    if d.in_phase(Phase.PAUSED):
        pause_causes.set_safety_causes(d, outcome.reasons)
        _lift_clear_safety_causes(d)
        return
    if not d.in_phase(Phase.CHECKING):
        return
    if reasons := wave_health.against_going_on(d, outcome.reasons):
        pause_causes.set_safety_causes(d, reasons)
        flow.pause_if_moving(d)
        return
    d.report_waiting(*outcome.passing)
    wave = d.migration.wave
    assert wave is not None
    if outcome.passing:
        if d.at >= d.migration.waiting_since + d.policy.busy_patience_seconds:
            flow.block(d, *outcome.passing)
        return
    if outcome.replicas == 0:
        d.emit(ev.SourceEmptied(at=d.at, wave=wave.number))
        flow.retry_pending_effect(d)
        return
    d.emit(
        ev.ChecksPassed(
            at=d.at,
            wave=wave.number,
            replicas=outcome.replicas,
            leaders=outcome.leaders,
            size_bytes=outcome.size_bytes,
        )
    )
    flow.start_wave(d)


def _lift_clear_safety_causes(d: StepContext) -> None:
    for c in d.migration.pause_causes:
        if c.is_safety and c.clear_since is not None and d.at >= c.clear_since + d.policy.resume_delay_seconds:
            d.emit(ev.PauseCauseLifted(at=d.at, cause=c.name))
    flow.resume_if_clear(d)


def _execution_requested(d: StepContext, pending: Pending, outcome: msg.ExecutionRequested) -> None:
    if not d.in_phase(Phase.REQUESTING):
        return
    wave = d.migration.wave
    assert wave is not None
    d.report_waiting()
    d.emit(
        ev.ExecutionStarted(
            at=d.at,
            wave=wave.number,
            attempt=wave.attempt,
            user_task_id=outcome.user_task_id,
            adopted=outcome.adopted,
            by_agent=wave.selection is not None,
        )
    )
    asked = pending.effect
    if isinstance(asked, (StartWave, MovePartitions)) and (
        asked.throttle_bytes_per_second != d.migration.rate(d.policy)
        or asked.partition_movements_per_broker != flow.movements_at_once(d)
    ):
        flow.retune(d)  # tuned while it was being asked


def _inspected(d: StepContext, f: msg.Inspected) -> None:
    if not d.in_phase(Phase.CLOSING):
        return
    wave = d.migration.wave
    assert wave is not None
    if f.faults:
        flow.block(d, *f.faults)
        return
    # It was seen empty already: a broker's metadata may be older than that look, by seconds under load.
    waited = d.at >= d.migration.phase_since + d.policy.settle_seconds
    if f.replicas_left and waited:
        _fell_short(d, f.replicas_left, f.bytes_left - f.stray_bytes, "after the move")
        return
    # A broker that was down when its replicas left keeps their logs, and in ZooKeeper mode nobody deletes them (seen on
    # 3.9): no assignment names them, so nothing depends on them. They get a while, as deletion is not at once.
    unsettled = {
        "replicas on the source": f.replicas_left,
        "bytes on the source": f.bytes_left - (f.stray_bytes if waited else 0),
        "leaders on the source": f.leaders_left,
        "reassignments in flight": f.reassignments,
        "partitions not fully in sync": f.not_in_sync,
        "partitions not led by their preferred replica": f.not_preferred,
        "throttle entries": f.throttles_left,
        "partitions whose replicas stand in another order": f.order_changed,
        "destinations that load coordinators": f.coordinators_loading,
    }
    seen = ", ".join(f"{n} {what}" for what, n in unsettled.items() if n)
    if seen:
        reason = Reason(Code.WAVE_NOT_VERIFIED, f"wave {wave.number} still shows {seen}", "none of them")
        d.report_waiting(reason)
        if d.at >= d.migration.phase_since + d.policy.verify_patience_seconds:
            flow.block(d, reason)
        return
    d.report_waiting()
    d.emit(ev.WaveVerified(at=d.at, wave=wave.number, facts=f, seconds=d.at - d.migration.wave_since))
    flow.advance(d)


# ── the wave while it moves ─────────────────────────────────────────────────────────────────────────────────────
def wave_observed(d: StepContext, o: msg.WaveObserved) -> None:
    """Kafka's facts first: stop when it is not safe, close when the source is empty, ask again when it fell short."""
    wave = d.migration.wave
    if wave is None or (wave.number, wave.attempt) != (o.wave, o.attempt):
        return
    if d.in_phase(Phase.PAUSED):
        wave_health.stopped_by_others(d, o)
        if o.executor is msg.Executor.OURS:
            flow.stop(d, StopFor.PAUSE)  # started after all, by a request that we had given up
        else:
            wave_progress.tell_standstill(d, o)
        return
    if not d.in_phase(Phase.MOVING):
        return
    if (
        wave.selection is None
        and o.executor is not None
        and (o.executor, o.task) != (d.migration.executor, d.migration.task)
    ):
        d.emit(ev.ExecutorSeen(at=d.at, executor=o.executor, task=o.task))
    wave_progress.tell(d, o)
    stopped = wave_health.stopped_by_others(d, o)
    if wave_health.update_safety_causes(d, o):
        flow.pause_if_moving(d)
        return
    if o.replicas_left == 0 and o.moving == 0:
        d.report_waiting()
        d.emit(ev.SourceEmptied(at=d.at, wave=wave.number))
        d.abandon(*flow.WAVE_EFFECTS)
        flow.retry_pending_effect(d)
        return
    if stopped:
        flow.pause_if_moving(d)
    elif wave.selection is None:
        _check_execution(d, o)
    else:
        _feed(d, o)


def _feed(d: StepContext, o: msg.WaveObserved) -> None:
    """A selection: more of it moves as soon as half of the places are free; when nothing moves for long, look anew."""
    if o.moving:
        d.report_waiting()
    if d.migration.pending_effect(*flow.WAVE_EFFECTS):
        return
    still_since = max(d.migration.progress.changed_at if d.migration.progress else d.at, d.migration.executor_since)
    if not o.moving and d.at >= still_since + d.policy.settle_seconds:
        _fell_short(d, o.replicas_left, wave_progress.bytes_left(d, o), "and nothing moves")
    elif o.replicas_left > o.moving and o.moving <= flow.movements_at_once(d) // 2:
        flow.move_more_partitions(d, begins=False)


def _check_execution(d: StepContext, o: msg.WaveObserved) -> None:
    """By what Cruise Control said last: it is asked less often than Kafka is looked at."""
    executor, task = d.migration.executor, d.migration.task
    if executor is msg.Executor.UNREACHABLE:
        if o.executor is None:
            return  # what it was is said already
        trouble = o.trouble or Reason(Code.CRUISE_CONTROL_UNREACHABLE, "Cruise Control does not answer")
        d.report_waiting(
            Reason(trouble.code, f"{trouble.seen}; the wave is watched in Kafka meanwhile", trouble.needed)
        )
    elif executor is msg.Executor.OURS or task not in _TASK_ENDED:
        d.report_waiting()
    elif o.moving:
        d.report_waiting(
            Reason(Code.ORPHANED_MOVES, f"{o.moving} moves go on in Kafka that Cruise Control does not know")
        )
    elif d.at >= d.migration.executor_since + d.policy.settle_seconds:
        d.report_waiting()
        _fell_short(d, o.replicas_left, wave_progress.bytes_left(d, o), _word_of(executor, task))


def _word_of(executor: msg.Executor, task: msg.TaskStatus) -> str:
    """What Cruise Control says of a request that does not run any more."""
    if task is msg.TaskStatus.NONE:
        return f"Cruise Control knows no request of ours any more, and its executor is {executor}"
    return f"Cruise Control says {task} of our request"


def _fell_short(d: StepContext, replicas_left: int, bytes_left: int, why: str) -> None:
    wave = d.migration.wave
    assert wave is not None
    reason = Reason(Code.NOT_DRAINED, f"{replicas_left} replicas are left, {why}")
    progressed = replicas_left < d.migration.attempt_replicas
    if not progressed and d.migration.attempts_without_progress + 1 >= d.policy.attempts_without_progress:
        times = d.policy.attempts_without_progress
        seen = f"{times} requests have moved nothing, {replicas_left} replicas are left, {why}"
        flow.stop(d, StopFor.BLOCK, Reason(Code.NO_PROGRESS, seen))
        return
    d.emit(
        ev.WaveFellShort(
            at=d.at,
            wave=wave.number,
            attempt=wave.attempt,
            reason=reason,
            progressed=progressed,
            replicas_left=replicas_left,
            bytes_left=bytes_left,
        )
    )
    d.abandon(*flow.WAVE_EFFECTS)
    flow.advance(d)
