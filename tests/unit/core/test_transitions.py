"""The table of phases: what it says is what happens, and what it does not say cannot happen."""

from dataclasses import MISSING, fields
from typing import Any

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.evolve import InvalidTransitionError, evolve
from agent.core.kraft.facts import ControllersSeen
from agent.core.migration import ACTIVE, RESTING, TRANSITIONS, Phase, StopFor
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan
from tests.scenarios.phases import in_phase
from tests.scenarios.play import compared, inspected

ROWS = [
    (kind, before, after)
    for kind, row in TRANSITIONS.items()
    for before, after in sorted(row.items())
]
FORBIDDEN = [
    (kind, phase) for kind, row in TRANSITIONS.items() for phase in Phase if phase not in row
]
EXAMPLES: dict[str, Any] = {
    "wave": 1,
    "attempt": 1,
    "facts": inspected(),
    "comparison": compared(),
    "options": Options(),
    "plan": Plan(plan_id="p", waves=(), partitions=0, replicas=0, size_bytes=0),
    "purpose": StopFor.PAUSE,
    "progressed": True,
    "adopted": False,
    "controllers_seen": ControllersSeen(leader_id=71, brokers_active=3, brokers_fenced=0),
    "seconds": 1.0,
    "migration_id": "lab-2",
    "at": 5_000.0,
    "reason": Reason(Code.STALLED, "x"),
}
BY_TYPE: dict[Any, Any] = {int: 1, str: "x", float: 1.0, bool: False}


def example(kind: type[ev.Event]) -> ev.Event:
    """An event of this kind, its fields filled with something of the right type."""
    given = {}
    for f in fields(kind):
        if f.default is MISSING and f.default_factory is MISSING:
            given[f.name] = EXAMPLES.get(f.name, BY_TYPE.get(f.type, ()))
    return kind(**given)


@pytest.mark.parametrize(
    ("kind", "before", "after"), ROWS, ids=lambda x: getattr(x, "__name__", str(x))
)
def test_each_row_leads_where_it_says(kind: type[ev.Event], before: Phase, after: Phase) -> None:
    """Every event of the table, in every phase of its row, ends in the phase that the table
    names.
    """
    m = in_phase(before).m
    result = evolve(m, example(kind))
    assert result.phase is after
    assert result.sequence == m.sequence + 1
    if before is not after:
        assert (result.phase_since, result.retry_at, result.retries) == (5_000.0, None, 0)


@pytest.mark.parametrize(("kind", "phase"), FORBIDDEN, ids=lambda x: getattr(x, "__name__", str(x)))
def test_what_is_not_in_the_table_raises_and_changes_nothing(
    kind: type[ev.Event], phase: Phase
) -> None:
    """An event in a phase that its row does not name is a bug, and the state stays as it was."""
    m = in_phase(phase).m
    kept = repr(m)
    with pytest.raises(InvalidTransitionError, match=kind.__name__):
        evolve(m, example(kind))
    assert repr(m) == kept


def test_each_phase_can_be_reached_and_left() -> None:
    """No phase is an orphan, and none but the last ones is a trap."""
    reached = {after for _, before, after in ROWS if before is not after} | {Phase.NONE}
    left = {before for _, before, after in ROWS if before is not after}
    assert reached == set(Phase)
    assert left == set(Phase)


def test_resting_and_active_are_all_phases() -> None:
    """A phase is one or the other."""
    assert set(Phase) == RESTING | ACTIVE
    assert not RESTING & ACTIVE


def test_events_without_a_row_change_no_phase() -> None:
    """What is not in the table is told in any phase and moves nothing."""
    told = [
        ev.Waiting(at=1.0, reasons=()),
        ev.HealthChanged(at=1.0, reasons=()),
        ev.ExecutorSeen(at=1.0, executor=msg.Executor.IDLE, task=msg.TaskStatus.NONE),
        ev.PauseCauseAdded(at=1.0, cause="alert:x", seen=""),
        ev.EffectRequested(at=1.0, effect_id="e", effect=fx.CompareSnapshot(migration_id="m")),
    ]
    for phase in Phase:
        for event in told:
            assert type(event) not in TRANSITIONS
            assert evolve(in_phase(phase).m, event).phase is phase


def test_every_event_has_a_sentence() -> None:
    """`str(event)` is what an operator reads: never the bare class."""
    for kind in ev.AnyEvent.__args__:
        sentence = (
            str(example(kind)) if kind not in (ev.EffectRequested, ev.EffectFinished) else "x"
        )
        assert sentence
        assert not sentence.startswith(f"{kind.__name__}(")
