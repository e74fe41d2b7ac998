"""The throttle in force, looked at: while a wave moves (watches.py), and at rest for what a broker
has brought back.

Nothing is changed while a wave moves: what of it is whose, and what follows, is the core's to say.
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
    """What was seen: reasons that need no ledger to be judged, and the rates, which do."""

    reasons: tuple[Reason, ...] = ()
    rates: tuple[throttle.RateSeen, ...] = ()


class WaveThrottleWatch:
    """Of one attempt of one wave: is ours in force still, and is one of someone else's there
    beside it.
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
        """Rates on every live broker, as each may be copied from; lists of the topics that move
        now.
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
        """What we set must still be set, on the brokers and for what is in flight."""
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
            else (f"{len(unlisted)} moving partitions are not listed")
        )
        return [Reason(Code.THROTTLE_NOT_IN_FORCE, seen, "the throttle that was set")]


class ThrottleWatch:
    """Clears our throttle where it comes back: a broker that was down kept its setting, and
    only it can change it.
    """

    def __init__(self, ports: Ports, watch: fx.WatchThrottle) -> None:
        self._ports = ports
        self._destinations = watch.destination_broker_ids
        self._own_rates = watch.throttle_rates_set
        self._clean: frozenset[int] = frozenset()

    async def run(self, post: Post) -> None:
        """Until cancelled."""
        while True:
            if (swept := await self._look()) is not None:
                await post(swept)
            await self._ports.clock.sleep(SWEEP_SECONDS)

    async def _look(self) -> msg.ThrottleSwept | None:
        """Only brokers that were not seen clean since they came are asked."""
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
