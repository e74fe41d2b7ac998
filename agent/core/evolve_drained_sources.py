"""Folds what happens to a drained source broker into the state; taken up by evolve.py.

Decides nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.migration import Migration
from agent.core.model.event import Event


def _with_source(migration: Migration, broker_id: int, **changes: Any) -> Migration:
    return replace(
        migration,
        sources=tuple(
            replace(s, **changes) if s.broker_id == broker_id else s for s in migration.sources
        ),
    )


def _may_be_shut_down(migration: Migration, event: ev.SourceMayBeShutDown) -> Migration:
    return _with_source(migration, event.broker_id, may_be_shut_down=True)


def _refilled(migration: Migration, event: ev.SourceRefilled) -> Migration:
    return _with_source(migration, event.broker_id, may_be_shut_down=False, empty_since=None)


def _empty_again(migration: Migration, event: ev.SourceEmptyAgain) -> Migration:
    return _with_source(migration, event.broker_id, empty_since=event.at)


def _has_left(migration: Migration, event: ev.SourceLeft) -> Migration:
    return _with_source(migration, event.broker_id, left=True)


def _returned(migration: Migration, event: ev.SourceReturned) -> Migration:
    return _with_source(
        migration, event.broker_id, left=False, may_be_shut_down=False, empty_since=event.at
    )


FOLDS: dict[type[Event], Callable[[Migration, Any], Migration]] = {
    ev.SourceMayBeShutDown: _may_be_shut_down,
    ev.SourceRefilled: _refilled,
    ev.SourceEmptyAgain: _empty_again,
    ev.SourceLeft: _has_left,
    ev.SourceReturned: _returned,
}
