"""Nothing is lost whatever dies: thousands of schedules of commands, faults and crashes, drawn
from seeds.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core import events as ev
from agent.core.model.reasons import Code
from agent.core.planning.options import InternalTopics, Options, Pairing
from tests.simulation.actions import ACTIONS
from tests.simulation.run import run_many
from tests.simulation.schedule import Schedule, drawn_from
from tests.simulation.simulation import Simulation

SCHEDULES = 2_000
ROOT = Path(__file__).parents[2]


def test_no_invariant_breaks_in_two_thousand_schedules() -> None:
    """Every invariant holds after every step, and every migration comes to rest, in all
    schedules of these seeds.
    """
    figures = run_many(SCHEDULES, seed=1, jobs=os.cpu_count() or 1)
    stories = figures["failed"]
    assert not stories, stories
    assert figures["schedules"] == SCHEDULES
    ends = figures["ends"]
    assert isinstance(ends, dict)
    assert {
        "completed",
        "drained",
        "rolled_back",
        "cancelled",
        "paused",
        "awaiting_approval",
        "blocked",
    } <= ends.keys()
    assert int(str(figures["crashes"])) > SCHEDULES


def test_a_crash_after_every_single_step_loses_nothing() -> None:
    """The agent dies after each step in turn, with saves lost and messages redelivered; every
    rest is a good one.
    """
    plain = Schedule(seed=3, partitions=2, size_bytes=50.0)
    steps = Simulation(plain).play().steps
    for n in range(1, steps):
        simulation = Simulation(plain)
        simulation.crash_at = {n}
        simulation.play()
        assert simulation.migration.phase == "completed", n


@pytest.mark.parametrize("seed", [25, 50, 75, 100])
def test_the_real_turn_and_its_json_agree_with_the_plain_step(seed: int) -> None:
    """A schedule played through turn.py, every message and record as JSON, ends as it does
    without.
    """
    schedule = drawn_from(seed)
    assert schedule.through_turn
    Simulation(schedule).play()


def test_a_rate_that_metrics_lowered_pauses_nothing_for_good() -> None:
    """Between waves it is below what producers add: the asked rate counts, as the lowered one
    climbs only in a move.
    """
    acts = (
        (1.92, "kafka_down"),
        (26.32, "foreign_reassignment"),
        (26.44, "start_again"),
        (32.61, "metrics_silent"),
        (43.8, "metrics_bad"),
    )
    options = Options(
        pairing=Pairing.ZONE, throttle_bytes_per_second=60, partition_movements_per_broker=10
    )
    schedule = Schedule(
        seed=5025951,
        acts=acts,
        options=options,
        pairs_per_az=2,
        partitions=5,
        growth_bytes_per_second=1.0,
        metrics=True,
    )
    assert Simulation(schedule).play().migration.phase != "paused"


def test_a_copy_is_not_taken_for_producers() -> None:
    """A plan made while partitions move measures what producers write, and not the copies."""
    acts = ((5.0, "plan"),)
    options = Options(throttle_bytes_per_second=200, internal_topics=InternalTopics.FIRST)
    schedule = Schedule(
        seed=3, acts=acts, options=options, size_bytes=300.0, growth_bytes_per_second=1.0
    )
    played = Simulation(schedule).play()
    (made,) = [e for _, e in played.story if isinstance(e, ev.PlanMade)]
    assert Code.ORPHANED_MOVES in {r.code for r in made.reasons}  # it did move meanwhile
    assert Code.THROTTLE_TOO_LOW not in {r.code for r in made.reasons}


def test_a_plan_of_a_busy_hour_runs_in_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What producers write is measured again where the plan's figure would pause the wave for
    good.
    """

    def calm(s: Simulation) -> None:
        s.world.growth_bytes_per_second = 0.0

    monkeypatch.setitem(ACTIONS, "calm", calm)
    acts = ((5.0, "plan"), (10.0, "calm"), (12.0, "start_plan"))
    options = Options(throttle_bytes_per_second=60, partition_movements_per_broker=10)
    played = Simulation(
        Schedule(seed=3, acts=acts, options=options, growth_bytes_per_second=20.0)
    ).play()
    (made,) = [e for _, e in played.story if isinstance(e, ev.PlanMade)]
    assert [r.code for r in made.reasons] == [Code.THROTTLE_TOO_LOW]
    assert played.migration.phase == "completed"


def _story(seed: int) -> str:
    simulation = Simulation(drawn_from(seed)).play()
    return hashlib.sha256(repr(simulation.story).encode()).hexdigest()


def test_a_seed_replays_in_another_process() -> None:
    """The story of a seed is the same in any process, whatever its hash seed: a failing seed
    can be looked at.
    """
    script = "from tests.simulation.test_schedules import _story; print(_story(7), _story(11))"
    here = f"{_story(7)} {_story(11)}"
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert told.stdout.strip() == here
