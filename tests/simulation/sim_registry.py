"""The service registry in which the simulated clients find brokers, and the clients who stay
connected for a while.

What is taken out is noted, and judged by discovery_invariants.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.model.cluster import TopicPartition
from agent.core.model.endpoints import Endpoint
from agent.core.model.reasons import Code, Reason
from agent.performer.ports import PortError
from tests.simulation.sim_ports import TIMEOUT_SECONDS, Trouble, until
from tests.simulation.world import World

TAGS = ("before",)  # of the entries that were there first


@dataclass(frozen=True)
class Taken:
    """A broker was taken out: what it held then, and whether a client was there."""

    broker: int
    at: float
    held: frozenset[TopicPartition]
    connected: bool


@dataclass
class Registry:
    """What stands in it, for all lives of the agent."""

    world: World
    entries: dict[int, tuple[str, ...]]  # broker -> tags
    down: bool = False
    census_blind: bool = False
    proxies_down: bool = False
    # When the last client of each broker leaves.
    clients_until: dict[int, float] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)

    def connections(self, broker: int) -> int:
        return int(self.world.now < self.clients_until.get(broker, 0.0))

    def take_out(self, broker: int) -> None:
        if broker not in self.entries:
            return
        connected = broker in self.world.alive and self.connections(broker) > 0
        self.taken.append(
            Taken(broker, self.world.now, frozenset(self.world.held(broker)), connected)
        )
        del self.entries[broker]


class SimRegistryPort:
    """DiscoveryPort and ClientCensus of one life."""

    def __init__(self, registry: Registry, trouble: Trouble) -> None:
        self._r, self._trouble = registry, trouble

    async def _call(self) -> None:
        await until(self._r.world.now + self._trouble.call_seconds)
        if self._r.down:
            await until(self._r.world.now + TIMEOUT_SECONDS)
            raise PortError("Consul does not answer", Code.CONSUL_UNREACHABLE)

    async def endpoints_of(self, broker_ids: Iterable[int]) -> Sequence[Endpoint]:
        await self._call()
        return [
            Endpoint(
                broker_id=b,
                service_id=f"kafka-{b}",
                node="n",
                address="proxy",
                port=b,
                tags=self._r.entries[b],
            )
            for b in broker_ids
            if b in self._r.entries
        ]

    async def register(
        self, broker_ids: Iterable[int], restore: Iterable[Endpoint]
    ) -> Sequence[Reason]:
        await self._call()
        if self._r.proxies_down:
            return [Reason(Code.ENDPOINT_NOT_READY, "no proxy answers")]
        old = {e.broker_id: e.tags for e in restore}
        for b in broker_ids:
            self._r.entries.setdefault(b, old.get(b, ()))
        return []

    async def deregister(self, broker_ids: Iterable[int]) -> Sequence[Reason]:
        for b in broker_ids:
            await self._call()
            self._r.take_out(b)
        return []

    async def connections(self, broker_ids: Iterable[int]) -> Mapping[int, int]:
        await self._call()
        return {} if self._r.census_blind else {b: self._r.connections(b) for b in broker_ids}
