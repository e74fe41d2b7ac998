"""A clock that stands still until a test moves it on: sleepers wake in the order of their time,
nothing waits.
"""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

EPOCH = 1_795_500_000.0
_TURNS_OF_THE_LOOP = 60
"""Enough for whatever a woken task does without real I/O."""


class DrivenClock:
    def __init__(self, now: float = EPOCH) -> None:
        self._now = now
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Moves on by so much, stopping at each sleeper's time and letting it act."""
        until = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            woken.set()
            await self._settle()
        self._now = until

    async def advance_until(
        self, condition: Callable[[], bool], *, step: float = 0.5, most: float = 1_000.0
    ) -> None:
        """Moves on in steps until the condition holds; fails after `most` seconds."""
        limit = self._now + most
        await self._settle()
        while not condition():
            assert self._now < limit, f"the condition did not come true within {most} s"
            await self.advance(step)

    @staticmethod
    async def _settle() -> None:
        for _ in range(_TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)
