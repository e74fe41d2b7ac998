"""Ends a task, for whoever waits for its end.

Used by adapters, services, the lab and benchmarks.

`await task` behind `suppress(CancelledError)` would swallow the cancellation of the waiting task
together with that of the task that it waits for.
"""

import asyncio
from typing import Any

CANCEL_AGAIN_SECONDS = 2.0


async def until_done(
    task: "asyncio.Future[Any]", retry_seconds: float = CANCEL_AGAIN_SECONDS
) -> None:
    """Cancel the task until it has ended, however it ends: a library may lose a cancellation.

    Raises CancelledError only when the caller itself is cancelled.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=retry_seconds)


async def end(task: "asyncio.Future[Any]") -> None:
    """As until_done(); raises what the task has failed with."""
    await until_done(task)
    if not task.cancelled():
        task.result()
