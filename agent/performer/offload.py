"""Keeps work on a whole cluster from blocking the event loop. Used by the performer's modules.

A thread shares the interpreter with the event loop and gives it back every millisecond. A pass of
the cyclic garbage collector over 200,000 partitions blocks the loop until it has ended.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Up to this size a thread costs more than it saves, because the work takes a few milliseconds.
PARTITIONS_INLINE_MAX = 2_000

SWITCH_SECONDS = 0.001  # CPython's default is 5 ms

_pauses: list[None] = []  # one entry for each active `gc_paused`


async def run_off_loop(
    partitions: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do pure work on this many partitions, in a thread if it would block the event loop."""
    if partitions <= PARTITIONS_INLINE_MAX:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def shorten_switch_interval() -> None:
    """Let threads give the interpreter back after 1 ms.

    One turn of the event loop has to wait for them several times.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def release_in_pieces(whole: dict[int, Any]) -> None:
    """Empty the dict entry by entry, because freeing all of it at once blocks the event loop."""
    while whole:
        whole.popitem()


def freeze_heap(partitions: int) -> None:
    """Exempt the current objects from garbage collection, after reading what stays for long.

    Call it inside `gc_paused`.
    """
    if partitions > PARTITIONS_INLINE_MAX:
        gc.freeze()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Switch the cyclic garbage collector off while a whole cluster is in memory.

    Facts have no cycles, so they are freed without it. Use it for seconds, not for the lifetime of
    a watch.
    """
    _pauses.append(None)
    gc.disable()
    try:
        yield
    finally:
        _pauses.pop()
        if not _pauses:
            gc.enable()
