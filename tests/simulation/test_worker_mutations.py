"""Faults put into the class that decides what runs, each caught by the simulation.

The class is agent/worker/cluster_worker.py, which production runs as well.
"""

import pytest

from agent.core import messages as msg
from agent.core.migration import Migration
from agent.worker.cluster_rules import ClusterRules
from agent.worker.cluster_worker import Action, ClusterWorker
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Cast
from tests.simulation.test_mutations import PLAIN, _acts, _caught


class StartsTwice(ClusterWorker):
    """It forgets which effects run already."""

    def reconcile(self, migration: Migration, now: float, other_driver: str | None) -> list[Action]:
        for pending in self._effects.values():
            pending.task_id = None
        return super().reconcile(migration, now, other_driver)


class StartsWhatHasEnded(ClusterWorker):
    """It performs an effect again whose outcome is in the inbox, and was not read yet."""

    def task_left(self, task_id: int, now: float, other_driver: str | None) -> list[Action]:
        super().task_left(task_id, now, other_driver)
        for pending in self._effects.values():
            pending.is_over, pending.not_before = False, 0.0
        return self._begin_effects(now, other_driver)


class LeavesAWatchThatFailed(ClusterWorker):
    """It takes a watch that has failed for one that runs."""

    def task_left(self, task_id: int, now: float, other_driver: str | None) -> list[Action]:
        if any(watch.task_id == task_id for watch in self._watches.values()):
            return []
        return super().task_left(task_id, now, other_driver)


class Overtakes(ClusterWorker):
    """A stop does not wait for the request that it stops."""

    def _to_wait_for(self, effect: object) -> dict[int, str]:
        return {}


class GoesOnWithoutTheLease(ClusterWorker):
    """An effect in its middle goes on when another agent drives."""

    def _without_lease(self, other_driver: str | None) -> set[str]:
        return set()


class LosesOutcomes(ClusterWorker):
    """An effect whose outcome could not be posted is not performed again."""

    def post_failed(self, message: msg.Observation, now: float) -> None:
        pass


class SaysItOnce(ClusterRules):
    """A rule state that was lost on its way is not posted again."""

    def _unknown_to(self, migration: Migration, now: float) -> list[msg.RuleStateObserved]:
        return []


class PostsRulesOnce(ClusterWorker):
    """Has such rules."""

    rules_kind = SaysItOnce


class NeverWakes(ClusterWorker):
    """No Tick is posted when the state asks for one."""

    def _wake(self, migration: Migration, now: float) -> list[Action]:
        return []


PAUSED = _acts((2.45, "pause"), (10.0, "resume"), (12.0, "pause"), (14.0, "resume"))
# The rule is clear again while nothing can be posted.
CLEARED_UNHEARD = _acts(
    (5.0, "metrics_bad"),
    (12.0, "metrics_calm"),
    (16.0, "control_kafka_down"),
    metrics=True,
    size_bytes=300.0,
)
CASES: dict[str, tuple[str, type[ClusterWorker], Schedule]] = {
    "an effect is started twice": ("each_effect_runs_once", StartsTwice, PLAIN),
    "an effect that has ended is started again": (
        "each_effect_runs_once",
        StartsWhatHasEnded,
        PLAIN,
    ),
    "a watch is not restarted": (
        "finished_paused_or_blocked",
        LeavesAWatchThatFailed,
        _acts((3.0, "control_kafka_down"), (8.0, "control_kafka_down"), size_bytes=300.0),
    ),
    "a stop overtakes its request": ("no_effect_overtakes_another", Overtakes, PAUSED),
    "a lost lease is ignored": (
        "nothing_acts_without_the_lease",
        GoesOnWithoutTheLease,
        _acts((2.2, "lease_lost"), (20.0, "lease_lost")),
    ),
    "an outcome that could not be posted is lost": (
        "every_command_has_its_answer",
        LosesOutcomes,
        _acts((2.0, "control_kafka_down")),
    ),
    "a rule state is not posted again": ("calm_metrics_let_go", PostsRulesOnce, CLEARED_UNHEARD),
    "a due state is not woken": (
        "finished_paused_or_blocked",
        NeverWakes,
        _acts((2.2, "cc_crowded"), (2.3, "lease_lost")),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_caught(case: str) -> None:
    """Each fault breaks the invariant that stands against it, and the right class breaks none."""
    invariant, worker, schedule = CASES[case]
    _caught(invariant, Cast(worker=worker), schedule)
