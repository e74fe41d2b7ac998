"""What a look at a moving wave found against it: told, tolerated, or a cause to pause. Called by observations.py."""

from agent.core import course, verdicts
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.draft import Draft
from agent.core.reasons import Code
from agent.core.throttle import rates_of_others

# What pauses a running move only when it lasts: producers and consumers are still served.
_WITH_GRACE = frozenset({Code.UNDER_REPLICATED, Code.LISTENER_UNREACHABLE, Code.COORDINATOR_LOADING})
# What is told while it lasts, and stops nothing: a throttle of another hand slows or hastens copies, and harms no data.
# Stopping would lose the copied bytes, and writing over it would undo what somebody may have meant: a wave ends under
# it, neither touching nor clearing it, and no wave begins (fitness.no_foreign_throttle).
_TOLERATED = frozenset({Code.FOREIGN_THROTTLE})
# What is told and waited for, but is no reason to stop what moves.
_ONLY_TOLD = frozenset({Code.CRUISE_CONTROL_UNREACHABLE, Code.KAFKA_UNREACHABLE, Code.THROTTLE_NOT_IN_FORCE})


def unsafe(d: Draft, o: msg.WaveObserved) -> bool:
    """Set a cause for every reason that is grave, or has lasted; True if any holds now."""
    told = tuple(r for r in o.reasons if r.code not in _ONLY_TOLD)
    judged = (*told, *rates_of_others(o.rates, d.m.own_rates))
    if tuple(dict.fromkeys(str(r.code) for r in judged)) != tuple(c for c, _ in d.m.unwell):
        d.emit(ev.HealthChanged(at=d.at, reasons=judged))
    since = dict(d.m.unwell)
    graves = (r for r in judged if r.code not in _TOLERATED)
    grave = tuple(r for r in graves if r.code not in _WITH_GRACE or d.at >= since[str(r.code)] + d.policy.grace_seconds)
    verdicts.set_safety_causes(d, grave)
    if any(r.code is Code.THROTTLE_NOT_IN_FORCE for r in o.reasons) and not d.m.pending_effect(*course.MAIN_LINE):
        course.retune(d, slowed=True)
    return bool(grave)
