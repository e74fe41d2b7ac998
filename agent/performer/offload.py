"""Work on a whole cluster, beside the event loop.

Used by survey.py, performer.py and watches.py; decides nothing.

A thread shares the interpreter with the loop and gives it back every millisecond; one pass of the
cyclic collector over 200,000 partitions does not, and holds the loop for its whole length.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Below that a thread costs more than it saves: each check takes a few milliseconds.
PARTITIONS_INLINE_MAX = 2_000

SWITCH_SECONDS = 0.001  # CPython's own is 5 ms

_pauses: list[None] = []  # one for each that wants the collector to wait


async def run_off_loop(
    partitions: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Do pure work on so many partitions: in a thread where it would hold the event loop."""
    if partitions <= PARTITIONS_INLINE_MAX:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)


def shorten_switch_interval() -> None:
    """Let threads give the interpreter back sooner: a turn of the event loop waits for it
    several times.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def release_in_pieces(whole: dict[int, Any]) -> None:
    """Empty it entry by entry: what is freed in one piece holds the loop for as long as that
    takes.
    """
    while whole:
        whole.popitem()


def freeze_heap(partitions: int) -> None:
    """What was just read stays for long: the collector need not walk through it ever again.

    Called while it waits.
    """
    if partitions > PARTITIONS_INLINE_MAX:
        gc.freeze()


@contextmanager
def gc_paused() -> Iterator[None]:
    """While a whole cluster is in memory the cyclic collector waits.

    Facts have no cycles: they go when nobody holds them. For seconds, not for the life of a watch.
    """
    _pauses.append(None)
    gc.disable()
    try:
        yield
    finally:
        _pauses.pop()
        if not _pauses:
            gc.enable()
