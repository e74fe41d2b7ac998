"""A play: commands and facts go in, events and effects come out, time passes only when the script
says so.

Used by the scenarios and by the unit tests that need a migration in a certain phase. Every step is
checked twice over: the events alone must rebuild the state, and no more than one effect may drive
the wave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Self

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.decide import step
from agent.core.effects import WAVE_EFFECTS
from agent.core.evolve import evolve
from agent.core.metrics.rules import Action, Level
from agent.core.migration import Migration, Phase, wake_at
from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition
from agent.core.model.reasons import Code, Reason
from agent.core.model.throttle import RateSeen
from agent.core.planning.options import Options
from agent.core.planning.plan import make_plan
from agent.core.planning.policy import Policy

RACKS = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
POLICY = Policy(
    source_broker_ids=(11, 12, 13), destination_broker_ids=(31, 32, 33), slow_bytes_per_second=1_000
)
SIZE_BYTES = 1_000
PARTITIONS = 6
BEGIN = 1_000.0


def facts() -> ClusterFacts:
    """Six partitions on the three source brokers, one replica in each AZ, leaders spread."""
    orders = ((11, 12, 13), (12, 13, 11), (13, 11, 12))
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in RACKS.items()),
        partitions=tuple(
            Partition("t", n, leader=orders[n % 3][0], replicas=orders[n % 3], isr=orders[n % 3])
            for n in range(PARTITIONS)
        ),
    )


def surveyed(options: Options | None = None, *reasons: Reason) -> msg.Surveyed:
    """How a survey of that cluster ends."""
    seen = facts()
    logs = {b: BrokerLogs(b, {p.name: SIZE_BYTES for p in seen.partitions}) for b in (11, 12, 13)}
    plan, against = make_plan(options or Options(), POLICY, seen, logs, "the-plan")
    return msg.Surveyed(reasons=(*against, *reasons), plan=plan, snapshot_partitions=PARTITIONS)


def checked(
    *reasons: Reason, passing: tuple[Reason, ...] = (), replicas: int = PARTITIONS
) -> msg.Checked:
    """How a check of the wave ends: all is well unless told otherwise."""
    return msg.Checked(
        reasons=reasons,
        passing=passing,
        replicas=replicas,
        size_bytes=replicas * SIZE_BYTES,
        leaders=2,
    )


ASKED = msg.ExecutionRequested(user_task_id="task-1")
DONE = msg.Performed()


def inspected(**changes: Any) -> msg.Inspected:
    """What Kafka shows after a wave: clean unless told otherwise."""
    clean = msg.Inspected(
        replicas_left=0,
        bytes_left=0,
        leaders_left=0,
        reassignments=0,
        not_in_sync=0,
        not_preferred=0,
        throttles_left=0,
        order_changed=0,
        partitions=PARTITIONS,
    )
    return replace(clean, **changes)


def compared(**changes: Any) -> msg.Compared:
    """The rollback's proof: identical unless told otherwise."""
    return replace(msg.Compared(partitions=PARTITIONS, different=0, not_preferred=0), **changes)


def busy(code: Code = Code.CRUISE_CONTROL_BUSY) -> msg.Busy:
    return msg.Busy(reason=Reason(code, "not now"))


def unreachable(code: Code = Code.CRUISE_CONTROL_UNREACHABLE) -> msg.Unreachable:
    return msg.Unreachable(reason=Reason(code, "no answer"))


def rejected() -> msg.Rejected:
    return msg.Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, "never"))


@dataclass(frozen=True)
class Like:
    """An event of this kind with at least these fields."""

    kind: type[ev.Event]
    fields: dict[str, Any]

    def matches(self, event: ev.Event) -> bool:
        return type(event) is self.kind and all(
            getattr(event, name) == value for name, value in self.fields.items()
        )

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"


def like(kind: type[ev.Event], **fields: Any) -> Like:
    return Like(kind, fields)


def asks(kind: type[fx.Effect], **fields: Any) -> _Asks:
    """An effect of this kind is asked for, with at least these fields."""
    return _Asks(ev.EffectRequested, {"effect": kind, **fields})


class _Asks(Like):
    def matches(self, event: ev.Event) -> bool:
        if (
            not isinstance(event, ev.EffectRequested)
            or type(event.effect) is not self.fields["effect"]
        ):
            return False
        return all(
            getattr(event.effect, n) == value for n, value in self.fields.items() if n != "effect"
        )


Expected = type[ev.Event] | Like


