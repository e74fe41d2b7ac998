"""What the shell reads of a state: which watches it wants, and when a tick is due."""

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core.migration import Phase, wake_at, watches
from agent.core.planning.policy import Policy
from tests.scenarios.phases import in_phase
from tests.scenarios.play import POLICY, Play, busy

LOOKED_AT = {
    Phase.MOVING: {fx.WatchWave},
    Phase.PAUSED: {fx.WatchWave},
    Phase.BETWEEN_WAVES: {fx.WatchSources},
    Phase.AWAITING_APPROVAL: {fx.WatchSources},
    Phase.DRAINED: {fx.WatchSources},
}


@pytest.mark.parametrize("phase", Phase)
def test_what_moves_and_what_was_drained_is_watched(phase: Phase) -> None:
    """Each phase wants just the watches that serve it."""
    assert {type(w) for w in watches(in_phase(phase).m, POLICY)} == LOOKED_AT.get(phase, set())


def test_ticks_are_due_for_a_retry_or_the_end_of_soak_time_only() -> None:
    """Nothing wakes a migration that waits for a message."""
    assert wake_at(in_phase(Phase.MOVING).m) is None
    assert wake_at(in_phase(Phase.BLOCKED).m) is None
    soaking = in_phase(Phase.BETWEEN_WAVES)
    assert wake_at(soaking.m) == soaking.now + 60.0
    waiting = Play().started().asked().ends(fx.StartWave, with_=busy())
    assert wake_at(waiting.m) == waiting.now + POLICY.busy_retry_seconds


def test_the_rate_in_force_is_the_lower_of_what_was_asked_and_the_floor() -> None:
    """Slowed, a migration never copies faster than it was asked to."""
    m = in_phase(Phase.MOVING).alert(slow=True).m
    assert m.rate(POLICY) == POLICY.slow_bytes_per_second
    slower = replace(m, options=replace(m.options, throttle_bytes_per_second=5))
    assert slower.rate(Policy(slow_bytes_per_second=10)) == 5
