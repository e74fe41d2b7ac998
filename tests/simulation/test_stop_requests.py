"""How much a stop asks once nothing moves any more: a pause that waits for its own questions is
seconds late on a cluster under load.
"""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.planning.options import Options
from agent.performer.performer import Performer
from tests.simulation.schedule import Schedule
from tests.simulation.sim_ports import advance_to
from tests.simulation.simulation import Simulation

STEPS_MAX = 500
QUIET = ("state", "user_tasks", "reassignments")


class Counted:
    """A port that writes down what it is asked."""

    def __init__(self, port: Any, asked: list[str]) -> None:
        self._port, self._asked = port, asked

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._asked.append("kept state" if "age_seconds_max" in kwargs else name)
            return method(*args, **kwargs)

        return call


@pytest.mark.parametrize("progress_check_interval_ms", [1_000, 5_000, 6_000])
def test_a_stop_asks_little_once_nothing_moves(progress_check_interval_ms: int) -> None:
    """After the first quiet look: the cluster once, the log dirs once, the throttle before and
    after its removal, and what puts orders and leaders right; Cruise Control's last answer will do,
    however long its executor took to stop.
    """
    asked = _asked_by_a_stop(progress_check_interval_ms)
    after = asked[_quiet_at(asked) :]
    assert after.count("cluster") == 1
    assert after.count("logs") == 1
    assert after.count("throttle") == 2
    assert not {"alive", "state", "user_tasks"}.intersection(after)
    assert len(after) <= 10, after


def _quiet_at(asked: list[str]) -> int:
    return next(
        n + len(QUIET) for n in range(len(asked)) if tuple(asked[n : n + len(QUIET)]) == QUIET
    )


def _asked_by_a_stop(progress_check_interval_ms: int) -> list[str]:
    options = Options(
        throttle_bytes_per_second=60, progress_check_interval_ms=progress_check_interval_ms
    )
    played = Simulation(Schedule(seed=1, partitions=6, size_bytes=2_000.0, options=options))
    for _ in range(STEPS_MAX):
        if played.cc.execution and played.world.moving:
            break
        played._step()
    asked: list[str] = []
    ports = played.agent.ports
    performer = Performer(
        replace(
            ports,
            kafka=Counted(ports.kafka, asked),
            cruise_control=Counted(ports.cruise_control, asked),
        )
    )
    stop = fx.StopWave(scope=played.migration.scope(), at_once=True, asked_at=played.world.now)
    work: Coroutine[Any, Any, msg.Outcome] = performer.perform(
        stop, played.migration, played.policy
    )
    while True:
        try:
            wake = work.send(None)
        except StopIteration as ended:
            outcome = ended.value
            break
        advance_to(played.world, played.cc, played.wire, wake)
    assert isinstance(outcome, msg.Performed), outcome
    return asked
