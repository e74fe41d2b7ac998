"""One life of the simulated worker: the real decisions, a log that redelivers, crashes between any
two steps.

What runs, waits, is cancelled and is posted again is decided by the very class that production runs
(agent/worker/cluster_worker.py). Here its actions are performed by coroutines that are driven by
hand, where agent/worker/effect_tasks.py performs them as asyncio tasks. `Life` keeps its record as
a value; `TurnLife` sends each message through the real turn.py and its JSON as well, and compares.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.decide import step
from agent.core.kraft.effects import SurveyKraft
from agent.core.metrics.rule_evaluator import Sample
from agent.core.migration import Migration, wake_at, watches
from agent.core.planning.policy import Policy
from agent.performer.performer import Performer
from agent.performer.ports import PortError, Ports
from agent.wire import from_json, to_json
from agent.worker import turn
from agent.worker.cluster_worker import (
    Action,
    CancelTask,
    ClusterWorker,
    PostToInbox,
    StartEffect,
    StartWatch,
)

CLUSTER = "lab"
TICK_SECONDS = 0.25
# A cancelled task has left by then: mostly at once, sometimes after it was cancelled again.
LEAVE_SECONDS = (0.0, 0.0, 0.0, 0.1, 2.0)
BESIDE_A_WAVE = (fx.MakePlan, fx.PrepareMigration, SurveyKraft)


@dataclass(eq=False)
class Running:
    """A task: its coroutine, and the virtual time at which it wants to go on."""

    start: StartEffect | StartWatch
    coroutine: Coroutine[float, None, None]
    wake: float
    is_cancelled: bool = False  # it does nothing any more, and has left at `wake`


@dataclass
class Durable:
    """The control Kafka: what survives a crash.

    It holds the log, the record after each message of it, and what was published. `rng` draws how
    long a cancelled task takes to leave.
    """

    inbox: list[msg.Message] = field(default_factory=list)
    records: list[turn.Record] = field(default_factory=list)  # after each offset
    # (migration id, event), by sequence
    published: list[tuple[str, ev.AnyEvent]] = field(default_factory=list)
    is_down: bool = False  # the worker cannot post
    up_since: float = float("-inf")
    rng: random.Random = field(default_factory=lambda: random.Random(0))


@dataclass(frozen=True)
class Told:
    """What came of one message: events that were never published before, and what contradicts
    those that were.
    """

    new: tuple[ev.AnyEvent, ...] = ()
    contradiction: str | None = None


class Life:
    """One life of the worker."""

    def __init__(
        self,
        durable: Durable,
        ports: Ports,
        policy: Policy,
        record: turn.Record,
        position: int,
        performer: Performer,
        worker: type[ClusterWorker] = ClusterWorker,
    ) -> None:
        self.durable = durable
        self.policy = policy
        self.ports = ports
        self.record = record
        self.position = position
        self.running: list[Running] = []
        # (invariant, what is wrong): what the worker must never ask for
        self.wrong: tuple[str, str] | None = None
        self._performer = performer
        self._ended: set[str] = set()  # effects whose outcome is in the inbox
        self.born = self._ticked_at = ports.clock.now()
        self.worker = worker(policy, self.migration, self.born)
        self.reconcile()

    @property
    def migration(self) -> Migration:
        return self.record.migration

    # ── the log ───────────────────────────────────────────────────────────────────────────────────
    def post(self, message: msg.Message) -> None:
        self.durable.inbox.append(message)

    @property
    def has_mail(self) -> bool:
        return self.position < len(self.durable.inbox)

    def meet_next(self) -> Told:
        """One message: what the inbox handler does."""
        offset = self.position
        self.position += 1
        message = self.durable.inbox[offset]
        told = Told()
        if offset > self.record.inbox_offset:
            told = self._publish(self.take(message, offset))
            self.reconcile()
        if len(self.durable.records) <= offset:
            self.durable.records.append(self.record)
        else:
            self.durable.records[offset] = self.record
        return told

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        """turn.take without JSON."""
        after, events = step(self.migration, message, self.policy)
        if events:  # what changes nothing is not saved, and is met again
            self.record = replace(self.record, migration=after, inbox_offset=offset)
        return events

    def _publish(self, events: tuple[ev.AnyEvent, ...]) -> Told:
        first = self.migration.sequence - len(events)
        known = self.durable.published
        for n, event in enumerate(events, first):
            if n < len(known) and known[n] != (self.migration.migration_id, event):
                before, now = known[n][1], event
                return Told(contradiction=f"event {n} was {before!r} and is now {now!r}")
        if first > len(known):
            return Told(contradiction=f"event {first} comes after event {len(known) - 1}")
        new = events[max(len(known) - first, 0) :]
        known.extend((self.migration.migration_id, e) for e in new)
        return Told(new=new)

    # ── the worker, and its actions ───────────────────────────────────────────────────────────────
    @property
    def _other_driver(self) -> str | None:
        lease = self.ports.lease
        return None if lease.held() else lease.holder()

    def reconcile(self) -> None:
        """After a message, as in app.py."""
        now = self.ports.clock.now()
        self._act(self.worker.reconcile(self.migration, now, self._other_driver))

    def next_tick(self) -> float | None:
        """When a tick can change anything; production ticks all the time."""
        soon = self._ticked_at + TICK_SECONDS
        live = [r.start for r in self.running if not r.is_cancelled]
        effects = {start.effect_id for start in live if isinstance(start, StartEffect)}
        looks = [start.watch for start in live if isinstance(start, StartWatch)]
        m = self.migration
        if any(p.effect_id not in effects for p in m.pending) or any(
            watch not in looks for watch in watches(m, self.policy)
        ):
            return soon
        due = wake_at(m)
        return None if due is None else max(due, soon)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if now < self._ticked_at + TICK_SECONDS:
            return
        self._ticked_at = now
        self._act(self.worker.tick(self.migration, now, self._other_driver))
        acting = [
            r.start.name
            for r in self.running
            if isinstance(r.start, StartEffect) and not r.is_cancelled
        ]
        if acting and not self.ports.lease.held():
            self.wrong = ("nothing_acts_without_the_lease", f"{acting} go on without the lease")

    def evaluate_samples(self, samples: list[Sample], now: float) -> None:
        """A batch of samples has come."""
        self.worker.samples(samples, self.migration, now)
        self._act(self.worker.evaluate(self.migration, now))

    def _act(self, actions: Iterable[Action]) -> None:
        now = self.ports.clock.now()
        for action in actions:
            match action:
                case StartEffect():
                    self._check_start(action)
                    self.running.append(Running(action, self._perform(action), now))
                case StartWatch():
                    self.running.append(Running(action, self._watch(action), now))
                case CancelTask(task_id):
                    self._cancel(task_id, now)
                case PostToInbox(message):
                    self._post_or_fail(message, now)

    def _check_start(self, start: StartEffect) -> None:
        """An effect runs once at a time, and overtakes no request that may still be on its way."""
        for r in self.running:
            if not isinstance(r.start, StartEffect):
                continue
            if r.start.effect_id == start.effect_id and not r.is_cancelled:
                self.wrong = ("each_effect_runs_once", f"{start.name} begins, and runs already")
            elif (
                r.is_cancelled
                and not isinstance(start.effect, BESIDE_A_WAVE)
                and not isinstance(r.start.effect, BESIDE_A_WAVE)
            ):
                self.wrong = (
                    "no_effect_overtakes_another",
                    f"{start.name} begins before {r.start.name} has left",
                )
        if start.effect_id in self._ended:
            self.wrong = ("each_effect_runs_once", f"{start.name} begins, and has ended")

    def _cancel(self, task_id: int, now: float) -> None:
        """It does nothing any more; what it has sent arrives all the same."""
        for r in self.running:
            if r.start.task_id == task_id:
                r.coroutine.close()
                r.is_cancelled, r.wake = True, now + self.durable.rng.choice(LEAVE_SECONDS)

    def _post_or_fail(self, message: msg.Observation, now: float) -> None:
        if self.durable.is_down:
            self.worker.post_failed(message, now)
            return
        if isinstance(message, msg.EffectEnded):
            self._ended.add(message.effect_id)
        self.post(message)

    async def _perform(self, start: StartEffect) -> None:
        outcome = await self._performer.perform(start.effect, start.migration, self.policy)
        now = self.ports.clock.now()
        self._act(self.worker.effect_ended(start.task_id, outcome, now))

    async def _watch(self, start: StartWatch) -> None:
        """Ends when it fails."""
        try:
            await self._performer.watch(start.watch, start.migration, self._post)
        except (PortError, ConnectionError):
            return

    async def _post(self, observation: msg.Observation) -> None:
        if self.durable.is_down:
            raise ConnectionError("the control Kafka is away")
        self.post(observation)

    # ── scheduling ────────────────────────────────────────────────────────────────────────────────
    def ready(self, now: float) -> list[Running]:
        return [r for r in self.running if r.wake <= now]

    def next_wake(self) -> float | None:
        wakes = [r.wake for r in self.running]
        if (due := self.next_tick()) is not None:
            wakes.append(due)
        return min(wakes, default=None)

    def run(self, running: Running) -> None:
        """One scheduling point further."""
        if not running.is_cancelled:
            try:
                running.wake = running.coroutine.send(None)
            except StopIteration:
                pass
            else:
                return
        self.running.remove(running)
        now = self.ports.clock.now()
        self._act(self.worker.task_left(running.start.task_id, now, self._other_driver))

    def die(self) -> None:
        """Nothing of it goes on; what it has sent arrives."""
        for r in self.running:
            r.coroutine.close()
        self.running = []


class TurnLife(Life):
    """Every message goes through JSON and the real turn, as in the worker; the plain step must
    agree.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._table: dict[bytes, bytes] = {}
        super().__init__(*args, **kwargs)
        if self.record.migration.sequence:
            self._table[CLUSTER.encode()] = to_json(self.record, turn.Record)

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        read = from_json(to_json(message, msg.Message), msg.Message)
        assert read == message, "a message is not the same after a round trip through JSON"
        taken = turn.apply_message(turn.Records(self._table), CLUSTER, read, offset, self.policy)
        again = turn.apply_message(turn.Records(self._table), CLUSTER, read, offset, self.policy)
        assert taken.applied
        assert not again.events, "a replayed message led to something"
        first = self.migration.sequence
        events = super().take(message, offset)
        saved = turn.Records(self._table).load(CLUSTER)
        assert (saved.migration, saved.inbox_offset) == (self.migration, self.record.inbox_offset)
        assert [(e.type, e.sequence) for e in taken.events] == [
            (type(e).__name__, n) for n, e in enumerate(events, first)
        ]
        return events


def born_again(
    kind: type[Life],
    durable: Durable,
    ports: Ports,
    policy: Policy,
    saved: int,
    position: int,
    performer: Performer,
    worker: type[ClusterWorker],
) -> Life:
    """The next life: from the record saved after so many messages, reading the log again from
    `position` on.
    """
    record = (
        durable.records[saved - 1] if saved else turn.Record(migration=Migration(cluster=CLUSTER))
    )
    read = from_json(to_json(record, turn.Record), turn.Record)
    assert read == record, "a record is not the same after a round trip through JSON"
    return kind(durable, ports, policy, read, position, performer, worker)
