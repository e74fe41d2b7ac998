"""A task that is cancelled just as its answer comes: the two in each order, and turns of the
event loop apart.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

THREAD_SECONDS = 0.03  # an answer that a thread gives is on its way to the event loop by then
TURNS = range(-3, 4)

TIMINGS = pytest.mark.parametrize("turns", TURNS)


async def outlives_its_cancellation(
    work: Coroutine[Any, Any, Any],
    begun: Callable[[], Awaitable[None]],
    answer: Callable[[], None],
    turns: int,
    *,
    in_thread: bool = False,
) -> bool:
    """Whether the work has lost its cancellation: then it lives on, or ends as if it had not been
    cancelled.

    `begun` returns when the work waits for its answer, which `answer` gives. `turns`: by how many
    turns of the event loop the cancellation comes after the answer, before it where negative.
    `in_thread`: a thread gives the answer.
    """
    task = asyncio.ensure_future(work)
    await begun()

    def give() -> None:
        answer()
        if in_thread:
            # The loop is blocked meanwhile and finds the answer in its next turn.
            time.sleep(THREAD_SECONDS)

    def cancel() -> None:
        nonlocal was_cancelled
        was_cancelled = task.cancel()

    was_cancelled = False
    first, second = (give, cancel) if turns >= 0 else (cancel, give)
    first()
    for _ in range(abs(turns)):
        await asyncio.sleep(0)
    second()
    await asyncio.wait({task}, timeout=1.0)
    if not was_cancelled:
        return False  # it had ended before
    lives = not task.done()
    lost = lives or not task.cancelled()
    while not task.done():
        # A task group does not pass on a second cancellation.
        for living in asyncio.all_tasks() - {asyncio.current_task()}:
            living.cancel()
        await asyncio.wait({task}, timeout=0.1)
    if not task.cancelled():
        task.exception()  # is looked at
    return lost
