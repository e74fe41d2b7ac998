"""Commands and faults by name: what each does to the simulation.

Small choices come from its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.model.cluster import TopicPartition
from agent.core.planning.options import Mode, Options

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Action = Callable[["Simulation"], None]
ACTIONS: dict[str, Action] = {}


def action(act: Action) -> Action:
    ACTIONS[act.__name__.strip("_")] = act
    return act


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
@action
def start(s: Simulation) -> None:
    s.order(msg.StartMigration, options=s.schedule.options)


ACTIONS["start_again"] = start


@action
def start_one_az(s: Simulation) -> None:
    s.order(
        msg.StartMigration,
        options=replace(s.schedule.options, mode=Mode.AZ, az=s.rng.choice("abc")),
    )


@action
def plan(s: Simulation) -> None:
    s.order(msg.PlanMigration, options=s.schedule.options)


@action
def start_plan(s: Simulation) -> None:
    """Just the last stored plan, or one that nobody made."""
    plans = s.migration.plans
    s.order(msg.StartMigration, options=Options(), plan_id=plans[-1].plan_id if plans else "none")


@action
def tune(s: Simulation) -> None:
    s.order(msg.TuneMigration, throttle_bytes_per_second=s.rng.choice((0, 30, 90)))


@action
def tune_concurrency(s: Simulation) -> None:
    s.order(msg.TuneMigration, partition_movements_per_broker=s.rng.choice((1, 3)))


@action
def pause_slow(s: Simulation) -> None:
    s.order(msg.PauseMigration, slow=True)


for _name, _kind in {
    "pause": msg.PauseMigration,
    "resume": msg.ResumeMigration,
    "rollback": msg.RollBackMigration,
    "cancel": msg.CancelMigration,
    "approve": msg.ApproveMigration,
    "retry": msg.RetryWave,
    "skip": msg.SkipWave,
}.items():
    ACTIONS[_name] = lambda s, kind=_kind: s.order(kind)  # type: ignore[misc]


def _alert(name: str, *, slow: bool) -> None:
    def fires(s: Simulation) -> None:
        s.agent.post(
            msg.AlertChanged(at=s.world.now, name=name, firing=True, slow=slow, seen="900 ms")
        )
        s.later(f"{name}_clears", s.rng.uniform(1.0, 20.0))

    def clears(s: Simulation) -> None:
        s.agent.post(msg.AlertChanged(at=s.world.now, name=name, firing=False, slow=slow))

    ACTIONS[name] = fires
    ACTIONS[f"{name}_clears"] = clears


_alert("alert", slow=False)
_alert("slow_alert", slow=True)


def _mood(mood: str) -> None:
    def comes(s: Simulation) -> None:
        """Some brokers' metrics are so for a while."""
        brokers = s.rng.sample(sorted(s.world.racks), k=s.rng.choice((1, 1, 2)))
        s.monitors.moods |= dict.fromkeys(brokers, mood)
        s.later("metrics_calm", s.rng.uniform(1.0, 20.0))

    ACTIONS[f"metrics_{mood}"] = comes


for _mood_name in ("bad", "between", "silent", "nan"):
    _mood(_mood_name)


@action
def metrics_disorder(s: Simulation) -> None:
    """Samples come late, twice and shuffled."""
    s.monitors.disorder = True


@action
def metrics_calm(s: Simulation) -> None:
    s.monitors.moods.clear()


# ── brokers and topics ────────────────────────────────────────────────────────────────────────────
@action
def kill_broker(s: Simulation) -> None:
    """One at a time: with two of an AZ spread dead, min ISR is lost, which no migration can
    help.
    """
    down = set(s.world.racks) - s.world.alive
    if not down:
        before = s.world.alive.copy()
        s.world.kill(s.rng.choice(sorted(s.world.alive)))
        s.registrations(before)
        s.later("restart_brokers", s.rng.uniform(1.0, 20.0))


@action
def restart_brokers(s: Simulation) -> None:
    for b in sorted(set(s.world.racks) - s.world.alive - s.watched.shut_down):
        before = s.world.alive.copy()
        s.world.restart(b)
        s.registrations(before)


@action
def new_topic(s: Simulation) -> None:
    """Lands anywhere, also on brokers that were drained (Kafka < 4.3 has no cordon)."""
    name = f"new{len(s.watched.born)}"
    placed = []
    for az in "abc":
        live = sorted(b for b in s.world.alive if s.world.racks[b] == az)
        placed += [s.rng.choice(live)] if live else []
    if len(placed) == 3:
        s.world.create(name, 0, placed, 50.0)
        s.watched.born[TopicPartition(name, 0)] = s.world.now


@action
def delete_topic(s: Simulation) -> None:
    topics = sorted({n.topic for n in s.world.partitions if n.topic.startswith("new")})
    if topics:
        s.world.delete(s.rng.choice(topics))


@action
def kafka_down(s: Simulation) -> None:
    s.trouble.kafka_down = True
    s.later("kafka_up", s.rng.uniform(1.0, 15.0))


@action
def kafka_up(s: Simulation) -> None:
    s.trouble.kafka_down = False


@action
def consul_down(s: Simulation) -> None:
    s.registry.down = True
    s.later("consul_up", s.rng.uniform(1.0, 90.0))


@action
def consul_up(s: Simulation) -> None:
    s.registry.down = s.registry.proxies_down = s.registry.census_blind = False


