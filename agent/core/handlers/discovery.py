"""Decides when brokers are registered for clients, and when they are taken out.

Called by flow.py, drained_sources.py, effect_outcomes.py and wave_outcomes.py. Without a registry
(Policy.discovery False) it does nothing.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.effects import DeregisterEndpoints, RegisterEndpoints
from agent.core.migration import RESTING, DrainedSource, Migration, Phase
from agent.core.model.endpoints import Deregistered, Registered
from agent.core.planning.plan import Direction
from agent.core.planning.policy import Policy
from agent.core.step import StepContext

# A registry that does not answer holds up a rollback no longer than this: clients find brokers
# through one another as well.
RESTORE_SECONDS_MAX = 60.0


def must_register_brokers(ctx: StepContext) -> bool:
    """Before a wave: True while clients cannot find the brokers that it fills.

    Requests what is missing.
    """
    if not ctx.policy.discovery or not _missing(ctx.migration):
        return False
    if (
        ctx.migration.direction is Direction.BACK
        and ctx.at >= ctx.migration.phase_since + RESTORE_SECONDS_MAX
    ):
        ctx.abandon(RegisterEndpoints)
        return False
    _register(ctx)
    return True


def update_registry_at_rest(ctx: StepContext) -> None:
    """Where nothing moves, puts back what a rollback still misses, or takes out brokers that have
    been empty for the grace time.
    """
    if not ctx.policy.discovery or ctx.migration.phase not in RESTING:
        return
    if ctx.migration.phase is Phase.ROLLED_BACK and _missing(ctx.migration):
        _register(ctx)
        return
    due = tuple(
        s.broker_id
        for s in ctx.migration.sources
        if _is_due(s, ctx.at, ctx.policy) and not is_deregistered(ctx, s)
    )
    if due and _may_request(ctx):
        ctx.request(DeregisterEndpoints(broker_ids=due))


def is_deregistered(ctx: StepContext, source: DrainedSource) -> bool:
    """Whether this drained broker is no longer shown to clients; True where there is no
    registry to show it.
    """
    return not ctx.policy.discovery or source.broker_id in ctx.migration.endpoints.deregistered


def has_retry_clock(ctx: StepContext) -> bool:
    """Whether the registry's effects may set the retry clock: elsewhere it is the wave's."""
    return ctx.migration.phase in RESTING or ctx.in_phase(Phase.BETWEEN_WAVES)


def registration_ended(ctx: StepContext, outcome: msg.Outcome) -> None:
    """Meets the outcome of RegisterEndpoints or DeregisterEndpoints."""
    if isinstance(outcome, Registered):
        ctx.report_waiting()
        restored = bool(
            set(outcome.broker_ids) & set(ctx.migration.endpoints.deregistration_requested)
        )
        ctx.emit(
            ev.EndpointsRegistered(
                at=ctx.at, broker_ids=outcome.broker_ids, restored=restored, others=outcome.others
            )
        )
    elif isinstance(outcome, Deregistered):
        ctx.report_waiting(*outcome.held)
        if out := outcome.broker_ids:
            ctx.emit(
                ev.EndpointsDeregistered(
                    at=ctx.at, broker_ids=out, connections_counted=outcome.counted
                )
            )
    elif isinstance(outcome, (msg.Busy, msg.Unreachable, msg.Rejected)) and has_retry_clock(ctx):
        ctx.report_waiting(outcome.reason)


def _register(ctx: StepContext) -> None:
    if not _may_request(ctx):
        return
    missing = _missing(ctx.migration)
    is_rollback = ctx.migration.direction is Direction.BACK
    sources = {b for w in ctx.migration.waves for b in w.source_broker_ids} - set(missing)
    ctx.request(
        RegisterEndpoints(
            broker_ids=missing,
            other_broker_ids=() if is_rollback else tuple(sorted(sources)),
            restore=ctx.migration.endpoints.to_restore(missing),
        )
    )


def _may_request(ctx: StepContext) -> bool:
    """Whether no such effect is pending, and the retry delay is over."""
    waits = ctx.migration.retry_at is not None and ctx.at < ctx.migration.retry_at
    return (
        not waits and ctx.migration.pending_effect(RegisterEndpoints, DeregisterEndpoints) is None
    )


def _missing(migration: Migration) -> tuple[int, ...]:
    """The brokers that clients cannot find yet.

    Forward these are the destinations that are not registered; in a rollback, the brokers that we
    may have taken out.
    """
    direction = migration.direction
    filled = {
        b for w in migration.waves if w.direction is direction for b in w.destination_broker_ids
    }
    known = migration.endpoints
    if direction is Direction.BACK:
        return tuple(sorted(filled & set(known.deregistration_requested)))
    return tuple(sorted(filled - set(known.registered)))


def _is_due(source: DrainedSource, at: float, policy: Policy) -> bool:
    """Whether it has been drained for so long that every client has refreshed its metadata
    (metadata.max.age.ms).
    """
    return source.empty_since is not None and at >= source.empty_since + max(
        policy.quiet_seconds, policy.discovery_grace_seconds
    )
