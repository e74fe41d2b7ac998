"""How the events of the service registry change the state. Registered in evolve.py; decides nothing."""

from dataclasses import replace

from agent.core.effects import DeregisterEndpoints
from agent.core.endpoint_events import EndpointsDeregistered, EndpointsRegistered
from agent.core.endpoints import Endpoint, Endpoints


def registered(known: Endpoints, e: EndpointsRegistered) -> Endpoints:
    """In the service, ours or put back."""
    now = set(e.broker_ids)
    return Endpoints(
        registered=tuple(sorted({*known.registered, *now})),
        originals=_first_seen(known.originals, e.others),
        taken_out=tuple(b for b in known.taken_out if b not in now),
        gone=tuple(b for b in known.gone if b not in now),
    )


def asked_out(known: Endpoints, effect: DeregisterEndpoints) -> Endpoints:
    """Before it happens: after a crash nobody knows whether it has."""
    return replace(
        known,
        taken_out=tuple(sorted({*known.taken_out, *effect.broker_ids})),
        registered=tuple(b for b in known.registered if b not in effect.broker_ids),
    )


def deregistered(known: Endpoints, e: EndpointsDeregistered) -> Endpoints:
    return replace(known, gone=tuple(sorted({*known.gone, *e.broker_ids})))


def carried_over(known: Endpoints, still_watched: set[int]) -> Endpoints:
    """Into the next migration: only what was taken out of brokers that are still under watch."""
    return Endpoints(
        originals=tuple(e for e in known.originals if e.broker_id in known.taken_out),
        taken_out=tuple(b for b in known.taken_out),
        gone=tuple(b for b in known.gone if b in still_watched),
    )


def _first_seen(kept: tuple[Endpoint, ...], found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """A later look may find less: what was seen first stays."""
    seen = {e.broker_id for e in kept}
    return (*kept, *(e for e in found if e.broker_id not in seen))
