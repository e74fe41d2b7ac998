"""How causes and the events of metrics are folded into the state; taken up by evolve.py.

Nothing is decided here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.metrics.rules import Level, RuleState
from agent.core.migration import AdaptedRate, Cause, Flaps, Migration, SuppressedCause
from agent.core.model.event import Event

FLAP_TIMES_MAX = 20
FLAPPING_CAUSES_MAX = 50


def _rule_state_changed(migration: Migration, event: ev.RuleStateChanged) -> Migration:
    others = tuple(j for j in migration.rule_states if j.rule != event.rule)
    if event.level is Level.CLEAR:
        return replace(migration, rule_states=others)
    rule_states = RuleState(
        rule=event.rule, level=event.level, action=event.action, fired=event.fired, since=event.at
    )
    return replace(migration, rule_states=(*others, rule_states))


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


def _latched(migration: Migration, event: ev.FlapLimitReached) -> Migration:
    causes = tuple(
        replace(c, latched=True, seen=str(event.reason)) if c.name == event.cause else c
        for c in migration.pause_causes
    )
    return replace(migration, pause_causes=causes)


def _adapted(migration: Migration, event: ev.ThrottleAdapted) -> Migration:
    if event.bytes_per_second is None:
        return replace(migration, adapted_rate=None)
    adapted_rate = AdaptedRate(
        bytes_per_second=event.bytes_per_second,
        ceiling_bytes_per_second=event.ceiling_bytes_per_second,
        since=event.at,
    )
    return replace(migration, adapted_rate=adapted_rate)


# ── causes ────────────────────────────────────────────────────────────────────────────────────────
def _cause_added(migration: Migration, event: ev.PauseCauseAdded) -> Migration:
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


def _cause_lifted(migration: Migration, event: ev.PauseCauseLifted) -> Migration:
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


FOLDS: dict[type[Event], Callable[[Migration, Any], Migration]] = {
    ev.PauseCauseAdded: _cause_added,
    ev.PauseCauseLifted: _cause_lifted,
    ev.SlowCauseAdded: _slow_cause_added,
    ev.SlowCauseLifted: _slow_cause_lifted,
    ev.RuleStateChanged: _rule_state_changed,
    ev.CauseSuppressed: _cause_suppressed,
    ev.SuppressedCauseCleared: _suppressed_cause_cleared,
    ev.FlapLimitReached: _latched,
    ev.ThrottleAdapted: _adapted,
}
