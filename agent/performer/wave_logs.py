"""What a wave's brokers hold, kept up to date at the cost of what is in flight.

Used by watches.py; decides nothing.

Between whole looks at the log dirs only the partitions on their way are asked for: those in flight
now, and those that were and are still on their source. How soon a whole look is due depends on how
much it tells.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from agent.performer.offload import run_off_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agent.core.model.cluster import BrokerLogs, LogDir, TopicPartition
    from agent.performer.ports import Clock, KafkaPort

# How many replicas' sizes may be read for a second of waiting: a lab's brokers are looked at every
# second as a whole, a pair with 24,000 replicas every two minutes. Where nothing is in flight, what
# moved unseen would be waited for.
SIZES_PER_SECOND = 200
SIZES_PER_SECOND_IDLE = 2_000
FULL_LOOK_SECONDS_IDLE_MAX = 60.0


class WaveLogTotals(NamedTuple):
    """Of the sources that answered: replicas and bytes on them; on the destinations: what has
    come.
    """

    replicas_left: int
    bytes_left: int
    bytes_moved: int


class WaveLogs:
    """The log dirs of one wave's brokers. `held`: source -> partition -> bytes."""

    def __init__(
        self,
        kafka: KafkaPort,
        clock: Clock,
        sources: frozenset[int],
        destinations: frozenset[int],
        moved_names: frozenset[TopicPartition],
        is_selected: Callable[[TopicPartition], bool] | None = None,
    ) -> None:
        """`is_selected`: which partitions of its sources the wave takes; None: all.

        What it leaves there is not looked at.
        """
        self._is_selected = is_selected
        self._kafka, self._clock = kafka, clock
        self._sources, self._destinations = sources, destinations
        self._moved_names = moved_names
        self._full_look_at = 0.0
        self.sizes = 0  # told by the last whole look
        self._answered: frozenset[int] = frozenset()
        # on their way at the last look, or not yet gone after it
        self._asked: frozenset[TopicPartition] = frozenset()
        # at the last whole look; free space as of the last look
        self._last_logs: dict[int, BrokerLogs] = {}
        self.held: dict[int, dict[TopicPartition, int]] = {}
        self._held_bytes = 0
        # the largest copy of each; once there, its size then
        self._arrived: dict[TopicPartition, int] = {}
        self._arrived_bytes = 0
        self._settled: set[TopicPartition] = set()  # producers make it grow: that is no movement

    @property
    def silent(self) -> frozenset[int]:
        """Sources that did not tell."""
        return self._sources - self.held.keys()

    async def refresh(self, alive: Collection[int], in_flight: Collection[TopicPartition]) -> None:
        """Look once more; `flying`: what of the wave is in flight now."""
        brokers = (self._sources | self._destinations) & frozenset(alive)
        moving = frozenset(in_flight)
        asked = moving | self._asked
        if self._answered <= brokers and not self._full_look_is_due(moving):
            found = self._taken(await self._kafka.logs(brokers, asked)) if asked else {}
            if not asked or found.keys() == self._answered:
                self._update(found, asked, moving)
                # All that it knew of is gone: only a whole look can tell that nothing has come
                # meanwhile.
                if any(self.held.values()) or not self.held:
                    return
        found = await self._kafka.logs(brokers)
        self.sizes = sum(len(log.size_bytes) for log in found.values())
        found = self._taken(found)
        self._full_look_at = self._clock.now()
        self._answered = frozenset(found)
        await run_off_loop(self.sizes, self._renew, found, moving)

    def _taken(self, found: Mapping[int, BrokerLogs]) -> Mapping[int, BrokerLogs]:
        is_selected = self._is_selected
        if is_selected is None:
            return found
        return {
            b: replace(
                log, size_bytes={n: size for n, size in log.size_bytes.items() if is_selected(n)}
            )
            if b in self._sources
            else log
            for b, log in found.items()
        }

    def _full_look_is_due(self, moving: Collection[TopicPartition]) -> bool:
        seconds = self.sizes / SIZES_PER_SECOND
        if not moving:
            seconds = min(self.sizes / SIZES_PER_SECOND_IDLE, FULL_LOOK_SECONDS_IDLE_MAX)
        return self._clock.now() >= self._full_look_at + seconds

    def totals(self, in_flight: Collection[TopicPartition]) -> WaveLogTotals:
        """Costs by what is in flight."""
        came = (
            min(held[name], self._arrived[name])
            for held in self.held.values()
            for name in in_flight
            if name in held and name in self._arrived
        )
        return WaveLogTotals(
            replicas_left=sum(map(len, self.held.values())),
            bytes_left=self._held_bytes - sum(came),
            bytes_moved=self._arrived_bytes,
        )

    def remaining_logs(self, in_flight: Collection[TopicPartition]) -> dict[int, BrokerLogs]:
        """All brokers' logs, the sources' without what has been copied already: only the rest
        needs room.
        """
        rest = dict(self._last_logs)
        for b, held in self.held.items():
            left = dict(held)
            for name in in_flight:
                if name in left:
                    left[name] = max(left[name] - self._arrived.get(name, 0), 0)
            rest[b] = replace(rest[b], size_bytes=left)
        return rest

    def _renew(self, found: Mapping[int, BrokerLogs], moving: frozenset[TopicPartition]) -> None:
        self._last_logs = dict(found)
        self.held = {b: dict(log.size_bytes) for b, log in found.items() if b in self._sources}
        self._held_bytes = sum(sum(sizes.values()) for sizes in self.held.values())
        self._count_arrivals(found, moving, self._arrived.keys())
        self._asked = moving.union(
            n for n in self._asked if any(n in sizes for sizes in self.held.values())
        )

    def _update(
        self,
        found: Mapping[int, BrokerLogs],
        asked: frozenset[TopicPartition],
        moving: frozenset[TopicPartition],
    ) -> None:
        for b, log in found.items():
            dirs = (
                tuple(map(_with_free_bytes, self._last_logs[b].dirs, log.dirs)) if log.dirs else ()
            )
            self._last_logs[b] = replace(self._last_logs[b], free_bytes=log.free_bytes, dirs=dirs)
        still: set[TopicPartition] = set()
        for b, held in self.held.items():
            told = found[b].size_bytes if b in found else {}
            for name in asked:
                self._held_bytes += told.get(name, 0) - held.pop(name, 0)
                if name in told:
                    held[name] = told[name]
                    still.add(name)
        self._count_arrivals(found, moving, asked)
        self._asked = moving | still

    def _count_arrivals(
        self,
        found: Mapping[int, BrokerLogs],
        moving: frozenset[TopicPartition],
        asked: Collection[TopicPartition],
    ) -> None:
        """`asked`: what `found` must tell; a copy that it does not tell was given up."""
        copies: dict[TopicPartition, int] = {}
        for b in self._destinations & found.keys():
            for name, size in found[b].size_bytes.items():
                if name in self._moved_names:
                    copies[name] = max(size, copies.get(name, 0))
        for name in [n for n in asked if n in self._arrived and n not in copies]:
            self._arrived_bytes -= self._arrived.pop(name)
            self._settled.discard(name)
        for name, size in copies.items():
            if name in moving or name not in self._settled:
                self._arrived_bytes += size - self._arrived.get(name, 0)
                self._arrived[name] = size
        self._settled |= copies.keys() - moving
        self._settled -= moving


def _with_free_bytes(told: LogDir, now: LogDir) -> LogDir:
    """A look at some partitions tells the dir's free space, and not how many replicas it holds."""
    return told._replace(free_bytes=now.free_bytes)
