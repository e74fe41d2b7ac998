"""The cluster that a schedule is played in, and the policy that the agent has of it."""

import random

from agent.core.planning.policy import Policy
from agent.core.planning.selection import INTERNAL_TOPICS
from tests.simulation.schedule import Schedule
from tests.simulation.world import World

AZS = ("a", "b", "c")


def build_world(schedule: Schedule, rng: random.Random) -> World:
    """Source brokers 11.., destination brokers 51..; one replica of each partition in each AZ."""
    pairs = schedule.pairs_per_az
    racks = {
        first + 10 * n + az: name
        for first in (11, 51)
        for n in range(pairs)
        for az, name in enumerate(AZS)
    }
    world = World(racks, growth_bytes_per_second=schedule.growth_bytes_per_second)
    for n in range(schedule.partitions):
        placed = [11 + az + 10 * rng.randrange(pairs) for az in range(len(AZS))]
        rng.shuffle(placed)
        topic = INTERNAL_TOPICS[0] if n % 3 == 2 else "t"
        world.create(topic, n, placed, schedule.size_bytes * rng.choice((0.5, 1.0, 1.5)))
    return world


def build_policy(world: World) -> Policy:
    """A cluster's standing orders, their times shortened for small copies."""
    return Policy(
        source_broker_ids=tuple(sorted(b for b in world.racks if b < 51)),
        destination_broker_ids=tuple(sorted(b for b in world.racks if b >= 51)),
        slow_bytes_per_second=20,
        busy_patience_seconds=200.0,
        recheck_seconds=3.0,
        resume_delay_seconds=3.0,
        grace_seconds=5.0,
        settle_seconds=2.0,
        stall_seconds=60.0,
        verify_patience_seconds=60.0,
        quiet_seconds=6.0,
        hold_off_seconds=4.0,
        adapt_seconds=3.0,
        flap_window_seconds=300.0,
    )
