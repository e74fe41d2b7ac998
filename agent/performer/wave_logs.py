"""Keeps track of the replicas on a wave's brokers at a cost that depends on what is in flight.

Used by watches.py; decides nothing.

Between full reads of the log dirs, only the partitions on their way are requested: those in flight,
and those that were in flight and are still on their source. The larger a full read is, the later
the next one is due.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from agent.performer.offload import run_off_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agent.core.model.cluster import BrokerLogs, LogDir, TopicPartition
    from agent.performer.ports import Clock, KafkaPort

# How many replica sizes a full read may return for each second until the next one. So the lab's
# brokers are read in full every second, and a pair with 24,000 replicas every two minutes. The
# limit is higher while nothing is in flight, so that a move that went unnoticed is seen soon.
SIZES_PER_SECOND = 200
SIZES_PER_SECOND_IDLE = 2_000
FULL_LOOK_SECONDS_IDLE_MAX = 60.0


class WaveLogTotals(NamedTuple):
    """What is left on the sources that answered, and the bytes copied to the destinations."""

    replicas_left: int
    bytes_left: int
    bytes_moved: int


class WaveLogs:
    """The log dirs of the brokers of one wave. `held` is source -> partition -> bytes."""

    def __init__(
        self,
        kafka: KafkaPort,
        clock: Clock,
        sources: frozenset[int],
        destinations: frozenset[int],
        moved_names: frozenset[TopicPartition],
        is_selected: Callable[[TopicPartition], bool] | None = None,
    ) -> None:
        """`moved_names`: the partitions that the wave moves in all.

        `is_selected`: which partitions on the sources are counted; None means all.
        """
        self._is_selected = is_selected
        self._kafka, self._clock = kafka, clock
        self._sources, self._destinations = sources, destinations
        self._moved_names = moved_names
        self._full_look_at = 0.0
        self.sizes = 0  # how many sizes the last full read returned
        self._answered: frozenset[int] = frozenset()
        # the partitions in flight at the last read, or still on a source after it
        self._asked: frozenset[TopicPartition] = frozenset()
        # from the last full read, with the free space of the last read
        self._last_logs: dict[int, BrokerLogs] = {}
        self.held: dict[int, dict[TopicPartition, int]] = {}
        self._held_bytes = 0
        # the largest copy of each partition; once it has arrived, its size at that time
        self._arrived: dict[TopicPartition, int] = {}
        self._arrived_bytes = 0
        # arrived partitions: they grow by what producers write, which is no progress
        self._settled: set[TopicPartition] = set()

    @property
    def silent(self) -> frozenset[int]:
        """The sources that did not answer."""
        return self._sources - self.held.keys()

    async def refresh(self, alive: Collection[int], in_flight: Collection[TopicPartition]) -> None:
        """Read the log dirs again, in full if that is due. Raises PortError.

        `in_flight`: the wave's partitions that are in flight now.
        """
        brokers = (self._sources | self._destinations) & frozenset(alive)
        moving = frozenset(in_flight)
        asked = moving | self._asked
        if self._answered <= brokers and not self._full_look_is_due(moving):
            found = self._taken(await self._kafka.logs(brokers, asked)) if asked else {}
            if not asked or found.keys() == self._answered:
                self._update(found, asked, moving)
                # All known replicas have left the sources. Only a full read can show that no new
                # ones were created there.
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
        """Return the totals of the last read; bytes already copied do not count as left."""
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
        """Return the logs of all brokers, with the sources' sizes reduced by what has been copied.

        Only the remaining bytes need space on the destinations.
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
            sizes = found[b].size_bytes if b in found else {}
            for name in asked:
                self._held_bytes += sizes.get(name, 0) - held.pop(name, 0)
                if name in sizes:
                    held[name] = sizes[name]
                    still.add(name)
        self._count_arrivals(found, moving, asked)
        self._asked = moving | still

    def _count_arrivals(
        self,
        found: Mapping[int, BrokerLogs],
        moving: frozenset[TopicPartition],
        asked: Collection[TopicPartition],
    ) -> None:
        """Update what has arrived; an `asked` partition without a copy in `found` was given up."""
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


def _with_free_bytes(full: LogDir, now: LogDir) -> LogDir:
    """Update the free space; a read of some partitions does not show the number of replicas."""
    return full._replace(free_bytes=now.free_bytes)
