"""Collects progress events as a downstream service does, and waits for them.

The demo and tests use it.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.cancellation import end
from agent.client import ControlClient

Event = dict[str, Any]
POLL_SECONDS = 0.5


class StoryError(Exception):
    """An expected event did not happen. The text says what happened instead."""


class Story:
    """All events of one cluster so far.

    They are also written to `file`, one JSON object on each line.
    """

    def __init__(self, client: ControlClient, cluster: str, file: Path | None = None) -> None:
        self.events: list[Event] = []
        self._file = file
        self._client = client
        self._cluster = cluster
        self._grown = asyncio.Event()
        self._ids: set[str] = set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Story"]:
        """Collect events, beginning with the first, until the block ends."""
        task = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            await end(task)

    async def until(
        self,
        wanted: Callable[[Event], bool],
        timeout_seconds: float,
        *,
        what: str,
        since: int = 0,
        unless: Callable[[], str | None] = lambda: None,
    ) -> Event:
        """The first matching event from index `since` on.

        Raises StoryError when the time is over, when `unless` returns a reason to give up, or when
        the migration is blocked.
        """
        deadline = time.monotonic() + timeout_seconds
        looked_at = since
        while True:
            while looked_at < len(self.events):
                event = self.events[looked_at]
                looked_at += 1
                if wanted(event):
                    return event
                if event["type"] == "MigrationBlocked":
                    raise StoryError(f"waited for {what}, but: {event['summary']}")
            if reason := unless():
                raise StoryError(f"waited for {what}, but {reason}")
            if time.monotonic() > deadline:
                raise StoryError(
                    f"waited {timeout_seconds:.0f} s for {what}; the last events were: "
                    f"{'; '.join(self.last_words())}"
                )
            self._grown.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._grown.wait()

    def last_words(self, count: int = 5) -> list[str]:
        """The newest summaries."""
        return [f"{e['type']}: {e['summary']}" for e in self.events[-count:]] or ["none came"]

    def counts(self) -> dict[str, int]:
        """The number of events of each type."""
        return dict(sorted(Counter(e["type"] for e in self.events).items()))

    def of(self, *kinds: str) -> list[Event]:
        """The events of these types, in order."""
        return [e for e in self.events if e["type"] in kinds]

    async def _follow(self) -> None:
        with contextlib.ExitStack() as open_files:
            file = (
                open_files.enter_context(self._file.open("w", buffering=1)) if self._file else None
            )
            async for event in self._client.events(self._cluster, from_start=True):
                if event["id"] in self._ids:
                    continue  # delivery is at least once, so the same id may come again
                self._ids.add(event["id"])
                self.events.append(event)
                self._grown.set()
                if file:
                    file.write(json.dumps(event) + "\n")


def seconds_between(first: Event, last: Event) -> float:
    """The seconds from the time of one event to that of another."""
    return (
        datetime.fromisoformat(last["time"]) - datetime.fromisoformat(first["time"])
    ).total_seconds()
