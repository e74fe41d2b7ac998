"""Folds what happens to a drained source broker into the state; taken up by evolve.py. Decides nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.migration import Migration
from agent.core.model.event import Event


def _with_source(m: Migration, broker_id: int, **changes: Any) -> Migration:
    return replace(m, sources=tuple(replace(s, **changes) if s.broker_id == broker_id else s for s in m.sources))


def _may_be_shut_down(m: Migration, e: ev.SourceMayBeShutDown) -> Migration:
    return _with_source(m, e.broker_id, may_be_shut_down=True)


def _refilled(m: Migration, e: ev.SourceRefilled) -> Migration:
    return _with_source(m, e.broker_id, may_be_shut_down=False, empty_since=None)


def _empty_again(m: Migration, e: ev.SourceEmptyAgain) -> Migration:
    return _with_source(m, e.broker_id, empty_since=e.at)


def _has_left(m: Migration, e: ev.SourceLeft) -> Migration:
    return _with_source(m, e.broker_id, left=True)


def _returned(m: Migration, e: ev.SourceReturned) -> Migration:
    return _with_source(m, e.broker_id, left=False, may_be_shut_down=False, empty_since=e.at)


FOLDS: dict[type[Event], Callable[[Migration, Any], Migration]] = {
    ev.SourceMayBeShutDown: _may_be_shut_down,
    ev.SourceRefilled: _refilled,
    ev.SourceEmptyAgain: _empty_again,
    ev.SourceLeft: _has_left,
    ev.SourceReturned: _returned,
}
