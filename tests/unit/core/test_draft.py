"""One step in the making."""

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core.migration import Migration
from agent.core.model.reasons import Code, Reason
from agent.core.planning.policy import Policy
from agent.core.step import EVENTS_PER_STEP_MAX, StepContext


def _draft() -> StepContext:
    return StepContext(Migration(cluster="lab"), 1_000.0, Policy())


def test_events_are_folded_in_at_once() -> None:
    """What is decided next sees what was decided before."""
    d = _draft()
    d.request(fx.CompareSnapshot(migration_id="m"))
    assert [p.effect_id for p in d.migration.pending] == ["lab/0"]
    d.abandon(fx.CompareSnapshot)
    assert d.migration.pending == ()
    assert [type(e) for e in d.done().events] == [ev.EffectRequested, ev.EffectAbandoned]


def test_why_it_waits_is_said_once() -> None:
    """The same codes again are no news, whatever their words; other codes are."""
    d = _draft()
    d.report_waiting()
    d.report_waiting(Reason(Code.CRUISE_CONTROL_BUSY, "a"))
    d.report_waiting(Reason(Code.CRUISE_CONTROL_BUSY, "b"))
    d.report_waiting(Reason(Code.ORPHANED_MOVES, "c"))
    d.report_waiting()
    assert [type(e) for e in d.done().events] == [ev.Waiting] * 3


def test_waiting_counts_from_its_beginning() -> None:
    """Patience is measured from when it began to wait, also when the reason changes meanwhile."""
    d = _draft()
    d.report_waiting(Reason(Code.CRUISE_CONTROL_BUSY, "a"))
    later = StepContext(d.migration, 1_500.0, Policy())
    later.report_waiting(Reason(Code.ORPHANED_MOVES, "c"))
    assert later.migration.waiting_since == 1_000.0


def test_a_decision_that_goes_round_in_circles_stops() -> None:
    """A bug is an exception, with nothing saved; not an endless list of events."""
    d = _draft()
    for _ in range(EVENTS_PER_STEP_MAX):
        d.emit(ev.Waiting(at=1.0, reasons=()))
    with pytest.raises(AssertionError):
        d.emit(ev.Waiting(at=1.0, reasons=()))
