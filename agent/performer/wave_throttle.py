"""Sets a wave's replication throttle (KIP-73), and removes the entries of this migration.

Called by performer.py and stop.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.model import throttle
from agent.performer import reassign
from agent.performer.offload import run_off_loop

if TYPE_CHECKING:
    from agent.core import effects as fx
    from agent.core.migration import Migration
    from agent.core.model.cluster import ClusterFacts
    from agent.performer.ports import Ports


async def set_rate(ports: Ports, scope: fx.WaveScope, rate_bytes_per_second: int) -> None:
    """Throttle the partitions that the wave will move, on every live broker. Raises PortError."""
    kafka = ports.kafka
    moving, _ = await reassign.selected(ports, scope)
    alive = await kafka.alive()
    replaced = dict.fromkeys(scope.source_broker_ids, scope.destination_broker_ids)
    await kafka.set_throttle(
        await run_off_loop(
            len(moving), throttle.wave_throttle, moving, replaced, alive, rate_bytes_per_second
        )
    )


async def clear_own(
    ports: Ports, scope: fx.WaveScope, migration: Migration, facts: ClusterFacts | None = None
) -> int:
    """Remove the throttle entries of this migration; return how many of them are still set.

    `facts`: the cluster as it was just read, which saves a request for its brokers and topics.
    Raises PortError.
    """
    if not migration.throttle_rates_set:
        return 0
    alive, topics = (
        (await ports.kafka.alive(), None)
        if facts is None
        else (facts.racks, await run_off_loop(len(facts.partitions), _topics, facts))
    )

    async def own() -> throttle.ThrottleChange:
        return throttle.own_throttle(
            await ports.kafka.throttle(alive, topics),
            scope.destination_broker_ids,
            migration.throttle_rates_set,
        )

    found = await own()
    if not found.entries:
        return 0
    await ports.kafka.clear_throttle(found)
    return (await own()).entries


def _topics(facts: ClusterFacts) -> frozenset[str]:
    return frozenset(p.topic for p in facts.partitions)
