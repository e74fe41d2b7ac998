"""Folds the beginning and the end of effects into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.effects import EFFECTS, MovePartitions, Pending, RetryRule, StartWave, TuneWave
from agent.core.messages import Busy, Unreachable
from agent.core.migration import Migration

THROTTLE_RATES_MAX = 64  # an adaptive throttle sets many


def _effect_requested(migration: Migration, event: ev.EffectRequested) -> Migration:
    uses_clock = EFFECTS[type(event.effect)].retry is not RetryRule.NONE
    return replace(
        migration,
        pending=(
            *migration.pending,
            Pending(effect_id=event.effect_id, effect=event.effect, since=event.at),
        ),
        retry_at=None if uses_clock else migration.retry_at,
        throttle_rates_set=_with_rate(migration.throttle_rates_set, event),
    )


def _with_rate(known: tuple[int, ...], event: ev.EffectRequested) -> tuple[int, ...]:
    """The rates that this migration has set, with the one that the effect sets."""
    if not isinstance(event.effect, (StartWave, MovePartitions, TuneWave)):
        return known
    rate = event.effect.throttle_bytes_per_second
    return (*known, rate)[-THROTTLE_RATES_MAX:] if rate and rate not in known else known


def _effect_finished(migration: Migration, event: ev.EffectFinished) -> Migration:
    unanswered = isinstance(event.outcome, (Busy, Unreachable))
    return replace(
        migration,
        pending=_without(migration, event.effect_id),
        retry_at=event.retry_at,
        retries=migration.retries + 1 if unanswered else migration.retries,
    )


def _effect_abandoned(migration: Migration, event: ev.EffectAbandoned) -> Migration:
    return replace(migration, pending=_without(migration, event.effect_id))


def _without(migration: Migration, effect_id: str) -> tuple[Pending, ...]:
    return tuple(p for p in migration.pending if p.effect_id != effect_id)


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.EffectRequested: _effect_requested,
    ev.EffectFinished: _effect_finished,
    ev.EffectAbandoned: _effect_abandoned,
}
