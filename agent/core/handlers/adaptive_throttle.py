"""Adapts the throttle to the headroom that the slowest broker has.

Called by decide.py and pause_causes.py; the arithmetic is in metrics/adaptive_rate.py.
"""

from typing import NamedTuple

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import flow
from agent.core.metrics.adaptive_rate import next_rate
from agent.core.migration import ACTIVE, Migration, Phase
from agent.core.model.causes import METRIC
from agent.core.planning.options import ThrottleBy
from agent.core.planning.policy import Policy
from agent.core.step import StepContext


class ThrottleChange(NamedTuple):
    """Another rate, in bytes per second."""

    bytes_per_second: int | None  # None: back at what was asked
    before_bytes_per_second: int | None  # None: there was no throttle
    ceiling_bytes_per_second: int  # to which it climbs back


def headroom_observed(ctx: StepContext, observation: msg.HeadroomObserved) -> None:
    """Adapts the throttle while a rule slows, and until the rate is back at what was asked.

    The observation is posted at intervals.
    """
    if (
        any(c.name.startswith(METRIC) for c in ctx.migration.slow_causes)
        or ctx.migration.adapted_rate is not None
    ):
        adapt(ctx, observation)


def adapt(ctx: StepContext, observation: msg.HeadroomObserved) -> None:
    """Sets the throttle that the headroom allows, if it is another one than now."""
    change = next_throttle(ctx.migration, ctx.policy, observation.headroom, ctx.at)
    if change is None:
        return
    ctx.emit(
        ev.ThrottleAdapted(
            at=ctx.at,
            bytes_per_second=change.bytes_per_second,
            before_bytes_per_second=change.before_bytes_per_second,
            ceiling_bytes_per_second=change.ceiling_bytes_per_second,
            rule=observation.rule,
            broker=observation.broker,
            value=observation.value,
            headroom=observation.headroom,
        )
    )
    flow.retune(ctx, rate_only=True)


def next_throttle(
    migration: Migration, policy: Policy, headroom: float, at: float
) -> ThrottleChange | None:
    """The change of throttle that `headroom` (-1 to 1, of the slowest broker) calls for at `at`.

    None where the rate stays: Cruise Control sets it, nothing moves that could show headroom, the
    last change is younger than `adapt_seconds`, or the difference would be too small.
    """
    moving = migration.phase is Phase.MOVING
    if (
        migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL
        or (headroom > 0 and not moving)
        or migration.phase not in ACTIVE
    ):
        return None
    asked, before = migration.asked_rate(), migration.adapted_rate
    ceiling = asked or _ceiling(migration, policy)
    rate, seconds = ceiling, policy.adapt_seconds
    if before is not None:
        rate = min(before.bytes_per_second, ceiling)
        since = max(before.since, migration.phase_since) if moving else before.since
        seconds = at - since
    if seconds < policy.adapt_seconds or (before is None and headroom > 0):
        return None
    to = next_rate(rate, policy.slow_bytes_per_second, ceiling, headroom, seconds)
    if (to == rate and to < ceiling) or (before is None and to >= ceiling):
        return None
    return ThrottleChange(
        bytes_per_second=to if to < ceiling else None,
        before_bytes_per_second=before.bytes_per_second if before else asked,
        ceiling_bytes_per_second=ceiling,
    )


def _ceiling(migration: Migration, policy: Policy) -> int:
    """Without an asked throttle the ceiling is the rate that was reached when it first slowed."""
    if migration.adapted_rate is not None:
        return migration.adapted_rate.ceiling_bytes_per_second
    reached = int(migration.progress.rate_bytes_per_second) if migration.progress else 0
    return max(reached, policy.slow_bytes_per_second * 2)
