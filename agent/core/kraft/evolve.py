"""Folds one event of the way to KRaft into its state. Called by evolve.py; decides nothing."""

from dataclasses import replace

from agent.core.kraft import events as kev
from agent.core.kraft.state import KRAFT_TRANSITIONS, Drill, Kraft, RestartRequest

EVENTS = kev.__name__


class InvalidKraftTransitionError(Exception):
    """A bug: this cannot happen in this phase."""


def fold(kraft: Kraft, event: kev.Event) -> Kraft:
    """The state after the event.

    Raises InvalidKraftTransitionError where the table has no row for it.
    """
    rows = KRAFT_TRANSITIONS.get(type(event))
    if rows is None:
        return _fold_within_phase(kraft, event)
    if kraft.phase not in rows:
        raise InvalidKraftTransitionError(
            f"{type(event).__name__} cannot happen in phase {kraft.phase} of {kraft.kraft_id}"
        )
    if isinstance(event, kev.KraftStarted):
        kraft = Kraft(
            kraft_id=event.kraft_id,
            phase=kraft.phase,
            attempt=kraft.attempt + 1,
            options=event.options,
            broker_ids=event.broker_ids,
            originals=event.originals,
        )
    if isinstance(event, kev.KraftReleaseBegun):
        kraft = replace(kraft, kraft_epoch=event.kraft_epoch)
    if isinstance(event, kev.KraftSoakBegun):
        kraft = replace(kraft, metadata_errors=event.metadata_errors)
    if isinstance(event, kev.KraftReleased):
        kraft = replace(kraft, controllers_seen=None)
    return replace(
        kraft, phase=rows[kraft.phase], phase_since=event.at, ready=False, waiting=(), restart_request=None, drill=None, drilled_node_id=None,  # noqa: E501
        green_since=None, modes=(),
    )  # fmt: skip


def _fold_within_phase(kraft: Kraft, event: kev.Event) -> Kraft:
    match event:
        case kev.KraftWaiting():
            return replace(kraft, waiting=event.reasons)
        case kev.KraftReady():
            return replace(kraft, ready=True)
        case kev.KraftNotReady():
            return replace(kraft, ready=False)
        case kev.KraftGreen():
            return replace(kraft, green_since=event.since)
        case kev.KraftNodeAsked():
            restart_request = RestartRequest(
                node_id=event.node_id,
                is_controller=event.is_controller,
                target=event.target,
                at=event.at,
                attempts=event.attempt,
                seen_down=event.attempt > 1
                and kraft.restart_request is not None
                and kraft.restart_request.seen_down,
            )
            return replace(kraft, restart_request=restart_request)
        case kev.KraftControllersSeen():
            return replace(kraft, controllers_seen=event.controllers_seen)
        case kev.KraftNodeSeenDown():
            return replace(
                kraft,
                restart_request=replace(kraft.restart_request, seen_down=True)
                if kraft.restart_request
                else None,
            )
        case kev.KraftNodeChanged():
            modes = {**dict(kraft.modes), event.node_id: event.target}
            drilled_node_id = event.node_id if kraft.drill is not None else kraft.drilled_node_id
            return replace(
                kraft,
                restart_request=None,
                modes=tuple(sorted(modes.items())),
                drilled_node_id=drilled_node_id,
                changed_at=event.at,
            )
        case kev.KraftDrillBegun():
            return replace(
                kraft,
                drill=Drill(event.drill),
                drill_since=event.at,
                drilled_node_id=None,
                restart_request=None,
            )
        case kev.KraftDrillPassed():
            return replace(
                kraft, drill=None, drilled_node_id=None, drills=(*kraft.drills, Drill(event.drill))
            )
        case _:
            return kraft
