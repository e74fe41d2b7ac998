"""Agents that hear their metric rules wrongly, each caught by the invariant that stands against
it.
"""

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.metrics.rules import Level
from agent.core.migration import Migration
from agent.core.model.reasons import Code, Reason
from agent.performer.performer import Performer
from agent.worker.cluster_worker import Action, ClusterWorker, PostToInbox
from tests.simulation.simulation import Cast
from tests.simulation.test_mutations import _acts, _caught


class NeverLetsGo(ClusterWorker):
    """Keeps it for itself that a rule is clear again."""

    def _keep(self, actions: list[Action]) -> list[Action]:
        return [
            action
            for action in actions
            if not isinstance(action, PostToInbox)
            or not isinstance(action.message, msg.RuleStateObserved)
            or action.message.level is not Level.CLEAR
        ]

    def evaluate(self, migration: Migration, now: float) -> list[Action]:
        return self._keep(super().evaluate(migration, now))

    def tick(self, migration: Migration, now: float, other_driver: str | None) -> list[Action]:
        return self._keep(super().tick(migration, now, other_driver))


class NeverStops(Performer):
    async def _stop(self, effect: fx.StopWave, m: Migration) -> msg.Outcome:
        return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, "later"))


def test_a_rule_that_never_lets_go_is_caught() -> None:
    """A calm cluster that stays paused by metrics."""
    acts = _acts((5.0, "metrics_bad"), (20.0, "metrics_silent"), metrics=True)
    _caught("calm_metrics_let_go", Cast(worker=NeverLetsGo), acts)


def test_a_move_that_goes_on_while_a_rule_pauses_is_caught() -> None:
    """A stop that is only promised."""
    acts = _acts((5.0, "metrics_bad"), (15.0, "metrics_bad"), metrics=True, size_bytes=2_000.0)
    _caught("nothing_moves_while_a_metric_pauses", Cast(performer=NeverStops), acts)
