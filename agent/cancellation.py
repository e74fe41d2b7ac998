"""Cancels a task and waits for its end. Used by adapters, services, the lab and benchmarks.

`await task` inside `suppress(CancelledError)` would not do: it would also swallow a cancellation of
the caller, which waits for the task.
"""

import asyncio
from typing import Any

CANCEL_AGAIN_SECONDS = 2.0


async def until_done(
    task: "asyncio.Future[Any]", retry_seconds: float = CANCEL_AGAIN_SECONDS
) -> None:
    """Cancels the task until it has ended, with or without an error.

    It cancels again every `retry_seconds`, since a library may lose a cancellation. Raises
    CancelledError only when the caller itself is cancelled.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=retry_seconds)


async def end(task: "asyncio.Future[Any]") -> None:
    """Cancels the task like until_done(), then raises the error with which it failed, if any."""
    await until_done(task)
    if not task.cancelled():
        task.result()
