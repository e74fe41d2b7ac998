"""Obeys or refuses the commands that steer a migration: exactly one answer each.

Called by decide.py.
"""

import hashlib

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import MakePlan, PrepareMigration
from agent.core.handlers import answers, flow, kraft_commands
from agent.core.migration import ACTIVE, RESTING, Phase, StopFor
from agent.core.model.causes import OPERATOR
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.plan import Direction
from agent.core.planning.rollback import rollback_waves
from agent.core.step import StepContext

_P = Phase

# Where each steering command is valid; elsewhere it is refused with NOT_IN_THIS_PHASE. Shown in
# docs/phases.md.
VALID_IN: dict[type[msg.Command], frozenset[Phase]] = {
    msg.PauseMigration: ACTIVE - {_P.PROVING, _P.BLOCKED},
    msg.ResumeMigration: ACTIVE,
    msg.RollBackMigration: (ACTIVE | {_P.DRAINED, _P.CANCELLED}) - {_P.PROVING},
    msg.CancelMigration: ACTIVE - {_P.PROVING},
    msg.TuneMigration: ACTIVE - {_P.PROVING},
    msg.ApproveMigration: frozenset({_P.AWAITING_APPROVAL}),
    msg.RetryWave: frozenset({_P.BLOCKED, _P.DRAINED}),
    msg.SkipWave: frozenset({_P.BLOCKED}),
}


def migration_id_of(cluster: str, command_id: str) -> str:
    """A migration's id: short enough to be read in Cruise Control's `reason`, and unlike any
    earlier one, because that reason is how we find our own request again.
    """
    return f"{cluster[:24]}-{hashlib.sha256(f'{cluster}/{command_id}'.encode()).hexdigest()[:8]}"


def _refused_by_phase(ctx: StepContext, command: msg.Command) -> bool:
    valid = VALID_IN[type(command)]
    if ctx.migration.phase in valid:
        return False
    if not ctx.migration.migration_id:
        answers.refuse(
            ctx,
            command,
            Reason(Code.NO_MIGRATION, f"no migration was ever started on {ctx.migration.cluster}"),
        )
    else:
        phases = ", ".join(sorted(valid))
        answers.refuse(
            ctx,
            command,
            Reason(
                Code.NOT_IN_THIS_PHASE,
                f"{ctx.migration.migration_id} is {ctx.migration.phase}",
                f"one of: {phases}",
            ),
        )
    return True


def refuse(ctx: StepContext, command: msg.RefuseCommand) -> None:
    """Refuses a command for what was found wrong with it where it was read."""
    answers.refuse(ctx, command, *command.reasons)


def plan(ctx: StepContext, command: msg.PlanMigration) -> None:
    """Requests a survey and a plan. It moves nothing, so it is valid in every phase."""
    if len(ctx.migration.considered) >= answers.CONSIDERED_MAX:
        answers.refuse(
            ctx,
            command,
            Reason(
                Code.ALREADY_CONSIDERING,
                f"{len(ctx.migration.considered)} commands are being examined",
            ),
        )
        return
    answers.consider(ctx, command, command.options)
    ctx.request(MakePlan(command_id=command.command_id, options=command.options))


