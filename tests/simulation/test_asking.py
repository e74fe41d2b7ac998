"""How often the simulated agent asks Cruise Control: seldom enough for one that takes five
requests at a time.
"""

from dataclasses import replace

from agent.core import events as ev
from agent.core.planning.options import Options
from agent.performer.ports import CruiseControlState
from tests.simulation.schedule import Schedule
from tests.simulation.sim_cruise_control_port import SimCruiseControlPort
from tests.simulation.simulation import Cast, InvariantBrokenError, Simulation

LONG = Schedule(seed=7, size_bytes=2_000.0, options=Options(throttle_bytes_per_second=60))
QUESTIONS_PER_MINUTE_MAX = 15


class Counted(SimCruiseControlPort):
    """Remembers when it was asked."""

    asked_at: list[float]

    async def _call(self, *, is_question: bool = False) -> None:
        self.__dict__.setdefault("asked_at", []).append(self._w.now)
        await super()._call(is_question=is_question)


class Unbridled(SimCruiseControlPort):
    """Asks whenever somebody wants to know."""

    async def _turn(self, *, before_an_order: bool = False) -> None:
        return None

    def can_spare_a_question(self) -> bool:
        return True

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        return await super().state(migration_id)


def _moving_seconds(played: Simulation) -> list[tuple[float, float]]:
    """When the waves moved, from the first look at each to its end."""
    spans, began = [], None
    for at, what in played.story:
        if isinstance(what, ev.ExecutionStarted):
            began = at
        elif isinstance(what, ev.SourceEmptied) and began is not None:
            spans.append((began, at))
            began = None
    return spans


def test_a_moving_wave_asks_cruise_control_seldom() -> None:
    """Over minutes of moving at most 15 requests a minute, where each look of each second once
    asked twice.
    """
    played = Simulation(LONG, Cast(cruise_control_port=Counted)).play()
    port = played.agent.ports.cruise_control
    assert isinstance(port, Counted)
    spans = _moving_seconds(played)
    seconds = sum(end - began for began, end in spans)
    requests = sum(1 for at in port.asked_at for began, end in spans if began < at <= end)
    assert seconds > 120
    assert requests * 60 / seconds <= QUESTIONS_PER_MINUTE_MAX, (
        f"{requests} requests in {seconds:.0f} s"
    )


def test_a_wave_ends_by_kafkas_word_at_once() -> None:
    """The end is seen by the next look at Kafka, however seldom Cruise Control is asked."""
    played = Simulation(LONG).play()
    for (_, end), (moved_at, _) in zip(_moving_seconds(played), _last_moves(played), strict=True):
        assert end - moved_at < 3.0


def _last_moves(played: Simulation) -> list[tuple[float, int]]:
    """Of each wave, when its last progress with something in flight was told."""
    found: dict[int, tuple[float, int]] = {}
    for at, what in played.story:
        if isinstance(what, ev.WaveProgressed) and what.moving:
            found[what.wave] = (at, what.moving)
    return list(found.values())


def test_without_turns_it_would_be_filled_by_us_alone() -> None:
    """The limit is what keeps a place free: without it some schedule finds five active user
    tasks of ours.
    """
    broken = set()
    for seed in range(60):
        try:
            Simulation(
                replace(LONG, seed=seed, size_bytes=100.0), Cast(cruise_control_port=Unbridled)
            ).play()
        except InvariantBrokenError as error:
            broken.add(error.invariant)
            break
    assert broken == {"cruise_control_has_a_place_left"}


def test_a_wave_that_may_begin_does_not_wait_for_its_turn() -> None:
    """What was asked while the last execution ended does not hold up the next one: a place is
    kept for it.
    """
    played = Simulation(LONG).play()
    passed = [at for at, what in played.story if isinstance(what, ev.ChecksPassed)]
    started = [at for at, what in played.story if isinstance(what, ev.ExecutionStarted)]
    assert len(started) == 3
    for checked_at, started_at in zip(passed, started, strict=True):
        assert started_at - checked_at < 1.0
