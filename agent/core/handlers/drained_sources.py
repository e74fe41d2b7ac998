"""How looks at drained brokers are met: late arrivals, when a broker may be shut down, and when all
have left.

Called by decide.py; what comes next is in flow.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import discovery, flow
from agent.core.migration import DrainedSource, Phase
from agent.core.step import StepContext


def sources_observed(ctx: StepContext, observation: msg.SourcesObserved) -> None:
    """Late arrivals are swept until the source stays empty; then it may be shut down, and is
    watched until it left.
    """
    held = dict(observation.replicas)
    alive = frozenset(observation.alive)
    for s in ctx.migration.sources:
        if s.broker_id not in held:
            continue
        if s.left:
            if s.broker_id in alive:
                ctx.emit(ev.SourceReturned(at=ctx.at, broker_id=s.broker_id))
            continue
        if held[s.broker_id]:
            _refilled(ctx, s, held[s.broker_id])
        elif s.broker_id not in alive and s.may_be_shut_down:
            ctx.emit(ev.SourceLeft(at=ctx.at, broker_id=s.broker_id))
        elif s.empty_since is None:
            ctx.emit(ev.SourceEmptyAgain(at=ctx.at, broker_id=s.broker_id))
        elif _may_be_shut_down(ctx, s) and discovery.is_deregistered(ctx, s):
            ctx.emit(ev.SourceMayBeShutDown(at=ctx.at, broker_id=s.broker_id))
    flow.advance(ctx)
    ended = (
        ctx.in_phase(Phase.BETWEEN_WAVES)
        and ctx.migration.wave is None
        and not ctx.migration.pause_causes
    )
    if ended and all(held.get(s.broker_id) == 0 for s in ctx.migration.sources if s.wave):
        flow.enter_drained(ctx)
    if (
        ctx.in_phase(Phase.DRAINED)
        and ctx.migration.sources
        and all(s.left for s in ctx.migration.sources)
    ):
        ctx.emit(ev.MigrationCompleted(at=ctx.at))
    discovery.update_registry_at_rest(ctx)


def _may_be_shut_down(ctx: StepContext, source: DrainedSource) -> bool:
    """Empty for long enough; but as long as this migration moves, its own sources are needed
    for the way back.
    """
    if (
        source.may_be_shut_down
        or source.empty_since is None
        or (source.wave and not ctx.in_phase(Phase.DRAINED))
    ):
        return False
    return ctx.at >= source.empty_since + ctx.policy.quiet_seconds


def throttle_swept(ctx: StepContext, observation: msg.ThrottleSwept) -> None:
    """Told, for the audit."""
    ctx.emit(
        ev.LeftoverThrottleCleared(
            at=ctx.at, entries=observation.entries, broker_ids=observation.broker_ids
        )
    )


def _refilled(ctx: StepContext, source: DrainedSource, replicas: int) -> None:
    if (
        ctx.in_phase(Phase.DRAINED, Phase.BETWEEN_WAVES)
        and source.wave
        and not source.may_be_shut_down
        and source.empty_since
    ):
        ctx.emit(
            ev.WaveReopened(
                at=ctx.at,
                wave=source.wave,
                why=(f"{replicas} replicas have landed on broker {source.broker_id}"),
            )
        )
    elif source.empty_since is not None:
        ctx.emit(ev.SourceRefilled(at=ctx.at, broker_id=source.broker_id, replicas=replicas))
