"""How commands are met: obeyed or refused, exactly one answer each. Called by decide.py."""

import hashlib

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import MakePlan, PrepareMigration
from agent.core.evolve_remaining import rollback_waves
from agent.core.handlers import flow, kraft_commands
from agent.core.migration import ACTIVE, OPERATOR, RESTING, Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.plan import Direction
from agent.core.step import StepContext

_P = Phase

# Where each steering command is valid; elsewhere it is refused with NOT_IN_THIS_PHASE. Shown in ARCHITECTURE.md.
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


def is_repeat(d: StepContext, command: msg.Command) -> bool:
    """True if this command_id was met before: the first answer again, and nothing is done twice."""
    if any(c.command_id == command.command_id for c in d.migration.considered):
        return True  # its answer is on the way
    first = d.migration.answer(command.command_id)
    if first is None:
        return False
    if first.accepted:
        d.emit(ev.CommandAccepted(at=d.at, command_id=first.command_id, command=first.command, repeat=True))
    else:
        d.emit(
            ev.CommandRefused(
                at=d.at, command_id=first.command_id, command=first.command, reasons=first.reasons, repeat=True
            )
        )
    return True


def migration_id_of(cluster: str, command_id: str) -> str:
    """A migration's id: short enough to be read in Cruise Control's `reason`, and unlike any earlier one, because that
    reason is how we find our own request again.
    """
    return f"{cluster[:24]}-{hashlib.sha256(f'{cluster}/{command_id}'.encode()).hexdigest()[:8]}"


def _accept(d: StepContext, o: msg.Command) -> None:
    d.emit(
        ev.CommandAccepted(
            at=d.at, command_id=o.command_id, command=COMMAND_NAMES[type(o)], issued_by=o.issued_by, reason=o.reason
        )
    )


def _refuse(d: StepContext, o: msg.Command, *reasons: Reason) -> None:
    d.emit(
        ev.CommandRefused(
            at=d.at, command_id=o.command_id, command=COMMAND_NAMES[type(o)], reasons=reasons, issued_by=o.issued_by
        )
    )


def _refused_by_phase(d: StepContext, o: msg.Command) -> bool:
    valid = VALID_IN[type(o)]
    if d.migration.phase in valid:
        return False
    if not d.migration.migration_id:
        _refuse(d, o, Reason(Code.NO_MIGRATION, f"no migration was ever started on {d.migration.cluster}"))
    else:
        phases = ", ".join(sorted(valid))
        _refuse(
            d,
            o,
            Reason(Code.NOT_IN_THIS_PHASE, f"{d.migration.migration_id} is {d.migration.phase}", f"one of: {phases}"),
        )
    return True


def refuse(d: StepContext, o: msg.RefuseCommand) -> None:
    """The edge found why it cannot be obeyed."""
    _refuse(d, o, *o.reasons)


def _consider(d: StepContext, o: msg.Command, options: Options) -> None:
    d.emit(
        ev.CommandConsidered(
            at=d.at,
            command_id=o.command_id,
            command=COMMAND_NAMES[type(o)],
            issued_by=o.issued_by,
            reason=o.reason,
            options=options,
        )
    )


def plan(d: StepContext, o: msg.PlanMigration) -> None:
    """Survey and plan; moves nothing, and is welcome in every phase."""
    if len(d.migration.considered) >= CONSIDERED_MAX:
        _refuse(d, o, Reason(Code.ALREADY_CONSIDERING, f"{len(d.migration.considered)} commands are being examined"))
        return
    _consider(d, o, o.options)
    d.request(MakePlan(command_id=o.command_id, options=o.options))


def start(d: StepContext, o: msg.StartMigration) -> None:
    """Survey first; the answer comes when the survey has ended (observations.py)."""
    reasons: list[Reason] = []
    if d.migration.phase not in RESTING:
        reasons.append(Reason(Code.ALREADY_RUNNING, f"{d.migration.migration_id} is {d.migration.phase}"))
    reasons += kraft_commands.reasons_against_moves(d)
    if any(c.command == "start" for c in d.migration.considered) or len(d.migration.considered) >= CONSIDERED_MAX:
        reasons.append(Reason(Code.ALREADY_CONSIDERING, "another command is being examined"))
    options = o.options
    if o.plan_id is not None:
        planned = next((p for p in d.migration.plans if p.plan_id == o.plan_id), None)
        if planned is None:
            known = ", ".join(p.plan_id for p in d.migration.plans) or "none"
            reasons.append(Reason(Code.UNKNOWN_PLAN, f"plan '{o.plan_id}' is not known", f"one of: {known}"))
        else:
            options = planned.options
            if o.options not in (Options(), options):
                seen = f"the command gives options of its own beside plan '{o.plan_id}'"
                reasons.append(Reason(Code.PLAN_OUTDATED, seen, "the plan alone, or a plan made with these options"))
    if reasons:
        _refuse(d, o, *reasons)
        return
    _consider(d, o, options)
    d.request(
        PrepareMigration(
            command_id=o.command_id,
            migration_id=migration_id_of(d.migration.cluster, o.command_id),
            options=options,
            plan_id=o.plan_id,
        )
    )


def pause(d: StepContext, o: msg.PauseMigration) -> None:
    """Stop the execution, or lower the throttle to the floor."""
    if _refused_by_phase(d, o):
        return
    if o.slow:
        _pause_slow(d, o)
        return
    if d.pause_cause(OPERATOR):
        _refuse(d, o, Reason(Code.ALREADY_PAUSED, "an operator has paused it already"))
        return
    _accept(d, o)
    d.emit(ev.PauseCauseAdded(at=d.at, cause=OPERATOR, seen=o.reason or f"asked by {o.issued_by or 'someone'}"))
    flow.pause_if_moving(d)


