"""When clients are told of brokers, and when no longer: the service registry beside the course of a migration.

Called by course.py, sources.py and observations.py. Without a registry (Policy.discovery False) nothing is to do here.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.draft import Draft
from agent.core.effects import DeregisterEndpoints, Effect, RegisterEndpoints
from agent.core.endpoints import Deregistered, Registered
from agent.core.migration import RESTING, Migration, Phase, Source
from agent.core.options import Policy
from agent.core.plan import Direction

# A way back is not held up longer by a registry that does not answer: brokers are found through one another as well.
PUT_BACK_SECONDS = 60.0


def must_register_first(d: Draft) -> bool:
    """Before a wave: True while clients cannot find the brokers that it fills. Asks for what is missing."""
    if not d.policy.discovery or not _missing(d.m):
        return False
    if d.m.direction is Direction.BACK and d.at >= d.m.phase_since + PUT_BACK_SECONDS:
        d.abandon(RegisterEndpoints)
        return False
    _register(d)
    return True


def at_rest(d: Draft) -> None:
    """Nothing moves: put back what a way back still misses, or take out what has been empty for the grace."""
    if not d.policy.discovery or d.m.phase not in RESTING:
        return
    if d.m.phase is Phase.ROLLED_BACK and _missing(d.m):
        _register(d)
        return
    due = tuple(s.broker_id for s in d.m.sources if _is_due(s, d.at, d.policy) and not is_out(d, s))
    if due and _is_free(d):
        d.ask(DeregisterEndpoints(broker_ids=due))


def is_out(d: Draft, source: Source) -> bool:
    """Whether this drained broker is no longer shown to clients; True where there is no registry to show it."""
    return not d.policy.discovery or source.broker_id in d.m.endpoints.gone


def may_wait(d: Draft, effect: Effect) -> bool:
    """Whether the clock for asking again is this effect's: elsewhere the wave has it."""
    beside = isinstance(effect, (RegisterEndpoints, DeregisterEndpoints))
    return not beside or d.m.phase in RESTING or d.in_phase(Phase.BETWEEN_WAVES)


def ended(d: Draft, outcome: msg.Outcome) -> None:
    """How RegisterEndpoints or DeregisterEndpoints ended."""
    if isinstance(outcome, Registered):
        d.wait()
        restored = bool(set(outcome.broker_ids) & set(d.m.endpoints.taken_out))
        d.emit(ev.EndpointsRegistered(at=d.at, broker_ids=outcome.broker_ids, restored=restored, others=outcome.others))
    elif isinstance(outcome, Deregistered):
        d.wait(*outcome.held)
        if out := outcome.broker_ids:
            d.emit(ev.EndpointsDeregistered(at=d.at, broker_ids=out, connections_counted=outcome.counted))
    elif isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)) and (
        d.m.phase in RESTING or d.in_phase(Phase.BETWEEN_WAVES)
    ):
        d.wait(outcome.reason)


def _register(d: Draft) -> None:
    if not _is_free(d):
        return
    missing = _missing(d.m)
    back = d.m.direction is Direction.BACK
    sources = {b for w in d.m.waves for b in w.source_broker_ids} - set(missing)
    d.ask(
        RegisterEndpoints(
            broker_ids=missing,
            other_broker_ids=() if back else tuple(sorted(sources)),
            restore=d.m.endpoints.to_restore(missing),
        )
    )


def _is_free(d: Draft) -> bool:
    """Nothing of the kind is under way, and it is time to ask."""
    waits = d.m.retry_at is not None and d.at < d.m.retry_at
    return not waits and d.m.pending_effect(RegisterEndpoints, DeregisterEndpoints) is None


def _missing(m: Migration) -> tuple[int, ...]:
    """Forward: every destination of the migration, before its first wave. Back: what we may have taken out."""
    direction = m.direction
    filled = {b for w in m.waves if w.direction is direction for b in w.destination_broker_ids}
    known = m.endpoints
    if direction is Direction.BACK:
        return tuple(sorted(filled & set(known.taken_out)))
    return tuple(sorted(filled - set(known.registered)))


def _is_due(s: Source, at: float, policy: Policy) -> bool:
    """Drained, and every client that was told of it has asked for news since (metadata.max.age.ms)."""
    return s.empty_since is not None and at >= s.empty_since + max(policy.quiet_seconds, policy.discovery_grace_seconds)
