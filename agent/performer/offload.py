"""Keeps work on a whole cluster from holding the event loop. Used by the performer's modules.

A thread shares the interpreter with the loop and gives it back every millisecond. One pass of the
cyclic garbage collector over 200,000 partitions does not: it holds the loop until it has ended.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Up to this size a thread costs more than it saves: each check takes a few milliseconds.
PARTITIONS_INLINE_MAX = 2_000

SWITCH_SECONDS = 0.001  # CPython's own is 5 ms

_pauses: list[None] = []  # one entry for each `gc_paused` that is open


async def run_off_loop(
    partitions: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do pure work on this many partitions, in a thread where it would hold the event loop."""
    if partitions <= PARTITIONS_INLINE_MAX:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def shorten_switch_interval() -> None:
    """Let threads give the interpreter back sooner: one turn of the event loop waits for it
    several times.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def release_in_pieces(whole: dict[int, Any]) -> None:
    """Empty the dict entry by entry: freeing all of it at once holds the event loop until done."""
    while whole:
        whole.popitem()


def freeze_heap(partitions: int) -> None:
    """Keep the collector from walking through what was just read and stays for long.

    Call it inside `gc_paused`.
    """
    if partitions > PARTITIONS_INLINE_MAX:
        gc.freeze()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Switch the cyclic collector off while a whole cluster is in memory.

    Facts have no cycles, so they are freed without it. Use it for seconds, not for the life of a
    watch.
    """
    _pauses.append(None)
    gc.disable()
    try:
        yield
    finally:
        _pauses.pop()
        if not _pauses:
            gc.enable()
