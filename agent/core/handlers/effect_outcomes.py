"""Meets the end of an effect, by the rules that `EFFECTS` names for it, and the passing of time.

Called by decide.py.
"""

from collections.abc import Callable
from typing import Any

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import (
    EFFECTS,
    DeregisterEndpoints,
    OutcomeRule,
    RegisterEndpoints,
    RetryRule,
)
from agent.core.handlers import (
    discovery,
    flow,
    kraft_commands,
    kraft_flow,
    pause_causes,
    plan_survey,
    wave_outcomes,
)
from agent.core.migration import Phase
from agent.core.model.endpoints import Deregistered
from agent.core.step import StepContext

_RETRY_FACTOR = 1.5
_RETRY_SECONDS_MAX = 15.0


def tick(ctx: StepContext, observation: msg.Tick) -> None:
    """Does what has become due: ends hold-offs, requests an effect again, begins the next wave."""
    pause_causes.end_suppressions(ctx)
    if ctx.migration.retry_at is not None and observation.at >= ctx.migration.retry_at:
        flow.retry_pending_effect(ctx)
    flow.advance(ctx)
    discovery.update_registry_at_rest(ctx)


def effect_ended(ctx: StepContext, observation: msg.EffectEnded) -> None:
    """Records the outcome and meets it by the rule of its effect.

    An effect that is not pending was abandoned: its late outcome changes nothing.
    """
    pending = next((p for p in ctx.migration.pending if p.effect_id == observation.effect_id), None)
    if pending is None:
        return
    effect, outcome = pending.effect, observation.outcome
    spec = EFFECTS[type(effect)]
    ctx.emit(
        ev.EffectFinished(
            at=ctx.at,
            effect_id=observation.effect_id,
            name=type(effect).__name__,
            outcome=outcome,
            retry_at=RETRY_RULES[spec.retry](ctx, outcome),
        )
    )
    OUTCOME_RULES[spec.outcome](ctx, effect, outcome)


def _registration_ended(
    ctx: StepContext, _effect: RegisterEndpoints | DeregisterEndpoints, outcome: msg.Outcome
) -> None:
    discovery.registration_ended(ctx, outcome)
    flow.advance(ctx)


OUTCOME_RULES: dict[OutcomeRule, Callable[[StepContext, Any, msg.Outcome], None]] = {
    OutcomeRule.PLAN_SURVEY: plan_survey.surveyed,
    OutcomeRule.WAVE: wave_outcomes.wave_effect_ended,
    OutcomeRule.REGISTRY: _registration_ended,
    OutcomeRule.KRAFT_SURVEY: kraft_commands.kraft_surveyed,
    OutcomeRule.KRAFT_STEP: kraft_flow.kraft_effect_ended,
}


# ── when an effect is requested again ─────────────────────────────────────────────────────────────
def _clock_unchanged(ctx: StepContext, _outcome: msg.Outcome) -> float | None:
    return ctx.migration.retry_at


def _after_outcome(ctx: StepContext, outcome: msg.Outcome) -> float | None:
    delay = _DELAYS.get(type(outcome))
    seconds = delay(ctx, outcome) if delay else None
    return None if seconds is None else ctx.at + seconds


def _after_outcome_without_wave(ctx: StepContext, outcome: msg.Outcome) -> float | None:
    rule = _after_outcome if discovery.has_retry_clock(ctx) else _clock_unchanged
    return rule(ctx, outcome)


RETRY_RULES: dict[RetryRule, Callable[[StepContext, msg.Outcome], float | None]] = {
    RetryRule.NONE: _clock_unchanged,
    RetryRule.WAVE: _after_outcome,
    RetryRule.REGISTRY: _after_outcome_without_wave,
}


def _with_backoff(ctx: StepContext, seconds: float) -> float:
    return min(seconds * _RETRY_FACTOR ** min(ctx.migration.retries, 10), _RETRY_SECONDS_MAX)


def _after_busy(ctx: StepContext, _outcome: msg.Busy) -> float:
    return _with_backoff(ctx, ctx.policy.busy_retry_seconds)


def _after_unreachable(ctx: StepContext, _outcome: msg.Unreachable) -> float:
    return _with_backoff(ctx, ctx.policy.unreachable_retry_seconds)


def _after_rejected(ctx: StepContext, _outcome: msg.Rejected) -> float | None:
    """Only a stopping or paused migration cannot fall into a block, so it looks again, slowly."""
    return _RETRY_SECONDS_MAX if ctx.in_phase(Phase.STOPPING, Phase.PAUSED) else None


def _after_checked(ctx: StepContext, outcome: msg.Checked) -> float | None:
    if ctx.in_phase(Phase.PAUSED):
        held = outcome.reasons or any(c.is_safety for c in ctx.migration.pause_causes)
        return ctx.policy.recheck_seconds if held else None
    return ctx.policy.busy_retry_seconds if outcome.passing else None


def _after_inspected(ctx: StepContext, _outcome: msg.Inspected) -> float:
    return ctx.policy.busy_retry_seconds


def _after_deregistered(_ctx: StepContext, outcome: Deregistered) -> float | None:
    return _RETRY_SECONDS_MAX if outcome.held else None


# Seconds until the effect is requested again. An outcome that is not here needs no repetition.
_DELAYS: dict[type[msg.Outcome], Callable[[StepContext, Any], float | None]] = {
    msg.Busy: _after_busy,
    msg.Unreachable: _after_unreachable,
    msg.Rejected: _after_rejected,
    msg.Checked: _after_checked,
    msg.Inspected: _after_inspected,
    Deregistered: _after_deregistered,
}
