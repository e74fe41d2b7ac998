"""Effects and watches as asyncio tasks of the cluster's owner: starts what is wanted and not running, ends what is not.

Called by app.py after each turn and on each tick. Never touches state: how an effect ended is posted to the inbox.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from agent.adapters.perform import Performer
from agent.core import effects as fx
from agent.core.messages import EffectEnded, Observation, Unreachable
from agent.core.migration import Migration, watches
from agent.core.options import Policy
from agent.core.reasons import Code, Reason

log = logging.getLogger(__name__)

Post = Callable[[Observation], Awaitable[None]]
# Plans and surveys run beside the main line of a wave; everything else of a cluster runs one at a time.
_BESIDE = (fx.MakePlan, fx.PrepareMigration)
CANCEL_SECONDS_MAX = 15.0


class ClusterTasks:
    """The running effects and watches of one cluster."""

    def __init__(self, performer: Performer, policy: Policy, post: Post) -> None:
        self._performer = performer
        self._policy = policy
        self._post = post
        self._effects: dict[str, asyncio.Task[None]] = {}  # by effect id, until it is no longer pending
        self._watches: dict[fx.Watch, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def reconcile(self, migration: Migration) -> None:
        """Make what runs be what the state wants."""
        wanted = {p.effect_id: p.effect for p in migration.pending}
        for effect_id in self._effects.keys() - wanted.keys():
            self._end(self._effects.pop(effect_id))
        for effect_id, effect in wanted.items():
            if effect_id not in self._effects:
                before = frozenset() if isinstance(effect, _BESIDE) else frozenset(self._ending)
                self._effects[effect_id] = asyncio.create_task(
                    self._perform(effect_id, effect, migration, before), name=f"{type(effect).__name__} {effect_id}"
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

    async def _perform(
        self, effect_id: str, effect: fx.Effect, migration: Migration, before: frozenset[asyncio.Task[None]]
    ) -> None:
        if before:  # a stop must not overtake the request that it stops
            await asyncio.wait(before, timeout=CANCEL_SECONDS_MAX)
        try:
            outcome = await self._performer.perform(effect, migration, self._policy)
        except Exception as bug:
            log.exception("%s of %s failed", type(effect).__name__, migration.cluster)
            outcome = Unreachable(reason=Reason(Code.EFFECT_FAILED, f"{type(effect).__name__}: {bug!r}"))
        try:
            await self._post(EffectEnded(at=time.time(), effect_id=effect_id, outcome=outcome))
        except Exception:
            log.exception("how %s of %s ended could not be posted: it is performed again", effect_id, migration.cluster)
            self._effects.pop(effect_id, None)

    async def _watch(self, watch: fx.Watch, migration: Migration) -> None:
        try:
            await self._performer.watch(watch, migration, self._post)
        except Exception:
            log.exception("%s of %s failed; it is started again", type(watch).__name__, migration.cluster)
            await asyncio.sleep(1.0)
