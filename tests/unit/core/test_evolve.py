"""The table of folds, `FOLDS`."""

from typing import get_args

from agent.core import events as ev
from agent.core.evolve import (
    FOLDS,
    commands,
    drained_sources,
    effects,
    endpoints,
    metrics,
    migration,
    pauses,
    remaining,
    waves,
)
from agent.core.kraft import evolve as kraft

SUBJECTS = (
    commands,
    drained_sources,
    effects,
    endpoints,
    metrics,
    migration,
    pauses,
    remaining,
    waves,
)


def test_every_fold_of_every_subject_is_in_the_table() -> None:
    """A fold of a class that is no member of AnyEvent would never be called."""
    for subject in SUBJECTS:
        for kind, fold in subject.FOLDS.items():
            assert fold in FOLDS[kind], (subject.__name__, kind)
    assert set(kraft.FOLDS) <= set(FOLDS)


def test_only_events_that_change_nothing_else_have_no_fold() -> None:
    """They change the phase at most: a new event without a fold is named here on purpose."""
    without = {kind.__name__ for kind in get_args(ev.AnyEvent) if not FOLDS[kind]}
    assert without == {
        "ApprovalAwaited",
        "LeftoverThrottleCleared",
        "MigrationCompleted",
        "MigrationResumed",
        "RollbackMoved",
    }
