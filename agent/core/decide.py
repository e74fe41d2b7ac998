"""The one way into the core: `step(migration, message, policy) -> Step(migration, events)`.

turn.py (and the simulation) calls it for every message of the inbox. `_HANDLERS` says which
function of handlers/ meets which message; what comes next is decided in handlers/flow.py.
"""

from collections.abc import Callable
from typing import Any

from agent.core import messages as msg
from agent.core.handlers import (
    adaptive_throttle,
    answers,
    commands,
    drained_sources,
    effect_outcomes,
    kraft_commands,
    kraft_flow,
    pause_causes,
    wave_observed,
)
from agent.core.migration import Migration
from agent.core.planning.policy import Policy
from agent.core.step import Step, StepContext

_HANDLERS: dict[type[msg.Message], Callable[[StepContext, Any], None]] = {
    msg.PlanMigration: commands.plan,
    msg.StartMigration: commands.start,
    msg.PauseMigration: commands.pause,
    msg.ResumeMigration: commands.resume,
    msg.RollBackMigration: commands.roll_back,
    msg.CancelMigration: commands.cancel,
    msg.TuneMigration: commands.tune,
    msg.ApproveMigration: commands.approve,
    msg.RetryWave: commands.retry,
    msg.SkipWave: commands.skip,
    msg.KraftCommand: kraft_commands.kraft_command,
    msg.KraftObserved: kraft_flow.kraft_observed,
    msg.RefuseCommand: commands.refuse,
    msg.Tick: effect_outcomes.tick,
    msg.EffectEnded: effect_outcomes.effect_ended,
    msg.WaveObserved: wave_observed.wave_observed,
    msg.SourcesObserved: drained_sources.sources_observed,
    msg.ThrottleSwept: drained_sources.throttle_swept,
    msg.AlertChanged: pause_causes.alert_changed,
    msg.RuleStateObserved: pause_causes.rule_state_observed,
    msg.HeadroomObserved: adaptive_throttle.headroom_observed,
    msg.BrokersObserved: pause_causes.brokers_observed,
}


def step(migration: Migration, message: msg.Message, policy: Policy) -> Step:
    """Meet one message.

    In: the state as saved, a message, and the cluster's policy. Out: the new state and the events
    that led to it. A command that was answered before changes nothing.

    Raises InvalidTransitionError or KeyError on a bug only; the caller then saves nothing.
    """
    ctx = StepContext(migration, message.at, policy)
    if isinstance(message, msg.Command) and answers.is_repeat(ctx, message):
        return ctx.done()
    _HANDLERS[type(message)](ctx, message)
    return ctx.done()
