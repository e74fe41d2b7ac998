"""Folds the causes of pauses and of slowness into the state: added, lifted, held off, latched."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.messages import Checked
from agent.core.migration import Migration, Phase, StopFor
from agent.core.model.causes import Cause, Flaps, SuppressedCause
from agent.core.model.reasons import Code

FLAP_TIMES_MAX = 20
FLAPPING_CAUSES_MAX = 50
# A check that could not see Kafka, whatever the cause, shows nothing about a safety reason.
_BLIND = frozenset({Code.KAFKA_UNREACHABLE, Code.KAFKA_LOGIN_REFUSED})


def causes_that_outlast(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """What goes on by itself. What only waits for an operator has been answered."""
    return tuple(c for c in causes if c.is_external and not c.latched)


def _pause_cause_added(migration: Migration, event: ev.PauseCauseAdded) -> Migration:
    cause = Cause(name=event.cause, seen=event.seen, since=event.at)
    return replace(
        migration,
        # One that waited for an operator, or was held off, is a plain cause from now on.
        pause_causes=(*(c for c in migration.pause_causes if c.name != event.cause), cause),
        suppressed=tuple(h for h in migration.suppressed if h.name != event.cause),
        flaps=_with_flap(migration, event.cause, event.at)
        if cause.is_external
        else migration.flaps,
    )


def _with_flap(migration: Migration, cause: str, at: float) -> tuple[Flaps, ...]:
    before = next((f.times for f in migration.flaps if f.name == cause), ())
    others = tuple(f for f in migration.flaps if f.name != cause)
    return (*others, Flaps(name=cause, times=(*before, at)[-FLAP_TIMES_MAX:]))[
        -FLAPPING_CAUSES_MAX:
    ]


def _pause_cause_lifted(migration: Migration, event: ev.PauseCauseLifted) -> Migration:
    lifted = next((c for c in migration.pause_causes if c.name == event.cause), None)
    latched = lifted is not None and lifted.latched
    return replace(
        migration,
        pause_causes=tuple(c for c in migration.pause_causes if c.name != event.cause),
        resumed_at=event.at
        if lifted is not None and lifted.waits_for_operator
        else migration.resumed_at,
        flaps=tuple(f for f in migration.flaps if f.name != event.cause)
        if latched
        else migration.flaps,
    )


def _slow_cause_added(migration: Migration, event: ev.SlowCauseAdded) -> Migration:
    return replace(
        migration,
        slow_causes=(
            *migration.slow_causes,
            Cause(name=event.cause, seen=event.seen, since=event.at),
        ),
    )


def _slow_cause_lifted(migration: Migration, event: ev.SlowCauseLifted) -> Migration:
    return replace(
        migration, slow_causes=tuple(c for c in migration.slow_causes if c.name != event.cause)
    )


def _cause_suppressed(migration: Migration, event: ev.CauseSuppressed) -> Migration:
    others = tuple(h for h in migration.suppressed if h.name != event.cause)
    return replace(
        migration,
        suppressed=(
            *others,
            SuppressedCause(name=event.cause, seen=event.seen, since=event.at, until=event.until),
        ),
    )


def _suppressed_cause_cleared(migration: Migration, event: ev.SuppressedCauseCleared) -> Migration:
    return replace(
        migration, suppressed=tuple(h for h in migration.suppressed if h.name != event.cause)
    )


def _flap_limit_reached(migration: Migration, event: ev.FlapLimitReached) -> Migration:
    causes = tuple(
        replace(c, latched=True, seen=str(event.reason)) if c.name == event.cause else c
        for c in migration.pause_causes
    )
    return replace(migration, pause_causes=causes)


def _stop_requested(migration: Migration, event: ev.StopRequested) -> Migration:
    return replace(migration, stop_for=StopFor(event.purpose), waiting=(), blocked=event.reasons)


def _migration_paused(migration: Migration, _event: ev.MigrationPaused) -> Migration:
    return replace(migration, stop_for=None, waiting=(), progress=None, finishes=False)


def _checked_while_paused(migration: Migration, event: ev.EffectFinished) -> Migration:
    """Since when each safety reason has been gone."""
    outcome = event.outcome
    if not isinstance(outcome, Checked) or migration.phase is not Phase.PAUSED:
        return migration
    bad = {f"safety:{r.code}" for r in outcome.reasons}
    blind = any(r.code in _BLIND for r in outcome.passing)
    causes = tuple(
        replace(c, clear_since=None if blind or c.name in bad else (c.clear_since or event.at))
        if c.is_safety
        else c
        for c in migration.pause_causes
    )
    return replace(migration, pause_causes=causes)


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.PauseCauseAdded: _pause_cause_added,
    ev.PauseCauseLifted: _pause_cause_lifted,
    ev.SlowCauseAdded: _slow_cause_added,
    ev.SlowCauseLifted: _slow_cause_lifted,
    ev.CauseSuppressed: _cause_suppressed,
    ev.SuppressedCauseCleared: _suppressed_cause_cleared,
    ev.FlapLimitReached: _flap_limit_reached,
    ev.StopRequested: _stop_requested,
    ev.MigrationPaused: _migration_paused,
    ev.EffectFinished: _checked_while_paused,
}
