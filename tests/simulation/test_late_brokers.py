"""Brokers hear late what the controller has cancelled: until then what a stop has cut off is
still copied.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.model.cluster import BrokerLogs, Reassignment, TopicPartition
from agent.core.planning.options import Options
from agent.performer.performer import Performer
from tests.simulation.schedule import Schedule
from tests.simulation.sim_ports import SimKafka
from tests.simulation.simulation import Cast, Simulation

LATE_SECONDS = 6.0
COPIED_BYTES_PER_SECOND = 10.0
SEEDS = 6
PAUSED = Schedule(
    seed=0,
    options=Options(throttle_bytes_per_second=60, progress_check_interval_ms=1_000),
    acts=((6.0, "pause"), (40.0, "resume")),
    size_bytes=2_000.0,
)


class LateLeaders(SimKafka):
    """What was in flight and is neither there nor in flight any more is copied for some
    seconds, then deleted.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._seen: set[tuple[int, TopicPartition]] = set()
        self.cut_off_at: dict[tuple[int, TopicPartition], float] = {}

    async def reassignments(self) -> Sequence[Reassignment]:
        flying = await super().reassignments()
        now = {(b, TopicPartition(r.topic, r.partition)) for r in flying for b in r.adding}
        for broker, name in self._seen - now:
            if broker not in self._w.partitions[name].replicas:
                self.cut_off_at[broker, name] = self._w.now
        self._seen = now
        return flying

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        found = await super().logs(broker_ids, names)
        return {
            b: replace(log, size_bytes={**self._copies(b), **log.size_bytes})
            for b, log in found.items()
        }

    def _copies(self, broker: int) -> dict[TopicPartition, int]:
        passed = {
            name: self._w.now - at for (b, name), at in self.cut_off_at.items() if b == broker
        }
        return {
            name: int(100 + seconds * COPIED_BYTES_PER_SECOND)
            for name, seconds in passed.items()
            if seconds < LATE_SECONDS
        }


class BelievesTheController(Performer):
    async def _orphaned_copy_bytes(self, *_: Any) -> int:
        return 0


def _told_too_early(performer: type[Performer], seed: int) -> bool:
    """Whether the pause was told while something was still copied."""
    made: list[LateLeaders] = []

    class Kafka(LateLeaders):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    played = Simulation(replace(PAUSED, seed=seed), Cast(performer=performer, kafka=Kafka)).play()
    told = [at for at, what in played.story if isinstance(what, ev.MigrationPaused)]
    orphaned_copy_bytes = [at for kafka in made for at in kafka.cut_off_at.values()]
    assert told
    assert orphaned_copy_bytes, "the pause cut nothing off: the schedule tests nothing"
    return any(at <= told[0] < at + LATE_SECONDS for at in orphaned_copy_bytes)


def test_a_pause_is_told_when_nothing_is_copied_any_more() -> None:
    """The controller has nothing in flight, yet copies grow: the stop waits for them; one that
    does not is caught.
    """
    assert not any(_told_too_early(Performer, seed) for seed in range(SEEDS))
    assert any(_told_too_early(BelievesTheController, seed) for seed in range(SEEDS))
