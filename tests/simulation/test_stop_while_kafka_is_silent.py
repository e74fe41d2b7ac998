"""A stop of what Cruise Control executes, while Kafka answers nothing: brokers that are overrun
are why one pauses.
"""

from collections.abc import Coroutine
from typing import Any

import pytest

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.model.reasons import Code
from agent.core.planning.options import Options
from tests.simulation.schedule import Schedule
from tests.simulation.sim_ports import advance_to
from tests.simulation.simulation import Simulation

SLOW = Options(throttle_bytes_per_second=60, progress_check_interval_ms=1_000)
STEPS_MAX = 500


@pytest.mark.parametrize(
    "at_once", [True, False], ids=["known to run", "asked for, not yet known to run"]
)
def test_cruise_control_is_told_to_stop_though_kafka_does_not_answer(at_once: bool) -> None:
    """A stop is told to whoever executes for us before anything is asked of Kafka, however it
    became known.
    """
    played = _executing()
    played.trouble.kafka_down = True
    outcome = _performed(played, fx.StopWave(scope=played.migration.scope(), at_once=at_once))
    assert isinstance(outcome, msg.Unreachable)
    assert outcome.reason.code is Code.KAFKA_UNREACHABLE
    assert played.cc.execution is None


def _executing() -> Simulation:
    """A simulation in which Cruise Control has begun to move the first wave."""
    played = Simulation(Schedule(seed=1, partitions=6, size_bytes=2_000.0, options=SLOW))
    for _ in range(STEPS_MAX):
        if played.cc.execution and played.world.moving:
            return played
        played._step()
    raise AssertionError("nothing was executed")


def _performed(played: Simulation, effect: fx.Effect) -> msg.Outcome:
    """Perform it alone, while the world goes on."""
    work: Coroutine[Any, Any, msg.Outcome] = played.agent._performer.perform(
        effect, played.migration, played.policy
    )
    while True:
        try:
            wake = work.send(None)
        except StopIteration as ended:
            outcome: msg.Outcome = ended.value
            return outcome
        advance_to(played.world, played.cc, played.wire, wake)
