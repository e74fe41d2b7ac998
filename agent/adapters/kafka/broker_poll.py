"""Polls Kafka for its live brokers, where there is no ZooKeeper to watch.

Called by worker/driven_cluster.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from agent.cancellation import until_done
from agent.performer.ports import PortError

POLL_SECONDS = 1.0  # a broker that is killed is fenced after broker.session.timeout.ms (stock: 9 s)


class Alive(Protocol):
    """The part of KafkaPort that is polled."""

    async def alive(self) -> Mapping[int, str | None]:
        """Live brokers and their racks. Raises PortError."""
        ...


class BrokerPoll:
    """Reports at each change which brokers are alive; None while Kafka does not answer."""

    def __init__(
        self,
        kafka: Alive,
        on_change: Callable[[frozenset[int] | None], Awaitable[None]],
        seconds: float = POLL_SECONDS,
    ) -> None:
        self._kafka = kafka
        self._on_change = on_change
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the brokers as they are now are reported first."""
        self._task = asyncio.create_task(self._run(), name="broker poll")

    async def stop(self) -> None:
        """End; nothing is reported afterwards."""
        if self._task is not None:
            await until_done(self._task)

    async def _run(self) -> None:
        # neither a set nor None: the first is told in any case
        told: frozenset[int] | tuple[()] | None = ()
        while True:
            try:
                seen: frozenset[int] | None = frozenset(await self._kafka.alive())
            except PortError:
                seen = None
            if seen != told:
                await self._on_change(seen)
                told = seen
            await asyncio.sleep(self._seconds)
