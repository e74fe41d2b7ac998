"""Watches the throttle that is in force: while a wave moves, and at rest for what a broker that was
down has brought back.

Called by watches.py and performer.py. While a wave moves nothing is changed here: the core says
whose a throttle is, and what follows.
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
POLL_SHARE = 20.0  # and never for more than this part of the time: each broker is asked itself
SWEEP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ThrottleObservation:
    """Reasons to pause, and the rates in force, which the core compares with those it has set."""

    reasons: tuple[Reason, ...] = ()
    rates: tuple[throttle.RateSeen, ...] = ()


class WaveThrottleWatch:
    """For one attempt of one wave: whether our throttle is still in force, and whether somebody
    else has set one beside it.
    """

    def __init__(self, ports: Ports, scope: fx.WaveScope, *, throttled: bool) -> None:
        """`throttled`: a rate of ours should be in force."""
        self._ports = ports
        self._destinations = frozenset(scope.destination_broker_ids)
        self._throttled = throttled
        self._due = 0.0
        self._seen = ThrottleObservation()

    async def observe(
        self, alive: Iterable[int], ours: Sequence[Reassignment]
    ) -> ThrottleObservation:
        """Read the rates of every live broker, as each may be copied from, and the lists of the
        topics that move now; at most every POLL_SECONDS.
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
        """Whether what we set is missing on a destination, or for a partition in flight."""
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
    """Clears our throttle where it comes back: a broker that was down has kept its setting."""

    def __init__(self, ports: Ports, watch: fx.WatchThrottle) -> None:
        self._ports = ports
        self._destinations = watch.destination_broker_ids
        self._own_rates = watch.throttle_rates_set
        self._clean: frozenset[int] = frozenset()

    async def run(self, post: Post) -> None:
        """Look every SWEEP_SECONDS until cancelled, and post what was cleared."""
        while True:
            if (swept := await self._look()) is not None:
                await post(swept)
            await self._ports.clock.sleep(SWEEP_SECONDS)

    async def _look(self) -> msg.ThrottleSwept | None:
        """Ask only the brokers that were not seen clean since they came."""
        kafka = self._ports.kafka
        try:
            alive = frozenset(await kafka.alive())
            doubtful = alive - self._clean
            if doubtful and self._ports.lease.held():
                # Lists belong to topics: they can be cleared whoever is down, and are looked at
                # with the first look.
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
