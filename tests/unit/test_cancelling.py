"""A cancellation that comes just as the answer does is not lost, wherever an answer is waited
for with a limit.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kafka import KafkaAdminClient

from agent import client
from agent.adapters.kafka.admin_thread import AdminThread
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.adapters.zookeeper.kraft_znodes import KraftZooKeeper
from agent.cancellation import end, until_done
from agent.services.console.feed import Feed
from tests.fakes.cancelling import TIMINGS, outlives_its_cancellation
from tests.fakes.control_topics import ControlTopicsInMemory

Json = dict[str, Any]


class InThread:
    """A question that a thread answers when it is let."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self._begun, self._let = threading.Event(), threading.Event()
        self._trouble = trouble

    def __call__(self, _of: object = None) -> str:
        self._begun.set()
        assert self._let.wait(5)
        if self._trouble:
            raise self._trouble
        return "answer"

    async def begun(self) -> None:
        while not self._begun.is_set():  # noqa: ASYNC110 - a thread says so
            await asyncio.sleep(0.001)

    def answer(self) -> None:
        self._let.set()


@TIMINGS
@pytest.mark.parametrize("trouble", [None, OSError("away")])
async def test_the_admin_line_loses_no_cancellation(turns: int, trouble: Exception | None) -> None:
    """Who is cancelled as Kafka answers, or fails, is cancelled; the line goes on for the next
    question.
    """
    line = AdminThread(KafkaConnection(bootstrap_servers="127.0.0.1:1"), admin=Admin())
    ask = InThread(trouble)
    work = line.call(ask, 5.0)
    assert not await outlives_its_cancellation(work, ask.begun, ask.answer, turns, in_thread=True)
    if trouble is None:
        assert await line.call(lambda _admin: "next", 5.0) == "next"
    await line.close()


class Admin(KafkaAdminClient):  # type: ignore[misc]
    """A client that is connected to nothing."""

    def __init__(self) -> None: ...

    def close(self) -> None: ...

    def __del__(self) -> None: ...


async def test_a_call_that_never_comes_back_is_left_in_time() -> None:
    """TimeoutError after the limit; that the thread answers later disturbs nobody."""
    told: list[Json] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    line, ask = (
        AdminThread(KafkaConnection(bootstrap_servers="127.0.0.1:1"), admin=Admin()),
        InThread(OSError("late")),
    )
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await line.call(ask, 0.1)
    assert time.monotonic() - began < 2
    ask.answer()
    await line.close()
    assert not told


@TIMINGS
async def test_the_kraft_look_loses_no_cancellation(turns: int) -> None:
    """Who is cancelled as ZooKeeper's failure comes is cancelled, and told no facts."""
    ask = InThread(OSError("away"))

    class Access(ZooKeeperAccess):
        def for_kazoo(self) -> Json:
            ask()
            return {}

    zookeeper = KraftZooKeeper("127.0.0.1:1", Access())
    assert not await outlives_its_cancellation(
        zookeeper.facts(), ask.begun, ask.answer, turns, in_thread=True
    )


@TIMINGS
async def test_who_follows_a_topic_until_a_deadline_loses_no_cancellation(turns: int) -> None:
    """Cancelled as a message comes, it ends, and waits for no other message."""
    waiting: asyncio.Queue[Json | None] = asyncio.Queue()

    async def messages() -> AsyncIterator[Json | None]:
        while True:
            yield await waiting.get()

    async def follow() -> None:
        async for _ in client._until(messages(), time.monotonic() + 60):
            pass

    assert not await outlives_its_cancellation(
        follow(), _a_turn, lambda: waiting.put_nowait({"id": 1}), turns
    )


@TIMINGS
@pytest.mark.parametrize("whole", [True, False])
async def test_the_consoles_feed_loses_no_cancellation(turns: int, whole: bool) -> None:
    """The console that is closed as a status comes ends: the feed with both its followers, and
    each of them.
    """
    topics = ControlTopicsInMemory()
    feed = Feed(topics)
    status = {"cluster": "lab"}
    work = feed.run() if whole else feed._follow("status")
    assert not await outlives_its_cancellation(
        work, _a_turn, lambda: topics.tell("status", status), turns
    )


async def _a_turn() -> None:
    await asyncio.sleep(0.01)


# ── ending a task ─────────────────────────────────────────────────────────────────────────────────
async def _stubborn(cancellations_lost: int, then: Exception | None = None) -> None:
    """Loses so many cancellations, as some libraries do."""
    for _ in range(cancellations_lost):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    try:
        await asyncio.sleep(60)
    finally:
        if then:
            raise then


async def test_a_task_is_cancelled_until_it_ends() -> None:
    """One that loses its first cancellations is cancelled again."""
    task = asyncio.create_task(_stubborn(2))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await until_done(task, retry_seconds=0.02)
    assert task.cancelled()


async def test_ending_a_task_tells_what_it_failed_with() -> None:
    """A task that fails while it ends is no success; that it was cancelled is none of the
    caller's trouble.
    """
    good, bad = (
        asyncio.create_task(_stubborn(0)),
        asyncio.create_task(_stubborn(0, ValueError("oops"))),
    )
    await asyncio.sleep(0)
    await end(good)
    with pytest.raises(ValueError, match="oops"):
        await end(bad)


async def test_who_ends_a_task_can_be_cancelled_meanwhile() -> None:
    """The cancellation of the one that waits is its own, and is not taken for the other's."""

    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)

    inner = asyncio.create_task(slow_to_leave())
    await asyncio.sleep(0)
    outer = asyncio.create_task(end(inner))
    await asyncio.sleep(0.01)
    outer.cancel()
    await asyncio.wait({outer, inner})
    assert outer.cancelled()
