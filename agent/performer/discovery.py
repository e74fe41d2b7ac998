"""Performs RegisterEndpoints and DeregisterEndpoints. Called by performer.py; decides nothing.

Entries that exist already stay; entries that are gone already are no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.model.endpoints import Deregistered, Registered
from agent.core.model.reasons import CheckResult, Code, Reason, shortened
from agent.core.model.words import listed
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.core import effects as fx
    from agent.performer.ports import Ports


async def register(ports: Ports, effect: fx.RegisterEndpoints) -> msg.Outcome:
    """Register brokers, after reading the others' entries, which a rollback restores.

    Returns Registered, or Busy with why some are not yet registered. Raises PortError.
    """
    if ports.discovery is None:  # its settings have been removed since
        return Registered(broker_ids=effect.broker_ids)
    others = tuple(await ports.discovery.endpoints_of(effect.other_broker_ids))
    if missing := await ports.discovery.register(effect.broker_ids, effect.restore):
        return msg.Busy(reason=_first(missing))
    return Registered(broker_ids=effect.broker_ids, others=others)


async def deregister(ports: Ports, effect: fx.DeregisterEndpoints) -> msg.Outcome:
    """Deregister brokers that hold no replica and have no client connected.

    Returns Deregistered, which says why the others stay. Raises PortError.
    """
    if ports.discovery is None:
        return Deregistered(broker_ids=effect.broker_ids, counted=False)
    alive = await ports.kafka.alive()
    asked = [b for b in effect.broker_ids if b in alive]  # a broker that is down has no clients
    held = {
        b: Reason(Code.NOT_DRAINED, f"broker {b} does not report its replicas", "none")
        for b in asked
    }
    for b, logs in (await ports.kafka.logs(asked)).items():
        if logs.size_bytes:
            held[b] = Reason(
                Code.NOT_DRAINED, f"broker {b} holds {len(logs.size_bytes)} replicas", "none"
            )
        else:
            held.pop(b, None)
    if ports.census is not None:
        held |= _connected(
            await ports.census.connections(asked), [b for b in asked if b not in held]
        )
    free = [b for b in effect.broker_ids if b not in held]
    still = tuple(await ports.discovery.deregister(free)) if free else ()
    out = () if still else tuple(free)
    return Deregistered(
        broker_ids=out, counted=ports.census is not None, held=(*held.values(), *still)
    )


async def check_results(ports: Ports, destinations: Sequence[int]) -> tuple[CheckResult, ...]:
    """Check for a plan whether the registry can be read; empty without a registry. Never raises."""
    if ports.discovery is None:
        return ()
    needed, title = "an answer", "where clients find brokers"
    try:
        known = {e.broker_id for e in await ports.discovery.endpoints_of(destinations)}
    except PortError as trouble:
        return (
            CheckResult(
                code=trouble.code,
                ok=False,
                seen=shortened(str(trouble)),
                needed=needed,
                title=title,
            ),
        )
    counted = (
        "connections are counted"
        if ports.census
        else "nobody counts connections, so only the grace period decides"
    )
    seen = (
        f"{len(known)} of {len(destinations)} destinations are in the service, the others "
        f"will be; {counted}"
    )
    return (
        CheckResult(code=Code.CONSUL_UNREACHABLE, ok=True, seen=seen, needed=needed, title=title),
    )


def _connected(counts: Mapping[int, int], broker_ids: Sequence[int]) -> dict[int, Reason]:
    """Why these brokers must stay registered, by broker."""
    found = {}
    for b in broker_ids:
        if b not in counts:
            found[b] = Reason(
                Code.CENSUS_UNREACHABLE,
                f"nobody counts the connections of broker {b}",
                "their number",
            )
        elif counts[b]:
            found[b] = Reason(
                Code.CLIENTS_CONNECTED, f"{counts[b]} connections to broker {b}", "none"
            )
    return found


def _first(reasons: Sequence[Reason]) -> Reason:
    """Join reasons of one kind, because an outcome that waits has one reason."""
    first = reasons[0]
    return Reason(first.code, listed([first.seen], len(reasons)), first.needed)
