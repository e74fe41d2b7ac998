"""How the events of the service registry change the state.

Registered in evolve.py; decides nothing.
"""

from dataclasses import replace

from agent.core.effects import DeregisterEndpoints
from agent.core.events.endpoints import EndpointsDeregistered, EndpointsRegistered
from agent.core.model.endpoints import Endpoint, Endpoints


def registered(known: Endpoints, event: EndpointsRegistered) -> Endpoints:
    """In the service, ours or put back."""
    now = set(event.broker_ids)
    return Endpoints(
        registered=tuple(sorted({*known.registered, *now})),
        originals=_first_seen(known.originals, event.others),
        deregistration_requested=tuple(b for b in known.deregistration_requested if b not in now),
        deregistered=tuple(b for b in known.deregistered if b not in now),
    )


def deregistration_asked(known: Endpoints, effect: DeregisterEndpoints) -> Endpoints:
    """Before it happens: after a crash nobody knows whether it has."""
    return replace(
        known,
        deregistration_requested=tuple(
            sorted({*known.deregistration_requested, *effect.broker_ids})
        ),
        registered=tuple(b for b in known.registered if b not in effect.broker_ids),
    )


def deregistered(known: Endpoints, event: EndpointsDeregistered) -> Endpoints:
    return replace(known, deregistered=tuple(sorted({*known.deregistered, *event.broker_ids})))


def carried_over(known: Endpoints, still_watched: set[int]) -> Endpoints:
    """Into the next migration: only what was taken out of brokers that are still under watch."""
    return Endpoints(
        originals=tuple(
            e for e in known.originals if e.broker_id in known.deregistration_requested
        ),
        deregistration_requested=tuple(b for b in known.deregistration_requested),
        deregistered=tuple(b for b in known.deregistered if b in still_watched),
    )


def _first_seen(kept: tuple[Endpoint, ...], found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """A later look may find less: what was seen first stays."""
    seen = {e.broker_id for e in kept}
    return (*kept, *(e for e in found if e.broker_id not in seen))
