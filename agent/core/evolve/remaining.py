"""Folds what is left of each wave, as Kafka showed it last, into the state; in every phase."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.effects import StopWave
from agent.core.messages import Performed
from agent.core.migration import Migration
from agent.core.planning.wave import Direction


def _checks_passed(migration: Migration, event: ev.ChecksPassed) -> Migration:
    migration = _with_way_back_as_seen(migration, event)
    return _last_logs(migration, event.wave, event.replicas, event.size_bytes)


def _left(migration: Migration, event: ev.WaveProgressed | ev.WaveFellShort) -> Migration:
    return _last_logs(migration, event.wave, event.replicas_left, event.bytes_left)


def _nothing_left(migration: Migration, event: ev.SourceEmptied | ev.WaveVerified) -> Migration:
    return _last_logs(migration, event.wave, 0, 0)


def _stopped(migration: Migration, event: ev.EffectFinished) -> Migration:
    outcome = event.outcome
    if not isinstance(outcome, Performed) or outcome.replicas_left is None:
        return migration
    stop = next((p.effect for p in migration.pending if p.effect_id == event.effect_id), None)
    if not isinstance(stop, StopWave):
        return migration
    return _last_logs(migration, stop.scope.wave, outcome.replicas_left, outcome.bytes_left)


def _last_logs(
    migration: Migration, number: int, replicas_left: int, bytes_left: int | None
) -> Migration:
    """Bytes that a silent broker does not tell are those that it told last."""
    waves = (
        replace(
            w,
            replicas_left=replicas_left,
            bytes_left=w.bytes_left if bytes_left is None else bytes_left,
        )
        if w.number == number
        else w
        for w in migration.waves
    )
    return replace(migration, waves=tuple(waves))


def _with_way_back_as_seen(migration: Migration, event: ev.ChecksPassed) -> Migration:
    """A way back is as long as what its first check finds: what had moved was not planned, and
    may have grown.
    """
    waves = (
        replace(w, replicas=event.replicas, leaders=event.leaders, size_bytes=event.size_bytes)
        if w.number == event.wave and w.direction is Direction.BACK and w.attempt == 1
        else w
        for w in migration.waves
    )
    return replace(migration, waves=tuple(waves))


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.ChecksPassed: _checks_passed,
    ev.WaveProgressed: _left,
    ev.WaveFellShort: _left,
    ev.SourceEmptied: _nothing_left,
    ev.WaveVerified: _nothing_left,
    ev.EffectFinished: _stopped,
}
