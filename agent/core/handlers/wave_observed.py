"""Meets a look at the wave: stops it when it is not safe, closes it when its sources are empty, and
asks again when it fell short.

Called by decide.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import WAVE_EFFECTS
from agent.core.handlers import flow, wave_health, wave_progress
from agent.core.migration import Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext

_TASK_ENDED = frozenset(
    {msg.TaskStatus.NONE, msg.TaskStatus.COMPLETED, msg.TaskStatus.COMPLETED_WITH_ERROR}
)


def wave_observed(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """Pauses when it is not safe, closes the wave when its sources are empty, and requests it again
    when it fell short. What Kafka shows comes before what Cruise Control says.
    """
    wave = ctx.migration.wave
    if wave is None or (wave.number, wave.attempt) != (observation.wave, observation.attempt):
        return
    if ctx.in_phase(Phase.PAUSED):
        wave_health.stopped_by_others(ctx, observation)
        if observation.executor is msg.Executor.OURS:
            flow.stop(ctx, StopFor.PAUSE)  # A request that we had given up has started after all.
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
        ctx.abandon(*WAVE_EFFECTS)
        flow.retry_pending_effect(ctx)
        return
    if stopped:
        flow.pause_if_moving(ctx)
    elif wave.selection is None:
        _check_execution(ctx, observation)
    else:
        _feed(ctx, observation)


def _feed(ctx: StepContext, observation: msg.WaveObserved) -> None:
    """Moves more of a selection as soon as half of the places are free; begins a new attempt when
    nothing has moved for long.
    """
    if observation.moving:
        ctx.report_waiting()
    if ctx.migration.pending_effect(*WAVE_EFFECTS):
        return
    still_since = max(
        ctx.migration.progress.changed_at if ctx.migration.progress else ctx.at,
        ctx.migration.executor_since,
    )
    if not observation.moving and ctx.at >= still_since + ctx.policy.settle_seconds:
        fell_short(
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
    """Waits or begins a new attempt, by what Cruise Control said last.

    It is asked less often than Kafka.
    """
    executor, task = ctx.migration.executor, ctx.migration.task
    if executor is msg.Executor.UNREACHABLE:
        if observation.executor is None:
            return  # it is reported already
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
                f"{observation.moving} moves go on in Kafka that Cruise Control does not know",
            )
        )
    elif ctx.at >= ctx.migration.executor_since + ctx.policy.settle_seconds:
        ctx.report_waiting()
        fell_short(
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


def fell_short(ctx: StepContext, replicas_left: int, bytes_left: int, why: str) -> None:
    """Begin another attempt for what is left; block the wave after too many that moved nothing."""
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
    ctx.abandon(*WAVE_EFFECTS)
    flow.advance(ctx)
