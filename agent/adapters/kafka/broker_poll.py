"""Polls Kafka for its live brokers where there is no ZooKeeper to watch.

Called by worker/driven_cluster.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from agent.cancellation import until_done
from agent.performer.ports import PortError

# A killed broker is fenced after broker.session.timeout.ms, by default 9 s.
POLL_SECONDS = 1.0


class Alive(Protocol):
    """The part of KafkaPort that is polled."""

    async def alive(self) -> Mapping[int, str | None]:
        """Return the live brokers and their racks. Raises PortError."""
        ...


class BrokerPoll:
    """Reports at each change which brokers are alive; None while Kafka does not answer.

    Broker ids are passed to `on_change`, which is awaited. `seconds`: the pause between polls.
    """

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
        """Start polling; the first report has the brokers that are alive now."""
        self._task = asyncio.create_task(self._run(), name="broker poll")

    async def stop(self) -> None:
        """Stop polling; nothing is reported afterwards."""
        if self._task is not None:
            await until_done(self._task)

    async def _run(self) -> None:
        # neither a set nor None, so that the first value is always reported
        reported: frozenset[int] | tuple[()] | None = ()
        while True:
            try:
                seen: frozenset[int] | None = frozenset(await self._kafka.alive())
            except PortError:
                seen = None
            if seen != reported:
                await self._on_change(seen)
                reported = seen
            await asyncio.sleep(self._seconds)
