"""The agent in the simulation: the real turn and the real performer, a log that redelivers, and crashes between any two steps.

Mirrors what agent/app.py and agent/tasks.py do, without asyncio.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field

from agent import turn
from agent.adapters.perform import Performer, Ports
from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration, wake_at, watches
from agent.core.options import Policy
from agent.translate import from_json, to_json
from schemas.events import ProgressEvent

CLUSTER = "lab"


@dataclass
class Running:
    """A coroutine and the virtual time at which it wants to go on."""

    coroutine: Coroutine[float, None, None]
    wake: float
    name: str


@dataclass
class Durable:
    """What survives a crash: the log, what is known to be committed, and the table as it stood after each message."""

    inbox: list[bytes] = field(default_factory=list)
    table: dict[bytes, bytes] = field(default_factory=dict)
    history: list[bytes | None] = field(default_factory=list)  # table value after each applied offset
    events: dict[str, ProgressEvent] = field(default_factory=dict)
    published: list[ProgressEvent] = field(default_factory=list)


class SimAgent:
    """One life of the worker."""

    def __init__(self, durable: Durable, ports: Ports, policy: Policy, position: int) -> None:
        self.durable = durable
        self.policy = policy
        self.position = position
        self._ports = ports
        self._performer = Performer(ports)
        self._effects: dict[str, Running] = {}
        self._finished: set[str] = set()
        self._watches: dict[fx.Watch, Running] = {}
        self._ticked: float | None = None
        self._read: tuple[bytes | None, Migration] = (None, Migration(cluster=CLUSTER))
        self.reconcile()

    @property
    def migration(self) -> Migration:
        """The state as saved; read anew only when it was saved anew."""
        saved = self.durable.table.get(CLUSTER.encode())
        if saved is not self._read[0] or saved is None:
            self._read = (saved, turn.load(self.durable.table, CLUSTER).migration)
        return self._read[1]

    # ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────
    def post(self, message: msg.Message) -> None:
        self.durable.inbox.append(to_json(message, msg.Message))

    @property
    def has_mail(self) -> bool:
        return self.position < len(self.durable.inbox)

    def meet_next(self) -> tuple[ProgressEvent, ...]:
        """One message: exactly what the inbox handler does."""
        offset = self.position
        message = from_json(self.durable.inbox[offset], msg.Message)
        taken = turn.take(self.durable.table, CLUSTER, message, offset, self.policy)
        self.position += 1
        if len(self.durable.history) <= offset:
            self.durable.history.append(self.durable.table.get(CLUSTER.encode()))
        else:
            self.durable.history[offset] = self.durable.table.get(CLUSTER.encode())
        self.durable.published.extend(taken.events)
        if taken.applied:
            self.reconcile(taken.record.migration)
        return taken.events

    # ── effects and watches ─────────────────────────────────────────────────────────────────────────────────────
    def reconcile(self, migration: Migration | None = None) -> None:
        m = migration or self.migration
        wanted = {p.effect_id: p.effect for p in m.pending}
        for gone in self._effects.keys() - wanted.keys():
            self._effects.pop(gone).coroutine.close()
        self._finished &= wanted.keys()
        for effect_id, effect in wanted.items():
            if effect_id not in self._effects and effect_id not in self._finished:
                coroutine = self._perform(effect_id, effect, m)
                self._effects[effect_id] = Running(coroutine, self._ports.clock.now(), type(effect).__name__)
        looking = set(watches(m, self.policy))
        for gone_watch in self._watches.keys() - looking:
            self._watches.pop(gone_watch).coroutine.close()
        for watch in looking - self._watches.keys():
            self._watches[watch] = Running(
                self._performer.watch(watch, m, self._post), self._ports.clock.now(), type(watch).__name__
            )

    async def _perform(self, effect_id: str, effect: fx.Effect, m: Migration) -> None:
        outcome = await self._performer.perform(effect, m, self.policy)
        self.post(msg.EffectEnded(at=self._ports.clock.now(), effect_id=effect_id, outcome=outcome))

    async def _post(self, observation: msg.Observation) -> None:
        self.post(observation)

    def ready(self, now: float) -> list[Running]:
        return [r for r in (*self._effects.values(), *self._watches.values()) if r.wake <= now]

    def next_wake(self) -> float | None:
        wakes = [r.wake for r in (*self._effects.values(), *self._watches.values())]
        if (due := wake_at(self.migration)) is not None and due != self._ticked:
            wakes.append(due)
        return min(wakes, default=None)

    def run(self, running: Running) -> None:
        """One scheduling point further."""
        try:
            running.wake = running.coroutine.send(None)
        except StopIteration:
            for effect_id, r in list(self._effects.items()):
                if r is running:
                    del self._effects[effect_id]
                    self._finished.add(effect_id)

    def tick_if_due(self, now: float) -> None:
        due = wake_at(self.migration)
        if due is not None and due <= now and due != self._ticked:
            self._ticked = due
            self.post(msg.Tick(at=now))

    def die(self) -> None:
        for r in (*self._effects.values(), *self._watches.values()):
            r.coroutine.close()


def reborn(
    durable: Durable, ports: Ports, policy: Policy, position: int, lost_saves: int, redelivered: int
) -> SimAgent:
    """After a crash: the last saves may not have reached the changelog, and never-committed messages come again."""
    kept = max(position - lost_saves, 0)
    value = durable.history[kept - 1] if kept else None
    durable.table.clear()
    if value is not None:
        durable.table[CLUSTER.encode()] = value
    return SimAgent(durable, ports, policy, max(kept - redelivered, 0))
