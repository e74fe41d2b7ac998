"""The ports of the performer's benchmark answer at once: only our own work is measured."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from agent.adapters.kafka import snapshot_store
from agent.core import messages as msg
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import Partition, TopicPartition
from agent.performer.ports import CruiseControlState, RemoveBroker, UserTask

PROBE_SECONDS = 0.002


# ── the performer's part ──────────────────────────────────────────────────────────────────────────
class Clock:
    now = staticmethod(time.time)
    sleep = staticmethod(asyncio.sleep)


class IdleCruiseControl:
    """Idle but for what was asked of it; a moving wave is told by Kafka alone."""

    def can_spare_a_question(self) -> bool:
        return True

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        return CruiseControlState(
            executor=msg.Executor.IDLE,
            executor_state="NO_TASK_IN_PROGRESS",
            executor_reason="",
            valid_windows=1,
        )

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        return ()

    async def remove_broker(self, request: RemoveBroker) -> msg.ExecutionRequested:
        return msg.ExecutionRequested(user_task_id="1")

    async def stop(self) -> None: ...

    async def set_concurrency(self, partition_movements_per_broker: int) -> None: ...


class PackedSnapshots:
    """As the snapshots topic keeps them, without the topic."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._positions: Positions | None = None

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        self._pieces = [piece async for piece in snapshot_store.packed(partitions)]

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        return await asyncio.to_thread(snapshot_store.unpack, self._pieces)

    async def save_positions(self, migration_id: str, wave: int, positions: Positions) -> None:
        self._positions = positions

    async def load_positions(self, migration_id: str, wave: int) -> Positions | None:
        return self._positions


class Lag:
    """How late the event loop is, in seconds: the worst since the last look.

    `own`: not more than this process has worked meanwhile, in all its threads. While it does not
    work, it does not hold the loop either: another program has the processor.
    """

    def __init__(self) -> None:
        self.worst = self.own = 0.0

    async def run(self) -> None:
        while True:
            began, worked = time.perf_counter(), time.process_time()
            await asyncio.sleep(PROBE_SECONDS)
            late = time.perf_counter() - began - PROBE_SECONDS
            self.worst = max(self.worst, late)
            self.own = max(self.own, min(late, time.process_time() - worked))

    def take(self) -> tuple[float, float]:
        seen = self.own, self.worst
        self.worst = self.own = 0.0
        return seen
