"""Agents that forget or guess what has moved, each caught by the invariant that stands against
it.
"""

from dataclasses import replace

from agent.core import events as ev
from agent.core import messages as msg
from agent.performer.performer import Performer
from tests.simulation.sim_worker import Life
from tests.simulation.simulation import Cast
from tests.simulation.test_mutations import PLAIN, _acts, _caught

ONE_BY_ONE = replace(PLAIN.options, partition_movements_per_broker=1)
PAUSED = _acts((6.0, "pause"), options=ONE_BY_ONE)
# Nothing looks again here, as the watch over a pause would.
CANCELLED = _acts((6.0, "cancel"), options=ONE_BY_ONE)


class ForgetsAtAPause(Life):
    """What every status told until 2026-11: progress is of what moves, and forgotten at the
    stop.
    """

    def take(self, message: msg.Message, offset: int) -> tuple[ev.AnyEvent, ...]:
        events = super().take(message, offset)
        if any(isinstance(e, ev.MigrationPaused) for e in events):
            waves = tuple(
                replace(w, replicas_left=None, bytes_left=None) for w in self.migration.waves
            )
            self.record = replace(self.record, migration=replace(self.migration, waves=waves))
        return events


class CountsNothingAtAStop(Performer):
    """What arrives while it stops is never told."""

    async def _left(self, *_: object) -> msg.Performed:
        return msg.Performed()


class GuessesAtAStop(Performer):
    """It takes what was in flight for moved."""

    async def _left(self, *_: object) -> msg.Performed:
        return msg.Performed(replicas_left=0, bytes_left=0)


def test_an_agent_that_forgets_at_a_pause_is_caught() -> None:
    """What was told to have moved falls to nothing though nothing has moved back."""
    _caught("what_has_moved_stays_told", Cast(life=ForgetsAtAPause), PAUSED)


def test_a_stop_that_counts_nothing_is_caught() -> None:
    """A cancel that tells the last look before it, and not what it has left, is not the truth."""
    _caught("at_rest_the_truth_is_told", Cast(performer=CountsNothingAtAStop), CANCELLED)


def test_a_stop_that_guesses_is_caught() -> None:
    """A cancel that calls everything moved is not the truth either."""
    _caught("at_rest_the_truth_is_told", Cast(performer=GuessesAtAStop), CANCELLED)
