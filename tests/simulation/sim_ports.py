"""The ports over the simulated world: every call is a scheduling point, at which its caller may be
closed or die.

What changes the world travels on a wire: once sent, it arrives, also when its sender has been
closed or has died since.
"""

import heapq
import types
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from agent.core.model.client_positions import Positions
from agent.core.model.cluster import (
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.reasons import Code
from agent.core.model.throttle import ThrottleChange, ThrottleFacts
from agent.performer.ports import PortError
from tests.simulation.sim_cruise_control import SimCruiseControl
from tests.simulation.world import STEP_SECONDS_MAX, World

T = TypeVar("T")
CALL_SECONDS = 0.02
TIMEOUT_SECONDS = 5.0
LOOK_SECONDS = TIMEOUT_SECONDS + 1.0  # its last call may be one that nobody answers
CALLS_A_LOOK = 8  # its own, and those of the other watches that wait for the same thread
SETTINGS = {"inter.broker.protocol.version": "3.9-IV0", "message.max.bytes": "1048588"}
Acting = Callable[[], None]
Moving = Callable[[Mapping[TopicPartition, Sequence[int]]], None]


@types.coroutine
def until(at: float) -> Generator[float, None, None]:
    """Give the word back to the simulator until virtual time `at`."""
    yield at


@dataclass
class Trouble:
    """What the faults have switched on."""

    kafka_down: bool = False
    cruise_control_down: bool = False
    crowded: bool = False  # Cruise Control: too many active user tasks, whatever is asked
    login_refused: bool = False  # Cruise Control: a password that has changed
    accept_then_time_out: int = 0  # so many requests are met, and their answer is lost
    lose_request: int = 0  # so many requests never arrive
    call_seconds: float = CALL_SECONDS
    slow_call_seconds: float = CALL_SECONDS  # on the last slow wire
    slow_until: float = float("-inf")

    def slow_down(self, call_seconds: float) -> None:
        self.call_seconds = self.slow_call_seconds = call_seconds
        self.slow_until = float("inf")

    def be_fast(self, now: float) -> None:
        self.call_seconds = CALL_SECONDS
        self.slow_until = min(self.slow_until, now)

    def look_seconds(self, now: float) -> float:
        """A look at the cluster, and its way through the log, may be so old: it is several
        calls, one after another.
        """
        slow = CALLS_A_LOOK * self.slow_call_seconds
        return LOOK_SECONDS + (slow if now < self.slow_until + slow else 0.0)


@dataclass
class Wire:
    """What is on its way."""

    world: World
    _parcels: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def send(self, seconds: float, act: Callable[[], object]) -> float:
        """Arrives so much later, whatever becomes of the sender; returns when."""
        at = self.world.now + seconds
        heapq.heappush(self._parcels, (at, next(self._numbers), act))
        return at

    @property
    def next_at(self) -> float | None:
        return self._parcels[0][0] if self._parcels else None

    def deliver(self) -> None:
        while self._parcels and self._parcels[0][0] <= self.world.now:
            heapq.heappop(self._parcels)[2]()


class SimClock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        await until(self._world.now + seconds)


class SimKafka:
    """Reads are answered with what is true when the answer comes; changes go over the wire.

    One thread a cluster, as in adapters/kafka/cluster.py: whatever is asked waits until what was
    asked before has been done.
    """

    def __init__(
        self,
        world: World,
        trouble: Trouble,
        wire: Wire,
        moving: Moving = lambda _: None,
        touching: Acting = lambda: None,
    ) -> None:
        self._w, self._trouble, self._wire, self._moving = world, trouble, wire, moving
        self._touching = touching  # replica orders and leaders
        self._free_at = 0.0

    async def _read(self, answer: Callable[[], T]) -> T:
        self._free_at = max(self._w.now, self._free_at) + self._trouble.call_seconds
        await until(self._free_at)
        await self._up()
        return answer()

    async def _change(self, act: Callable[[], object]) -> None:
        await self._up()
        self._free_at = max(self._w.now, self._free_at) + self._trouble.call_seconds
        await until(self._wire.send(self._free_at - self._w.now, act))

    async def _up(self) -> None:
        if self._trouble.kafka_down:
            await until(self._w.now + TIMEOUT_SECONDS)
            raise PortError("Kafka does not answer", Code.KAFKA_UNREACHABLE)

    async def cluster(self) -> ClusterFacts:
        return await self._read(self._w.facts)

    async def alive(self) -> Mapping[int, str | None]:
        return await self._read(lambda: {b: self._w.racks[b] for b in sorted(self._w.alive)})

    async def reassignments(self) -> Sequence[Reassignment]:
        return await self._read(self._w.reassignments)

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        wanted, only = sorted(broker_ids), None if names is None else frozenset(names)

        def seen(broker: int) -> BrokerLogs:
            log = self._w.logs(broker)
            if only is None:
                return log
            return replace(
                log, size_bytes={n: size for n, size in log.size_bytes.items() if n in only}
            )

        return await self._read(lambda: {b: seen(b) for b in wanted if b in self._w.alive})

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        wanted = set(names)
        return await self._read(
            lambda: [p.facts() for p in self._w.partitions.values() if p.name in wanted]
        )

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        wanted = list(names)
        return await self._read(
            lambda: Positions(partitions=len(wanted), ends=dict.fromkeys(wanted, 0))
        )

    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        brokers, named = list(broker_ids), None if topics is None else list(topics)
        return await self._read(lambda: self._w.throttle(brokers, named))

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        wanted = sorted(broker_ids)
        return await self._read(lambda: {b: dict(SETTINGS) for b in wanted if b in self._w.alive})

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        return await self._read(dict)

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        return None

    async def loading_coordinators(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        return await self._read(dict)

    async def set_throttle(self, order: ThrottleChange) -> None:
        await self._change(lambda: self._w.set_throttle(order))

    async def clear_throttle(self, order: ThrottleChange) -> None:
        await self._change(lambda: self._w.clear_throttle(order))

    async def reorder_replicas(self, orders: Mapping[TopicPartition, Sequence[int]]) -> None:
        def act() -> None:
            for name, replicas in orders.items():
                self._w.reassign(name, replicas)

        self._touching()
        await self._change(act)

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        self._moving({n: t for n, t in targets.items() if t is not None})

        def act() -> None:
            for name, target in targets.items():
                if target is None:
                    self._w.cancel(name)
                elif (p := self._w.partitions.get(name)) is not None and not p.is_moving:
                    self._w.reassign(name, target)

        await self._change(act)

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        self._touching()
        await self._change(lambda: self._w.elect(names))


class SimSnapshots:
    """Durable: survives crashes."""

    def __init__(self, world: World, trouble: Trouble) -> None:
        self._w, self._trouble = world, trouble
        self.kept: dict[str, dict[TopicPartition, tuple[int, ...]]] = {}
        self.positions: dict[tuple[str, int], Positions] = {}

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        await until(self._w.now + self._trouble.call_seconds)
        self.kept[migration_id] = {p.name: p.origin for p in partitions}

    async def save_positions(self, migration_id: str, wave: int, positions: Positions) -> None:
        await until(self._w.now + self._trouble.call_seconds)
        self.positions[migration_id, wave] = positions

    async def load_positions(self, migration_id: str, wave: int) -> Positions | None:
        await until(self._w.now + self._trouble.call_seconds)
        return self.positions.get((migration_id, wave))

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        await until(self._w.now + self._trouble.call_seconds)
        return self.kept.get(migration_id)


class SimLease:
    """One agent's view of the lock."""

    def __init__(self, *, mine: bool = True) -> None:
        self.mine = mine

    def held(self) -> bool:
        return self.mine

    def holder(self) -> str:
        return "another agent"


def advance_to(world: World, cc: SimCruiseControl, wire: Wire, at: float) -> None:
    """Let time pass, in steps fine enough for copies, polls and parcels."""
    wire.deliver()
    while world.now < at:
        to = at
        if world.moving or world.rejoin_at:
            to = min(to, world.now + STEP_SECONDS_MAX)
        for due in (cc.wakes_at, wire.next_at):
            if due is not None:
                to = min(to, max(due, world.now))
        world.advance(to - world.now)
        cc.advance()
        wire.deliver()
