"""Keeps what the page shows: the latest status of each cluster and its last events.

It follows the control topics, and goes on by itself after the control Kafka was unreachable. Called
by server.py.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from agent.client import ClientError
from schemas.events import DETAIL_EVENTS

log = logging.getLogger("kafka_migration.console")

Json = dict[str, Any]
EVENTS_MAX = 300  # how many events of each cluster are kept
# A browser that is more messages behind is disconnected; it connects again by itself.
WAITING_MAX = 1_000
RETRY_SECONDS = 2.0
# A healthy control Kafka answers at least every second, even when there are no messages.
SILENCE_SECONDS = 10.0


class ControlTopics(Protocol):
    """The control topics as the console needs them; agent/client.py implements this."""

    def everything(self, topic: str) -> AsyncGenerator[Json | None]: ...

    async def send_command(self, command: Json, timeout_seconds: float) -> Json:
        """Publish a command and wait for the agent's answer."""

    async def plan(self, command: Json, timeout_seconds: float) -> Json:
        """Request a plan and wait for it."""


class Feed:
    """The data of the page, and the readers that are told of each change."""

    def __init__(self, client: ControlTopics) -> None:
        self._client = client
        self._statuses: dict[str, Json] = {}
        self._events: dict[str, deque[Json]] = {}
        self._trouble: dict[str, str] = {"status": "not read yet", "events": "not read yet"}
        self._readers: set[asyncio.Queue[tuple[str, Json] | None]] = set()

    @property
    def trouble(self) -> str:
        """Why the control topics cannot be read now; empty when they can."""
        return next(filter(None, self._trouble.values()), "")

    def everything(self) -> Json:
        """Returns all data, for a page that has just been opened."""
        return {
            "trouble": self.trouble,
            "statuses": self._statuses,
            "events": {cluster: list(events) for cluster, events in self._events.items()},
        }

    async def run(self) -> None:
        """Follows both topics without end."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow("status"))
            tasks.create_task(self._follow("events"))

    async def changes(self) -> AsyncGenerator[tuple[str, Json]]:
        """Yields each change from now on as (kind, content).

        Ends when this reader is too slow.
        """
        queue: asyncio.Queue[tuple[str, Json] | None] = asyncio.Queue()
        self._readers.add(queue)
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self._readers.discard(queue)

    def take_status(self, status: Json) -> None:
        """Keeps a new status and sends it to every reader."""
        self._statuses[status["cluster"]] = status
        self._tell("status", status)

    def take_event(self, event: Json) -> None:
        """Keeps a new event and sends it to every reader.

        An event is ignored when one with its id is kept already, or when it is a detail.
        """
        if event["type"] in DETAIL_EVENTS:  # there are so many that they would hide the others
            return
        events = self._events.setdefault(event["cluster"], deque(maxlen=EVENTS_MAX))
        if any(e["id"] == event["id"] for e in events):
            return
        brief = {
            name: event[name]
            for name in ("id", "type", "time", "cluster", "phase", "stage", "summary")
        }
        brief["reasons"] = event["data"].get("reasons") or []
        events.append(brief)
        self._tell("event", brief)

    async def _follow(self, topic: str) -> None:
        take = self.take_status if topic == "status" else self.take_event
        while True:
            try:
                async with aclosing(self._client.everything(topic)) as messages:
                    while True:
                        async with asyncio.timeout(SILENCE_SECONDS):
                            message = await anext(messages)
                        self._now_trouble(topic, "")
                        if message is not None:
                            take(message)
            except ClientError as error:
                self._now_trouble(topic, str(error))
            except TimeoutError:
                self._now_trouble(
                    topic, "the control Kafka does not answer, so what you see may be out of date"
                )
            except Exception:
                log.exception("the %s topic cannot be read", topic)
                self._now_trouble(
                    topic, f"the {topic} topic cannot be read; the console's log says why"
                )
            await asyncio.sleep(RETRY_SECONDS)

    def _now_trouble(self, topic: str, trouble: str) -> None:
        if trouble != self._trouble[topic]:
            if trouble:
                log.warning("%s: %s", topic, trouble)
            self._trouble[topic] = trouble
            self._tell("link", {"trouble": self.trouble})

    def _tell(self, kind: str, content: Json) -> None:
        for queue in list(self._readers):
            if queue.qsize() >= WAITING_MAX:
                self._readers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait((kind, content))
