"""What others do to Cruise Control and Kafka while we move: by hand, by another tool, or Cruise
Control by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.performer.ports import RemoveBroker
from tests.simulation import actions
from tests.simulation.sim_cruise_control import BY_HAND

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

ACTIONS = actions.ACTIONS  # with these


# ── Cruise Control ────────────────────────────────────────────────────────────────────────────────
@actions.action
def foreign_stop(s: Simulation) -> None:
    """Somebody stops what runs, by hand."""
    s.cc.stop()


@actions.action
def other_execution(s: Simulation) -> None:
    """Somebody asks Cruise Control for something of his own, between two brokers of one AZ."""
    source = s.rng.choice(sorted(b for b in s.world.racks if b >= 51))
    to = tuple(
        b for b in s.world.racks if s.world.racks[b] == s.world.racks[source] and b != source
    )[:1]
    # It may also fill our source again just after a look has found it empty.
    s.watched.foreign_at = s.world.now
    s.watched.foreign_moves |= dict.fromkeys(s.world.held(source), s.world.now)
    s.cc.remove_broker(
        RemoveBroker(
            source_broker_ids=(source,),
            destination_broker_ids=to,
            reason=BY_HAND,
            partition_movements_per_broker=1,
            progress_check_interval_ms=s.rng.choice((1_000, 5_000)),
        )
    )


@actions.action
def healing_on(s: Simulation) -> None:
    """`admin?enable_self_healing_for=` with a notifier that heals: it begins when the executor
    is idle for a while.
    """
    s.cc.heals, s.cc.idle_since = True, s.world.now
    s.later("healing_off", s.rng.uniform(5.0, 60.0))


@actions.action
def healing_off(s: Simulation) -> None:
    s.cc.heals = False


# ── other tools ───────────────────────────────────────────────────────────────────────────────────
@actions.action
def foreign_reassignment(s: Simulation) -> None:
    """Somebody moves a partition by hand, from one broker to another of the same AZ."""
    name = s.rng.choice(sorted(s.world.partitions))
    p = s.world.partitions[name]
    from_ = s.rng.choice(p.target)
    to = [
        b
        for b in sorted(s.world.alive)
        if s.world.racks[b] == s.world.racks[from_] and b not in p.replicas
    ]
    if p.is_moving or not to:
        return
    s.world.reassign(name, [to[0] if b == from_ else b for b in p.replicas])
    s.watched.foreign_at = s.world.now
    s.watched.foreign_moves[name] = s.world.now


@actions.action
def foreign_throttle(s: Simulation) -> None:
    """Another tool throttles a replica of a topic that we move too, and one of a topic of its
    own.
    """
    for topic, entry in (("elsewhere", (0, 99)), ("t", (77, 99))):
        s.world.followers.setdefault(topic, set()).add(entry)
        s.watched.foreign_throttle.add((topic, entry))


@actions.action
def remove_throttle(s: Simulation) -> None:
    """Another tool removes every rate."""
    s.world.rates.clear()
