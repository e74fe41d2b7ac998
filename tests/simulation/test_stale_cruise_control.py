"""What of Cruise Control is older than the cluster: its windows, which refill after a move, and
replica orders.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.model.reasons import Code
from agent.core.planning.options import InternalTopics, Options
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation

NOT_READY = Code.CRUISE_CONTROL_NOT_READY


WINDOWS_SECONDS = 60.0  # much longer than any wave


def _told(options: Options) -> list[ev.AnyEvent]:
    played = Simulation(Schedule(seed=3, partitions=6, size_bytes=50.0, options=options))
    played.cc.windows_seconds = WINDOWS_SECONDS
    played.play()
    assert played.migration.phase == "completed"
    return [e for _, e in played.story if isinstance(e, ev.Event)]


def _refused(events: list[ev.AnyEvent]) -> list[ev.AnyEvent]:
    return [
        e
        for e in events
        if isinstance(e, ev.EffectFinished)
        and e.name == "StartWave"
        and isinstance(e.outcome, msg.Busy)
        and e.outcome.reason.code is NOT_READY
    ]


def test_a_wave_waits_for_valid_windows_with_their_code_and_is_not_asked_for_before() -> None:
    """A request that is refused for want of windows has set a throttle, and cancels what moves:
    it is not made.
    """
    events = _told(Options())
    waiting = [
        e
        for e in events
        if isinstance(e, ev.Waiting) and [r.code for r in e.reasons] == [NOT_READY]
    ]
    # Every wave except the first one waits.
    assert len(waiting) == len([e for e in events if isinstance(e, ev.WaveVerified)]) - 1
    assert not _refused(events)


def test_what_the_agent_moves_by_itself_waits_for_no_window() -> None:
    """Cruise Control has no part in a selection."""
    events = _told(Options(internal_topics=InternalTopics.FIRST))
    by_agent = {e.wave for e in events if isinstance(e, ev.ExecutionStarted) and e.by_agent}
    begun: dict[int, float] = {}
    took: dict[int, float] = {}
    for e in events:
        if isinstance(e, ev.WaveBegun):
            begun[e.wave] = e.at
        elif isinstance(e, ev.ChecksPassed):
            took[e.wave] = e.at - begun[e.wave]
    assert by_agent == {1, 3, 5}
    # 3 and 5 follow a wave of Cruise Control's
    assert all(took[n] < WINDOWS_SECONDS / 2 for n in by_agent)
    assert all(took[n] > WINDOWS_SECONDS / 2 for n in (4, 6))  # and what is Cruise Control's waits
    assert not _refused(events)


def test_an_order_is_mended_after_cruise_control_has_seen_its_own() -> None:
    """It ends when it sees the order that it asked for: mended before that look, it would be
    busy for ever.
    """
    options = Options(throttle_bytes_per_second=500)
    played = Simulation(Schedule(seed=3, partitions=6, size_bytes=50.0, options=options))
    played.cc.stale_orders = True
    played.play()
    assert played.migration.phase == "completed"
    assert len([e for _, e in played.story if isinstance(e, ev.WaveVerified)]) == 3
