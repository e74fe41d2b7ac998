"""Answers the commands of the migration to KRaft, each after a fresh look at the cluster.

Called by decide.py and effect_outcomes.py; what comes next is in kraft_flow.py.
"""

import hashlib

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import answers, kraft_flow
from agent.core.kraft import events as kev
from agent.core.kraft import gates, restarts
from agent.core.kraft.effects import KraftScope, RestartNode, SurveyKraft
from agent.core.kraft.facts import KraftFacts
from agent.core.kraft.options import KraftOptions
from agent.core.kraft.state import KRAFT_ACTIVE, Drill, KraftPhase
from agent.core.migration import ACTIVE
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext

_P = KraftPhase
ADVANCEABLE = frozenset({*kraft_flow.NEXT, _P.BROKERS_TO_KRAFT})
ROLLBACK_FROM = frozenset(
    {_P.PREPARING, _P.CONTROLLERS, _P.BROKERS_TO_MIGRATION, _P.BROKERS_TO_KRAFT, _P.SOAKING}
)
# Where each action of the `kraft` command is valid; shown in docs/phases.md. `plan` is welcome
# everywhere.
KRAFT_VALID_IN: dict[str, frozenset[KraftPhase]] = {
    "start": frozenset({_P.NONE, _P.ROLLED_BACK}),
    "advance": ADVANCEABLE,
    "rollback": ROLLBACK_FROM,
    "finalize": frozenset({_P.SOAKING}),
}


def kraft_command(ctx: StepContext, command: msg.KraftCommand) -> None:
    """Refuses at once what the state alone forbids; else requests the survey that the answer
    needs.
    """
    reasons = _refused_by_state(ctx, command)
    if reasons:
        answers.refuse(ctx, command, *reasons)
        return
    answers.consider(ctx, command, ctx.migration.options)
    k = ctx.migration.kraft
    options = k.options if k.phase in KRAFT_ACTIVE else ctx.policy.kraft
    ctx.request(
        SurveyKraft(
            command_id=command.command_id, scope=KraftScope(kraft_id=k.kraft_id, options=options)
        )
    )


def _refused_by_state(ctx: StepContext, command: msg.KraftCommand) -> tuple[Reason, ...]:
    k = ctx.migration.kraft
    found: list[Reason] = []
    if len(ctx.migration.considered) >= answers.CONSIDERED_MAX or any(
        c.command == command.word for c in ctx.migration.considered
    ):
        found.append(Reason(Code.ALREADY_CONSIDERING, "another command is being examined"))
    if command.action in ("plan", "start") and not ctx.policy.kraft.controllers:
        found.append(
            Reason(
                Code.KRAFT_NOT_CONFIGURED, "no controllers are named", "`kraft` in clusters.yaml"
            )
        )
    if command.action == "start":
        if ctx.migration.phase in ACTIVE:
            found.append(
                Reason(
                    Code.ALREADY_RUNNING, f"{ctx.migration.migration_id} is {ctx.migration.phase}"
                )
            )
        if k.phase not in KRAFT_VALID_IN["start"]:
            found.append(Reason(Code.ALREADY_RUNNING, f"{k.kraft_id} is {k.phase}"))
    valid = KRAFT_VALID_IN.get(command.action, frozenset(_P))
    if command.action in ("advance", "finalize") and k.phase not in valid:
        found.append(_wrong_phase(k.phase, valid))
    if command.action == "rollback" and k.phase not in ROLLBACK_FROM:
        ended = k.phase in (_P.FINALIZING, _P.DONE)
        no = Reason(
            Code.KRAFT_NO_WAY_BACK, f"it is {k.phase}: ZooKeeper's copy is not written any more"
        )
        found.append(no if ended else _wrong_phase(k.phase, ROLLBACK_FROM))
    if command.action == "finalize" and not command.i_know:
        found.append(
            Reason(Code.KRAFT_NOT_CONFIRMED, "finalize cannot be undone", "i_know: true (--i-know)")
        )
    return tuple(found)


def _wrong_phase(phase: KraftPhase, valid: frozenset[KraftPhase]) -> Reason:
    phases = ", ".join(sorted(valid))
    return Reason(
        Code.NOT_IN_THIS_PHASE, f"the way to KRaft is in phase {phase}", f"one of: {phases}"
    )


def reasons_against_moves(ctx: StepContext) -> tuple[Reason, ...]:
    """Why no replica may be moved now: a reassignment in hybrid mode loses replicas
    (KAFKA-16120, KAFKA-16121).
    """
    k = ctx.migration.kraft
    return (
        (Reason(Code.KRAFT_RUNNING, f"{k.kraft_id} is {k.phase}", "its end"),)
        if k.phase in KRAFT_ACTIVE
        else ()
    )