@action
def proxies_down(s: Simulation) -> None:
    s.registry.proxies_down = True
    s.later("consul_up", s.rng.uniform(1.0, 30.0))


@action
def census_blind(s: Simulation) -> None:
    s.registry.census_blind = True
    s.later("consul_up", s.rng.uniform(1.0, 60.0))


@action
def clients_stay(s: Simulation) -> None:
    """On one source, longer than the grace."""
    broker = s.rng.choice(s.policy.source_broker_ids)
    s.registry.clients_until[broker] = s.world.now + s.rng.uniform(10.0, 120.0)


@action
def slow_wire(s: Simulation) -> None:
    """Every call takes a second or two."""
    s.trouble.slow_down(s.rng.uniform(0.5, 2.0))
    s.later("fast_wire", s.rng.uniform(3.0, 15.0))


@action
def fast_wire(s: Simulation) -> None:
    s.trouble.be_fast(s.world.now)


# ── Cruise Control ────────────────────────────────────────────────────────────────────────────────
@action
def restart_cc(s: Simulation) -> None:
    s.cc.restart()


@action
def cc_away(s: Simulation) -> None:
    """It dies, and is started again after a while."""
    s.cc.up = False
    s.later("restart_cc", s.rng.uniform(1.0, 15.0))


@action
def cc_down(s: Simulation) -> None:
    """It cannot be reached, and goes on executing."""
    s.trouble.cruise_control_down = True
    s.later("cc_up", s.rng.uniform(1.0, 20.0))


@action
def cc_up(s: Simulation) -> None:
    s.trouble.cruise_control_down = False


@action
def cc_hung(s: Simulation) -> None:
    s.cc.hung = True
    s.later("cc_awake", s.rng.uniform(1.0, 20.0))


@action
def cc_awake(s: Simulation) -> None:
    s.cc.hung = False


@action
def cc_crowded(s: Simulation) -> None:
    s.trouble.crowded = True
    s.later("cc_free", s.rng.uniform(1.0, 10.0))


@action
def cc_free(s: Simulation) -> None:
    s.trouble.crowded = False


@action
def cc_rejects(s: Simulation) -> None:
    s.cc.rejects, s.trouble.login_refused = s.rng.choice(((True, False), (False, True)))
    s.later("cc_accepts", s.rng.uniform(1.0, 20.0))


@action
def cc_accepts(s: Simulation) -> None:
    s.cc.rejects = s.trouble.login_refused = False


@action
def accept_then_time_out(s: Simulation) -> None:
    s.trouble.accept_then_time_out += 1


@action
def lose_request(s: Simulation) -> None:
    s.trouble.lose_request += 1


@action
def lie(s: Simulation) -> None:
    """It completes without having moved everything, once or again and again."""
    s.cc.lie_next, s.cc.lies_left = s.rng.choice((1, 2, 100)), s.rng.choice((1, 1, 2, 4))


# ── the agent ─────────────────────────────────────────────────────────────────────────────────────
@action
def lease_lost(s: Simulation) -> None:
    s.lease.mine = False
    s.later("lease_back", s.rng.uniform(1.0, 15.0))


@action
def lease_back(s: Simulation) -> None:
    if not s.old_lives:
        s.lease.mine = True


@action
def crash(s: Simulation) -> None:
    s.crash()


@action
def hand_over(s: Simulation) -> None:
    if not s.old_lives:
        s.hand_over(s.rng.uniform(0.1, 10.0))


@action
def let_go(s: Simulation) -> None:
    """The old worker has noticed that the cluster is not its own any more."""
    for old in s.old_lives:
        old.die()
    s.old_lives.clear()
    s.lease.mine = True


@action
def control_kafka_down(s: Simulation) -> None:
    """Nothing that the worker posts arrives for a while."""
    s.durable.is_down = True
    s.later("control_kafka_up", s.rng.uniform(1.0, 15.0))


@action
def control_kafka_up(s: Simulation) -> None:
    if s.durable.is_down:
        s.durable.is_down, s.durable.up_since = False, s.world.now


# ── the end ───────────────────────────────────────────────────────────────────────────────────────
@action
def mend(s: Simulation) -> None:
    """All is well from here on."""
    s.monitors.mend()
    s.crash_chance = 0.0
    # With a low throttle a move might never catch up with its producers.
    s.world.growth_bytes_per_second = 0.0
    if not s.cc.up:
        s.cc.restart()
    for name in (
        "restart_brokers",
        "kafka_up",
        "control_kafka_up",
        "fast_wire",
        "cc_up",
        "cc_awake",
        "cc_free",
        "consul_up",
    ):
        ACTIONS[name](s)
    for name in ("cc_accepts", "healing_off", "let_go", "lease_back"):
        ACTIONS[name](s)
    s.trouble.accept_then_time_out = s.trouble.lose_request = s.cc.lies_left = 0
    for topic, entry in s.watched.foreign_throttle:  # the other tool ends, and takes its own away
        s.world.followers.get(topic, set()).discard(entry)
    s.watched.foreign_throttle.clear()
    s.acts = [(at, kind) for at, kind in s.acts if kind.endswith("_clears")]


@action
def leave(s: Simulation) -> None:
    """The operator shuts down what may be shut down."""
    for source in s.migration.sources:
        if source.may_be_shut_down and not source.left:
            s.watched.shut_down.add(source.broker_id)
            s.world.kill(source.broker_id)