def start(ctx: StepContext, command: msg.StartMigration) -> None:
    """Requests a survey of the cluster; the answer comes when it has ended (plan_survey.py)."""
    reasons: list[Reason] = []
    if ctx.migration.phase not in RESTING:
        reasons.append(
            Reason(Code.ALREADY_RUNNING, f"{ctx.migration.migration_id} is {ctx.migration.phase}")
        )
    reasons += kraft_commands.reasons_against_moves(ctx)
    if (
        any(c.command == "start" for c in ctx.migration.considered)
        or len(ctx.migration.considered) >= answers.CONSIDERED_MAX
    ):
        reasons.append(Reason(Code.ALREADY_CONSIDERING, "another command is being examined"))
    options = command.options
    if command.plan_id is not None:
        planned = next((p for p in ctx.migration.plans if p.plan_id == command.plan_id), None)
        if planned is None:
            known = ", ".join(p.plan_id for p in ctx.migration.plans) or "none"
            reasons.append(
                Reason(
                    Code.UNKNOWN_PLAN, f"plan '{command.plan_id}' is not known", f"one of: {known}"
                )
            )
        else:
            options = planned.options
            if command.options not in (Options(), options):
                seen = f"the command gives options of its own beside plan '{command.plan_id}'"
                reasons.append(
                    Reason(
                        Code.PLAN_OUTDATED,
                        seen,
                        "the plan alone, or a plan made with these options",
                    )
                )
    if reasons:
        answers.refuse(ctx, command, *reasons)
        return
    answers.consider(ctx, command, options)
    ctx.request(
        PrepareMigration(
            command_id=command.command_id,
            migration_id=migration_id_of(ctx.migration.cluster, command.command_id),
            options=options,
            plan_id=command.plan_id,
        )
    )


def pause(ctx: StepContext, command: msg.PauseMigration) -> None:
    """Stops the execution, or lowers the throttle to its floor."""
    if _refused_by_phase(ctx, command):
        return
    if command.slow:
        _pause_slow(ctx, command)
        return
    if ctx.pause_cause(OPERATOR):
        answers.refuse(
            ctx, command, Reason(Code.ALREADY_PAUSED, "an operator has paused it already")
        )
        return
    answers.accept(ctx, command)
    ctx.emit(
        ev.PauseCauseAdded(
            at=ctx.at,
            cause=OPERATOR,
            seen=command.reason or f"asked by {command.issued_by or 'someone'}",
        )
    )
    flow.pause_if_moving(ctx)


def _pause_slow(ctx: StepContext, command: msg.PauseMigration) -> None:
    if ctx.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL:
        answers.refuse(ctx, command, _cannot_tune_throttle())
        return
    if ctx.slow_cause(OPERATOR):
        answers.refuse(
            ctx, command, Reason(Code.ALREADY_PAUSED, "an operator has slowed it already")
        )
        return
    answers.accept(ctx, command)
    ctx.emit(
        ev.SlowCauseAdded(
            at=ctx.at,
            cause=OPERATOR,
            seen=command.reason or f"asked by {command.issued_by or 'someone'}",
        )
    )
    flow.retune(ctx, rate_only=True)


def _cannot_tune_throttle() -> Reason:
    return Reason(
        Code.THROTTLE_NOT_OURS_TO_TUNE,
        "Cruise Control sets the throttle and cannot change it in flight",
    )


def resume(ctx: StepContext, command: msg.ResumeMigration) -> None:
    """Lifts what an operator set (the pause, the slowness, or both), and every cause that waits
    for an operator.
    """
    if _refused_by_phase(ctx, command):
        return
    slowed = ctx.slow_cause(OPERATOR)
    paused = [c for c in ctx.migration.pause_causes if c.waits_for_operator]
    if not paused and not slowed:
        held = ", ".join(f"{c.name} ({c.seen})" for c in ctx.migration.pause_causes) or "nothing"
        answers.refuse(
            ctx,
            command,
            Reason(Code.NOT_PAUSED_BY_OPERATOR, f"it is held by {held}", "a pause by an operator"),
        )
        return
    answers.accept(ctx, command)
    if slowed:
        ctx.emit(ev.SlowCauseLifted(at=ctx.at, cause=OPERATOR))
        flow.retune(ctx, rate_only=True)
    for c in paused:
        ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=c.name))
    flow.resume_if_clear(ctx)