class Play:
    """One migration's life, told line by line."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.m = Migration(cluster="lab")
        self.now = BEGIN
        self.last: tuple[ev.AnyEvent, ...] = ()  # what the last line led to
        self.story: list[ev.AnyEvent] = []
        self._commands = 0
        self._read = 0  # events of `last` that were expected already

    # ── what goes in ──────────────────────────────────────────────────────────────────────────────
    def meet(self, message: msg.Message) -> Self:
        """Any message, as it is."""
        before = self.m
        self.m, self.last = step(before, message, self.policy)
        self._read = 0
        self.story += self.last
        assert reduce(evolve, self.last, before) == self.m, (
            "the events alone do not rebuild the state"
        )
        driving = [p for p in self.m.pending if isinstance(p.effect, WAVE_EFFECTS)]
        assert len(driving) <= 1, f"two effects drive the wave: {driving}"
        assert self.m.sequence == len(self.story)
        return self

    def command(self, kind: type[msg.Command], **fields: Any) -> Self:
        """An order, with a fresh command_id (c1, c2, ...) unless one is given."""
        self._commands += 1
        given = {"command_id": f"c{self._commands}", "cluster": "lab", "at": self.now, **fields}
        return self.meet(kind(**given))  # type: ignore[arg-type]

    def ends(self, kind: type[fx.Effect], with_: msg.Outcome) -> Self:
        """The pending effect of this kind ends so."""
        pending = self.m.pending_effect(kind)
        assert pending is not None, f"no {kind.__name__} is pending, but {self.pending}"
        return self.meet(msg.EffectEnded(at=self.now, effect_id=pending.effect_id, outcome=with_))

    def sees(
        self,
        left: int = PARTITIONS,
        moving: int = 2,
        moved: int = 0,
        executor: msg.Executor | None = msg.Executor.OURS,
        task: msg.TaskStatus = msg.TaskStatus.IN_EXECUTION,
        trouble: Reason | None = None,
        reasons: tuple[Reason, ...] = (),
        rates: tuple[RateSeen, ...] = (),
        stopped_by: str = "",
    ) -> Self:
        """The watch looks at the wave."""
        wave = self.m.wave
        assert wave is not None
        return self.meet(
            msg.WaveObserved(
                at=self.now,
                wave=wave.number,
                attempt=wave.attempt,
                replicas_left=left,
                bytes_left=left * SIZE_BYTES,
                bytes_moved=moved,
                moving=moving,
                executor=executor,
                task=task,
                trouble=trouble,
                reasons=reasons,
                rates=rates,
                stopped_by=stopped_by,
            )
        )

    def sees_sources(self, alive: tuple[int, ...] = (11, 12, 13), **replicas: int) -> Self:
        """The watch over drained brokers observes them.

        `b11=2` says that broker 11 holds two replicas; the other brokers hold none.
        """
        watched = tuple(s.broker_id for s in self.m.sources)
        held = tuple((b, replicas.get(f"b{b}", 0)) for b in watched)
        return self.meet(msg.SourcesObserved(at=self.now, replicas=held, alive=alive))

    def alert(self, name: str = "p99", *, firing: bool = True, slow: bool = False) -> Self:
        return self.meet(
            msg.AlertChanged(at=self.now, name=name, firing=firing, slow=slow, seen="900 ms")
        )

    def rule_observed(
        self,
        rule: str = "p99",
        level: Level = Level.FIRING,
        action: Action = Action.PAUSE,
        value: float = 900.0,
    ) -> Self:
        """A rule of the policy says another thing than before."""
        return self.meet(
            msg.RuleStateObserved(
                at=self.now,
                rule=rule,
                level=level,
                action=action if level is not Level.CLEAR else Action.NOTIFY,
                fired=level is Level.FIRING,
                metric="p99_ms",
                broker=12,
                value=value,
                threshold=500.0,
                since=self.now,
                seen=f"p99_ms is {value:g} on broker 12",
            )
        )

    def clears(self, rule: str = "p99") -> Self:
        """A rule lets go."""
        return self.rule_observed(rule, Level.CLEAR, value=10.0)

    def headroom(self, headroom: float) -> Self:
        """The slowest broker's, by the rule that slows."""
        return self.meet(
            msg.HeadroomObserved(
                at=self.now, rule="p99", broker=12, value=500 - 400 * headroom, headroom=headroom
            )
        )

    def brokers(self, *registered: int, lost: tuple[int, ...] = ()) -> Self:
        """ZooKeeper's registrations have changed."""
        return self.meet(msg.BrokersObserved(at=self.now, registered=registered, lost=lost))

    def wait(self, seconds: float) -> Self:
        """Time passes; a tick comes whenever one is due, as the worker's timer would send it."""
        until, ticked = self.now + seconds, None
        while (due := wake_at(self.m)) is not None and due <= until and due != ticked:
            self.now, ticked = max(due, self.now), due
            self.meet(msg.Tick(at=self.now))
        self.now = until
        return self

    # ── what must come out ────────────────────────────────────────────────────────────────────────
    def expect(self, *expected: Expected) -> Self:
        """The last line led to these, in this order; others may stand between."""
        for one in expected:
            wanted = one if isinstance(one, Like) else like(one)
            found = next(
                (n for n in range(self._read, len(self.last)) if wanted.matches(self.last[n])), None
            )
            assert found is not None, f"{wanted} did not come:\n{self._told()}"
            self._read = found + 1
        return self

    def nothing(self) -> Self:
        """The last line led to nothing at all."""
        assert not self.last, self._told()
        return self

    def never(self, *kinds: type[ev.Event]) -> Self:
        """The last line did not lead to these."""
        assert not [e for e in self.last if isinstance(e, kinds)], self._told()
        return self

    def refused(self, *codes: Code) -> Self:
        """The last command was refused for exactly these reasons, and nothing else came of it."""
        assert len(self.last) == 1, self._told()
        answer = self.last[0]
        assert isinstance(answer, ev.CommandRefused), self._told()
        assert tuple(r.code for r in answer.reasons) == codes, self._told()
        return self

    def expect_phase(self, phase: Phase, *pending: type[fx.Effect]) -> Self:
        """It is in this phase, and exactly these effects are pending."""
        assert self.m.phase is phase, f"phase {self.m.phase}, not {phase}:\n{self._told()}"
        assert self.pending == list(pending), f"pending {self.pending}, not {list(pending)}"
        return self

    def holds(self, *causes: str) -> Self:
        """Exactly these pause causes hold."""
        assert tuple(c.name for c in self.m.pause_causes) == causes, self.m.pause_causes
        return self

    def waits_for(self, *codes: Code) -> Self:
        assert tuple(r.code for r in self.m.waiting) == codes, self.m.waiting
        return self

    @property
    def pending(self) -> list[type[fx.Effect]]:
        return [type(p.effect) for p in self.m.pending]

    def _told(self) -> str:
        return "\n".join(f"  {type(e).__name__}: {e}" for e in self.last) or "  (nothing)"

    # ── acts that many plays share ────────────────────────────────────────────────────────────────
    def started(self, **options: Any) -> Self:
        """Act 1: a start was accepted, and the first wave is being checked."""
        chosen = Options(**options)
        self.command(msg.StartMigration, options=chosen)
        return self.ends(fx.PrepareMigration, with_=surveyed(chosen)).expect_phase(
            Phase.CHECKING, fx.CheckCluster
        )

    def asked(self) -> Self:
        """The checks hold, and Cruise Control is asked."""
        return self.ends(fx.CheckCluster, with_=checked()).expect_phase(
            Phase.REQUESTING, fx.StartWave
        )

    def moving(self) -> Self:
        """Act 2: Cruise Control has accepted."""
        return self.asked().ends(fx.StartWave, with_=ASKED).expect_phase(Phase.MOVING)

    def empties(self) -> Self:
        """Act 3: Kafka shows the source empty."""
        return self.sees(left=0, moving=0, moved=SIZE_BYTES).expect_phase(
            Phase.CLOSING, fx.CloseWave
        )

    def verified(self) -> Self:
        """Act 4: and the wave is proven."""
        return self.ends(fx.CloseWave, with_=inspected())

    def wave(self) -> Self:
        """A whole wave, from its checks to its proof."""
        return self.moving().empties().verified()

    def blocked(self) -> Self:
        """From CHECKING: Cruise Control rejects the request, and a human is called."""
        return (
            self.asked()
            .ends(fx.StartWave, with_=rejected())
            .ends(fx.StopWave, with_=DONE)
            .expect_phase(Phase.BLOCKED)
        )

    def drained(self) -> Self:
        """All three waves, and the look that finds every source empty."""
        return (
            self.wave()
            .wave()
            .wave()
            .expect_phase(Phase.BETWEEN_WAVES)
            .sees_sources()
            .expect_phase(Phase.DRAINED)
        )
