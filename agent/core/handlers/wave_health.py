"""Decides what a problem that is seen while a wave moves means: a report, or a cause to pause.

Called by wave_observed.py and wave_outcomes.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import WAVE_EFFECTS
from agent.core.handlers import flow, pause_causes
from agent.core.migration import StopFor
from agent.core.model.causes import OTHERS
from agent.core.model.reasons import Code, Reason
from agent.core.model.throttle import foreign_rates
from agent.core.step import StepContext

# These pause a running move only when they last: producers and consumers are still served.
_WITH_GRACE = frozenset(
    {Code.UNDER_REPLICATED, Code.LISTENER_UNREACHABLE, Code.COORDINATOR_LOADING}
)
# These are reported while they last and stop nothing. A throttle that somebody else has set changes
# the speed of copies and harms no data; stopping would lose the copied bytes, and replacing it
# would undo what somebody may have meant. The wave ends under it and leaves it alone, and no other
# wave begins (broker_checks.no_foreign_throttle).
_TOLERATED = frozenset({Code.FOREIGN_THROTTLE})
# Self-healing that is switched on while Cruise Control moves a wave of ours is reported, the wave
# is finished, and no other begins (cluster_checks.no_self_healing). A running execution holds
# healing off; a stop of ours would let it start within seconds, in the middle of the wave.
# Switching it off by `admin` would undo what somebody may have meant, and would have to be put back
# at the end. What the agent moves by itself holds nothing off, so there it pauses.
_FINISHED_UNDER = frozenset({Code.SELF_HEALING_ON})
_STOPPED_BY_OTHERS = f"{OTHERS}{Code.EXECUTION_STOPPED_BY_OTHERS}"
# These are reported elsewhere and waited for; they are no reason to stop what moves.
_REPORTED_ONLY = frozenset(
    {
        Code.CRUISE_CONTROL_UNREACHABLE,
        Code.CRUISE_CONTROL_LOGIN_REFUSED,
        Code.KAFKA_UNREACHABLE,
        Code.KAFKA_LOGIN_REFUSED,
        Code.THROTTLE_NOT_IN_FORCE,
    }
)


def update_safety_causes(ctx: StepContext, observation: msg.WaveObserved) -> bool:
    """Adds a cause to pause for each reason that is serious or has lasted; True if any holds."""
    reported = tuple(r for r in observation.reasons if r.code not in _REPORTED_ONLY)
    issues = (*reported, *foreign_rates(observation.rates, ctx.migration.throttle_rates_set))
    if tuple(dict.fromkeys(str(r.code) for r in issues)) != tuple(
        c for c, _ in ctx.migration.health_issues
    ):
        ctx.emit(ev.HealthChanged(at=ctx.at, reasons=issues))
    since = dict(ctx.migration.health_issues)
    by_cruise_control = ctx.migration.wave is not None and ctx.migration.wave.selection is None
    tolerated = _TOLERATED | _FINISHED_UNDER if by_cruise_control else _TOLERATED
    serious = (r for r in issues if r.code not in tolerated)
    lasting = tuple(
        r
        for r in serious
        if r.code not in _WITH_GRACE or ctx.at >= since[str(r.code)] + ctx.policy.grace_seconds
    )
    pause_causes.set_safety_causes(ctx, lasting)
    if any(
        r.code is Code.THROTTLE_NOT_IN_FORCE for r in observation.reasons
    ) and not ctx.migration.pending_effect(*WAVE_EFFECTS):
        flow.retune(ctx, rate_only=True)
    return bool(lasting)


def against_going_on(ctx: StepContext, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """The reasons of a check that stand against this attempt: a wave that only fell short is
    finished under some of them.
    """
    finished_under = (
        _FINISHED_UNDER
        if ctx.migration.finishes and ctx.migration.wave and ctx.migration.wave.selection is None
        else frozenset()
    )
    return tuple(r for r in reasons if r.code not in finished_under)


def stopped_by_others(ctx: StepContext, seen: msg.WaveObserved | msg.Inspected) -> bool:
    """Whether somebody else has stopped this attempt; if so, adds a cause that an operator lifts.

    Cruise Control's user tasks show who asked for a stop. `CompletedWithError` alone does not tell
    a stop from a failure, which is requested again. A stop that an operator has answered with
    `resume` does not pause again.
    """
    if not seen.stopped_by or _is_answered(ctx):
        return False
    _pause_for_others(ctx, seen.stopped_by, seen.replicas_left)
    return True


def told_by_a_stop(ctx: StepContext, outcome: msg.Outcome) -> None:
    """Adds the same cause when our own stop came after somebody else's.

    When the cause of our stop is gone, the other one still waits for an operator.
    """
    if (
        isinstance(outcome, msg.Performed)
        and outcome.stopped_by
        and not _is_answered(ctx)
        and ctx.migration.stop_for is StopFor.PAUSE
    ):
        _pause_for_others(ctx, outcome.stopped_by, outcome.replicas_left)


def _is_answered(ctx: StepContext) -> bool:
    """Whether an operator has said `resume` since this attempt was requested."""
    return ctx.migration.resumed_at > ctx.migration.executor_since


def _pause_for_others(ctx: StepContext, stopped_by: str, replicas_left: int | None) -> None:
    wave = ctx.migration.wave
    assert wave is not None
    if ctx.pause_cause(_STOPPED_BY_OTHERS):
        return
    left = "an unknown number" if replicas_left is None else str(replicas_left)
    seen = (
        f"another hand has stopped the execution of wave {wave.number} attempt {wave.attempt}, "
        f"by Cruise Control's user tasks {stopped_by}: "
        f"{left} of {ctx.migration.attempt_replicas} replicas are still to move"
    )
    ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=_STOPPED_BY_OTHERS, seen=seen))
