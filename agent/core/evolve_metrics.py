"""How causes and the events of metrics are folded into the state; taken up by evolve.py. Nothing is decided here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.metrics.rules import Level, RuleState
from agent.core.migration import AdaptedRate, Cause, Flaps, Migration, SuppressedCause
from agent.core.model.event import Event

FLAP_TIMES_MAX = 20
FLAPPING_CAUSES_MAX = 50


def _rule_state_changed(m: Migration, e: ev.RuleStateChanged) -> Migration:
    others = tuple(j for j in m.rule_states if j.rule != e.rule)
    if e.level is Level.CLEAR:
        return replace(m, rule_states=others)
    rule_states = RuleState(rule=e.rule, level=e.level, action=e.action, fired=e.fired, since=e.at)
    return replace(m, rule_states=(*others, rule_states))


def _cause_suppressed(m: Migration, e: ev.CauseSuppressed) -> Migration:
    others = tuple(h for h in m.suppressed if h.name != e.cause)
    return replace(m, suppressed=(*others, SuppressedCause(name=e.cause, seen=e.seen, since=e.at, until=e.until)))


def _suppressed_cause_cleared(m: Migration, e: ev.SuppressedCauseCleared) -> Migration:
    return replace(m, suppressed=tuple(h for h in m.suppressed if h.name != e.cause))


def _latched(m: Migration, e: ev.FlapLimitReached) -> Migration:
    causes = tuple(replace(c, latched=True, seen=str(e.reason)) if c.name == e.cause else c for c in m.pause_causes)
    return replace(m, pause_causes=causes)


def _adapted(m: Migration, e: ev.ThrottleAdapted) -> Migration:
    if e.bytes_per_second is None:
        return replace(m, adapted_rate=None)
    adapted_rate = AdaptedRate(
        bytes_per_second=e.bytes_per_second, ceiling_bytes_per_second=e.ceiling_bytes_per_second, since=e.at
    )
    return replace(m, adapted_rate=adapted_rate)


# ── causes ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _cause_added(m: Migration, e: ev.PauseCauseAdded) -> Migration:
    cause = Cause(name=e.cause, seen=e.seen, since=e.at)
    return replace(
        m,
        # One that waited for an operator, or was held off, is a plain cause from now on.
        pause_causes=(*(c for c in m.pause_causes if c.name != e.cause), cause),
        suppressed=tuple(h for h in m.suppressed if h.name != e.cause),
        flaps=_with_flap(m, e.cause, e.at) if cause.is_external else m.flaps,
    )


def _with_flap(m: Migration, cause: str, at: float) -> tuple[Flaps, ...]:
    before = next((f.times for f in m.flaps if f.name == cause), ())
    others = tuple(f for f in m.flaps if f.name != cause)
    return (*others, Flaps(name=cause, times=(*before, at)[-FLAP_TIMES_MAX:]))[-FLAPPING_CAUSES_MAX:]


def _cause_lifted(m: Migration, e: ev.PauseCauseLifted) -> Migration:
    lifted = next((c for c in m.pause_causes if c.name == e.cause), None)
    latched = lifted is not None and lifted.latched
    return replace(
        m,
        pause_causes=tuple(c for c in m.pause_causes if c.name != e.cause),
        resumed_at=e.at if lifted is not None and lifted.waits_for_operator else m.resumed_at,
        flaps=tuple(f for f in m.flaps if f.name != e.cause) if latched else m.flaps,
    )


def _slow_cause_added(m: Migration, e: ev.SlowCauseAdded) -> Migration:
    return replace(m, slow_causes=(*m.slow_causes, Cause(name=e.cause, seen=e.seen, since=e.at)))


def _slow_cause_lifted(m: Migration, e: ev.SlowCauseLifted) -> Migration:
    return replace(m, slow_causes=tuple(c for c in m.slow_causes if c.name != e.cause))


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
