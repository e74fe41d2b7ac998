"""Folds one event of the way to KRaft into its state. Called by evolve.py; decides nothing."""

from dataclasses import replace

from agent.core.kraft import events as kev
from agent.core.kraft.state import KRAFT_TRANSITIONS, Drill, Kraft, RestartRequest

EVENTS = kev.__name__


class InvalidKraftTransitionError(Exception):
    """A bug: this cannot happen in this phase."""


def fold(k: Kraft, event: kev.Event) -> Kraft:
    """The state after the event. Raises InvalidKraftTransitionError where the table has no row for it."""
    rows = KRAFT_TRANSITIONS.get(type(event))
    if rows is None:
        return _fold_within_phase(k, event)
    if k.phase not in rows:
        raise InvalidKraftTransitionError(f"{type(event).__name__} cannot happen in phase {k.phase} of {k.kraft_id}")
    if isinstance(event, kev.KraftStarted):
        k = Kraft(
            kraft_id=event.kraft_id,
            phase=k.phase,
            attempt=k.attempt + 1,
            options=event.options,
            broker_ids=event.broker_ids,
            originals=event.originals,
        )
    if isinstance(event, kev.KraftReleaseBegun):
        k = replace(k, kraft_epoch=event.kraft_epoch)
    if isinstance(event, kev.KraftSoakBegun):
        k = replace(k, metadata_errors=event.metadata_errors)
    if isinstance(event, kev.KraftReleased):
        k = replace(k, controllers_seen=None)
    return replace(
        k, phase=rows[k.phase], phase_since=event.at, ready=False, waiting=(), restart_request=None, drill=None, drilled_node_id=None,
        green_since=None, modes=(),
    )  # fmt: skip


def _fold_within_phase(k: Kraft, event: kev.Event) -> Kraft:
    match event:
        case kev.KraftWaiting():
            return replace(k, waiting=event.reasons)
        case kev.KraftReady():
            return replace(k, ready=True)
        case kev.KraftNotReady():
            return replace(k, ready=False)
        case kev.KraftGreen():
            return replace(k, green_since=event.since)
        case kev.KraftNodeAsked():
            restart_request = RestartRequest(
                node_id=event.node_id,
                is_controller=event.is_controller,
                target=event.target,
                at=event.at,
                attempts=event.attempt,
                seen_down=event.attempt > 1 and k.restart_request is not None and k.restart_request.seen_down,
            )
            return replace(k, restart_request=restart_request)
        case kev.KraftControllersSeen():
            return replace(k, controllers_seen=event.controllers_seen)
        case kev.KraftNodeSeenDown():
            return replace(k, restart_request=replace(k.restart_request, seen_down=True) if k.restart_request else None)
        case kev.KraftNodeChanged():
            modes = {**dict(k.modes), event.node_id: event.target}
            drilled_node_id = event.node_id if k.drill is not None else k.drilled_node_id
            return replace(
                k,
                restart_request=None,
                modes=tuple(sorted(modes.items())),
                drilled_node_id=drilled_node_id,
                changed_at=event.at,
            )
        case kev.KraftDrillBegun():
            return replace(
                k, drill=Drill(event.drill), drill_since=event.at, drilled_node_id=None, restart_request=None
            )
        case kev.KraftDrillPassed():
            return replace(k, drill=None, drilled_node_id=None, drills=(*k.drills, Drill(event.drill)))
        case _:
            return k
