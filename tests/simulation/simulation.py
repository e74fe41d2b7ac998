"""Plays one schedule: a world, the real agent in it, and chance; the invariants are checked after
each step.

Deterministic: all chance comes from the schedule's seed, all time is the world's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import ACTIVE, Migration
from agent.core.model.cluster import TopicPartition
from agent.core.planning.policy import Policy
from agent.performer.performer import Performer
from agent.performer.ports import Ports, RemoveBroker
from agent.worker import turn
from agent.worker.cluster_worker import ClusterWorker
from tests.simulation import executor_invariants, invariants
from tests.simulation.other_hands import ACTIONS
from tests.simulation.rest import awaited_command, is_at_rest
from tests.simulation.rest_invariants import AFTER_QUIET
from tests.simulation.schedule import FAULT_SECONDS, Schedule
from tests.simulation.setting import build_policy, build_world
from tests.simulation.sim_cruise_control import SimCruiseControl
from tests.simulation.sim_cruise_control_port import SimCruiseControlPort
from tests.simulation.sim_metrics import RULES, Monitors
from tests.simulation.sim_ports import (
    SimClock,
    SimKafka,
    SimLease,
    SimSnapshots,
    Trouble,
    Wire,
    advance_to,
)
from tests.simulation.sim_registry import TAGS, Registry, SimRegistryPort
from tests.simulation.sim_worker import CLUSTER, Durable, Life, TurnLife, born_again
from tests.simulation.world import EPOCH

CALM_SECONDS = 1_200.0  # after everything is mended, this long is enough to come to rest
ORDERS_MAX = 20
GRACE_SECONDS = 10.0  # clients ask for news that often
STEPS_MAX = 100_000
STORY_LINES = 200


class InvariantBrokenError(AssertionError):
    """Something happened that must never happen; the text has the seed, the schedule and the
    story.
    """

    def __init__(self, invariant: str, wrong: str, played: Simulation) -> None:
        super().__init__(invariant)
        self.invariant = invariant
        self._wrong = wrong
        self._played = played

    def __str__(self) -> str:
        """Told only when asked for: whoever looks for the shortest schedule breaks many."""
        s = self._played
        told = "\n".join(f"{at - EPOCH:8.2f} {_line(what)}" for at, what in s.story[-STORY_LINES:])
        when = f"seed {s.schedule.seed}, {s.world.now - EPOCH:.2f} s"
        return f"{when}: {self.invariant}: {self._wrong}\n{s.schedule}\n{told}"


@dataclass(frozen=True)
class Cast:
    """Who plays: replaced by the tests that show that the invariants can fail."""

    life: type[Life] | None = None
    worker: type[ClusterWorker] = ClusterWorker
    performer: type[Performer] = Performer
    cruise_control: type[SimCruiseControl] = SimCruiseControl
    kafka: type[SimKafka] = SimKafka
    cruise_control_port: type[SimCruiseControlPort] = SimCruiseControlPort
    policy: Policy | None = None


class Simulation:
    """One schedule being played."""

    def __init__(self, schedule: Schedule, cast: Cast | None = None) -> None:
        self.schedule = schedule
        self.cast = cast or Cast()
        self.rng = random.Random(schedule.seed)
        self.world = build_world(schedule, self.rng)
        self.wire = Wire(self.world)
        self.trouble = Trouble()
        self.cc = self.cast.cruise_control(self.world)
        self.snapshots = SimSnapshots(self.world, self.trouble)
        self.durable = Durable(rng=random.Random(schedule.seed))
        self.registry = Registry(self.world, {b: TAGS for b in self.world.racks if b < 51})
        self.policy = self.cast.policy or build_policy(self.world)
        if schedule.discovery:
            self.policy = replace(
                self.policy, discovery=True, discovery_grace_seconds=GRACE_SECONDS
            )
        if schedule.metrics:
            self.policy = replace(self.policy, rules=RULES)
        self.monitors = Monitors(self.rng)
        self.story: list[tuple[float, object]] = []
        self.commands_sent: list[str] = []
        self.new_events: tuple[ev.AnyEvent, ...] = ()
        self.watched = invariants.Watched()
        self.old_lives: list[Life] = []
        self.crashes = 0
        self.steps = 0
        self._life_kind = self.cast.life or (TurnLife if schedule.through_turn else Life)
        self.lease = SimLease()
        start = EPOCH + 1.0
        self.acts: list[tuple[float, str]] = [
            (start, "start"),
            *((start + at, kind) for at, kind in schedule.acts),
        ]
        last = max((at for at, _ in schedule.acts), default=0.0)
        self.mended_at = start + max(last, FAULT_SECONDS if schedule.crash_chance else 0.0) + 15.0
        self.acts.append((self.mended_at, "mend"))
        self.crash_chance = schedule.crash_chance
        self.crash_at: set[int] = set()  # after these steps, whatever chance says
        empty = turn.Record(migration=Migration(cluster=CLUSTER))
        ports = self._ports()
        self.agent = self._life_kind(
            self.durable, ports, self.policy, empty, 0, self.cast.performer(ports), self.cast.worker
        )
        self._seen_version = -1
        self._world_went_on = False

    def _ports(self) -> Ports:
        lease = self.lease

        def asked(request: RemoveBroker) -> None:
            self._asked(request, lease)

        def moving(targets: Mapping[TopicPartition, Sequence[int]]) -> None:
            self._moving(targets, lease)

        def acting(check: Callable[[Simulation], str | None]) -> Callable[[], None]:
            return lambda: None if self.old_lives else self.check((check,))

        registry = SimRegistryPort(self.registry, self.trouble) if self.policy.discovery else None
        return Ports(
            kafka=self.cast.kafka(
                self.world,
                self.trouble,
                self.wire,
                moving,
                acting(executor_invariants.orders_are_left_to_the_executor),
            ),
            cruise_control=self.cast.cruise_control_port(
                self.world,
                self.cc,
                self.trouble,
                self.wire,
                asked,
                acting(executor_invariants.stops_only_its_own),
            ),
            snapshots=self.snapshots,
            lease=lease,
            clock=SimClock(self.world),
            discovery=registry,
            census=registry,
        )

    @property
    def migration(self) -> Migration:
        return self.agent.migration

    # ── playing ───────────────────────────────────────────────────────────────────────────────────
    def play(self) -> Simulation:
        """To the end. Raises InvariantBrokenError."""
        try:
            self._play()
        finally:
            for life in (self.agent, *self.old_lives):
                life.die()
        return self

    def _play(self) -> None:
        self._come_to_rest(self.mended_at + CALM_SECONDS)
        # left standing where it is, is a rest too
        for _ in range(ORDERS_MAX if self.rng.random() < 0.5 else 0):
            if (order := awaited_command(self)) is None:
                break
            self.act(order)
            self._come_to_rest(self.world.now + CALM_SECONDS)
        if self.schedule.leave:
            self.act("leave")
            self._come_to_rest(self.world.now + CALM_SECONDS)

    def _come_to_rest(self, end: float) -> None:
        while self.world.now <= end and (self.acts or not is_at_rest(self)):
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise self._broken("comes_to_rest", "too many steps")
            try:
                self._step()
            except InvariantBrokenError:
                raise
            except Exception as bug:
                raise self._broken("no_bug", f"{type(bug).__name__}: {bug}") from bug
            if self.agent.wrong is not None:
                raise self._broken(*self.agent.wrong)
            if self.new_events:
                self.check(invariants.EVERY_EVENT)
            if self._world_went_on:
                self.check(invariants.EVERY_MOMENT)
            if self.world.version != self._seen_version:
                self._seen_version = self.world.version
                self.check(invariants.EVERY_CHANGE)
        self.check(AFTER_QUIET)

    def _step(self) -> None:
        self.new_events, self._world_went_on = (), False
        now, agent, rng = self.world.now, self.agent, self.rng
        if self.acts and self.acts[0][0] <= now:
            self.act(self.acts.pop(0)[1])
            return
        if self.steps in self.crash_at or (self.crash_chance and rng.random() < self.crash_chance):
            self.crash()
            return
        ready = agent.ready(now)
        for old in self.old_lives:
            ready += old.ready(now)
        if agent.has_mail and (not ready or rng.random() < 0.7):
            told = agent.meet_next()
            self.new_events = told.new
            self.story += [(now, e) for e in told.new]
            if told.contradiction:
                raise self._broken("ids_mean_one_thing", told.contradiction)
        elif ready:
            one = ready[rng.randrange(len(ready))] if len(ready) > 1 else ready[0]
            next((life for life in (agent, *self.old_lives) if one in life.running), agent).run(one)
        else:
            self._pass_time()

    def _pass_time(self) -> None:
        self._world_went_on = True
        wakes = [r.wake for old in self.old_lives for r in old.running]
        if (due := self.agent.next_wake()) is not None:
            wakes.append(due)
        if self.acts:
            wakes.append(self.acts[0][0])
        if self.schedule.metrics:
            wakes.append(self.monitors.due)
        advance_to(self.world, self.cc, self.wire, min(wakes, default=self.world.now + 5.0))
        if self.schedule.metrics and self.world.now >= self.monitors.due:
            came = self.monitors.scrape(self.world.alive, self._expected(), self.world.now)
            self.agent.evaluate_samples(came, self.world.now)
        self.agent.tick(self.world.now)

    def _expected(self) -> frozenset[int]:
        return (
            self.migration.brokers_of_open_waves if self.migration.phase in ACTIVE else frozenset()
        )

    def registrations(self, before: set[int]) -> None:
        """ZooKeeper's word to whoever drives; sometimes it is lost with a connection."""
        alive = self.world.alive
        if self.rng.random() < 0.7:
            self.agent.post(
                msg.BrokersObserved(
                    at=self.world.now,
                    registered=tuple(sorted(alive)),
                    lost=tuple(sorted(before - alive)),
                )
            )

    def act(self, kind: str) -> None:
        """A command or a fault, now."""
        self._world_went_on = True
        self.story.append((self.world.now, f"* {kind}"))
        ACTIONS[kind](self)

    def later(self, kind: str, seconds: float) -> None:
        """A fault's end."""
        self.acts.append((self.world.now + seconds, kind))
        self.acts.sort()

    def order(self, kind: type[msg.Command], **fields: object) -> None:
        """Publish a command; sometimes twice."""
        command_id = f"c{len(self.commands_sent)}"
        self.commands_sent.append(command_id)
        command = kind(command_id=command_id, cluster=CLUSTER, at=self.world.now, **fields)  # type: ignore[arg-type]
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            self.agent.post(command)  # type: ignore[arg-type]

    # ── lives ─────────────────────────────────────────────────────────────────────────────────────
    def crash(self) -> None:
        """kill -9: the last saves may be lost, and messages that were met come again."""
        self.agent.die()
        self._next_life()

    def hand_over(self, seconds: float) -> None:
        """A rebalance: the old worker's tasks go on for a while beside the new one's, who waits
        for the lease.
        """
        self.old_lives.append(self.agent)
        self.lease = SimLease(mine=False)
        self._next_life()
        self.later("let_go", seconds)

    def _next_life(self) -> None:
        self.crashes += 1
        met, rng = self.agent.position, self.rng
        saved = max(met - rng.choice((0, 0, 0, 1, 3)), 0)
        position = max(saved - rng.choice((0, 0, 1, 2, 5)), 0)
        self.story.append(
            (
                self.world.now,
                f"* another life: {met - saved} saves lost, {saved - position} messages again",
            )
        )
        ports = self._ports()
        performer = self.cast.performer(ports)
        self.agent = born_again(
            self._life_kind,
            self.durable,
            ports,
            self.policy,
            saved,
            position,
            performer,
            self.cast.worker,
        )

    def _asked(self, request: RemoveBroker, lease: SimLease) -> None:
        """A real request is being sent."""
        self.story.append((self.world.now, f"  -> remove_broker {request.reason}"))
        if not lease.held():
            raise self._broken(
                "asked_only_by_the_driver", f"{request.reason} is asked for without the lease"
            )
        if not self.old_lives and (
            wrong := invariants.asked_only_when_wanted(self.migration, request)
        ):
            raise self._broken("asked_only_when_wanted", wrong)
        if not self.old_lives and (
            wrong := executor_invariants.not_begun_again_after_a_stop(self, request)
        ):
            raise self._broken("not_begun_again_after_a_stop", wrong)

    def _moving(self, targets: Mapping[TopicPartition, Sequence[int]], lease: SimLease) -> None:
        """Reassignments of a selection are being asked of Kafka."""
        self.story.append(
            (
                self.world.now,
                f"  -> reassign {', '.join(map(str, targets)) or 'nothing, cancels'}",
            )
        )
        if targets and not lease.held():
            raise self._broken(
                "asked_only_by_the_driver", f"{list(targets)} are moved without the lease"
            )
        if (
            targets
            and not self.old_lives
            and (wrong := invariants.moved_only_when_wanted(self.migration, targets))
        ):
            raise self._broken("moved_only_when_wanted", wrong)

    # ── judging ───────────────────────────────────────────────────────────────────────────────────
    def check(self, checks: Sequence[Callable[[Simulation], str | None]]) -> None:
        for check in checks:
            if wrong := check(self):
                raise self._broken(check.__name__, wrong)

    def _broken(self, invariant: str, wrong: str) -> InvariantBrokenError:
        return InvariantBrokenError(invariant, wrong, self)

    @property
    def looked_at(self) -> float:
        """A look that speaks now may have begun then: nothing that has come since is in it."""
        return self.world.now - self.trouble.look_seconds(self.world.now)

    def held_before(self, broker: int) -> set[TopicPartition]:
        """What the broker holds now, but for topics that are younger than the oldest look."""
        young = {n for n, at in self.watched.born.items() if at > self.looked_at}
        return self.world.held(broker) - young


def _line(what: object) -> str:
    return f"    {type(what).__name__}: {what}" if isinstance(what, ev.Event) else str(what)
