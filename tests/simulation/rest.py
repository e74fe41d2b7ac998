"""When a schedule has come to rest, and what an operator then does to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.migration import ACTIVE, Phase
from agent.core.model.causes import METRIC

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

SWEEP_SECONDS_MAX = 15.0  # a broker that comes back with an old throttle is found within this


def awaited_command(s: Simulation) -> str | None:
    """The order of an operator who wants it to go on."""
    m = s.migration
    if m.phase is Phase.BLOCKED:
        return s.rng.choice(("retry", "retry", "skip", "rollback", "cancel"))
    if m.phase is Phase.DRAINED and any(
        source.empty_since is None and source.wave and not source.left for source in m.sources
    ):
        return "retry"
    return {Phase.AWAITING_APPROVAL: "approve", Phase.PAUSED: "resume"}.get(m.phase)


def is_at_rest(s: Simulation) -> bool:
    """Whether nothing more happens by itself."""
    m = s.migration
    if (
        s.world.now < s.mended_at + SWEEP_SECONDS_MAX
        or s.agent.has_mail
        or s.cc.execution
        or m.pending
    ):
        return False
    if m.phase is Phase.PAUSED:
        return not any(
            c.is_safety or (c.name.startswith(METRIC) and not c.latched) for c in m.pause_causes
        )
    if m.phase is Phase.DRAINED:
        left = s.watched.shut_down
        return all(
            source.may_be_shut_down or source.empty_since is None for source in m.sources
        ) and all(source.left for source in m.sources if source.broker_id in left)
    if m.phase is Phase.ROLLED_BACK and s.policy.discovery and m.retry_at is not None:
        return False  # it is putting back what clients shall find
    return m.phase not in ACTIVE or m.phase in (Phase.BLOCKED, Phase.AWAITING_APPROVAL)
