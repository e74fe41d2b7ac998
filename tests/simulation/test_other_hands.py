"""Whose execution Cruise Control runs: agents that fight, override or kill another's, each
caught by its invariant.
"""

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import flow, pause_causes
from agent.core.migration import Migration, Phase
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext
from agent.performer.performer import Performer
from tests.simulation.schedule import Schedule, drawn_from
from tests.simulation.sim_worker import Life
from tests.simulation.simulation import Cast, Simulation
from tests.simulation.test_mutations import PLAIN, _caught

LONG = replace(PLAIN, size_bytes=300.0)
# A wave or two have ended when it is paused, and what somebody else then moves takes its time.
UNTHROTTLED = replace(
    PLAIN, size_bytes=600.0, options=replace(PLAIN.options, throttle_bytes_per_second=None)
)


def _acts(*acts: tuple[float, str]) -> Schedule:
    return replace(LONG, acts=acts)


class OrdersAnyway(Performer):
    """Puts replica orders right whoever executes."""

    async def _why_not_now(self, m: Migration) -> Reason | None:
        return None


class StopsWhateverRuns(Performer):
    """Tells Cruise Control to stop before it has looked."""

    async def _stop(self, effect: fx.StopWave, m: Migration) -> msg.Outcome:
        return await super()._stop(replace(effect, at_once=True), m)


class TakesAStopForAFailure(Life):
    """CompletedWithError, whoever asked for it: one more attempt."""

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        if isinstance(message, msg.WaveObserved):
            message = replace(message, stopped_by="")
        return super().take(message, offset)


class ClosesWithoutAsking(Performer):
    """Does not ask who stopped what is closed with replicas left."""

    async def _stopped_by(self, _scope: fx.WaveScope) -> str:
        return ""


class StopsForSelfHealing(Life):
    """Pauses what moves as soon as self-healing is on."""

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        events = super().take(message, offset)
        if not isinstance(message, msg.WaveObserved) or self.migration.phase is not Phase.MOVING:
            return events
        if healing := tuple(r for r in message.reasons if r.code is Code.SELF_HEALING_ON):
            draft = StepContext(self.migration, message.at, self.policy)
            pause_causes.set_safety_causes(draft, healing)
            flow.pause_if_moving(draft)
            after, more = draft.done()
            self.record = replace(self.record, migration=after, inbox_offset=offset)
            events = (*events, *more)
        return events


CASES: dict[str, tuple[str, Cast, Schedule]] = {
    "replica orders are mended while another executes": (
        "orders_are_left_to_the_executor",
        Cast(performer=OrdersAnyway),
        replace(UNTHROTTLED, acts=((27.0, "pause"), (31.0, "other_execution"), (32.0, "resume"))),
    ),
    "another's execution is stopped": (
        "stops_only_its_own",
        Cast(performer=StopsWhateverRuns),
        replace(UNTHROTTLED, acts=((12.0, "pause"), (20.0, "other_execution"), (29.0, "cancel"))),
    ),
    "what another hand stopped is begun again": (
        "not_begun_again_after_a_stop",
        Cast(life=TakesAStopForAFailure),
        _acts((5.0, "foreign_stop")),
    ),
    "what was stopped while it closed is begun again": (
        "not_begun_again_after_a_stop",
        Cast(performer=ClosesWithoutAsking),
        drawn_from(3904),
    ),
    "self-healing is set loose": (
        "healing_is_not_set_loose",
        Cast(life=StopsForSelfHealing),
        _acts((6.0, "healing_on")),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_caught(case: str) -> None:
    """Each wrong agent breaks the invariant that stands against it, and the right one breaks
    none.
    """
    _caught(*CASES[case])


def test_a_stop_by_hand_is_answered_by_an_operator() -> None:
    """The real performer reads who stopped it, and the wave's next attempt follows the `resume`."""
    played = Simulation(_acts((5.0, "foreign_stop"), (40.0, "resume"))).play()
    told = [e for _, e in played.story if isinstance(e, ev.Event)]
    (cause,) = [e for e in told if isinstance(e, ev.PauseCauseAdded)]
    assert cause.cause == "others:EXECUTION_STOPPED_BY_OTHERS"
    assert "(stop_proposal_execution at " in cause.seen
    resumed = next(n for n, e in enumerate(told) if isinstance(e, ev.MigrationResumed))
    assert not [e for e in told[told.index(cause) : resumed] if isinstance(e, ev.WaveBegun)]
    assert [
        e for e in told[resumed:] if isinstance(e, ev.WaveBegun) and (e.wave, e.attempt) == (1, 2)
    ]
