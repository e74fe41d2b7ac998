"""Fold one event into the state. Each module here holds the folds of one subject, in its `FOLDS`.

No decision is taken here: everything that a fold needs stands in the event and in the state.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from agent.core import events as ev
from agent.core.evolve import (
    commands,
    drained_sources,
    effects,
    endpoints,
    metrics,
    pauses,
    remaining,
    waves,
)
from agent.core.evolve import (
    migration as whole_migration,
)
from agent.core.kraft import evolve as kraft
from agent.core.kraft.events import KraftEvent
from agent.core.migration import TRANSITIONS, Migration

Fold = Callable[[Migration, Any], Migration]


class InvalidTransitionError(Exception):
    """An event that cannot happen in this phase: a bug, which stops the worker with nothing
    saved.
    """


def evolve(migration: Migration, event: ev.Event) -> Migration:
    """The state after one event: its folds, its phase, and one more in the sequence.

    Raises InvalidTransitionError when the event cannot happen in the phase of `migration`.
    """
    kind = type(event)
    rows = TRANSITIONS.get(kind)
    if rows is not None and migration.phase not in rows:
        raise InvalidTransitionError(
            f"{kind.__name__} cannot happen in phase {migration.phase} of "
            f"{migration.migration_id or migration.cluster}"
        )
    for fold in FOLDS.get(kind, ()):
        migration = fold(migration, event)
    migration = replace(migration, sequence=migration.sequence + 1)
    if rows is not None and rows[migration.phase] is not migration.phase:
        migration = replace(
            migration, phase=rows[migration.phase], phase_since=event.at, retry_at=None, retries=0
        )
    return migration


def _kraft(migration: Migration, event: KraftEvent) -> Migration:
    return replace(migration, kraft=kraft.fold(migration.kraft, event))


_SUBJECTS: tuple[dict[type[ev.Event], Fold], ...] = (
    remaining.FOLDS,  # first: it needs the effect as it was pending and the wave as it was
    commands.FOLDS,
    effects.FOLDS,
    endpoints.FOLDS,
    whole_migration.FOLDS,
    waves.FOLDS,
    pauses.FOLDS,
    metrics.FOLDS,
    drained_sources.FOLDS,
    dict.fromkeys(get_args(KraftEvent), _kraft),
)
# The folds of each event, in the order of the subjects. An event without one is only counted and
# published.
FOLDS: dict[type[ev.Event], tuple[Fold, ...]] = {
    kind: tuple(folds[kind] for folds in _SUBJECTS if kind in folds)
    for kind in get_args(ev.AnyEvent)
}
