"""Folds the states of rules and the rates that they allow into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.metrics.rules import Level, RuleState
from agent.core.migration import AdaptedRate, Migration


def _rule_state_changed(migration: Migration, event: ev.RuleStateChanged) -> Migration:
    others = tuple(j for j in migration.rule_states if j.rule != event.rule)
    if event.level is Level.CLEAR:
        return replace(migration, rule_states=others)
    rule_states = RuleState(
        rule=event.rule, level=event.level, action=event.action, fired=event.fired, since=event.at
    )
    return replace(migration, rule_states=(*others, rule_states))


def _throttle_adapted(migration: Migration, event: ev.ThrottleAdapted) -> Migration:
    if event.bytes_per_second is None:
        return replace(migration, adapted_rate=None)
    adapted_rate = AdaptedRate(
        bytes_per_second=event.bytes_per_second,
        ceiling_bytes_per_second=event.ceiling_bytes_per_second,
        since=event.at,
    )
    return replace(migration, adapted_rate=adapted_rate)


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.RuleStateChanged: _rule_state_changed,
    ev.ThrottleAdapted: _throttle_adapted,
}
