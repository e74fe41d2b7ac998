"""The ports over the simulated world: every call is a scheduling point, at which the simulator may fail, delay or crash."""

import types
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.adapters.ports import CruiseControlState, PortError, RemoveBroker, UserTask
from agent.core.cluster import BrokerLogs, ClusterFacts, Partition, Reassignment, TopicPartition
from agent.core.messages import Busy, ExecutionAsked, Rejected, Unreachable
from agent.core.reasons import Code, Reason
from agent.core.throttle import ThrottleFacts, ThrottleOrder
from tests.simulation.sim_cruise_control import SimCruiseControl
from tests.simulation.world import World

T = TypeVar("T")
CALL_SECONDS = 0.02
TIMEOUT_SECONDS = 5.0


@types.coroutine
def until(at: float) -> Generator[float, None, None]:
    """Give the word back to the simulator until virtual time `at`."""
    yield at


@dataclass
class Trouble:
    """What the faults have switched on."""

    kafka_down: bool = False
    cruise_control_down: bool = False
    accept_then_time_out: int = 0  # so many requests are met, and their answer is lost
    lose_request: int = 0


class SimClock:
    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        await until(self._world.now + seconds)


class SimKafka:
    def __init__(self, world: World, trouble: Trouble) -> None:
        self._w, self._trouble = world, trouble

    async def _call(self, answer: Callable[[], T]) -> T:
        await until(self._w.now + CALL_SECONDS)
        if self._trouble.kafka_down:
            await until(self._w.now + TIMEOUT_SECONDS)
            raise PortError("Kafka does not answer", Code.KAFKA_UNREACHABLE)
        return answer()

    async def cluster(self) -> ClusterFacts:
        return await self._call(self._w.facts)

    async def alive(self) -> Mapping[int, str | None]:
        return await self._call(lambda: {b: self._w.racks[b] for b in self._w.alive})

    async def reassignments(self) -> Sequence[Reassignment]:
        return await self._call(self._w.reassignments)

    async def logs(self, broker_ids: Iterable[int]) -> Mapping[int, BrokerLogs]:
        wanted = list(broker_ids)
        return await self._call(lambda: {b: self._w.logs(b) for b in wanted if b in self._w.alive})

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        wanted = set(names)
        return await self._call(lambda: [p.facts() for p in self._w.partitions.values() if p.name in wanted])

    async def throttle(self, broker_ids: Iterable[int], topics: Iterable[str] | None) -> ThrottleFacts:
        return await self._call(self._w.throttle)

    async def set_throttle(self, order: ThrottleOrder) -> None:
        await self._call(lambda: self._w.set_throttle(order))

    async def clear_throttle(self, order: ThrottleOrder) -> None:
        await self._call(lambda: self._w.clear_throttle(order))

    async def reorder(self, orders: Mapping[TopicPartition, Sequence[int]]) -> None:
        await self._call(lambda: [self._w.reassign(n, list(r)) for n, r in orders.items() if n in self._w.partitions])

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        await self._call(lambda: self._w.elect(names))


class SimCruiseControlPort:
    def __init__(self, world: World, cc: SimCruiseControl, trouble: Trouble) -> None:
        self._w, self._cc, self._trouble = world, cc, trouble

    async def _call(self, answer: Callable[[], T]) -> T:
        await until(self._w.now + CALL_SECONDS)
        if self._trouble.cruise_control_down or not self._cc.up:
            await until(self._w.now + TIMEOUT_SECONDS)
            raise PortError("Cruise Control does not answer", Code.CRUISE_CONTROL_UNREACHABLE)
        return answer()

    async def state(self, migration_id: str) -> CruiseControlState:
        return await self._call(lambda: self._cc.state(migration_id))

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        return await self._call(lambda: self._cc.user_tasks(key))

    async def remove_broker(self, request: RemoveBroker) -> ExecutionAsked | Busy | Unreachable | Rejected:
        lost = Unreachable(reason=Reason(Code.CRUISE_CONTROL_UNREACHABLE, "timed out"))
        if self._trouble.lose_request and not request.dryrun:
            self._trouble.lose_request -= 1
            await until(self._w.now + TIMEOUT_SECONDS)
            return lost
        try:
            answer = await self._call(lambda: self._cc.remove_broker(request))
        except PortError as error:
            return Unreachable(reason=Reason(error.code, str(error)))
        if self._trouble.accept_then_time_out and not request.dryrun:
            self._trouble.accept_then_time_out -= 1
            await until(self._w.now + TIMEOUT_SECONDS)
            return lost
        await until(self._w.now + CALL_SECONDS)  # the way back: a crash may fall here
        return answer

    async def stop(self) -> None:
        await self._call(self._cc.stop)

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        await self._call(lambda: None)


class SimSnapshots:
    """Durable: survives crashes."""

    def __init__(self, world: World) -> None:
        self._w = world
        self.kept: dict[str, dict[TopicPartition, tuple[int, ...]]] = {}

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        await until(self._w.now + CALL_SECONDS)
        self.kept[migration_id] = {p.name: p.origin for p in partitions}

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        await until(self._w.now + CALL_SECONDS)
        return self.kept.get(migration_id)


class SimLease:
    def __init__(self) -> None:
        self.mine = True

    def held(self) -> bool:
        return self.mine

    def holder(self) -> str:
        return "another agent"


def advance_to(world: World, cc: SimCruiseControl, at: float) -> None:
    """Let time pass in steps fine enough for copies and polls."""
    while world.now < at:
        step = min(at - world.now, 0.5)
        if cc.execution and cc.up:
            step = min(step, max(cc.execution.next_poll - world.now, 0.01))
        world.advance(step)
        cc.advance()
