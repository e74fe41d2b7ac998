"""Folds one event of the way to KRaft into its state. Called by core/evolve; decides nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core.kraft import events as kev
from agent.core.kraft.state import KRAFT_TRANSITIONS, Drill, Kraft, KraftPhase, RestartRequest
from agent.core.model.event import Event


class InvalidKraftTransitionError(Exception):
    """A bug: this cannot happen in this phase."""


def fold(kraft: Kraft, event: kev.KraftEvent) -> Kraft:
    """The state after the event.

    Raises InvalidKraftTransitionError where the table has no row for it.
    """
    rows = KRAFT_TRANSITIONS.get(type(event))
    if rows is not None and kraft.phase not in rows:
        raise InvalidKraftTransitionError(
            f"{type(event).__name__} cannot happen in phase {kraft.phase} of {kraft.kraft_id}"
        )
    if own := FOLDS.get(type(event)):
        kraft = own(kraft, event)
    return kraft if rows is None else _entered(kraft, rows[kraft.phase], event.at)


def _entered(kraft: Kraft, phase: KraftPhase, at: float) -> Kraft:
    return replace(
        kraft,
        phase=phase,
        phase_since=at,
        ready=False,
        waiting=(),
        restart_request=None,
        drill=None,
        drilled_node_id=None,
        green_since=None,
        modes=(),
    )


def _started(kraft: Kraft, event: kev.KraftStarted) -> Kraft:
    return Kraft(
        kraft_id=event.kraft_id,
        phase=kraft.phase,
        attempt=kraft.attempt + 1,
        options=event.options,
        broker_ids=event.broker_ids,
        originals=event.originals,
    )


def _release_begun(kraft: Kraft, event: kev.KraftReleaseBegun) -> Kraft:
    return replace(kraft, kraft_epoch=event.kraft_epoch)


def _soak_begun(kraft: Kraft, event: kev.KraftSoakBegun) -> Kraft:
    return replace(kraft, metadata_errors=event.metadata_errors)


def _released(kraft: Kraft, _event: kev.KraftReleased) -> Kraft:
    return replace(kraft, controllers_seen=None)


def _waiting(kraft: Kraft, event: kev.KraftWaiting) -> Kraft:
    return replace(kraft, waiting=event.reasons)


def _ready(kraft: Kraft, _event: kev.KraftReady) -> Kraft:
    return replace(kraft, ready=True)


def _not_ready(kraft: Kraft, _event: kev.KraftNotReady) -> Kraft:
    return replace(kraft, ready=False)


def _green(kraft: Kraft, event: kev.KraftGreen) -> Kraft:
    return replace(kraft, green_since=event.since)


def _controllers_seen(kraft: Kraft, event: kev.KraftControllersSeen) -> Kraft:
    return replace(kraft, controllers_seen=event.controllers_seen)


def _node_asked(kraft: Kraft, event: kev.KraftNodeAsked) -> Kraft:
    before = kraft.restart_request
    request = RestartRequest(
        node_id=event.node_id,
        is_controller=event.is_controller,
        target=event.target,
        at=event.at,
        attempts=event.attempt,
        seen_down=event.attempt > 1 and before is not None and before.seen_down,
    )
    return replace(kraft, restart_request=request)


def _node_seen_down(kraft: Kraft, _event: kev.KraftNodeSeenDown) -> Kraft:
    request = kraft.restart_request
    return replace(kraft, restart_request=replace(request, seen_down=True) if request else None)


def _node_changed(kraft: Kraft, event: kev.KraftNodeChanged) -> Kraft:
    modes = {**dict(kraft.modes), event.node_id: event.target}
    return replace(
        kraft,
        restart_request=None,
        modes=tuple(sorted(modes.items())),
        drilled_node_id=event.node_id if kraft.drill is not None else kraft.drilled_node_id,
        changed_at=event.at,
    )


def _drill_begun(kraft: Kraft, event: kev.KraftDrillBegun) -> Kraft:
    return replace(
        kraft,
        drill=Drill(event.drill),
        drill_since=event.at,
        drilled_node_id=None,
        restart_request=None,
    )


def _drill_passed(kraft: Kraft, event: kev.KraftDrillPassed) -> Kraft:
    return replace(
        kraft, drill=None, drilled_node_id=None, drills=(*kraft.drills, Drill(event.drill))
    )


FOLDS: dict[type[Event], Callable[[Kraft, Any], Kraft]] = {
    kev.KraftStarted: _started,
    kev.KraftReleaseBegun: _release_begun,
    kev.KraftSoakBegun: _soak_begun,
    kev.KraftReleased: _released,
    kev.KraftWaiting: _waiting,
    kev.KraftReady: _ready,
    kev.KraftNotReady: _not_ready,
    kev.KraftGreen: _green,
    kev.KraftControllersSeen: _controllers_seen,
    kev.KraftNodeAsked: _node_asked,
    kev.KraftNodeSeenDown: _node_seen_down,
    kev.KraftNodeChanged: _node_changed,
    kev.KraftDrillBegun: _drill_begun,
    kev.KraftDrillPassed: _drill_passed,
}
