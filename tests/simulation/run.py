"""Plays random schedules of faults and commands against the real agent in a simulated world; a seed replays.

`python -m tests.simulation.run --schedules N --seed S`, or `make simulate`. Deterministic: all chance comes from one seed.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

from agent.adapters.perform import Ports
from agent.core.cluster import TopicPartition
from agent.core.migration import ACTIVE, Migration, Phase
from agent.core.options import Approval, Options, Policy, ThrottleBy
from agent.core import messages as msg
from schemas.events import ProgressEvent
from tests.simulation import invariants
from tests.simulation.sim_agent import CLUSTER, Durable, SimAgent, reborn
from tests.simulation.sim_cruise_control import SimCruiseControl
from tests.simulation.sim_ports import (
    SimClock,
    SimCruiseControlPort,
    SimKafka,
    SimLease,
    SimSnapshots,
    Trouble,
    advance_to,
)
from tests.simulation.world import World

RACKS = {11: "a", 12: "b", 13: "c", 31: "a", 32: "b", 33: "c"}
POLICY = Policy(
    source_broker_ids=(11, 12, 13),
    destination_broker_ids=(31, 32, 33),
    slow_bytes_per_second=20,
    busy_patience_seconds=200.0,
    recheck_seconds=3.0,
    resume_delay_seconds=3.0,
    grace_seconds=5.0,
    settle_seconds=2.0,
    stall_seconds=60.0,
    verify_patience_seconds=60.0,
    quiet_seconds=6.0,
)
FAULT_SECONDS = 90.0  # faults and commands fall within this time after the start
CALM_SECONDS = 600.0  # then everything is mended, and this long is enough to come to rest
STEPS_MAX = 60_000


class InvariantBrokenError(AssertionError):
    """Something happened that must never happen; the text has the seed and the story."""


class Simulation:
    """One schedule."""

    def __init__(self, seed: int, ports_of: Callable[["Simulation"], Ports] | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.world = World(RACKS)
        self.cc = SimCruiseControl(self.world)
        self.trouble = Trouble()
        self.snapshots = SimSnapshots(self.world)
        self.lease = SimLease()
        self.durable = Durable()
        self.story: list[str] = []
        self.commands_sent: list[str] = []
        self.may_be_asked_again: set[str] = set()
        self.new_events: tuple[ProgressEvent, ...] = ()
        self.stray_since: float | None = None
        self.foreign_throttle: set[tuple[int, int]] = set()
        self.moved_by_others: set[str] = set()
        self.crashes = 0
        self._arrivals: list[tuple[float, str, tuple[int, ...]]] = []
        self._schedule: list[tuple[float, str]] = []
        for n in range(self.rng.randint(3, 7)):
            placed = [11, 12, 13]
            self.rng.shuffle(placed)
            self.world.create("t", n, placed, self.rng.choice((50, 200, 600)))
        self.ports = (ports_of or _ports)(self)
        self.agent = SimAgent(self.durable, self.ports, POLICY, 0)
        self._plan()

    @property
    def migration(self) -> Migration:
        return self.agent.migration

    def arrived_since(self, at: float, broker: int) -> set[str]:
        """Partitions that landed on the broker after `at`: a look may be that old."""
        return {name for when, name, replicas in self._arrivals if when >= at and broker in replicas}

    # ── the schedule ────────────────────────────────────────────────────────────────────────────────────────────
    def _plan(self) -> None:
        r = self.rng
        start = self.world.now + 1.0
        self._schedule.append((start, "start"))
        for kind in r.choices(COMMANDS, k=r.randint(0, 4)) + r.choices(FAULTS, k=r.randint(0, 5)):
            self._schedule.append((start + r.uniform(0.5, FAULT_SECONDS), kind))
        self._schedule.append((start + FAULT_SECONDS + 30.0, "mend"))
        self._schedule.sort()
        self.crash_chance = r.choice((0.0, 0.0, 0.002, 0.01, 0.05))

    def play(self) -> None:
        """To the end, invariants checked after each step. Raises InvariantBrokenError."""
        end = self._schedule[-1][0] + CALM_SECONDS
        for _ in range(STEPS_MAX):
            self._check(invariants.EVERY_STEP)
            if self.world.now > end or (not self._schedule and self._at_rest()):
                break
            self._step()
        else:
            raise InvariantBrokenError(self._tell("it never comes to rest: too many steps"))
        self._check(invariants.AFTER_QUIET)

    def _at_rest(self) -> bool:
        m = self.migration
        if self.agent.has_mail or self.cc.execution or m.pending or self.world.rates:
            return False
        if m.phase is Phase.PAUSED:
            return not any(c.is_safety for c in m.pause_causes)
        if m.phase is Phase.DRAINED:
            return all(s.may_be_shut_down or s.empty_since is None for s in m.sources)
        return m.phase not in ACTIVE or m.phase in (Phase.BLOCKED, Phase.AWAITING_APPROVAL)

    def _step(self) -> None:
        self.new_events = ()
        if self._schedule and self._schedule[0][0] <= self.world.now:
            _, kind = self._schedule.pop(0)
            self.story.append(f"{self.world.now - 1000:7.1f} * {kind}")
            ACTIONS[kind](self)
            return
        if self.crash_chance and self._schedule and self.rng.random() < self.crash_chance:
            self._crash()
            return
        ready = self.agent.ready(self.world.now)
        if self.agent.has_mail and (not ready or self.rng.random() < 0.7):
            self._meet()
        elif ready:
            self.agent.run(self.rng.choice(ready))
        else:
            wakes = [w for w in (self.agent.next_wake(), self._schedule[0][0] if self._schedule else None) if w]
            advance_to(self.world, self.cc, min(wakes, default=self.world.now + 5.0))
            self.agent.tick_if_due(self.world.now)

    def _meet(self) -> None:
        events = self.agent.meet_next()
        self.new_events = events
        for e in events:
            self.story.append(f"{self.world.now - 1000:7.1f}   {e.phase:12} {e.type}: {e.summary[:160]}")
        self._check((invariants.ids_mean_one_thing,))
        # What comes again after a crash speaks of a world that was: only what is new is judged by the world that is.
        self.new_events = tuple(e for e in events if e.id not in self.durable.events)
        self.durable.events |= {e.id: e for e in events}

    def _crash(self) -> None:
        self.crashes += 1
        self.agent.die()
        position = self.agent.position
        lost, again = self.rng.choice((0, 0, 0, 1, 3)), self.rng.choice((0, 0, 1, 2, 5))
        self.story.append(f"{self.world.now - 1000:7.1f} * crash: {lost} saves lost, {again} messages again")
        self.agent = reborn(self.durable, self.ports, POLICY, position, lost, again)

    def _check(self, checks: tuple[Callable[["Simulation"], str | None], ...]) -> None:
        for check in checks:
            if wrong := check(self):
                raise InvariantBrokenError(self._tell(f"{check.__name__}: {wrong}"))

    def _tell(self, what: str) -> str:
        return f"seed {self.seed}: {what}\n" + "\n".join(self.story[-150:])

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────────────
    def order(self, kind: type[msg.Order], **fields: object) -> None:
        """Publish a command; sometimes twice."""
        command_id = f"c{len(self.commands_sent)}"
        self.commands_sent.append(command_id)
        command = kind(command_id=command_id, cluster=CLUSTER, at=self.world.now, **fields)  # type: ignore[arg-type]
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            self.agent.post(command)  # type: ignore[arg-type]

    def start(self) -> None:
        r = self.rng
        options = Options(
            throttle_bytes_per_second=r.choice((None, 60, 200)),
            partition_movements_per_broker=r.choice((1, 2, 10)),
            progress_check_interval_ms=r.choice((1_000, 5_000)),
            soak_seconds=r.choice((0.0, 0.0, 3.0)),
            approval=r.choice((Approval.NONE, Approval.NONE, Approval.NONE, Approval.WAVE)),
            throttle_by=ThrottleBy.AGENT,
        )
        self.order(msg.StartMigration, options=options)

    # ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────
    def kill_broker(self) -> None:
        alive = sorted(self.world.alive)
        if len(alive) > 5:
            self.world.kill(self.rng.choice(alive))
            self._later("restart_brokers")

    def restart_brokers(self) -> None:
        for b in sorted(set(RACKS) - self.world.alive):
            self.world.restart(b)

    def restart_cc(self) -> None:
        # It has forgotten: the same attempt may be asked for again, when nothing of it is known any more.
        self.may_be_asked_again |= set(self.cc.executions_started)
        self.cc.restart()

    def new_topic(self) -> None:
        n = len(self._arrivals)
        placed = self.rng.choice(([11, 12, 13], [31, 12, 13], [31, 32, 33]))
        self.world.create(f"new{n}", 0, placed, 50)
        self._arrivals.append((self.world.now, f"new{n}-0", tuple(placed)))

    def foreign_stop(self) -> None:
        self.cc.stop()
        self.may_be_asked_again |= set(self.cc.executions_started)

    def foreign_reassignment(self) -> None:
        name = TopicPartition("t", 0)
        p = self.world.partitions[name]
        if not p.adding and not p.removing and self.cc.execution is None and 13 in p.replicas and 33 not in p.replicas:
            others = [33 if b == 13 else b for b in p.replicas]
            if {self.world.racks[b] for b in others} == {"a", "b", "c"}:
                self.world.reassign(name, others)
                self.moved_by_others.add(str(name))

    def set_foreign_throttle(self) -> None:
        self.foreign_throttle = {(0, 99)}
        self.world.followers.setdefault("foreign", set()).update(self.foreign_throttle)

    def remove_throttle(self) -> None:
        self.world.rates.clear()

    def mend(self) -> None:
        """All is well from here on."""
        self.restart_brokers()
        self.trouble.kafka_down = self.trouble.cruise_control_down = False
        self.trouble.accept_then_time_out = self.trouble.lose_request = 0
        self.cc.lie_next = 0
        self.lease.mine = True
        self.crash_chance = 0.0

    def _later(self, kind: str) -> None:
        self._schedule.append((self.world.now + self.rng.uniform(1.0, 30.0), kind))
        self._schedule.sort()


def _ports(s: Simulation) -> Ports:
    return Ports(
        kafka=SimKafka(s.world, s.trouble),
        cruise_control=SimCruiseControlPort(s.world, s.cc, s.trouble),
        snapshots=s.snapshots,
        lease=s.lease,
        clock=SimClock(s.world),
    )


def _switch(name: str, value: object, back: str | None = None) -> Callable[[Simulation], None]:
    def act(s: Simulation) -> None:
        setattr(s.trouble, name, value)
        if back:
            s._later(back)  # noqa: SLF001

    return act


def _lease(mine: bool) -> Callable[[Simulation], None]:
    def act(s: Simulation) -> None:
        s.lease.mine = mine
        if not mine:
            s._later("lease_back")  # noqa: SLF001

    return act


def _lie(s: Simulation) -> None:
    s.cc.lie_next = s.rng.choice((1, 2, 100))
    s.may_be_asked_again |= set(s.cc.executions_started)


def _alert(firing: bool, slow: bool) -> Callable[[Simulation], None]:
    def act(s: Simulation) -> None:
        name = "slow" if slow else "p99"
        s.agent.post(msg.AlertChanged(at=s.world.now, name=name, firing=firing, slow=slow, seen="900 ms"))
        if firing:
            s._later("slow_clears" if slow else "alert_clears")  # noqa: SLF001

    return act


ACTIONS: dict[str, Callable[[Simulation], None]] = {
    "start": Simulation.start,
    "start_again": Simulation.start,
    "pause": lambda s: s.order(msg.PauseMigration),
    "pause_slow": lambda s: s.order(msg.PauseMigration, slow=True),
    "resume": lambda s: s.order(msg.ResumeMigration),
    "rollback": lambda s: s.order(msg.RollBackMigration),
    "cancel": lambda s: s.order(msg.CancelMigration),
    "tune": lambda s: s.order(msg.TuneMigration, throttle_bytes_per_second=s.rng.choice((0, 30, 90))),
    "approve": lambda s: s.order(msg.ApproveMigration),
    "retry": lambda s: s.order(msg.RetryWave),
    "skip": lambda s: s.order(msg.SkipWave),
    "alert": _alert(firing=True, slow=False),
    "alert_clears": _alert(firing=False, slow=False),
    "slow_alert": _alert(firing=True, slow=True),
    "slow_clears": _alert(firing=False, slow=True),
    "kill_broker": Simulation.kill_broker,
    "restart_brokers": Simulation.restart_brokers,
    "restart_cc": Simulation.restart_cc,
    "cc_down": _switch("cruise_control_down", True, "cc_up"),
    "cc_up": _switch("cruise_control_down", False),
    "kafka_down": _switch("kafka_down", True, "kafka_up"),
    "kafka_up": _switch("kafka_down", False),
    "accept_then_time_out": _switch("accept_then_time_out", 1),
    "lose_request": _switch("lose_request", 1),
    "lie": _lie,
    "foreign_stop": Simulation.foreign_stop,
    "foreign_reassignment": Simulation.foreign_reassignment,
    "foreign_throttle": Simulation.set_foreign_throttle,
    "remove_throttle": Simulation.remove_throttle,
    "new_topic": Simulation.new_topic,
    "lease_lost": _lease(mine=False),
    "lease_back": _lease(mine=True),
    "crash": Simulation._crash,  # noqa: SLF001
    "mend": Simulation.mend,
}
COMMANDS = (
    "pause", "resume", "resume", "pause_slow", "rollback", "cancel", "tune", "approve", "approve", "retry", "skip",
    "start_again", "alert", "slow_alert",
)  # fmt: skip
FAULTS = (
    "kill_broker", "restart_cc", "cc_down", "kafka_down", "accept_then_time_out", "lose_request", "lie", "foreign_stop",
    "foreign_reassignment", "foreign_throttle", "remove_throttle", "new_topic", "lease_lost", "crash", "crash",
)  # fmt: skip


def run_many(schedules: int, seed: int, seconds_max: float | None = None) -> dict[str, object]:
    """Play so many schedules from this seed on. Raises InvariantBrokenError at the first that fails."""
    ends: Counter[str] = Counter()
    crashes = played = 0
    began = time.monotonic()
    for n in range(schedules):
        simulation = Simulation(seed + n)
        simulation.play()
        ends[str(simulation.migration.phase)] += 1
        crashes += simulation.crashes
        played += 1
        if seconds_max is not None and time.monotonic() - began > seconds_max:
            break
    seconds = time.monotonic() - began
    return {
        "schedules": played,
        "seed": seed,
        "crashes": crashes,
        "ends": dict(ends),
        "seconds": round(seconds, 1),
        "schedules_per_second": round(played / seconds, 1),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument(
        "--seed", type=int, default=1, help="the first seed; a failing one is printed, and replays alone"
    )
    given = parser.parse_args()
    try:
        print(json.dumps(run_many(given.schedules, given.seed)))
    except InvariantBrokenError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
