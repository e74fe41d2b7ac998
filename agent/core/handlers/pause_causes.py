"""How alerts, judged metrics and lost brokers are met: causes are set, held off and lifted.

Called by decide.py.

An outside alert is a cause `alert:NAME`, a rule of the policy `metric:NAME`; what set a cause lifts
it.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import flow
from agent.core.metrics.adaptive_rate import next_rate
from agent.core.metrics.rules import Action, Level
from agent.core.migration import ACTIVE, Phase
from agent.core.model.causes import METRIC
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import ThrottleBy
from agent.core.planning.wave_sizing import lower_limit
from agent.core.step import StepContext


def alert_changed(ctx: StepContext, observation: msg.AlertChanged) -> None:
    """An outside monitor speaks. It has no measure: `slow` means the floor."""
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
    """A rule speaks: told in any case, and then done what it wants."""
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
        _adapt_throttle(
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
        # the rate climbs back by headroom, it does not jump
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
    """What has held on through its hold-off pauses now."""
    for h in ctx.migration.suppressed:
        if ctx.at >= h.until:
            ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=h.name, seen=h.seen))
            flow.pause_if_moving(ctx)


# ── the throttle follows the headroom ─────────────────────────────────────────────────────────────
def headroom_observed(ctx: StepContext, observation: msg.HeadroomObserved) -> None:
    """Posted at intervals while a rule slows, and until the rate is back at what was asked."""
    if (
        any(c.name.startswith(METRIC) for c in ctx.migration.slow_causes)
        or ctx.migration.adapted_rate is not None
    ):
        _adapt_throttle(ctx, observation)


def _adapt_throttle(ctx: StepContext, observation: msg.HeadroomObserved) -> None:
    m, policy = ctx.migration, ctx.policy
    moving = ctx.in_phase(Phase.MOVING)
    if (
        m.options.throttle_by is ThrottleBy.CRUISE_CONTROL
        or (observation.headroom > 0 and not moving)
        or m.phase not in ACTIVE
    ):
        return
    bound = m.wave.throttle_bytes_per_second_max if m.wave else None
    asked, before = lower_limit(m.options.throttle_bytes_per_second, bound), m.adapted_rate
    # Without a throttle there is no ceiling but what was reached: from there it comes down.
    reached = int(m.progress.rate_bytes_per_second) if m.progress else 0
    ceiling = asked or (
        before.ceiling_bytes_per_second
        if before
        else max(reached, policy.slow_bytes_per_second * 2)
    )
    rate, seconds = ceiling, policy.adapt_seconds
    if before is not None:
        rate = min(before.bytes_per_second, ceiling)
        seconds = ctx.at - (max(before.since, m.phase_since) if moving else before.since)
    if seconds < policy.adapt_seconds or (before is None and observation.headroom > 0):
        return
    to = next_rate(rate, policy.slow_bytes_per_second, ceiling, observation.headroom, seconds)
    if (to == rate and to < ceiling) or (before is None and to >= ceiling):
        return
    ctx.emit(
        ev.ThrottleAdapted(
            at=ctx.at,
            bytes_per_second=to if to < ceiling else None,
            before_bytes_per_second=before.bytes_per_second if before else asked,
            ceiling_bytes_per_second=ceiling,
            rule=observation.rule,
            broker=observation.broker,
            value=observation.value,
            headroom=observation.headroom,
        )
    )
    flow.retune(ctx, rate_only=True)


# ── brokers ───────────────────────────────────────────────────────────────────────────────────────
def brokers_observed(ctx: StepContext, observation: msg.BrokersObserved) -> None:
    """A broker that is lost pauses at once what moves, or is about to; the checks of a pause find
    when it is back.

    A broker that was restarted comes back within the resume delay: the pause is one all the same,
    as its replicas have to catch up first. Drained brokers may leave.
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
    """A cause for each reason that has none yet."""
    for r in reasons:
        name = f"safety:{r.code}"
        if not ctx.pause_cause(name):
            ctx.emit(ev.PauseCauseAdded(at=ctx.at, cause=name, seen=r.seen))
