"""Effects and watches as asyncio tasks of the cluster's owner: starts what is wanted and not
running, ends what is not.

Called by app.py after each turn and on each tick. Never touches state: how an effect ended is
posted to the inbox.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from agent.cancellation import CANCEL_AGAIN_SECONDS
from agent.core import effects as fx
from agent.core.messages import Busy, EffectEnded, Outcome, Unreachable
from agent.core.migration import Migration, watches
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Policy
from agent.performer.ports import LeasePort, PortError, Post

log = logging.getLogger("kafka_migration.tasks")

# What is cancelled leaves within a turn or two of the event loop; one whose cancellation was lost
# is cancelled again after 2 s, after 4, 8, ... and is waited for that long at most: a pause must
# not take longer for it.
CANCEL_SECONDS_MAX = 5.0
WAITS_TOLD_SECONDS = 0.5
# An agent that has just come back waits for its lease that long before it says that another one
# drives.
LEASE_SECONDS = 3.0
LEASE_POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0


class EffectPerformer(Protocol):
    """What performs effects and watches: agent/performer/performer.py."""

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> Outcome: ...

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None: ...


@dataclass(slots=True)
class _Ending:
    """A cancelled task that has not left yet. Both times by the monotonic clock, in seconds."""

    since: float
    again_at: float


class ClusterTasks:
    """The running effects and watches of one cluster."""

    def __init__(
        self,
        performer: EffectPerformer,
        lease: LeasePort,
        policy: Policy,
        post: Post,
        *,
        lease_seconds: float = LEASE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        cancel_again_seconds: float = CANCEL_AGAIN_SECONDS,
        cancel_seconds_max: float = CANCEL_SECONDS_MAX,
    ) -> None:
        """`post` returns when the observation is in the inbox for good."""
        self._performer = performer
        self._lease = lease
        self._policy = policy
        self._post = post
        self._lease_seconds = lease_seconds
        self._retry_seconds = retry_seconds
        self._cancel_again_seconds = cancel_again_seconds
        self._cancel_seconds_max = cancel_seconds_max
        # by effect id, until it is no longer pending
        self._effects: dict[str, asyncio.Task[None]] = {}
        # those that are past the lease
        self._acting: dict[asyncio.Task[None] | None, fx.Effect] = {}
        self._watches: dict[fx.Watch, asyncio.Task[None]] = {}
        self._ending: dict[asyncio.Task[None], _Ending] = {}

    def reconcile(self, migration: Migration) -> None:
        """Make what runs be what the state wants; without the lease, nothing."""
        self._cancel_again()
        wanted = {p.effect_id: p.effect for p in migration.pending}
        for effect_id in (self._effects.keys() - wanted.keys()) | self._without_lease(
            migration.cluster
        ):
            self._end(self._effects.pop(effect_id))
        for effect_id, effect in wanted.items():
            if effect_id not in self._effects:
                before = frozenset() if fx.is_concurrent(effect) else self._still_acting()
                self._effects[effect_id] = asyncio.create_task(
                    self._run(effect_id, effect, migration, before),
                    name=f"{migration.cluster}: {type(effect).__name__} {effect_id}",
                )
        looking = set(watches(migration, self._policy))
        for watch in self._watches.keys() - looking:
            self._end(self._watches.pop(watch))
        for watch in looking:
            running = self._watches.get(watch)
            if running is None or running.done():
                self._watches[watch] = asyncio.create_task(
                    self._watch(watch, migration),
                    name=(f"{migration.cluster}: {type(watch).__name__}"),
                )

    def _without_lease(self, cluster: str) -> set[str]:
        """What acts though the lease is gone: another agent may drive now."""
        if self._lease.held():
            return set()
        lost = {effect_id for effect_id, task in self._effects.items() if task in self._acting}
        if lost:
            log.warning("%s: %s; what was being done is left", cluster, self._lease.holder())
        return lost

    async def stop(self) -> None:
        """End everything: the cluster is not ours any more, or the worker stops."""
        for task in (*self._effects.values(), *self._watches.values()):
            self._end(task)
        self._effects.clear()
        self._watches.clear()
        if left := await self._until_left(tuple(self._ending)):
            log.error(
                "%s was cancelled %.1f s ago and is left running",
                _names(left),
                self._cancel_seconds_max,
            )

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            task.cancel()
            now = time.monotonic()
            self._ending[task] = _Ending(since=now, again_at=now + self._cancel_again_seconds)
            task.add_done_callback(lambda done: self._ending.pop(done, None))

    def _cancel_again(self) -> None:
        """Whoever was cancelled a while ago and still lives has lost it, or hangs while it
        tidies up: it is named.
        """
        now = time.monotonic()
        for task, ending in self._ending.items():
            if now >= ending.again_at:
                age = now - ending.since
                log.warning(
                    "%s was cancelled %.1f s ago and still runs: it is cancelled again",
                    task.get_name(),
                    age,
                )
                task.cancel()
                ending.again_at = now + age

    def _still_acting(self) -> frozenset[asyncio.Task[None]]:
        """What an effect must not overtake: cancelled requests that may still be on their way to
        the outside.

        A watch is none. The one that changes anything (WatchThrottle) does so on the admin line,
        whose thread keeps the order of what it is asked. Nor is what has not begun, or runs beside
        the main line.
        """
        return frozenset(
            task
            for task in self._ending
            if (effect := self._acting.get(task)) is not None and not fx.is_concurrent(effect)
        )

    async def _until_left(self, ending: Collection[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
        """Wait until these have left; returns those that do not."""
        until = time.monotonic() + self._cancel_seconds_max
        while left := [task for task in ending if not task.done()]:
            seconds = until - time.monotonic()
            if seconds <= 0:
                break
            await asyncio.wait(left, timeout=min(seconds, WAITS_TOLD_SECONDS))
            self._cancel_again()
        return left

    # ── one effect ────────────────────────────────────────────────────────────────────────────────
    async def _run(
        self,
        effect_id: str,
        effect: fx.Effect,
        migration: Migration,
        before: frozenset[asyncio.Task[None]],
    ) -> None:
        if before:
            await self._let_leave(
                before, (f"{migration.cluster}: {type(effect).__name__} {effect_id}")
            )
        outcome = await self._outcome(effect, migration)
        try:
            await self._post(EffectEnded(at=time.time(), effect_id=effect_id, outcome=outcome))
        except Exception:
            log.exception(
                "%s: how %s ended could not be posted; it is performed again",
                migration.cluster,
                effect_id,
            )
            await asyncio.sleep(self._retry_seconds)
            if self._effects.get(effect_id) is asyncio.current_task():
                del self._effects[effect_id]

    async def _let_leave(self, before: frozenset[asyncio.Task[None]], what: str) -> None:
        """A stop must not overtake the request that it stops; told where that takes long."""
        began = time.monotonic()
        _, living = await asyncio.wait(before, timeout=WAITS_TOLD_SECONDS)
        if not living:
            return
        log.warning(
            "%s waits for %s to leave, for %.0f s at most",
            what,
            _names(living),
            self._cancel_seconds_max,
        )
        left = await self._until_left(living)
        waited = time.monotonic() - began
        log.warning(
            "%s begins after %.1f s%s", what, waited, f", beside {_names(left)}" if left else ""
        )

    async def _outcome(self, effect: fx.Effect, migration: Migration) -> Outcome:
        if not await self._has_lease():
            return Busy(
                reason=Reason(
                    Code.OTHER_DRIVER, self._lease.holder(), ("the lease of this cluster")
                )
            )
        acting = asyncio.current_task()
        self._acting[acting] = effect
        try:
            return await self._performer.perform(effect, migration, self._policy)
        except Exception as bug:
            log.exception("%s: %s failed", migration.cluster, type(effect).__name__)
            return Unreachable(
                reason=Reason(Code.EFFECT_FAILED, (f"{type(effect).__name__}: {bug!r}")[:1_000])
            )
        finally:
            del self._acting[acting]

    async def _has_lease(self) -> bool:
        until = time.monotonic() + self._lease_seconds
        while not self._lease.held():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LEASE_POLL_SECONDS)
        return True

    async def _watch(self, watch: fx.Watch, migration: Migration) -> None:
        """Ends only when it fails; the next reconcile starts it again."""
        try:
            await self._performer.watch(watch, migration, self._post)
        except PortError as trouble:
            log.warning("%s: %s is blind: %s", migration.cluster, type(watch).__name__, trouble)
        except Exception:
            log.exception(
                "%s: %s failed; it is started again", migration.cluster, type(watch).__name__
            )
        await asyncio.sleep(self._retry_seconds)


def _names(tasks: Collection[asyncio.Task[None]]) -> str:
    return ", ".join(sorted(task.get_name() for task in tasks))
