"""How alerts, judged metrics and lost brokers are met: causes are set, held off and lifted. Called by decide.py.

An outside alert is a cause `alert:NAME`, a rule of the policy `metric:NAME`; what set a cause lifts it.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import flow
from agent.core.metrics.adaptive_rate import next_rate
from agent.core.metrics.rules import Action, Level
from agent.core.migration import ACTIVE, METRIC, Phase
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import ThrottleBy
from agent.core.planning.wave_sizing import lower_limit
from agent.core.step import StepContext


def alert_changed(d: StepContext, o: msg.AlertChanged) -> None:
    """An outside monitor speaks. It has no measure: `slow` means the floor."""
    name = f"alert:{o.name}"
    if not o.slow:
        if o.firing:
            _add_pause_cause(d, name, o.seen)
        else:
            _lift_pause_cause(d, name, d.policy.flaps_max, d.policy.flap_window_seconds)
    elif o.firing and not d.slow_cause(name):
        d.emit(ev.SlowCauseAdded(at=d.at, cause=name, seen=o.seen))
        flow.retune(d, rate_only=True)
    elif not o.firing and d.slow_cause(name):
        d.emit(ev.SlowCauseLifted(at=d.at, cause=name))
        flow.retune(d, rate_only=True)


_CODES = {
    Level.FIRING: Code.METRIC_BEYOND_THRESHOLD,
    Level.INCONCLUSIVE: Code.METRIC_INCONCLUSIVE,
    Level.CLEAR: Code.METRIC_CLEAR,
}


def rule_state_observed(d: StepContext, o: msg.RuleStateObserved) -> None:
    """A rule speaks: told in any case, and then done what it wants."""
    known = next((j for j in d.migration.rule_states if j.rule == o.rule), None)
    if (o.level, o.action) == ((known.level, known.action) if known else (Level.CLEAR, o.action)):
        return
    reason = Reason(_CODES[o.level], o.seen)
    d.emit(
        ev.RuleStateChanged(
            at=d.at,
            rule=o.rule,
            level=o.level,
            action=o.action,
            fired=o.fired,
            metric=o.metric,
            broker=o.broker,
            value=o.value,
            threshold=o.threshold,
            since=o.since,
            reason=reason,
        )
    )
    name = METRIC + o.rule
    pauses = o.level is not Level.CLEAR and o.action is Action.PAUSE
    slows = o.level is not Level.CLEAR and o.action is Action.SLOW
    if slows and not d.slow_cause(name):
        d.emit(ev.SlowCauseAdded(at=d.at, cause=name, seen=str(reason)))
        _adapt_throttle(
            d, msg.HeadroomObserved(at=o.at, rule=o.rule, broker=o.broker, value=o.value or 0.0, headroom=0.0)
        )
    elif not slows and not pauses and d.slow_cause(name):
        d.emit(ev.SlowCauseLifted(at=d.at, cause=name))  # the rate climbs back by headroom, it does not jump
    if pauses:
        _add_pause_cause(d, name, str(reason))
    else:
        rule = next((r for r in d.policy.rules if r.name == o.rule), None)
        limits = rule or d.policy
        _lift_pause_cause(d, name, limits.flaps_max, limits.flap_window_seconds)


# ── causes: hold-off and flap limit ─────────────────────────────────────────────────────────────────────────────
def _add_pause_cause(d: StepContext, name: str, seen: str) -> None:
    cause = d.pause_cause(name)
    if (cause and not cause.latched) or any(h.name == name for h in d.migration.suppressed):
        return
    until = d.migration.resumed_at + d.policy.hold_off_seconds
    if cause is None and d.migration.resumed_at and d.at < until:
        d.emit(ev.CauseSuppressed(at=d.at, cause=name, seen=seen, until=until))
        return
    d.emit(ev.PauseCauseAdded(at=d.at, cause=name, seen=seen))
    flow.pause_if_moving(d)


def _lift_pause_cause(d: StepContext, name: str, flaps_max: int, window_seconds: float) -> None:
    if any(h.name == name for h in d.migration.suppressed):
        d.emit(ev.SuppressedCauseCleared(at=d.at, cause=name))
    cause = d.pause_cause(name)
    if cause is None or cause.latched:
        return
    paused = next((f.times for f in d.migration.flaps if f.name == name), ())
    times = sum(at > d.at - window_seconds for at in paused)
    if times >= flaps_max and d.migration.phase in ACTIVE:
        seen = f"it has paused {times} times in {window_seconds:g} s, and is calm again"
        d.emit(ev.FlapLimitReached(at=d.at, cause=name, reason=Reason(Code.FLAPPING, seen, "a word of an operator")))
        return
    d.emit(ev.PauseCauseLifted(at=d.at, cause=name))
    flow.resume_if_clear(d)


def end_suppressions(d: StepContext) -> None:
    """What has held on through its hold-off pauses now."""
    for h in d.migration.suppressed:
        if d.at >= h.until:
            d.emit(ev.PauseCauseAdded(at=d.at, cause=h.name, seen=h.seen))
            flow.pause_if_moving(d)


# ── the throttle follows the headroom ───────────────────────────────────────────────────────────────────────────
def headroom_observed(d: StepContext, o: msg.HeadroomObserved) -> None:
    """Posted at intervals while a rule slows, and until the rate is back at what was asked."""
    if any(c.name.startswith(METRIC) for c in d.migration.slow_causes) or d.migration.adapted_rate is not None:
        _adapt_throttle(d, o)


def _adapt_throttle(d: StepContext, o: msg.HeadroomObserved) -> None:
    m, policy = d.migration, d.policy
    moving = d.in_phase(Phase.MOVING)
    if m.options.throttle_by is ThrottleBy.CRUISE_CONTROL or (o.headroom > 0 and not moving) or m.phase not in ACTIVE:
        return
    bound = m.wave.throttle_bytes_per_second_max if m.wave else None
    asked, before = lower_limit(m.options.throttle_bytes_per_second, bound), m.adapted_rate
    # Without a throttle there is no ceiling but what was reached: from there it comes down.
    reached = int(m.progress.rate_bytes_per_second) if m.progress else 0
    ceiling = asked or (before.ceiling_bytes_per_second if before else max(reached, policy.slow_bytes_per_second * 2))
    rate, seconds = ceiling, policy.adapt_seconds
    if before is not None:
        rate = min(before.bytes_per_second, ceiling)
        seconds = d.at - (max(before.since, m.phase_since) if moving else before.since)
    if seconds < policy.adapt_seconds or (before is None and o.headroom > 0):
        return
    to = next_rate(rate, policy.slow_bytes_per_second, ceiling, o.headroom, seconds)
    if (to == rate and to < ceiling) or (before is None and to >= ceiling):
        return
    d.emit(
        ev.ThrottleAdapted(
            at=d.at,
            bytes_per_second=to if to < ceiling else None,
            before_bytes_per_second=before.bytes_per_second if before else asked,
            ceiling_bytes_per_second=ceiling,
            rule=o.rule,
            broker=o.broker,
            value=o.value,
            headroom=o.headroom,
        )
    )
    flow.retune(d, rate_only=True)


# ── brokers ─────────────────────────────────────────────────────────────────────────────────────────────────────
def brokers_observed(d: StepContext, o: msg.BrokersObserved) -> None:
    """A broker that is lost pauses at once what moves, or is about to; the checks of a pause find when it is back.

    A broker that was restarted comes back within the resume delay: the pause is one all the same, as its replicas have
    to catch up first. Drained brokers may leave.
    """
    if not d.in_phase(Phase.CHECKING, Phase.REQUESTING, Phase.MOVING):
        return
    drained = {s.broker_id for s in d.migration.sources}
    gone = ((set(o.lost) - drained) | d.migration.brokers_of_open_waves) - set(o.registered)
    if gone:
        named = ", ".join(map(str, sorted(gone)))
        set_safety_causes(d, (Reason(Code.BROKER_DOWN, f"brokers {named} are not registered", "every broker alive"),))
        flow.pause_if_moving(d)


def set_safety_causes(d: StepContext, reasons: tuple[Reason, ...]) -> None:
    """A cause for each reason that has none yet."""
    for r in reasons:
        name = f"safety:{r.code}"
        if not d.pause_cause(name):
            d.emit(ev.PauseCauseAdded(at=d.at, cause=name, seen=r.seen))