def _pause_slow(d: StepContext, o: msg.PauseMigration) -> None:
    if d.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL:
        _refuse(d, o, _cannot_tune_throttle())
        return
    if d.slow_cause(OPERATOR):
        _refuse(d, o, Reason(Code.ALREADY_PAUSED, "an operator has slowed it already"))
        return
    _accept(d, o)
    d.emit(ev.SlowCauseAdded(at=d.at, cause=OPERATOR, seen=o.reason or f"asked by {o.issued_by or 'someone'}"))
    flow.retune(d, rate_only=True)


def _cannot_tune_throttle() -> Reason:
    return Reason(Code.THROTTLE_NOT_OURS_TO_TUNE, "Cruise Control sets the throttle and cannot change it in flight")


def resume(d: StepContext, o: msg.ResumeMigration) -> None:
    """Lift what an operator set (the pause, the slowness, or both), and what waits for his word."""
    if _refused_by_phase(d, o):
        return
    slowed = d.slow_cause(OPERATOR)
    paused = [c for c in d.migration.pause_causes if c.waits_for_operator]
    if not paused and not slowed:
        held = ", ".join(f"{c.name} ({c.seen})" for c in d.migration.pause_causes) or "nothing"
        _refuse(d, o, Reason(Code.NOT_PAUSED_BY_OPERATOR, f"it is held by {held}", "a pause by an operator"))
        return
    _accept(d, o)
    if slowed:
        d.emit(ev.SlowCauseLifted(at=d.at, cause=OPERATOR))
        flow.retune(d, rate_only=True)
    for c in paused:
        d.emit(ev.PauseCauseLifted(at=d.at, cause=c.name))
    flow.resume_if_clear(d)


def roll_back(d: StepContext, o: msg.RollBackMigration) -> None:
    """Undo what was moved, from wherever it stands."""
    if _refused_by_phase(d, o):
        return
    if d.migration.direction is Direction.BACK:
        _refuse(d, o, Reason(Code.NOT_IN_THIS_PHASE, "it is rolling back already"))
        return
    if excluded := kraft_commands.reasons_against_moves(d):
        _refuse(d, o, *excluded)
        return
    if not rollback_waves(d.migration.waves):
        _refuse(d, o, Reason(Code.NOTHING_TO_ROLL_BACK, "no wave has begun"))
        return
    _accept(d, o)
    for c in d.migration.pause_causes:
        if c.waits_for_operator and not c.latched:  # an operator has spoken; what flaps may well go on
            d.emit(ev.PauseCauseLifted(at=d.at, cause=c.name))
    flow.stop(d, StopFor.ROLLBACK)


def cancel(d: StepContext, o: msg.CancelMigration) -> None:
    """Stop for good."""
    if _refused_by_phase(d, o):
        return
    _accept(d, o)
    flow.stop(d, StopFor.CANCEL)


def tune(d: StepContext, o: msg.TuneMigration) -> None:
    """Other rates, felt by what moves now."""
    if _refused_by_phase(d, o):
        return
    if o.throttle_bytes_per_second is not None and d.migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL:
        _refuse(d, o, _cannot_tune_throttle())
        return
    _accept(d, o)
    asked = o.throttle_bytes_per_second
    d.emit(
        ev.MigrationTuned(
            at=d.at,
            throttle_bytes_per_second=d.migration.options.throttle_bytes_per_second
            if asked is None
            else (asked or None),
            partition_movements_per_broker=(
                o.partition_movements_per_broker or d.migration.options.partition_movements_per_broker
            ),
        )
    )
    flow.retune(d)


def approve(d: StepContext, o: msg.ApproveMigration) -> None:
    """Open the gate."""
    if _refused_by_phase(d, o):
        return
    wave = d.migration.wave
    assert wave is not None
    _accept(d, o)
    d.emit(ev.ApprovalGiven(at=d.at, wave=wave.number, issued_by=o.issued_by))
    flow.advance(d)


def retry(d: StepContext, o: msg.RetryWave) -> None:
    """A blocked wave again, or the sweep of a source that has refilled."""
    if _refused_by_phase(d, o):
        return
    if d.in_phase(Phase.DRAINED):
        if excluded := kraft_commands.reasons_against_moves(d):
            _refuse(d, o, *excluded)
            return
        refilled = sorted({s.wave for s in d.migration.sources if s.empty_since is None and not s.left and s.wave})
        if not refilled:
            _refuse(d, o, Reason(Code.NOTHING_TO_MOVE, "no drained broker has refilled"))
            return
        _accept(d, o)
        for number in refilled:
            d.emit(ev.WaveReopened(at=d.at, wave=number, why="a drained broker has refilled"))
    else:
        _accept(d, o)
        if d.migration.wave is None:
            flow.verify_rollback(d)
        else:
            d.emit(ev.WaveReopened(at=d.at, wave=d.migration.wave.number, why="retried by an operator"))
    flow.advance(d)


def skip(d: StepContext, o: msg.SkipWave) -> None:
    """Leave the blocked wave as it is."""
    if _refused_by_phase(d, o):
        return
    if d.migration.wave is None:
        _refuse(d, o, Reason(Code.NOT_IN_THIS_PHASE, "every wave has ended: there is none to skip", "`retry`"))
        return
    _accept(d, o)
    d.emit(ev.WaveSkipped(at=d.at, wave=d.migration.wave.number))
    flow.advance(d)
