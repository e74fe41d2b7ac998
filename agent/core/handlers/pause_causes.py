"""Meets alerts, rule states and lost brokers: adds, holds off and lifts the causes of a pause.

Called by decide.py.

An outside alert sets the cause `alert:NAME`, a rule of the policy `metric:NAME`, and a safety check
`safety:CODE`. Only what set a cause, or an operator, lifts it.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import adaptive_throttle, flow
from agent.core.metrics.rules import Action, Level
from agent.core.migration import ACTIVE, Phase
from agent.core.model.causes import METRIC
from agent.core.model.reasons import Code, Reason
from agent.core.step import StepContext


def alert_changed(ctx: StepContext, observation: msg.AlertChanged) -> None:
    """Adds or lifts the cause of an outside alert.

    An alert that only slows carries no measure, so the throttle goes down to its floor.
    """
    name = f"alert:{observation.name}"
    if not observation.slow:
        if observation.firing:
            _add_pause_cause(ctx, name, observation.seen)
        else:
            _lift_pause_cause(ctx, name, ctx.policy.flaps_max, ctx.policy.flap_window_seconds)
    elif observation.firing and not ctx.slow_cause(name):
        ctx.emit(ev.SlowCauseAdded(at=ctx.at, cause=name, seen=observation.seen))
        flow.retune(ctx, rate_only=True)
    elif not observation.firing and ctx.slow_cause(name):
        ctx.emit(ev.SlowCauseLifted(at=ctx.at, cause=name))
        flow.retune(ctx, rate_only=True)


_CODES = {
    Level.FIRING: Code.METRIC_BEYOND_THRESHOLD,
    Level.INCONCLUSIVE: Code.METRIC_INCONCLUSIVE,
    Level.CLEAR: Code.METRIC_CLEAR,
}


def rule_state_observed(ctx: StepContext, observation: msg.RuleStateObserved) -> None:
    """Publishes the rule's new state, then pauses, slows or resumes as its action demands."""
    known = next((j for j in ctx.migration.rule_states if j.rule == observation.rule), None)
    if (observation.level, observation.action) == (
        (known.level, known.action) if known else (Level.CLEAR, observation.action)
    ):
        return
    reason = Reason(_CODES[observation.level], observation.seen)
    ctx.emit(
        ev.RuleStateChanged(
            at=ctx.at,
            rule=observation.rule,
            level=observation.level,
            action=observation.action,
            fired=observation.fired,
            metric=observation.metric,
            broker=observation.broker,
            value=observation.value,
            threshold=observation.threshold,
            since=observation.since,
            reason=reason,
        )
    )
    name = METRIC + observation.rule
    pauses = observation.level is not Level.CLEAR and observation.action is Action.PAUSE
    slows = observation.level is not Level.CLEAR and observation.action is Action.SLOW
    if slows and not ctx.slow_cause(name):
        ctx.emit(ev.SlowCauseAdded(at=ctx.at, cause=name, seen=str(reason)))
        adaptive_throttle.adapt(
            ctx,
            msg.HeadroomObserved(
                at=observation.at,
                rule=observation.rule,
                broker=observation.broker,
                value=observation.value or 0.0,
                headroom=0.0,
            ),
        )
    elif not slows and not pauses and ctx.slow_cause(name):
        # The rate is left where it is: it climbs back by headroom and does not jump.
        ctx.emit(ev.SlowCauseLifted(at=ctx.at, cause=name))
    if pauses:
        _add_pause_cause(ctx, name, str(reason))
    else:
        rule = next((r for r in ctx.policy.rules if r.name == observation.rule), None)
        limits = rule or ctx.policy
        _lift_pause_cause(ctx, name, limits.flaps_max, limits.flap_window_seconds)


# ── causes: hold-off and flap limit ───────────────────────────────────────────────────────────────
def _add_pause_cause(ctx: StepContext, name: str, seen: str) -> None:
    cause = ctx.pause_cause(name)
    if (cause and not cause.latched) or any(h.name == name for h in ctx.migration.suppressed):
        return
    until = ctx.migration.resumed_at + ctx.policy.hold_off_seconds
    if cause is None and ctx.migration.resumed_at and ctx.at < until:
        ctx.emit(ev.CauseSuppressed(at=ctx.at, cause=name, seen=seen, until=until))
        return
    ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=name, seen=seen))
    flow.pause_if_moving(ctx)


def _lift_pause_cause(ctx: StepContext, name: str, flaps_max: int, window_seconds: float) -> None:
    if any(h.name == name for h in ctx.migration.suppressed):
        ctx.emit(ev.SuppressedCauseCleared(at=ctx.at, cause=name))
    cause = ctx.pause_cause(name)
    if cause is None or cause.latched:
        return
    paused = next((f.times for f in ctx.migration.flaps if f.name == name), ())
    times = sum(at > ctx.at - window_seconds for at in paused)
    if times >= flaps_max and ctx.migration.phase in ACTIVE:
        seen = f"it has paused {times} times in {window_seconds:g} s, and is calm again"
        ctx.emit(
            ev.FlapLimitReached(
                at=ctx.at, cause=name, reason=Reason(Code.FLAPPING, seen, "a word of an operator")
            )
        )
        return
    ctx.emit(ev.PauseCauseLifted(at=ctx.at, cause=name))
    flow.resume_if_clear(ctx)


def end_suppressions(ctx: StepContext) -> None:
    """Adds each cause that still holds at the end of its hold-off: from now on it pauses."""
    for h in ctx.migration.suppressed:
        if ctx.at >= h.until:
            ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=h.name, seen=h.seen))
            flow.pause_if_moving(ctx)


# ── brokers ───────────────────────────────────────────────────────────────────────────────────────
def brokers_observed(ctx: StepContext, observation: msg.BrokersObserved) -> None:
    """Pauses at once what moves, or is about to, when a broker is lost; drained brokers may leave.

    The checks of a pause find when the broker is back. Even a broker that was only restarted causes
    a pause, because its replicas have to catch up first.
    """
    if not ctx.in_phase(Phase.CHECKING, Phase.REQUESTING, Phase.MOVING):
        return
    drained = {s.broker_id for s in ctx.migration.sources}
    gone = ((set(observation.lost) - drained) | ctx.migration.brokers_of_open_waves) - set(
        observation.registered
    )
    if gone:
        named = ", ".join(map(str, sorted(gone)))
        set_safety_causes(
            ctx,
            (
                Reason(
                    Code.BROKER_DOWN, f"brokers {named} are not registered", "every broker alive"
                ),
            ),
        )
        flow.pause_if_moving(ctx)


def set_safety_causes(ctx: StepContext, reasons: tuple[Reason, ...]) -> None:
    """Adds a safety cause for each reason that has none yet."""
    for r in reasons:
        name = f"safety:{r.code}"
        if not ctx.pause_cause(name):
            ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=name, seen=r.seen))
