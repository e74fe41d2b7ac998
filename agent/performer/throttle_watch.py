"""Watches the throttle: while a wave moves, and at rest, when a broker may bring an old one back.

Called by watches.py and performer.py. Nothing is changed while a wave moves: the core decides whose
a throttle is, and what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.model import throttle
from agent.core.model.reasons import Code, Reason
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.core import effects as fx
    from agent.core.model.cluster import Reassignment
    from agent.performer.ports import Ports, Post

POLL_SECONDS = 5.0
# Each broker is asked about itself, so polling takes at most 1 / POLL_SHARE of the time.
POLL_SHARE = 20.0
SWEEP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ThrottleObservation:
    """Reasons to pause, and the rates in force, which the core compares with those it requested."""

    reasons: tuple[Reason, ...] = ()
    rates: tuple[throttle.RateSeen, ...] = ()


class WaveThrottleWatch:
    """Watches during an attempt of a wave whether our throttle is in force, and no foreign one."""

    def __init__(self, ports: Ports, scope: fx.WaveScope, *, throttled: bool) -> None:
        """`throttled` says whether a rate of ours should be in force."""
        self._ports = ports
        self._destinations = frozenset(scope.destination_broker_ids)
        self._throttled = throttled
        self._due = 0.0
        self._seen = ThrottleObservation()

    async def observe(
        self, alive: Iterable[int], ours: Sequence[Reassignment]
    ) -> ThrottleObservation:
        """Return what is in force, read at most every POLL_SECONDS. Raises PortError.

        Reads the rates of all live brokers, because each may be a source of copies, and the replica
        lists of the topics in `ours`, the wave's reassignments in flight.
        """
        clock = self._ports.clock
        began = clock.now()
        if began < self._due:
            return self._seen
        found = await self._ports.kafka.throttle(alive, {r.topic for r in ours})
        self._due = began + max(POLL_SECONDS, (clock.now() - began) * POLL_SHARE)
        reasons = [
            *self._not_in_force(found, ours),
            *throttle.foreign_replica_lists(found, self._destinations),
        ]
        self._seen = ThrottleObservation(tuple(reasons), throttle.rates_seen(found))
        return self._seen

    def _not_in_force(
        self, found: throttle.ThrottleFacts, ours: Sequence[Reassignment]
    ) -> list[Reason]:
        """Why our throttle is not in force on a destination, or for a partition in flight."""
        if not self._throttled:
            return []
        bare = sorted(b for b in self._destinations if b not in found.rates)
        unlisted = [
            r
            for r in ours
            if (listed := found.followers.get(r.topic, frozenset())) is not None
            and not {(r.partition, b) for b in r.adding} <= listed
        ]
        if not bare and not unlisted:
            return []
        seen = (
            f"no rate on brokers {bare}"
            if bare
            else f"{len(unlisted)} moving partitions are not listed"
        )
        return [Reason(Code.THROTTLE_NOT_IN_FORCE, seen, "the throttle that was set")]


class ThrottleWatch:
    """Clears our throttle on brokers that were down when it was removed, and kept it."""

    def __init__(self, ports: Ports, watch: fx.WatchThrottle) -> None:
        self._ports = ports
        self._destinations = watch.destination_broker_ids
        self._own_rates = watch.throttle_rates_set
        self._clean: frozenset[int] = frozenset()

    async def run(self, post: Post) -> None:
        """Check every SWEEP_SECONDS until cancelled, and post what was cleared."""
        while True:
            if (swept := await self._look()) is not None:
                await post(swept)
            await self._ports.clock.sleep(SWEEP_SECONDS)

    async def _look(self) -> msg.ThrottleSwept | None:
        """Check only the brokers that have not been seen clean since they came up."""
        kafka = self._ports.kafka
        try:
            alive = frozenset(await kafka.alive())
            doubtful = alive - self._clean
            if doubtful and self._ports.lease.held():
                # Lists belong to topics, so they can be cleared whichever broker is down: they are
                # read the first time only.
                found = await kafka.throttle(doubtful, None if not self._clean else ())
                own = throttle.own_throttle(found, self._destinations, self._own_rates)
                self._clean = alive
                if own.entries:
                    self._clean = frozenset()
                    await kafka.clear_throttle(own)
                    return msg.ThrottleSwept(
                        at=self._ports.clock.now(),
                        entries=own.entries,
                        broker_ids=tuple(sorted(own.rates)),
                    )
            self._clean &= alive
        except PortError:
            return None
        return None
