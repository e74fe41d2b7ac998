"""Carries the migration to KRaft on: meets looks at the cluster and the ends of its effects.

Called by decide.py, effect_outcomes.py and kraft_commands.py.

Invariants: no phase ends before its signals hold; nothing is finalized without `kraft finalize
--i-know`; nodes restart one at a time, and only while the cluster is whole.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.kraft import events as kev
from agent.core.kraft import gates, restarts, signals
from agent.core.kraft.effects import ReleaseZooKeeper, RestartNode
from agent.core.kraft.facts import KraftFacts
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import Gates, RestartBy
from agent.core.kraft.state import (
    BROKER_TARGET,
    CONTROLLER_TARGET,
    KRAFT_ACTIVE,
    Drill,
    KraftPhase,
    RestartRequest,
)
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext

_P = KraftPhase
NEXT: dict[KraftPhase, type[ev.Event]] = {
    _P.PREPARING: kev.KraftControllersBegun,
    _P.CONTROLLERS: kev.KraftMigrationBegun,
    _P.BROKERS_TO_MIGRATION: kev.KraftTurnBegun,
}


def enter_next_phase(ctx: StepContext, facts: KraftFacts) -> None:
    """Enters the next phase; call it when every signal of this one was just seen to hold."""
    k = ctx.migration.kraft
    if (event := NEXT.get(k.phase)) is not None:
        ctx.emit(event(at=ctx.at))  # type: ignore[arg-type]
    elif k.phase is _P.BROKERS_TO_KRAFT:
        errors = facts.active.metadata_errors if facts.active else 0
        ctx.emit(
            kev.KraftSoakBegun(
                at=ctx.at, metadata_errors=errors, until=ctx.at + k.options.soak_seconds
            )
        )


# ── how effects end ───────────────────────────────────────────────────────────────────────────────
def kraft_effect_ended(
    ctx: StepContext, effect: RestartNode | ReleaseZooKeeper, outcome: msg.Outcome
) -> None:
    """Records what was asked of a node, or released; the next look repeats what failed."""
    if isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)):
        _report_waiting(ctx, outcome.reason)
    elif isinstance(outcome, msg.ZooKeeperReleased):
        ctx.emit(
            kev.KraftReleased(
                at=ctx.at,
                controller=outcome.controller,
                migration=outcome.migration,
                epoch_before=outcome.epoch_before,
                epoch_after=outcome.epoch_after,
            )
        )
    elif isinstance(outcome, msg.RestartRequested) and isinstance(effect, RestartNode):
        change, restart_request = outcome.change, ctx.migration.kraft.restart_request
        repeated = (
            restart_request is not None
            and restart_request.node_id == effect.node_id
            and restart_request.target is effect.target
        )
        ctx.emit(
            kev.KraftNodeAsked(
                at=ctx.at,
                node_id=effect.node_id,
                is_controller=effect.is_controller,
                target=effect.target,
                restart_by=effect.scope.options.restart_by,
                attempt=restart_request.attempts + 1 if restart_request and repeated else 1,
                set=change.set,
                remove=change.remove,
                before=change.before,
                properties_diff=change.properties_diff(),
                kubernetes_patch=change.kubernetes_patch(),
                instructions=outcome.instructions,
            )
        )


# ── looks ─────────────────────────────────────────────────────────────────────────────────────────
def kraft_observed(ctx: StepContext, observation: msg.KraftObserved) -> None:
    """Records what has changed, then restarts the next node or opens the gate of the phase."""
    k = ctx.migration.kraft
    if k.phase not in KRAFT_ACTIVE or observation.kraft_id != k.kraft_id:
        return
    if ctx.migration.pending_effect(ReleaseZooKeeper):
        return
    seen = observation.facts.controllers_seen(k.controllers_seen)
    if seen is not None and seen != k.controllers_seen:
        ctx.emit(kev.KraftControllersSeen(at=ctx.at, controllers_seen=seen))
    _check_restart_request(ctx, observation.facts)
    if ctx.migration.kraft.phase is _P.RELEASING_ZOOKEEPER:
        _report_waiting(ctx)
        ctx.request(ReleaseZooKeeper(scope=ctx.migration.kraft.scope()))
        return
    if ctx.migration.kraft.phase is _P.SOAKING:
        _soak(ctx, observation.facts)
        return
    if _restart_next_node(ctx, observation.facts):
        if ctx.migration.kraft.ready:  # a node has gone back to its old mode, or is down
            ctx.emit(kev.KraftNotReady(at=ctx.at, phase=k.phase))
        return
    _check_gate(ctx, observation.facts)


def _check_restart_request(ctx: StepContext, facts: KraftFacts) -> None:
    """Records when the node whose restart was requested is down, and when it is back."""
    restart_request = ctx.migration.kraft.restart_request
    if restart_request is None:
        return
    if not restart_request.seen_down and _is_down(restart_request, facts):
        ctx.emit(kev.KraftNodeSeenDown(at=ctx.at, node_id=restart_request.node_id))
        restart_request = ctx.migration.kraft.restart_request
    if restart_request is not None and _shows_target(ctx, restart_request, facts):
        ctx.emit(
            kev.KraftNodeChanged(
                at=ctx.at,
                node_id=restart_request.node_id,
                is_controller=restart_request.is_controller,
                target=restart_request.target,
                seconds=ctx.at - restart_request.at,
            )
        )


def _is_down(restart_request: RestartRequest, facts: KraftFacts) -> bool:
    if restart_request.is_controller:
        return not facts.controller(restart_request.node_id).reachable
    return facts.reachable and restart_request.node_id not in facts.alive


def _shows_target(ctx: StepContext, restart_request: RestartRequest, facts: KraftFacts) -> bool:
    if restart_request.is_controller:
        seen = facts.controller(restart_request.node_id)
        if restart_request.target is NodeMode.STOPPED:
            return not seen.reachable
        return seen.reachable and (
            seen.started_at > restart_request.at or restart_request.seen_down
        )
    if ctx.migration.kraft.drill is not None and not restart_request.seen_down:
        return False
    return facts.mode(restart_request.node_id) is restart_request.target


def _restart_next_node(ctx: StepContext, facts: KraftFacts) -> bool:
    """Requests the next restart; True while a node is left to restart."""
    k = ctx.migration.kraft
    nodes = restarts.nodes_to_restart(k, facts)
    if k.restart_request is not None and k.restart_request.node_id not in {n for n, _ in nodes}:
        nodes = ((k.restart_request.node_id, k.restart_request.is_controller), *nodes)
    if not nodes:
        return False
    if ctx.migration.pending_effect(RestartNode):
        return True
    if k.restart_request is not None and not _restart_timed_out(ctx, k.restart_request):
        kind = "controller" if k.restart_request.is_controller else "broker"
        who = {
            RestartBy.MANUAL: "a human",
            RestartBy.LAB: "the lab",
            RestartBy.WEBHOOK: "the webhook's tool",
        }
        seen = (
            f"{kind} {k.restart_request.node_id} does not show mode "
            f"{k.restart_request.target} yet, asked of {who[k.options.restart_by]}"
        )
        _report_waiting(ctx, Reason(Code.KRAFT_NODE_AWAITED, seen, "its restart with the new keys"))
        return True
    if not facts.reachable and not gates.may_be_unreachable(k, facts):
        _report_waiting(ctx, *signals.cluster_issues(k.broker_ids, facts))
        return True
    node, is_controller = restarts.next_node(k, nodes, facts)
    # A restart that timed out is requested again, whatever else is wrong.
    if k.restart_request is not None:
        node, is_controller = k.restart_request.node_id, k.restart_request.is_controller
    elif hindrances := restarts.reasons_against_restart(
        k, facts, node, ctx.at, is_controller=is_controller
    ):
        _report_waiting(ctx, *hindrances)
        return True
    _request_restart(ctx, node, is_controller=is_controller)
    return True


def _restart_timed_out(ctx: StepContext, restart_request: RestartRequest) -> bool:
    by_hand = ctx.migration.kraft.options.restart_by is RestartBy.MANUAL
    return (
        not by_hand
        and ctx.at > restart_request.at + ctx.migration.kraft.options.restart_patience_seconds
    )


def _request_restart(
    ctx: StepContext, node: int, *, is_controller: bool, drill: bool = False
) -> None:
    k = ctx.migration.kraft
    targets = CONTROLLER_TARGET if is_controller else BROKER_TARGET
    target = (
        (NodeMode.MIGRATION if is_controller else NodeMode.KRAFT) if drill else targets[k.phase]
    )
    ctx.request(
        RestartNode(
            scope=k.scope(),
            node_id=node,
            is_controller=is_controller,
            target=target,
            original=() if is_controller else k.original(node),
            drill=drill,
            # The next migration would believe what a rolled back one left of KRaft's log.
            wipe_metadata_log=target is NodeMode.ZOOKEEPER
            or (is_controller and k.phase is _P.CONTROLLERS),
        )
    )


def _check_gate(ctx: StepContext, facts: KraftFacts) -> None:
    """Every node of the phase has changed: waits for its signals, then for `advance`."""
    k = ctx.migration.kraft
    reasons = gates.gate_reasons(k, facts, ctx.at)
    _report_waiting(ctx, *reasons)
    if reasons:
        if k.ready:
            ctx.emit(kev.KraftNotReady(at=ctx.at, phase=k.phase))
        return
    match k.phase:
        case _P.FINALIZING:
            _completed(ctx, facts)
        case _P.BACK_TO_MIGRATION:
            if hindrances := gates.reasons_against_rollback(k, facts):
                _report_waiting(ctx, *hindrances)
            else:
                ctx.emit(kev.KraftControllersLeaving(at=ctx.at))
        case _P.REMOVING_CONTROLLERS:
            ctx.emit(kev.KraftReleaseBegun(at=ctx.at, kraft_epoch=facts.zookeeper.kraft_epoch))
            ctx.request(ReleaseZooKeeper(scope=k.scope()))
        case _P.BACK_TO_ZOOKEEPER:
            ctx.emit(kev.KraftRolledBack(at=ctx.at, controller_id=facts.zookeeper.controller_id))
        case _:
            by_itself = k.options.gates is Gates.AUTO
            if not k.ready:
                word = "" if by_itself else "`kraft advance` brings the next phase"
                ctx.emit(kev.KraftReady(at=ctx.at, phase=k.phase, next_command=word))
            if by_itself:
                enter_next_phase(ctx, facts)


def _completed(ctx: StepContext, facts: KraftFacts) -> None:
    fenced = facts.active.fenced_brokers if facts.active else 0
    q = facts.quorum
    ctx.emit(
        kev.KraftCompleted(
            at=ctx.at,
            brokers_fenced=fenced,
            metadata_version=q.metadata_version if q else 0,
            metadata_version_max=q.metadata_version_max if q else 0,
        )
    )


def _soak(ctx: StepContext, facts: KraftFacts) -> None:
    """Counts the soak time while every signal holds; the drills come first, one after the other."""
    k = ctx.migration.kraft
    if k.drill is not None:
        _drill(ctx, facts)
        return
    unwell = gates.soak_reasons(k, facts)
    if unwell:
        if k.green_since is not None:
            ctx.emit(kev.KraftGreen(at=ctx.at, since=None))
        if k.ready:
            ctx.emit(kev.KraftNotReady(at=ctx.at, phase=k.phase))
        _report_waiting(ctx, *unwell)
        return
    if k.green_since is None:
        ctx.emit(kev.KraftGreen(at=ctx.at, since=ctx.at))
    if due := [drill for drill in Drill if drill not in k.drills]:
        ctx.emit(kev.KraftDrillBegun(at=ctx.at, drill=due[0]))
        _drill(ctx, facts)
        return
    reasons = gates.finalize_reasons(ctx.migration.kraft, facts, ctx.at)
    _report_waiting(ctx, *reasons)
    if not reasons and not k.ready:
        ctx.emit(
            kev.KraftReady(
                at=ctx.at,
                phase=k.phase,
                next_command="`kraft finalize --i-know`: the point of no return",
            )
        )


def _drill(ctx: StepContext, facts: KraftFacts) -> None:
    """Restarts the active controller or a broker; the drill is passed when the cluster is whole
    again.
    """
    k = ctx.migration.kraft
    assert k.drill is not None
    if ctx.migration.pending_effect(RestartNode):
        return
    if k.restart_request is None and k.drilled_node_id is None:
        if wrong := gates.soak_reasons(k, facts):
            _report_waiting(ctx, *wrong)
            return
        if k.drill is Drill.CONTROLLER_FAIL_OVER:
            assert facts.active is not None
            _request_restart(ctx, facts.active.node_id, is_controller=True, drill=True)
        else:
            _request_restart(ctx, k.broker_ids[0], is_controller=False, drill=True)
        return
    if k.restart_request is not None:
        if _restart_timed_out(ctx, k.restart_request):
            _request_restart(
                ctx,
                k.restart_request.node_id,
                is_controller=k.restart_request.is_controller,
                drill=True,
            )
        else:
            seen = f"node {k.restart_request.node_id} has not come back from its restart"
            _report_waiting(
                ctx, Reason(Code.KRAFT_NODE_AWAITED, seen, "its restart, with the keys it has")
            )
        return
    if wrong := gates.soak_reasons(k, facts):
        _report_waiting(ctx, *wrong)
        return
    ctx.emit(kev.KraftDrillPassed(at=ctx.at, drill=k.drill, seconds=ctx.at - k.drill_since))


def _report_waiting(ctx: StepContext, *reasons: Reason) -> None:
    """Records what is waited for, once as long as the codes and the nodes stay the same."""
    known = tuple(
        (r.code, r.seen if r.code is Code.KRAFT_NODE_AWAITED else "")
        for r in ctx.migration.kraft.waiting
    )
    if (
        tuple((r.code, r.seen if r.code is Code.KRAFT_NODE_AWAITED else "") for r in reasons)
        != known
    ):
        ctx.emit(kev.KraftWaiting(at=ctx.at, reasons=reasons))
