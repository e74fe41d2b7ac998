"""Control topics in memory, for the console's tests: what was published is kept, what is told
is read.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

Json = dict[str, Any]


class ControlTopicsInMemory:
    """Fulfils agent/services/console/feed.py's ControlTopics."""

    def __init__(self) -> None:
        self.ordered: list[Json] = []
        self.answer: Json | Exception = {"type": "CommandAccepted", "data": {"reasons": []}}
        self._topics: dict[str, asyncio.Queue[Json | None]] = {
            "status": asyncio.Queue(),
            "events": asyncio.Queue(),
        }

    def tell(self, topic: str, message: Json) -> None:
        self._topics[topic].put_nowait(message)

    async def everything(self, topic: str) -> AsyncGenerator[Json | None]:
        yield None
        while True:
            yield await self._topics[topic].get()

    async def send_command(self, command: Json, timeout_seconds: float) -> Json:
        self.ordered.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    plan = send_command
