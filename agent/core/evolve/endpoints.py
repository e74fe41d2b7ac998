"""Folds what happens to the entries of the service registry into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.effects import DeregisterEndpoints
from agent.core.migration import Migration
from agent.core.model.endpoints import Endpoint, Endpoints


def _endpoints_registered(migration: Migration, event: ev.EndpointsRegistered) -> Migration:
    """Whether the entries are ours or were put back."""
    known, now = migration.endpoints, set(event.broker_ids)
    endpoints = Endpoints(
        registered=tuple(sorted({*known.registered, *now})),
        originals=_first_seen(known.originals, event.others),
        deregistration_requested=tuple(b for b in known.deregistration_requested if b not in now),
        deregistered=tuple(b for b in known.deregistered if b not in now),
    )
    return replace(migration, endpoints=endpoints)


def _deregistration_requested(migration: Migration, event: ev.EffectRequested) -> Migration:
    """Recorded before it happens, because after a crash nobody knows whether it has."""
    if not isinstance(event.effect, DeregisterEndpoints):
        return migration
    known, brokers = migration.endpoints, event.effect.broker_ids
    endpoints = replace(
        known,
        deregistration_requested=tuple(sorted({*known.deregistration_requested, *brokers})),
        registered=tuple(b for b in known.registered if b not in brokers),
    )
    return replace(migration, endpoints=endpoints)


def _endpoints_deregistered(migration: Migration, event: ev.EndpointsDeregistered) -> Migration:
    known = migration.endpoints
    deregistered = tuple(sorted({*known.deregistered, *event.broker_ids}))
    return replace(migration, endpoints=replace(known, deregistered=deregistered))


def carried_over(known: Endpoints, still_watched: set[int]) -> Endpoints:
    """Into the next migration: only what was taken out of brokers that are still under watch."""
    return Endpoints(
        originals=tuple(
            e for e in known.originals if e.broker_id in known.deregistration_requested
        ),
        deregistration_requested=known.deregistration_requested,
        deregistered=tuple(b for b in known.deregistered if b in still_watched),
    )


def _first_seen(kept: tuple[Endpoint, ...], found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """A later look may find less, so what was seen first stays."""
    seen = {e.broker_id for e in kept}
    return (*kept, *(e for e in found if e.broker_id not in seen))


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.EndpointsRegistered: _endpoints_registered,
    ev.EndpointsDeregistered: _endpoints_deregistered,
    ev.EffectRequested: _deregistration_requested,
}
