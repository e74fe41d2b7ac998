"""What the owner of a cluster does besides handling the inbox, as a state machine without I/O.

It decides which effects and watches run, what they wait for, which are cancelled, which rule states
are posted, and when a Tick is due. In production, effect_tasks.py (asyncio) and app.py (Kafka) run
it; the simulation runs the same class by hand. It reads no clock, awaits nothing and does not use
Kafka: the time is passed in, and what has to be done is returned as actions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration, wake_at, watches
from agent.core.model.reasons import Code, Reason
from agent.worker.cluster_rules import ClusterRules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.core.metrics.rule_evaluator import Sample
    from agent.core.planning.policy import Policy

log = logging.getLogger("kafka_migration.tasks")

# An agent that has just restarted waits this long for its lease before it reports another driver.
LEASE_SECONDS = 3.0
# A failed watch, and an effect whose outcome could not be posted, begin again after this time.
RETRY_SECONDS = 1.0
# The longest time that an effect waits for cancelled ones to end, as it delays a pause.
CANCEL_SECONDS_MAX = 5.0
WAIT_LOGGED_SECONDS = 0.5  # a wait that is longer than this is logged
TICK_RETRY_SECONDS = 5.0  # a Tick that had no effect is posted again after this time


@dataclass(frozen=True, slots=True)
class StartEffect:
    """Perform this effect, and pass its outcome to `effect_ended`."""

    task_id: int
    name: str
    effect_id: str
    effect: fx.Effect
    migration: Migration


@dataclass(frozen=True, slots=True)
class StartWatch:
    """Run this watch; it posts its observations by itself. It ends only when it fails."""

    task_id: int
    name: str
    watch: fx.Watch
    migration: Migration


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Cancel this task. When it has really ended, `task_left` must be called as for any task."""

    task_id: int


@dataclass(frozen=True, slots=True)
class PostToInbox:
    """Append this to the cluster's inbox; `post_failed` must be called if that fails."""

    message: msg.Observation


Action = StartEffect | StartWatch | CancelTask | PostToInbox


@dataclass(slots=True)
class _PendingEffect:
    """An effect that the state wants, from its first sight until it is no longer pending."""

    effect: fx.Effect
    name: str
    # Cancelled tasks that must have ended before it begins, and since when it waits for them.
    after: dict[int, str]
    waits_since: float
    wait_is_logged: bool = False
    not_before: float = 0.0
    without_lease_since: float | None = None
    task_id: int | None = None  # of the task that performs it
    is_over: bool = False  # its outcome was returned for posting


@dataclass(slots=True)
class _WantedWatch:
    task_id: int | None = None
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class _CancelledTask:
    name: str
    # None: it changes nothing any more, because it is a watch or only posts its outcome.
    effect: fx.Effect | None


