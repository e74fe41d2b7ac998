"""For what lives in another process: asked again, or listened for, until it is so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent.client import ControlClient

Event = dict[str, Any]


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Raises TimeoutError when it has not come about."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.3)


async def await_event(
    client: ControlClient,
    kind: str,
    after: int = -1,
    fits: Callable[[Event], bool] = lambda _: True,
    seconds: float = 150.0,
) -> Event:
    """The cluster's first event of this type, beyond this sequence, whose data fit;
    TimeoutError if none came.
    """
    async with asyncio.timeout(seconds):
        async for event in client.events("lab", from_start=True):
            if event["type"] == kind and event["sequence"] > after and fits(event["data"]):
                return event
    raise AssertionError("unreachable")
