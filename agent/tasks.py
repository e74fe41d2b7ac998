"""Effects and watches as asyncio tasks of the cluster's owner: starts what is wanted and not running, ends what is not.

Called by app.py after each turn and on each tick. Never touches state: how an effect ended is posted to the inbox.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.adapters.ports import LeasePort, PortError
from agent.core import effects as fx
from agent.core.kraft_effects import SurveyKraft
from agent.core.messages import Busy, EffectEnded, Observation, Outcome, Unreachable
from agent.core.migration import Migration, watches
from agent.core.options import Policy
from agent.core.reasons import Code, Reason

log = logging.getLogger("kafka_migration.tasks")

Post = Callable[[Observation], Awaitable[None]]
# Plans and surveys run beside the main line of a wave; everything else of a cluster runs one at a time.
_BESIDE = (fx.MakePlan, fx.PrepareMigration, SurveyKraft)
CANCEL_SECONDS_MAX = 15.0
# An agent that has just come back waits for its lease that long before it says that another one drives.
LEASE_SECONDS = 3.0
LEASE_LOOK_SECONDS = 0.05
AGAIN_SECONDS = 1.0


class Performs(Protocol):
    """What performs effects and watches: agent/adapters/perform.py."""

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> Outcome: ...

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None: ...


class ClusterTasks:
    """The running effects and watches of one cluster."""

    def __init__(
        self,
        performer: Performs,
        lease: LeasePort,
        policy: Policy,
        post: Post,
        *,
        lease_seconds: float = LEASE_SECONDS,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        """`post` returns when the observation is in the inbox for good."""
        self._performer = performer
        self._lease = lease
        self._policy = policy
        self._post = post
        self._lease_seconds = lease_seconds
        self._again_seconds = again_seconds
        self._effects: dict[str, asyncio.Task[None]] = {}  # by effect id, until it is no longer pending
        self._acting: set[asyncio.Task[None] | None] = set()  # those that are past the lease
        self._watches: dict[fx.Watch, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def reconcile(self, migration: Migration) -> None:
        """Make what runs be what the state wants; without the lease, nothing."""
        wanted = {p.effect_id: p.effect for p in migration.pending}
        for effect_id in (self._effects.keys() - wanted.keys()) | self._without_lease(migration.cluster):
            self._end(self._effects.pop(effect_id))
        for effect_id, effect in wanted.items():
            if effect_id not in self._effects:
                before = frozenset() if isinstance(effect, _BESIDE) else frozenset(self._ending)
                self._effects[effect_id] = asyncio.create_task(
                    self._run(effect_id, effect, migration, before), name=f"{type(effect).__name__} {effect_id}"
                )
        looking = set(watches(migration, self._policy))
        for watch in self._watches.keys() - looking:
            self._end(self._watches.pop(watch))
        for watch in looking:
            running = self._watches.get(watch)
            if running is None or running.done():
                self._watches[watch] = asyncio.create_task(
                    self._watch(watch, migration), name=f"{type(watch).__name__} {migration.cluster}"
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
        if self._ending:
            await asyncio.wait(self._ending, timeout=CANCEL_SECONDS_MAX)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    # ── one effect ──────────────────────────────────────────────────────────────────────────────────────────────
    async def _run(
        self, effect_id: str, effect: fx.Effect, migration: Migration, before: frozenset[asyncio.Task[None]]
    ) -> None:
        if before:  # a stop must not overtake the request that it stops
            await asyncio.wait(before, timeout=CANCEL_SECONDS_MAX)
        outcome = await self._outcome(effect, migration)
        try:
            await self._post(EffectEnded(at=time.time(), effect_id=effect_id, outcome=outcome))
        except Exception:
            log.exception("%s: how %s ended could not be posted; it is performed again", migration.cluster, effect_id)
            await asyncio.sleep(self._again_seconds)
            if self._effects.get(effect_id) is asyncio.current_task():
                del self._effects[effect_id]

    async def _outcome(self, effect: fx.Effect, migration: Migration) -> Outcome:
        if not await self._has_lease():
            return Busy(reason=Reason(Code.OTHER_DRIVER, self._lease.holder(), "the lease of this cluster"))
        acting = asyncio.current_task()
        self._acting.add(acting)
        try:
            return await self._performer.perform(effect, migration, self._policy)
        except Exception as bug:
            log.exception("%s: %s failed", migration.cluster, type(effect).__name__)
            return Unreachable(reason=Reason(Code.EFFECT_FAILED, f"{type(effect).__name__}: {bug!r}"[:1_000]))
        finally:
            self._acting.discard(acting)

    async def _has_lease(self) -> bool:
        until = time.monotonic() + self._lease_seconds
        while not self._lease.held():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(LEASE_LOOK_SECONDS)
        return True

    async def _watch(self, watch: fx.Watch, migration: Migration) -> None:
        """Ends only when it fails; the next reconcile starts it again."""
        try:
            await self._performer.watch(watch, migration, self._post)
        except PortError as trouble:
            log.warning("%s: %s is blind: %s", migration.cluster, type(watch).__name__, trouble)
        except Exception:
            log.exception("%s: %s failed; it is started again", migration.cluster, type(watch).__name__)
        await asyncio.sleep(self._again_seconds)
