"""The one way into the core: `step(migration, message, policy) -> Step(migration, events)`.

Called by turn.py (and by the simulation) for every message of the inbox. Orders are met in orders.py, facts in
observations.py; what comes next is in course.py.
"""

from collections.abc import Callable
from typing import Any

from agent.core import kraft_course, kraft_orders, observations, orders, sources, verdicts
from agent.core import messages as msg
from agent.core.draft import Step, StepContext
from agent.core.migration import Migration
from agent.core.options import Policy

_HANDLERS: dict[type[msg.Message], Callable[[StepContext, Any], None]] = {
    msg.PlanMigration: orders.plan,
    msg.StartMigration: orders.start,
    msg.PauseMigration: orders.pause,
    msg.ResumeMigration: orders.resume,
    msg.RollBackMigration: orders.roll_back,
    msg.CancelMigration: orders.cancel,
    msg.TuneMigration: orders.tune,
    msg.ApproveMigration: orders.approve,
    msg.RetryWave: orders.retry,
    msg.SkipWave: orders.skip,
    msg.KraftCommand: kraft_orders.kraft_command,
    msg.KraftObserved: kraft_course.kraft_observed,
    msg.RefuseCommand: orders.refuse,
    msg.Tick: observations.tick,
    msg.EffectEnded: observations.effect_ended,
    msg.WaveObserved: observations.wave_observed,
    msg.SourcesObserved: sources.sources_observed,
    msg.ThrottleSwept: sources.throttle_swept,
    msg.AlertChanged: verdicts.alert_changed,
    msg.RuleStateObserved: verdicts.rule_state_observed,
    msg.HeadroomObserved: verdicts.headroom_observed,
    msg.BrokersObserved: verdicts.brokers_observed,
}


def step(migration: Migration, message: msg.Message, policy: Policy) -> Step:
    """Meet one message.

    In: the state as saved, a message, the cluster's standing orders. Out: the new state and the events that led to it.
    Raises InvalidTransitionError or KeyError only on a bug: then nothing is saved.
    """
    ctx = StepContext(migration, message.at, policy)
    if isinstance(message, msg.Command) and orders.is_repeat(ctx, message):
        return ctx.done()
    _HANDLERS[type(message)](ctx, message)
    return ctx.done()