def roll_back(ctx: StepContext, command: msg.RollBackMigration) -> None:
    """Stops what moves, then moves everything back; valid in nearly every phase."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.migration.direction is Direction.BACK:
        answers.refuse(ctx, command, Reason(Code.NOT_IN_THIS_PHASE, "it is rolling back already"))
        return
    if excluded := kraft_commands.reasons_against_moves(ctx):
        answers.refuse(ctx, command, *excluded)
        return
    if not rollback_waves(ctx.migration.waves):
        answers.refuse(ctx, command, Reason(Code.NOTHING_TO_ROLL_BACK, "no wave has begun"))
        return
    answers.accept(ctx, command)
    for c in ctx.migration.pause_causes:
        # The operator has decided. A latched cause stays: what flaps may well go on.
        if c.waits_for_operator and not c.latched:
            ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=c.name))
    flow.stop(ctx, StopFor.ROLLBACK)


def cancel(ctx: StepContext, command: msg.CancelMigration) -> None:
    """Stops what moves, then ends the migration; what was moved stays where it is."""
    if _refused_by_phase(ctx, command):
        return
    answers.accept(ctx, command)
    flow.stop(ctx, StopFor.CANCEL)


def tune(ctx: StepContext, command: msg.TuneMigration) -> None:
    """Changes the throttle and the concurrency, of what moves now as well."""
    if _refused_by_phase(ctx, command):
        return
    if (
        command.throttle_bytes_per_second is not None
        and ctx.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL
    ):
        answers.refuse(ctx, command, _cannot_tune_throttle())
        return
    answers.accept(ctx, command)
    asked = command.throttle_bytes_per_second
    ctx.emit(
        ev.MigrationTuned(
            at=ctx.at,
            throttle_bytes_per_second=ctx.migration.options.throttle_bytes_per_second
            if asked is None
            else (asked or None),
            partition_movements_per_broker=(
                command.partition_movements_per_broker
                or ctx.migration.options.partition_movements_per_broker
            ),
        )
    )
    flow.retune(ctx)


def approve(ctx: StepContext, command: msg.ApproveMigration) -> None:
    """Lets the wave begin that waits for an approval."""
    if _refused_by_phase(ctx, command):
        return
    wave = ctx.migration.wave
    assert wave is not None
    answers.accept(ctx, command)
    ctx.emit(ev.ApprovalGiven(at=ctx.at, wave=wave.number, issued_by=command.issued_by))
    flow.advance(ctx)


def retry(ctx: StepContext, command: msg.RetryWave) -> None:
    """Tries a blocked wave again, or moves away what has landed on drained brokers."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.in_phase(Phase.DRAINED):
        if excluded := kraft_commands.reasons_against_moves(ctx):
            answers.refuse(ctx, command, *excluded)
            return
        refilled = sorted(
            {
                s.wave
                for s in ctx.migration.sources
                if s.empty_since is None and not s.left and s.wave
            }
        )
        if not refilled:
            answers.refuse(
                ctx, command, Reason(Code.NOTHING_TO_MOVE, "no drained broker has refilled")
            )
            return
        answers.accept(ctx, command)
        for number in refilled:
            ctx.emit(ev.WaveReopened(at=ctx.at, wave=number, why="a drained broker has refilled"))
    else:
        answers.accept(ctx, command)
        if ctx.migration.wave is None:
            flow.verify_rollback(ctx)
        else:
            ctx.emit(
                ev.WaveReopened(
                    at=ctx.at, wave=ctx.migration.wave.number, why="retried by an operator"
                )
            )
    flow.advance(ctx)


def skip(ctx: StepContext, command: msg.SkipWave) -> None:
    """Leaves the blocked wave as it is and goes on to the next one."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.migration.wave is None:
        answers.refuse(
            ctx,
            command,
            Reason(
                Code.NOT_IN_THIS_PHASE, "every wave has ended: there is none to skip", "`retry`"
            ),
        )
        return
    answers.accept(ctx, command)
    ctx.emit(ev.WaveSkipped(at=ctx.at, wave=ctx.migration.wave.number))
    flow.advance(ctx)
