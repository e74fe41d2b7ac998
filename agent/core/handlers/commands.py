"""How commands are met: obeyed or refused, exactly one answer each. Called by decide.py."""

import hashlib

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import MakePlan, PrepareMigration
from agent.core.handlers import flow, kraft_commands
from agent.core.migration import ACTIVE, RESTING, Phase, StopFor
from agent.core.model.causes import OPERATOR
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.plan import Direction
from agent.core.planning.rollback import rollback_waves
from agent.core.step import StepContext

_P = Phase

# Where each steering command is valid; elsewhere it is refused with NOT_IN_THIS_PHASE. Shown in
# ARCHITECTURE.md.
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

# The words of the control topic.
COMMAND_NAMES: dict[type[msg.Command], str] = {
    msg.PlanMigration: "plan",
    msg.StartMigration: "start",
    msg.PauseMigration: "pause",
    msg.ResumeMigration: "resume",
    msg.RollBackMigration: "rollback",
    msg.CancelMigration: "cancel",
    msg.TuneMigration: "tune",
    msg.ApproveMigration: "approve",
    msg.RetryWave: "retry",
    msg.SkipWave: "skip",
    msg.KraftCommand: "kraft",
    msg.RefuseCommand: "command",
}
CONSIDERED_MAX = 4


def is_repeat(ctx: StepContext, command: msg.Command) -> bool:
    """True if this command_id was met before: the first answer again, and nothing is done twice."""
    if any(c.command_id == command.command_id for c in ctx.migration.considered):
        return True  # its answer is on the way
    first = ctx.migration.answer(command.command_id)
    if first is None:
        return False
    if first.accepted:
        ctx.emit(
            ev.CommandAccepted(
                at=ctx.at, command_id=first.command_id, command=first.command, repeat=True
            )
        )
    else:
        ctx.emit(
            ev.CommandRefused(
                at=ctx.at,
                command_id=first.command_id,
                command=first.command,
                reasons=first.reasons,
                repeat=True,
            )
        )
    return True


def migration_id_of(cluster: str, command_id: str) -> str:
    """A migration's id: short enough to be read in Cruise Control's `reason`, and unlike any
    earlier one, because that reason is how we find our own request again.
    """
    return f"{cluster[:24]}-{hashlib.sha256(f'{cluster}/{command_id}'.encode()).hexdigest()[:8]}"


def _accept(ctx: StepContext, command: msg.Command) -> None:
    ctx.emit(
        ev.CommandAccepted(
            at=ctx.at,
            command_id=command.command_id,
            command=COMMAND_NAMES[type(command)],
            issued_by=command.issued_by,
            reason=command.reason,
        )
    )


def _refuse(ctx: StepContext, command: msg.Command, *reasons: Reason) -> None:
    ctx.emit(
        ev.CommandRefused(
            at=ctx.at,
            command_id=command.command_id,
            command=COMMAND_NAMES[type(command)],
            reasons=reasons,
            issued_by=command.issued_by,
        )
    )


def _refused_by_phase(ctx: StepContext, command: msg.Command) -> bool:
    valid = VALID_IN[type(command)]
    if ctx.migration.phase in valid:
        return False
    if not ctx.migration.migration_id:
        _refuse(
            ctx,
            command,
            Reason(
                Code.NO_MIGRATION, (f"no migration was ever started on {ctx.migration.cluster}")
            ),
        )
    else:
        phases = ", ".join(sorted(valid))
        _refuse(
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
    """The edge found why it cannot be obeyed."""
    _refuse(ctx, command, *command.reasons)


def _consider(ctx: StepContext, command: msg.Command, options: Options) -> None:
    ctx.emit(
        ev.CommandConsidered(
            at=ctx.at,
            command_id=command.command_id,
            command=COMMAND_NAMES[type(command)],
            issued_by=command.issued_by,
            reason=command.reason,
            options=options,
        )
    )


def plan(ctx: StepContext, command: msg.PlanMigration) -> None:
    """Survey and plan; moves nothing, and is welcome in every phase."""
    if len(ctx.migration.considered) >= CONSIDERED_MAX:
        _refuse(
            ctx,
            command,
            Reason(
                Code.ALREADY_CONSIDERING,
                (f"{len(ctx.migration.considered)} commands are being examined"),
            ),
        )
        return
    _consider(ctx, command, command.options)
    ctx.request(MakePlan(command_id=command.command_id, options=command.options))


def start(ctx: StepContext, command: msg.StartMigration) -> None:
    """Survey first; the answer comes when the survey has ended (observations.py)."""
    reasons: list[Reason] = []
    if ctx.migration.phase not in RESTING:
        reasons.append(
            Reason(Code.ALREADY_RUNNING, (f"{ctx.migration.migration_id} is {ctx.migration.phase}"))
        )
    reasons += kraft_commands.reasons_against_moves(ctx)
    if (
        any(c.command == "start" for c in ctx.migration.considered)
        or len(ctx.migration.considered) >= CONSIDERED_MAX
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
                        ("the plan alone, or a plan made with these options"),
                    )
                )
    if reasons:
        _refuse(ctx, command, *reasons)
        return
    _consider(ctx, command, options)
    ctx.request(
        PrepareMigration(
            command_id=command.command_id,
            migration_id=migration_id_of(ctx.migration.cluster, command.command_id),
            options=options,
            plan_id=command.plan_id,
        )
    )


