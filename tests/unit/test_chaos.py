"""How a chaos run judges: by what a fault could show, and by nothing else.

No process is started here.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.lab.demo.story import Event, Story
from tests.chaos import run
from tests.chaos.faults import CATALOGUE, Fault, acts
from tests.chaos.stage import CLUSTER, THROTTLE_BYTES_PER_SECOND, Stage

pytestmark = pytest.mark.timeout(30)


def event(kind: str, phase: str = "moving", **data: Any) -> Event:
    return {"type": kind, "phase": phase, "summary": kind, "data": data}


PROGRESS = event("WaveProgressed", moving=2, bytes_left=THROTTLE_BYTES_PER_SECOND * 20)
ROLLED_BACK = event("RollbackCompleted", "rolled_back")


class StageOnPaper(Stage):
    """A stage whose story is written by the test; it moves when it is asked to."""

    def __init__(self, bytes_left: tuple[int, ...] = (THROTTLE_BYTES_PER_SECOND * 300,)) -> None:
        self.story = Story(SimpleNamespace(), CLUSTER)
        self.client = self
        self.orders: list[str] = []
        self._left = list(bytes_left)

    async def statuses(self) -> dict[str, Any]:
        """What is left of the migration; the last figure stays."""
        return {
            CLUSTER: {"bytes_left": self._left.pop(0) if len(self._left) > 1 else self._left[0]}
        }

    async def order(self, kind: str, **_fields: Any) -> Event:
        """Every order is followed at once."""
        self.orders.append(kind)
        self.story.events.append(PROGRESS)
        return PROGRESS

    def tells(self, *events: Event) -> None:
        self.story.events.extend(events)


def fault(
    during: list[list[Event]], after: list[Event], sign: Callable[[Event], bool] | None = None
) -> Fault:
    """One that sees `during[n]` while it strikes for the n-th time; what is told `after` is
    told once it is mended.
    """

    async def strike(stage: StageOnPaper) -> Callable[[Event], bool]:
        stage.tells(*during.pop(0))

        if not during:
            asyncio.get_running_loop().call_later(0.2, stage.tells, *after)
        return acts

    return Fault("a fault", "acts again", strike, sign, recovery_seconds_max=1.0)


async def test_a_migration_that_ends_meanwhile_is_struck_again() -> None:
    """A fault that strikes while the migration comes to its end shows nothing: the next
    migration is struck.
    """
    stage = StageOnPaper()
    stage.tells(PROGRESS)
    row = await run.strike(stage, fault([[PROGRESS, ROLLED_BACK], [PROGRESS]], after=[PROGRESS]))
    assert (row["seen"], row["strikes"], row["done"]) == ("acts again", 2, True)
    assert stage.orders == ["start"]


async def test_an_end_after_the_fault_is_a_recovery() -> None:
    """An agent that ends the migration after it was struck has acted."""
    stage = StageOnPaper()
    stage.tells(PROGRESS)
    row = await run.strike(stage, fault([[]], after=[ROLLED_BACK]))
    assert (row["seen"], row["strikes"]) == ("acts again", 1)


async def test_silence_while_something_moves_is_wrong() -> None:
    """A migration that has not ended and is not heard of again fails the run, after one strike."""
    stage = StageOnPaper()
    stage.tells(PROGRESS)
    row = await run.strike(stage, fault([[PROGRESS]], after=[]))
    assert row["seen"].startswith("not recovered")
    assert row["strikes"] == 1


async def test_a_fault_that_never_shows_is_not_passed() -> None:
    """A fault that strikes an ended migration each time was never tried, and the run says so."""
    stage = StageOnPaper()
    stage.tells(PROGRESS)
    row = await run.strike(stage, fault([[ROLLED_BACK]] * run.STRIKES_MAX, after=[]))
    assert "came to its end in each of 3 strikes" in row["seen"]
    assert not row["done"]


async def test_nothing_is_struck_that_has_too_little_left() -> None:
    """A strike begins only when the migration has more left than it can move while the fault
    strikes.
    """
    stage = StageOnPaper((THROTTLE_BYTES_PER_SECOND * 30, THROTTLE_BYTES_PER_SECOND * 61))
    stage.tells(PROGRESS)
    await stage.moving(60.0)
    assert len(stage._left) == 1, "it was content with the 30 s that were left at first"


def test_faults_that_strike_for_long_say_so() -> None:
    """The faults that need a minute to strike ask for a minute of movement."""
    needed = {one.name: one.strike_seconds for one in CATALOGUE}
    assert needed["a second agent is started by mistake"] >= 60
    assert needed["control kafka lost for 60 s"] > 60
    assert min(needed.values()) >= 20
