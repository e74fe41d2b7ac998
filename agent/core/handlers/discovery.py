"""When clients are told of brokers, and when no longer: the service registry beside the course of a migration.

Called by flow.py, drained_sources.py and observations.py. Without a registry (Policy.discovery False) nothing is to do here.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import DeregisterEndpoints, Effect, RegisterEndpoints
from agent.core.migration import RESTING, DrainedSource, Migration, Phase
from agent.core.model.endpoints import Deregistered, Registered
from agent.core.planning.options import Policy
from agent.core.planning.plan import Direction
from agent.core.step import StepContext

# A way back is not held up longer by a registry that does not answer: brokers are found through one another as well.
RESTORE_SECONDS_MAX = 60.0


def must_register_brokers(d: StepContext) -> bool:
    """Before a wave: True while clients cannot find the brokers that it fills. Asks for what is missing."""
    if not d.policy.discovery or not _missing(d.migration):
        return False
    if d.migration.direction is Direction.BACK and d.at >= d.migration.phase_since + RESTORE_SECONDS_MAX:
        d.abandon(RegisterEndpoints)
        return False
    _register(d)
    return True


def update_registry_at_rest(d: StepContext) -> None:
    """Nothing moves: put back what a way back still misses, or take out what has been empty for the grace."""
    if not d.policy.discovery or d.migration.phase not in RESTING:
        return
    if d.migration.phase is Phase.ROLLED_BACK and _missing(d.migration):
        _register(d)
        return
    due = tuple(s.broker_id for s in d.migration.sources if _is_due(s, d.at, d.policy) and not is_deregistered(d, s))
    if due and _may_request(d):
        d.request(DeregisterEndpoints(broker_ids=due))


def is_deregistered(d: StepContext, source: DrainedSource) -> bool:
    """Whether this drained broker is no longer shown to clients; True where there is no registry to show it."""
    return not d.policy.discovery or source.broker_id in d.migration.endpoints.deregistered


def uses_retry_clock(d: StepContext, effect: Effect) -> bool:
    """Whether the clock for asking again is this effect's: elsewhere the wave has it."""
    beside = isinstance(effect, (RegisterEndpoints, DeregisterEndpoints))
    return not beside or d.migration.phase in RESTING or d.in_phase(Phase.BETWEEN_WAVES)


def registration_ended(d: StepContext, outcome: msg.Outcome) -> None:
    """How RegisterEndpoints or DeregisterEndpoints ended."""
    if isinstance(outcome, Registered):
        d.report_waiting()
        restored = bool(set(outcome.broker_ids) & set(d.migration.endpoints.deregistration_requested))
        d.emit(ev.EndpointsRegistered(at=d.at, broker_ids=outcome.broker_ids, restored=restored, others=outcome.others))
    elif isinstance(outcome, Deregistered):
        d.report_waiting(*outcome.held)
        if out := outcome.broker_ids:
            d.emit(ev.EndpointsDeregistered(at=d.at, broker_ids=out, connections_counted=outcome.counted))
    elif isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)) and (
        d.migration.phase in RESTING or d.in_phase(Phase.BETWEEN_WAVES)
    ):
        d.report_waiting(outcome.reason)


def _register(d: StepContext) -> None:
    if not _may_request(d):
        return
    missing = _missing(d.migration)
    is_rollback = d.migration.direction is Direction.BACK
    sources = {b for w in d.migration.waves for b in w.source_broker_ids} - set(missing)
    d.request(
        RegisterEndpoints(
            broker_ids=missing,
            other_broker_ids=() if is_rollback else tuple(sorted(sources)),
            restore=d.migration.endpoints.to_restore(missing),
        )
    )


def _may_request(d: StepContext) -> bool:
    """Nothing of the kind is under way, and it is time to ask."""
    waits = d.migration.retry_at is not None and d.at < d.migration.retry_at
    return not waits and d.migration.pending_effect(RegisterEndpoints, DeregisterEndpoints) is None


def _missing(m: Migration) -> tuple[int, ...]:
    """Forward: every destination of the migration, before its first wave. Back: what we may have taken out."""
    direction = m.direction
    filled = {b for w in m.waves if w.direction is direction for b in w.destination_broker_ids}
    known = m.endpoints
    if direction is Direction.BACK:
        return tuple(sorted(filled & set(known.deregistration_requested)))
    return tuple(sorted(filled - set(known.registered)))


def _is_due(s: DrainedSource, at: float, policy: Policy) -> bool:
    """Drained, and every client that was told of it has asked for news since (metadata.max.age.ms)."""
    return s.empty_since is not None and at >= s.empty_since + max(policy.quiet_seconds, policy.discovery_grace_seconds)
