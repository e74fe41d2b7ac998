"""Folds what happens to a drained source broker into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.migration import Migration


def _with_source(migration: Migration, broker_id: int, **changes: Any) -> Migration:
    return replace(
        migration,
        sources=tuple(
            replace(s, **changes) if s.broker_id == broker_id else s for s in migration.sources
        ),
    )


def _source_may_be_shut_down(migration: Migration, event: ev.SourceMayBeShutDown) -> Migration:
    return _with_source(migration, event.broker_id, may_be_shut_down=True)


def _source_refilled(migration: Migration, event: ev.SourceRefilled) -> Migration:
    return _with_source(migration, event.broker_id, may_be_shut_down=False, empty_since=None)


def _source_empty_again(migration: Migration, event: ev.SourceEmptyAgain) -> Migration:
    return _with_source(migration, event.broker_id, empty_since=event.at)


def _source_left(migration: Migration, event: ev.SourceLeft) -> Migration:
    return _with_source(migration, event.broker_id, left=True)


def _source_returned(migration: Migration, event: ev.SourceReturned) -> Migration:
    return _with_source(
        migration, event.broker_id, left=False, may_be_shut_down=False, empty_since=event.at
    )


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.SourceMayBeShutDown: _source_may_be_shut_down,
    ev.SourceRefilled: _source_refilled,
    ev.SourceEmptyAgain: _source_empty_again,
    ev.SourceLeft: _source_left,
    ev.SourceReturned: _source_returned,
}
