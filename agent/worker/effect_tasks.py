"""Performs the actions of a ClusterWorker (cluster_worker.py) as asyncio tasks.

Called by app.py after each message and on each tick. It decides nothing and never touches state:
outcomes and observations go to the inbox.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Protocol

from agent.cancellation import CANCEL_AGAIN_SECONDS
from agent.core import effects as fx
from agent.core.messages import Observation, Outcome, Tick, Unreachable
from agent.core.migration import Migration
from agent.core.model.reasons import Code, Reason
from agent.core.planning.policy import Policy
from agent.performer.ports import LeasePort, PortError
from agent.worker.cluster_worker import (
    Action,
    CancelTask,
    ClusterWorker,
    PostToInbox,
    StartEffect,
    StartWatch,
)

log = logging.getLogger("kafka_migration.tasks")

Post = Callable[[Observation], Awaitable[None]]
# While `stop` waits, cancellations that were lost are repeated this often.
STOP_POLL_SECONDS = 0.5


class EffectPerformer(Protocol):
    """Performs effects and runs watches; implemented by agent/performer/performer.py."""

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> Outcome:
        """Perform an effect and return its outcome; an exception is a bug."""
        ...

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None:
        """Post observations until cancelled. May raise PortError."""
        ...


@dataclass(slots=True)
class _Cancelled:
    """A cancelled task that has not ended yet. Both times are in monotonic seconds."""

    since: float
    again_at: float


class ClusterTasks:
    """The running effects and watches of one cluster."""

    def __init__(
        self,
        performer: EffectPerformer,
        lease: LeasePort,
        worker: ClusterWorker,
        post: Post,
        *,
        cancel_again_seconds: float = CANCEL_AGAIN_SECONDS,
    ) -> None:
        """`post` returns when Kafka has the observation.

        A task that was cancelled `cancel_again_seconds` ago and still runs is cancelled again, then
        after twice the time, and so on.
        """
        self.worker = worker
        self._performer = performer
        self._lease = lease
        self._post = post
        self._cancel_again_seconds = cancel_again_seconds
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._cancelled: dict[asyncio.Task[None], _Cancelled] = {}
        self._posts: set[asyncio.Task[None]] = set()

    # ── inputs ────────────────────────────────────────────────────────────────────────────────────
    def reconcile(self, migration: Migration) -> None:
        """Start the effects and watches that the state wants, and cancel all others."""
        self._cancel_again()
        self._act(self.worker.reconcile(migration, time.time(), self._other_driver()))

    async def tick(self, migration: Migration) -> None:
        """Do what is due by now. Raises if a Tick cannot be posted."""
        self._cancel_again()
        actions = self.worker.tick(migration, time.time(), self._other_driver())
        await self._post_all(self._start(actions))

    async def evaluate(self, migration: Migration) -> None:
        """Evaluate the rules with new samples, and post the rule states that have changed."""
        await self._post_all(self._start(self.worker.evaluate(migration, time.time())))

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended, for `worker.cancel_seconds_max`."""
        self._act(self.worker.stop())
        for posting in self._posts:
            posting.cancel()
        until = time.monotonic() + self.worker.cancel_seconds_max
        while self._tasks and (seconds := until - time.monotonic()) > 0:
            await asyncio.wait(self._tasks.values(), timeout=min(seconds, STOP_POLL_SECONDS))
            self._cancel_again()
        if self._tasks:
            log.error(
                "%s was cancelled %.1f s ago and is left running",
                ", ".join(sorted(task.get_name() for task in self._tasks.values())),
                self.worker.cancel_seconds_max,
            )

    def _other_driver(self) -> str | None:
        return None if self._lease.held() else self._lease.holder()

    # ── actions ───────────────────────────────────────────────────────────────────────────────────
    def _act(self, actions: Iterable[Action]) -> None:
        """Perform all actions without waiting; a task of its own posts the messages."""
        if messages := self._start(actions):
            posting = asyncio.create_task(self._post_all(messages), name="posts to the inbox")
            self._posts.add(posting)
            posting.add_done_callback(self._posts.discard)

    def _start(self, actions: Iterable[Action]) -> list[Observation]:
        """Start and cancel tasks; return the messages that have to be posted."""
        messages = []
        for action in actions:
            match action:
                case StartEffect():
                    self._create(action.task_id, action.name, self._perform(action))
                case StartWatch():
                    self._create(action.task_id, action.name, self._watch(action))
                case CancelTask(task_id):
                    self._cancel(task_id)
                case PostToInbox(message):
                    messages.append(message)
        return messages

    def _create(self, task_id: int, name: str, work: Coroutine[None, None, None]) -> None:
        def left(task: asyncio.Task[None]) -> None:
            del self._tasks[task_id]
            self._cancelled.pop(task, None)
            self._act(self.worker.task_left(task_id, time.time(), self._other_driver()))

        task = self._tasks[task_id] = asyncio.create_task(work, name=name)
        task.add_done_callback(left)

    def _cancel(self, task_id: int) -> None:
        if (task := self._tasks.get(task_id)) is not None:
            task.cancel()
            now = time.monotonic()
            self._cancelled[task] = _Cancelled(now, now + self._cancel_again_seconds)

    def _cancel_again(self) -> None:
        """Cancel again each task that still runs long after it was cancelled."""
        now = time.monotonic()
        for task, cancelled in self._cancelled.items():
            if now >= cancelled.again_at:
                age = now - cancelled.since
                log.warning(
                    "%s was cancelled %.1f s ago and still runs: it is cancelled again",
                    task.get_name(),
                    age,
                )
                task.cancel()
                cancelled.again_at = now + age

    async def _post_all(self, messages: Iterable[Observation]) -> None:
        """Post in order. A Tick that cannot be posted raises, as the producer may be broken."""
        for message in messages:
            try:
                await self._post(message)
            except Exception:
                self.worker.post_failed(message, time.time())
                if isinstance(message, Tick):
                    raise
                log.exception("%s could not be posted to the inbox", type(message).__name__)

    # ── one task ──────────────────────────────────────────────────────────────────────────────────
    async def _perform(self, start: StartEffect) -> None:
        try:
            outcome = await self._performer.perform(
                start.effect, start.migration, self.worker.policy
            )
        except Exception as bug:
            log.exception("%s failed", start.name)
            what = f"{type(start.effect).__name__}: {bug!r}"
            outcome = Unreachable(reason=Reason(Code.EFFECT_FAILED, what[:1_000]))
        ended = self.worker.effect_ended(start.task_id, outcome, time.time())
        await self._post_all(self._start(ended))

    async def _watch(self, start: StartWatch) -> None:
        """Run a watch; it ends only when it fails, and then the worker starts it again."""
        try:
            await self._performer.watch(start.watch, start.migration, self._post)
        except PortError as trouble:
            log.warning("%s is blind: %s", start.name, trouble)
        except Exception:
            log.exception("%s failed; it is started again", start.name)