class ClusterWorker:
    """The effects, watches, rules and ticks of one driven cluster.

    Every `now` is in seconds since the epoch. `other_driver` says who holds the lease of the
    cluster; it is None while this agent holds it.
    """

    rules_kind = ClusterRules

    def __init__(
        self,
        policy: Policy,
        migration: Migration,
        now: float,
        *,
        lease_seconds: float = LEASE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        cancel_seconds_max: float = CANCEL_SECONDS_MAX,
    ) -> None:
        """`migration` is the saved state, with the rule states to begin with."""
        self.policy = policy
        self.cancel_seconds_max = cancel_seconds_max
        self.rules = self.rules_kind(policy, migration, now)
        self._migration = migration
        self._lease_seconds = lease_seconds
        self._retry_seconds = retry_seconds
        self._task_ids = count(1)
        self._effects: dict[str, _PendingEffect] = {}  # by effect id
        self._watches: dict[fx.Watch, _WantedWatch] = {}
        self._cancelled: dict[int, _CancelledTask] = {}  # by task id, until it has left
        # The due time that a Tick was posted for last, and when it was posted.
        self._ticked: tuple[float, float] | None = None

    # ── inputs ────────────────────────────────────────────────────────────────────────────────────
    def tick(self, migration: Migration, now: float, other_driver: str | None) -> list[Action]:
        """Do what is due by now: reconcile, evaluate the rules, and post a Tick if one is due."""
        return [
            *self.reconcile(migration, now, other_driver),
            *(PostToInbox(found) for found in self.rules.poll(migration, now)),
            *self._wake(migration, now),
        ]

    def reconcile(self, migration: Migration, now: float, other_driver: str | None) -> list[Action]:
        """Start and cancel tasks so that what the state wants runs; no effect without the lease."""
        self._migration = migration
        wanted = {pending.effect_id: pending.effect for pending in migration.pending}
        actions = self._cancel_effects(
            (self._effects.keys() - wanted.keys()) | self._without_lease(other_driver)
        )
        for effect_id, effect in wanted.items():
            if effect_id not in self._effects:
                self._effects[effect_id] = _PendingEffect(
                    effect=effect,
                    name=f"{migration.cluster}: {type(effect).__name__} {effect_id}",
                    after=self._to_wait_for(effect),
                    waits_since=now,
                )
        actions += self._begin_effects(now, other_driver)
        return actions + self._reconcile_watches(now)

    def samples(self, samples: list[Sample], migration: Migration, now: float) -> None:
        """Take samples of this cluster; `evaluate` returns what they change."""
        self.rules.add_samples(samples, migration, now)

    def evaluate(self, migration: Migration, now: float) -> list[Action]:
        """Post the rule states that the samples have changed."""
        return [PostToInbox(state) for state in self.rules.evaluate(migration, now)]

    def effect_ended(self, task_id: int, outcome: msg.Outcome, now: float) -> list[Action]:
        """Post the outcome of a performed effect; that of a cancelled one is not posted."""
        found = self._effect_of(task_id)
        if found is None:
            return []
        effect_id, pending = found
        pending.is_over = True
        outcome = self.rules.with_produce_latency(outcome, self._migration)
        return [PostToInbox(msg.EffectEnded(at=now, effect_id=effect_id, outcome=outcome))]

    def post_failed(self, message: msg.Observation, now: float) -> None:
        """Note that a message could not be posted to the inbox.

        An effect whose outcome is lost is performed again, which is safe: it finds what was done. A
        Tick is posted again, and so is a rule state that the saved state still does not show.
        """
        if isinstance(message, msg.Tick):
            self._ticked = None
        if not isinstance(message, msg.EffectEnded):
            return
        pending = self._effects.get(message.effect_id)
        if pending is not None and pending.is_over:
            pending.is_over = False
            pending.task_id = None
            pending.not_before = now + self._retry_seconds

    def task_left(self, task_id: int, now: float, other_driver: str | None) -> list[Action]:
        """Note that a task has ended, in whatever way; effects that waited for it may begin."""
        self._cancelled.pop(task_id, None)
        for watch in self._watches.values():
            if watch.task_id == task_id:  # it has failed
                watch.task_id = None
                watch.not_before = now + self._retry_seconds
        found = self._effect_of(task_id)
        if found is not None:
            found[1].task_id = None
            if not found[1].is_over:  # it ended without any outcome
                found[1].not_before = now + self._retry_seconds
        return self._begin_effects(now, other_driver)

    def stop(self) -> list[Action]:
        """Cancel all tasks, because another worker owns the cluster now or this one stops."""
        actions = self._cancel_effects(self._effects.keys())
        for watch in list(self._watches):
            actions += self._cancel_watch(watch)
        return actions

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def _effect_of(self, task_id: int) -> tuple[str, _PendingEffect] | None:
        return next((found for found in self._effects.items() if found[1].task_id == task_id), None)

    def _without_lease(self, other_driver: str | None) -> set[str]:
        """The effects that run although the lease is lost, so that another agent may drive."""
        if other_driver is None:
            return set()
        lost = {
            effect_id
            for effect_id, pending in self._effects.items()
            if pending.task_id is not None and not pending.is_over
        }
        if lost:
            log.warning(
                "%s: %s; running effects are cancelled", self._migration.cluster, other_driver
            )
        return lost

    def _cancel_effects(self, effect_ids: Iterable[str]) -> list[Action]:
        actions: list[Action] = []
        for effect_id in list(effect_ids):
            pending = self._effects.pop(effect_id)
            if pending.task_id is not None:
                acts = None if pending.is_over else pending.effect
                actions += self._cancel(pending.task_id, pending.name, acts)
        return actions

    def _cancel(self, task_id: int, name: str, acts: fx.Effect | None) -> list[Action]:
        self._cancelled[task_id] = _CancelledTask(name, acts)
        return [CancelTask(task_id)]

    def _to_wait_for(self, effect: fx.Effect) -> dict[int, str]:
        """The cancelled tasks that this effect must not overtake, with their names.

        A stop must not overtake the request that it stops, which may still be on its way. No effect
        waits for watches: the only one that changes anything (WatchThrottle) does so in the admin
        thread, which runs its calls in order.
        """
        if fx.is_concurrent(effect):
            return {}
        return {
            task_id: task.name
            for task_id, task in self._cancelled.items()
            if task.effect is not None and not fx.is_concurrent(task.effect)
        }

    def _begin_effects(self, now: float, other_driver: str | None) -> list[Action]:
        """Begin every pending effect that has nothing to wait for."""
        actions: list[Action] = []
        for effect_id, pending in self._effects.items():
            if (
                pending.task_id is not None
                or pending.is_over
                or now < pending.not_before
                or self._waits_for_cancelled(pending, now)
            ):
                continue
            if other_driver is None:
                pending.task_id = next(self._task_ids)
                actions.append(
                    StartEffect(
                        pending.task_id,
                        pending.name,
                        effect_id,
                        pending.effect,
                        self._migration,
                    )
                )
                continue
            if pending.without_lease_since is None:
                pending.without_lease_since = now
            if now - pending.without_lease_since > self._lease_seconds:
                pending.is_over = True
                reason = Reason(Code.OTHER_DRIVER, other_driver, "the lease of this cluster")
                busy = msg.Busy(reason=reason)
                actions.append(
                    PostToInbox(msg.EffectEnded(at=now, effect_id=effect_id, outcome=busy))
                )
        return actions

    def _waits_for_cancelled(self, pending: _PendingEffect, now: float) -> bool:
        """Whether the effect has to wait until a cancelled task has ended; logs long waits."""
        living = {i: name for i, name in pending.after.items() if i in self._cancelled}
        waited = now - pending.waits_since
        if living and waited < self.cancel_seconds_max:
            if waited >= WAIT_LOGGED_SECONDS and not pending.wait_is_logged:
                pending.wait_is_logged = True
                log.warning(
                    "%s waits until %s has ended, for %.0f s at most",
                    pending.name,
                    ", ".join(sorted(living.values())),
                    self.cancel_seconds_max,
                )
            return True
        if pending.wait_is_logged:
            beside = f", beside {', '.join(sorted(living.values()))}" if living else ""
            log.warning("%s begins after %.1f s%s", pending.name, waited, beside)
        pending.after = {}
        pending.wait_is_logged = False
        return False

    # ── watches ───────────────────────────────────────────────────────────────────────────────────
    def _reconcile_watches(self, now: float) -> list[Action]:
        wanted = watches(self._migration, self.policy)
        actions: list[Action] = []
        for watch in [running for running in self._watches if running not in wanted]:
            actions += self._cancel_watch(watch)
        for watch in wanted:
            state = self._watches.setdefault(watch, _WantedWatch())
            if state.task_id is None and now >= state.not_before:
                state.task_id = next(self._task_ids)
                actions.append(
                    StartWatch(state.task_id, self._watch_name(watch), watch, self._migration)
                )
        return actions

    def _cancel_watch(self, watch: fx.Watch) -> list[Action]:
        state = self._watches.pop(watch)
        if state.task_id is None:
            return []
        return self._cancel(state.task_id, self._watch_name(watch), None)

    def _watch_name(self, watch: fx.Watch) -> str:
        return f"{self._migration.cluster}: {type(watch).__name__}"

    # ── the tick ──────────────────────────────────────────────────────────────────────────────────
    def _wake(self, migration: Migration, now: float) -> list[Action]:
        """Post a Tick once for each due time; handling it sets the next one."""
        due = wake_at(migration)
        if due is None or due > now:
            return []
        if self._ticked is not None:
            last_due, posted_at = self._ticked
            if due == last_due and now <= posted_at + TICK_RETRY_SECONDS:
                return []
        self._ticked = (due, now)
        return [PostToInbox(msg.Tick(at=now))]
