"""Meets looks at the drained brokers: late arrivals, when a broker may be shut down, and when all
have left.

Called by decide.py; what comes next is in flow.py.
"""

from collections.abc import Callable
from enum import Enum, auto

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import discovery, flow
from agent.core.migration import DrainedSource, Phase
from agent.core.step import StepContext


class _Seen(Enum):
    """What a look shows of one drained broker, held against what the state knows of it."""

    STAYS_AWAY = auto()  # it had left before
    RETURNED = auto()  # it had left, and is alive again
    HOLDS_REPLICAS = auto()
    LEFT = auto()  # it was free to be shut down, and is not alive any more
    EMPTY_AGAIN = auto()  # it had held replicas
    STAYS_EMPTY = auto()


def sources_observed(ctx: StepContext, observation: msg.SourcesObserved) -> None:
    """Records what has changed on each drained broker, then goes on: a refilled broker is moved
    again, an empty one may be shut down, and the migration is complete when all have left.
    """
    replicas = dict(observation.replicas)
    for source in ctx.migration.sources:
        if source.broker_id in replicas:
            held = replicas[source.broker_id]
            seen = _seen(source, held, is_alive=source.broker_id in observation.alive)
            _CHANGES[seen](ctx, source, held)
    flow.advance(ctx)
    ended = (
        ctx.in_phase(Phase.BETWEEN_WAVES)
        and ctx.migration.wave is None
        and not ctx.migration.pause_causes
    )
    if ended and all(replicas.get(s.broker_id) == 0 for s in ctx.migration.sources if s.wave):
        flow.enter_drained(ctx)
    if (
        ctx.in_phase(Phase.DRAINED)
        and ctx.migration.sources
        and all(s.left for s in ctx.migration.sources)
    ):
        ctx.emit(ev.MigrationCompleted(at=ctx.at))
    discovery.update_registry_at_rest(ctx)


def _seen(source: DrainedSource, replicas: int, *, is_alive: bool) -> _Seen:
    if source.left:
        return _Seen.RETURNED if is_alive else _Seen.STAYS_AWAY
    if replicas:
        return _Seen.HOLDS_REPLICAS
    if not is_alive and source.may_be_shut_down:
        return _Seen.LEFT
    return _Seen.EMPTY_AGAIN if source.empty_since is None else _Seen.STAYS_EMPTY


def _stays_away(_ctx: StepContext, _source: DrainedSource, _replicas: int) -> None:
    """Nothing has changed."""


def _returned(ctx: StepContext, source: DrainedSource, _replicas: int) -> None:
    ctx.emit(ev.SourceReturned(at=ctx.at, broker_id=source.broker_id))


def _holds_replicas(ctx: StepContext, source: DrainedSource, replicas: int) -> None:
    """Its wave is opened again where nothing moves and it is still needed; elsewhere it is told."""
    if source.empty_since is None:
        return
    if (
        ctx.in_phase(Phase.DRAINED, Phase.BETWEEN_WAVES)
        and source.wave
        and not source.may_be_shut_down
    ):
        why = f"{replicas} replicas have landed on broker {source.broker_id}"
        ctx.emit(ev.WaveReopened(at=ctx.at, wave=source.wave, why=why))
    else:
        ctx.emit(ev.SourceRefilled(at=ctx.at, broker_id=source.broker_id, replicas=replicas))


def _left(ctx: StepContext, source: DrainedSource, _replicas: int) -> None:
    ctx.emit(ev.SourceLeft(at=ctx.at, broker_id=source.broker_id))


def _empty_again(ctx: StepContext, source: DrainedSource, _replicas: int) -> None:
    ctx.emit(ev.SourceEmptyAgain(at=ctx.at, broker_id=source.broker_id))


def _stays_empty(ctx: StepContext, source: DrainedSource, _replicas: int) -> None:
    if _may_be_shut_down(ctx, source) and discovery.is_deregistered(ctx, source):
        ctx.emit(ev.SourceMayBeShutDown(at=ctx.at, broker_id=source.broker_id))


_CHANGES: dict[_Seen, Callable[[StepContext, DrainedSource, int], None]] = {
    _Seen.STAYS_AWAY: _stays_away,
    _Seen.RETURNED: _returned,
    _Seen.HOLDS_REPLICAS: _holds_replicas,
    _Seen.LEFT: _left,
    _Seen.EMPTY_AGAIN: _empty_again,
    _Seen.STAYS_EMPTY: _stays_empty,
}


def _may_be_shut_down(ctx: StepContext, source: DrainedSource) -> bool:
    """Whether it has been empty for `quiet_seconds`.

    While this migration moves, its own sources are needed for a rollback, and none is released.
    """
    if (
        source.may_be_shut_down
        or source.empty_since is None
        or (source.wave and not ctx.in_phase(Phase.DRAINED))
    ):
        return False
    return ctx.at >= source.empty_since + ctx.policy.quiet_seconds


def throttle_swept(ctx: StepContext, observation: msg.ThrottleSwept) -> None:
    """Records that a leftover throttle was cleared, so that the event log shows it."""
    ctx.emit(
        ev.LeftoverThrottleCleared(
            at=ctx.at, entries=observation.entries, broker_ids=observation.broker_ids
        )
    )
