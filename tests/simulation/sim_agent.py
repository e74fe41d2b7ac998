"""The agent in the simulation: the real core and performer, a log that redelivers, crashes between
any two steps.

Mirrors what agent/worker/app.py and agent/worker/effect_tasks.py do, without asyncio: coroutines
are driven by hand. `Life` keeps its record as a value; `TurnLife` sends each message through the
real turn.py and its JSON as well, and compares.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.decide import step
from agent.core.metrics.rule_evaluator import RuleEvaluator, Sample
from agent.core.migration import ACTIVE, Migration, wake_at, watches
from agent.core.model.causes import METRIC
from agent.core.planning.options import Policy
from agent.performer.performer import Performer
from agent.performer.ports import PortError, Ports
from agent.wire import from_json, to_json
from agent.worker import turn

CLUSTER = "lab"
WATCH_AGAIN_SECONDS = 1.0
TOLD_AGAIN_SECONDS = 5.0


@dataclass
class Running:
    """A coroutine and the virtual time at which it wants to go on."""

    coroutine: Coroutine[float, None, None]
    wake: float
    name: str
    effect_id: str = ""
    watch: fx.Watch | None = None


@dataclass
class Durable:
    """What survives a crash: the log, the record after each message of it, and what was
    published.
    """

    inbox: list[msg.Message] = field(default_factory=list)
    records: list[turn.Record] = field(default_factory=list)  # after each offset
    # (migration id, event), by sequence
    published: list[tuple[str, ev.AnyEvent]] = field(default_factory=list)


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
    ) -> None:
        self.durable = durable
        self.policy = policy
        self.ports = ports
        self.record = record
        self.position = position
        self.running: list[Running] = []
        self._performer = performer
        self._finished: set[str] = set()
        self._ticked: float | None = None
        self.born = ports.clock.now()
        self.evaluator = RuleEvaluator(
            policy.rules,
            policy.source_broker_ids,
            policy.destination_broker_ids,
            self.born,
            self.migration.rule_states,
        )
        self._told: dict[str, tuple[msg.RuleStateObserved, float]] = {}
        self._adapt_due = 0.0
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
                return Told(
                    contradiction=(
                        f"event {n} was {type(before).__name__}: {before}; and now {now!r}"
                    )
                )
        if first > len(known):
            return Told(contradiction=f"event {first} comes after event {len(known) - 1}")
        new = events[max(len(known) - first, 0) :]
        known.extend((self.migration.migration_id, e) for e in new)
        return Told(new=new)

    # ── effects and watches ───────────────────────────────────────────────────────────────────────
    def reconcile(self) -> None:
        """What is wanted and not running starts; what runs and is not wanted is closed,
        wherever it stands.
        """
        m = self.migration
        wanted = {p.effect_id: p.effect for p in m.pending}
        looking = watches(m, self.policy)
        for r in self.running:
            if (r.watch not in looking) if r.watch else (r.effect_id not in wanted):
                self.close(r)
        self.running = [
            r for r in self.running if (r.watch in looking if r.watch else r.effect_id in wanted)
        ]
        self._finished &= wanted.keys()
        busy = {r.effect_id for r in self.running} | self._finished
        now = self.ports.clock.now()
        for effect_id, effect in wanted.items():
            if effect_id not in busy:
                work = self._perform(effect_id, effect, m)
                self.running.append(Running(work, now, type(effect).__name__, effect_id=effect_id))
        watched = [r.watch for r in self.running if r.watch]
        self.running += [
            Running(self._watch(w, m), now, type(w).__name__, watch=w)
            for w in looking
            if w not in watched
        ]

    def close(self, running: Running) -> None:
        """A task that is cancelled: what it has sent arrives all the same."""
        running.coroutine.close()

    async def _perform(self, effect_id: str, effect: fx.Effect, m: Migration) -> None:
        outcome = await self._performer.perform(effect, m, self.policy)
        self.post(msg.EffectEnded(at=self.ports.clock.now(), effect_id=effect_id, outcome=outcome))

    async def _watch(self, watch: fx.Watch, m: Migration) -> None:
        while True:
            try:
                await self._performer.watch(watch, m, self._post)
            except PortError:  # tasks.py starts it again
                await self.ports.clock.sleep(WATCH_AGAIN_SECONDS)

    async def _post(self, observation: msg.Observation) -> None:
        self.post(observation)

    # ── samples ───────────────────────────────────────────────────────────────────────────────────
    def evaluate_samples(self, samples: list[Sample], now: float) -> None:
        """What agent/worker/metric_evaluation.py does with a batch, and on each look."""
        m = self.migration
        self.evaluator.add_samples(samples, now)
        for rule_state in self.evaluator.evaluate(
            now, m.brokers_of_open_waves if m.phase in ACTIVE else None
        ):
            self._tell(rule_state, now)
        for rule_state in self.evaluator.reconcile(m.rule_states, now):
            before, at = self._told.get(rule_state.rule, (None, 0.0))
            if (
                before is None
                or before.level is not rule_state.level
                or now >= at + TOLD_AGAIN_SECONDS
            ):
                self._tell(rule_state, now)
        slowed = m.adapted_rate is not None or any(c.name.startswith(METRIC) for c in m.slow_causes)
        if (
            slowed
            and now >= self._adapt_due
            and (headroom := self.evaluator.headroom(now)) is not None
        ):
            self._adapt_due = now + self.policy.adapt_seconds
            self.post(headroom)

    def _tell(self, rule_state: msg.RuleStateObserved, now: float) -> None:
        self._told[rule_state.rule] = (rule_state, now)
        self.post(rule_state)

    def ready(self, now: float) -> list[Running]:
        return [r for r in self.running if r.wake <= now]

    def next_wake(self) -> float | None:
        wakes = [r.wake for r in self.running]
        if (due := wake_at(self.migration)) is not None and due != self._ticked:
            wakes.append(due)
        return min(wakes, default=None)

    def run(self, running: Running) -> None:
        """One scheduling point further."""
        try:
            running.wake = running.coroutine.send(None)
        except StopIteration:
            self.running.remove(running)
            self._finished.add(running.effect_id)

    def tick_if_due(self, now: float) -> None:
        due = wake_at(self.migration)
        if due is not None and due <= now and due != self._ticked:
            self._ticked = due
            self.post(msg.Tick(at=now))

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
) -> Life:
    """The next life: from the record saved after so many messages, reading the log again from
    `position` on.
    """
    record = (
        durable.records[saved - 1] if saved else turn.Record(migration=Migration(cluster=CLUSTER))
    )
    read = from_json(to_json(record, turn.Record), turn.Record)
    assert read == record, "a record is not the same after a round trip through JSON"
    return kind(durable, ports, policy, read, position, performer)
