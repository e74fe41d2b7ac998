"""Watches coordinators from the moment that a partition of an internal topic moves.

Called by watches.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.model.reasons import Code, Reason
from agent.core.planning.selection import INTERNAL_TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.core.model.cluster import TopicPartition
    from agent.performer.ports import Ports

POLL_SECONDS = 2.0


class CoordinatorWatch:
    """Watches the coordinators on the brokers of one wave, during one attempt."""

    def __init__(self, ports: Ports, brokers: Iterable[int]) -> None:
        self._ports = ports
        self._brokers = frozenset(brokers)
        # A partition of an internal topic has moved; its coordinator loads once it has arrived.
        self._moves = False
        self._due = 0.0
        self._seen: tuple[Reason, ...] = ()

    async def observe(
        self, alive: Iterable[int], moving: Iterable[TopicPartition]
    ) -> tuple[Reason, ...]:
        """Return one reason to pause while a coordinator loads, else none. Raises PortError.

        Brokers are asked at most every POLL_SECONDS. Each change of a leader makes a coordinator
        load for a short while.
        """
        self._moves = self._moves or any(name.topic in INTERNAL_TOPICS for name in moving)
        clock = self._ports.clock
        if not self._moves or clock.now() < self._due:
            return self._seen
        self._due = clock.now() + POLL_SECONDS
        found = await self._ports.kafka.loading_coordinators(self._brokers.intersection(alive))
        seen = "; ".join(f"broker {b}: {what}" for b, what in found.items())
        self._seen = (
            (Reason(Code.COORDINATOR_LOADING, seen, "every coordinator loaded"),) if found else ()
        )
        return self._seen
