"""What must never happen to clients who find brokers in a registry. Listed in invariants.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import events as ev
from agent.core.migration import Phase
from agent.core.planning.plan import Direction
from tests.simulation.sim_registry import TAGS

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

WAY_SECONDS = 3.0  # from a look at what is held to what follows from it


def found_before_filled(s: Simulation) -> str | None:
    """No wave forward is executed before clients can find every destination of the migration."""
    m = s.migration
    if not s.policy.discovery or m.direction is Direction.BACK:
        return None
    if any(isinstance(e, ev.ExecutionStarted) for e in s.new_events):
        unknown = {b for w in m.waves for b in w.destination_broker_ids} - s.registry.entries.keys()
        return f"a wave moves, and clients cannot find {sorted(unknown)}" if unknown else None
    return None


def sent_away_only_when_free(s: Simulation) -> str | None:
    """A broker is taken out only when it holds nothing that was there at the last look, and
    nobody is connected.
    """
    new, s.registry.taken = s.registry.taken, []
    for t in new:
        looked_at = t.at - WAY_SECONDS - s.trouble.look_seconds(t.at)
        young = {
            n for n, at in (s.watched.born | s.watched.foreign_moves).items() if at > looked_at
        }
        if held := t.held - young:
            return f"broker {t.broker} was taken out and holds {sorted(map(str, held))}"
        if t.connected:
            return f"broker {t.broker} was taken out while clients are connected"
    return None


def not_shut_down_while_shown(s: Simulation) -> str | None:
    """Nobody is told that a broker may be shut down to which clients are still sent."""
    if not s.policy.discovery:
        return None
    told = [e.broker_id for e in s.new_events if isinstance(e, ev.SourceMayBeShutDown)]
    shown = [b for b in told if b in s.registry.entries]
    return f"{shown} may be shut down, and clients are sent there" if shown else None


def a_way_back_is_shown(s: Simulation) -> str | None:
    """After a rollback clients find every broker that they found before, by an entry as it was."""
    if not s.policy.discovery or s.migration.phase is not Phase.ROLLED_BACK:
        return None
    back = {
        b
        for w in s.migration.waves
        if w.direction is Direction.BACK
        for b in w.destination_broker_ids
    }
    missing = {b for b in back if b < 51 and s.registry.entries.get(b) != TAGS}
    return f"clients cannot find {sorted(missing)} as they did before" if missing else None