def kraft_surveyed(ctx: StepContext, effect: SurveyKraft, outcome: msg.Outcome) -> None:
    """Answers the command by the facts of the survey, with every reason, and obeys it."""
    considered = answers.considered_command(ctx, effect.command_id)
    if considered is None:
        return
    action = considered.command.removeprefix("kraft ")
    facts = outcome.facts if isinstance(outcome, msg.KraftSurveyed) else KraftFacts(reachable=False)
    failed = (
        (outcome.reason,) if isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)) else ()
    )
    reasons = failed or _reasons_against(ctx, action, effect.scope.options, facts)
    if reasons and action != "plan":
        answers.refuse(ctx, considered, *reasons)
        return
    answers.accept(ctx, considered)
    match action:
        case "plan":
            _plan(ctx, considered, effect.scope.options, facts, reasons)
        case "start":
            assert isinstance(outcome, msg.KraftSurveyed)
            _start(ctx, considered, effect.scope.options, outcome)
        case "advance":
            kraft_flow.enter_next_phase(ctx, facts)
        case "rollback":
            ctx.abandon(RestartNode)
            ctx.emit(kev.KraftRollbackStarted(at=ctx.at, issued_by=considered.issued_by))
        case "finalize":
            ctx.abandon(RestartNode)
            ctx.emit(kev.KraftFinalizeBegun(at=ctx.at, issued_by=considered.issued_by))


def _reasons_against(
    ctx: StepContext, action: str, options: KraftOptions, facts: KraftFacts
) -> tuple[Reason, ...]:
    k = ctx.migration.kraft
    if action in ("plan", "start"):
        # it began while the cluster was looked at
        busy = ctx.migration.phase in ACTIVE and action == "start"
        running = (
            (
                Reason(
                    Code.ALREADY_RUNNING, f"{ctx.migration.migration_id} is {ctx.migration.phase}"
                ),
            )
            if busy
            else ()
        )
        if k.phase in KRAFT_ACTIVE | {_P.DONE}:
            return (*running, Reason(Code.ALREADY_RUNNING, f"{k.kraft_id} is {k.phase}"))
        return (*running, *gates.reasons_not_ready(options, facts))
    valid = KRAFT_VALID_IN[action]
    if k.phase not in valid:  # it has moved on while the cluster was looked at
        return (_wrong_phase(k.phase, valid),)
    if action == "rollback":
        return () if k.phase is _P.PREPARING else gates.reasons_against_rollback(k, facts)
    return _reasons_nodes_left(ctx, facts) + gates.gate_reasons(k, facts, ctx.at)


def _reasons_nodes_left(ctx: StepContext, facts: KraftFacts) -> tuple[Reason, ...]:
    """Nodes of this phase that are still to be restarted."""
    k = ctx.migration.kraft
    nodes = [node for node, _ in restarts.nodes_to_restart(k, facts)]
    if k.restart_request is not None and k.restart_request.node_id not in nodes:
        nodes.append(k.restart_request.node_id)
    if not nodes:
        return ()
    return (
        Reason(
            Code.KRAFT_NODES_LEFT,
            f"still to be restarted: {', '.join(map(str, nodes))}",
            "all of this phase",
        ),
    )


def _plan(
    ctx: StepContext,
    event: ev.CommandConsidered,
    options: KraftOptions,
    facts: KraftFacts,
    reasons: tuple[Reason, ...],
) -> None:
    brokers = sorted(facts.alive)
    steps = [
        *(f"start controller {n} in migration mode" for n in options.controller_ids),
        *(f"restart broker {b} in migration mode" for b in brokers),
        "wait until the metadata is copied: ZkMigrationState MIGRATION",
        *(f"restart broker {b} in KRaft mode" for b in brokers),
        f"soak for {options.soak_seconds:.0f} s, with the drills {', '.join(Drill)}",
        "await `kraft finalize --i-know`: the point of no return",
        *(f"restart controller {n} without ZooKeeper" for n in options.controller_ids),
        "wait for ZkMigrationState POST_MIGRATION; ZooKeeper may then be shut down",
    ]
    ctx.emit(
        kev.KraftPlanned(
            at=ctx.at,
            command_id=event.command_id,
            phase=ctx.migration.kraft.phase,
            steps=tuple(steps),
            reasons=reasons,
        )
    )


def _start(
    ctx: StepContext, event: ev.CommandConsidered, options: KraftOptions, survey: msg.KraftSurveyed
) -> None:
    digest = hashlib.sha256(f"{ctx.migration.cluster}/{event.command_id}".encode()).hexdigest()[:8]
    ctx.emit(
        kev.KraftStarted(
            at=ctx.at,
            kraft_id=f"kraft-{ctx.migration.cluster[:24]}-{digest}",
            command_id=event.command_id,
            options=options,
            broker_ids=tuple(sorted(survey.facts.alive)),
            originals=survey.files,
        )
    )