def pause(ctx: StepContext, command: msg.PauseMigration) -> None:
    """Stop the execution, or lower the throttle to the floor."""
    if _refused_by_phase(ctx, command):
        return
    if command.slow:
        _pause_slow(ctx, command)
        return
    if ctx.pause_cause(OPERATOR):
        _refuse(ctx, command, Reason(Code.ALREADY_PAUSED, "an operator has paused it already"))
        return
    _accept(ctx, command)
    ctx.emit(
        ev.PauseCauseAdded(
            at=ctx.at,
            cause=OPERATOR,
            seen=command.reason or (f"asked by {command.issued_by or 'someone'}"),
        )
    )
    flow.pause_if_moving(ctx)


def _pause_slow(ctx: StepContext, command: msg.PauseMigration) -> None:
    if ctx.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL:
        _refuse(ctx, command, _cannot_tune_throttle())
        return
    if ctx.slow_cause(OPERATOR):
        _refuse(ctx, command, Reason(Code.ALREADY_PAUSED, "an operator has slowed it already"))
        return
    _accept(ctx, command)
    ctx.emit(
        ev.SlowCauseAdded(
            at=ctx.at,
            cause=OPERATOR,
            seen=command.reason or (f"asked by {command.issued_by or 'someone'}"),
        )
    )
    flow.retune(ctx, rate_only=True)


def _cannot_tune_throttle() -> Reason:
    return Reason(
        Code.THROTTLE_NOT_OURS_TO_TUNE,
        ("Cruise Control sets the throttle and cannot change it in flight"),
    )


def resume(ctx: StepContext, command: msg.ResumeMigration) -> None:
    """Lift what an operator set (the pause, the slowness, or both), and what waits for his word."""
    if _refused_by_phase(ctx, command):
        return
    slowed = ctx.slow_cause(OPERATOR)
    paused = [c for c in ctx.migration.pause_causes if c.waits_for_operator]
    if not paused and not slowed:
        held = ", ".join(f"{c.name} ({c.seen})" for c in ctx.migration.pause_causes) or "nothing"
        _refuse(
            ctx,
            command,
            Reason(Code.NOT_PAUSED_BY_OPERATOR, f"it is held by {held}", "a pause by an operator"),
        )
        return
    _accept(ctx, command)
    if slowed:
        ctx.emit(ev.SlowCauseLifted(at=ctx.at, cause=OPERATOR))
        flow.retune(ctx, rate_only=True)
    for c in paused:
        ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=c.name))
    flow.resume_if_clear(ctx)


def roll_back(ctx: StepContext, command: msg.RollBackMigration) -> None:
    """Undo what was moved, from wherever it stands."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.migration.direction is Direction.BACK:
        _refuse(ctx, command, Reason(Code.NOT_IN_THIS_PHASE, "it is rolling back already"))
        return
    if excluded := kraft_commands.reasons_against_moves(ctx):
        _refuse(ctx, command, *excluded)
        return
    if not rollback_waves(ctx.migration.waves):
        _refuse(ctx, command, Reason(Code.NOTHING_TO_ROLL_BACK, "no wave has begun"))
        return
    _accept(ctx, command)
    for c in ctx.migration.pause_causes:
        # an operator has spoken; what flaps may well go on
        if c.waits_for_operator and not c.latched:
            ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=c.name))
    flow.stop(ctx, StopFor.ROLLBACK)


def cancel(ctx: StepContext, command: msg.CancelMigration) -> None:
    """Stop for good."""
    if _refused_by_phase(ctx, command):
        return
    _accept(ctx, command)
    flow.stop(ctx, StopFor.CANCEL)


def tune(ctx: StepContext, command: msg.TuneMigration) -> None:
    """Other rates, felt by what moves now."""
    if _refused_by_phase(ctx, command):
        return
    if (
        command.throttle_bytes_per_second is not None
        and ctx.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL
    ):
        _refuse(ctx, command, _cannot_tune_throttle())
        return
    _accept(ctx, command)
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
    """Open the gate."""
    if _refused_by_phase(ctx, command):
        return
    wave = ctx.migration.wave
    assert wave is not None
    _accept(ctx, command)
    ctx.emit(ev.ApprovalGiven(at=ctx.at, wave=wave.number, issued_by=command.issued_by))
    flow.advance(ctx)


def retry(ctx: StepContext, command: msg.RetryWave) -> None:
    """A blocked wave again, or the sweep of a source that has refilled."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.in_phase(Phase.DRAINED):
        if excluded := kraft_commands.reasons_against_moves(ctx):
            _refuse(ctx, command, *excluded)
            return
        refilled = sorted(
            {
                s.wave
                for s in ctx.migration.sources
                if s.empty_since is None and not s.left and s.wave
            }
        )
        if not refilled:
            _refuse(ctx, command, Reason(Code.NOTHING_TO_MOVE, "no drained broker has refilled"))
            return
        _accept(ctx, command)
        for number in refilled:
            ctx.emit(ev.WaveReopened(at=ctx.at, wave=number, why="a drained broker has refilled"))
    else:
        _accept(ctx, command)
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
    """Leave the blocked wave as it is."""
    if _refused_by_phase(ctx, command):
        return
    if ctx.migration.wave is None:
        _refuse(
            ctx,
            command,
            Reason(
                Code.NOT_IN_THIS_PHASE, ("every wave has ended: there is none to skip"), "`retry`"
            ),
        )
        return
    _accept(ctx, command)
    ctx.emit(ev.WaveSkipped(at=ctx.at, wave=ctx.migration.wave.number))
    flow.advance(ctx)
