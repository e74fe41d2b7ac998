"""What people are told to have moved: it never falls while nothing moves back, and at rest it is
what has moved.

By the status, which every view reads. Listed in invariants.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.migration import Phase
from agent.core.planning.selection import EVERYTHING
from agent.wire import status

if TYPE_CHECKING:
    from agent.core.planning.plan import Wave
    from tests.simulation.simulation import Simulation

AT_REST = frozenset({Phase.PAUSED, Phase.BLOCKED, Phase.CANCELLED})


def _somebody_else_moved(s: Simulation) -> bool:
    """Then what is on a source grows and shrinks without us."""
    return bool(s.watched.born or s.watched.foreign_moves)


def what_has_moved_stays_told(s: Simulation) -> str | None:
    """In whatever phase, what is told of a wave to have moved does not fall: nothing of it
    moves back.
    """
    m = s.migration
    for w in status(m, s.policy, s.world.now).waves:
        moved, key = max(w.replicas - w.replicas_left, 0), (m.migration_id, w.number)
        before = s.watched.told_moved.get(key, 0)
        s.watched.told_moved[key] = moved
        if moved < before and not _somebody_else_moved(s):
            return (
                f"wave {w.number}: {before} of {w.replicas} replicas were told to have "
                f"moved, and now {moved}"
            )
    return None


def at_rest_the_truth_is_told(s: Simulation) -> str | None:
    """A wave that stands still after it has moved k of n tells k of n, and a pause keeps it
    told.
    """
    m = s.migration
    if m.phase not in AT_REST or _somebody_else_moved(s):
        return None
    for wave, told in zip(m.waves, status(m, s.policy, s.world.now).waves, strict=True):
        if wave.attempt and told.state in ("active", "abandoned") and wave.direction is m.direction:
            left = len(_held(s, wave))
            if told.replicas_left != left:
                return (
                    f"{m.phase}: {left} replicas are left of wave {wave.number}, "
                    f"{told.replicas_left} are told"
                )
    return None


def _held(s: Simulation, wave: Wave) -> list[str]:
    picked, sources = (wave.selection or EVERYTHING).contains, set(wave.source_broker_ids)
    return [
        str(n)
        for n, p in s.world.partitions.items()
        if picked(n) and sources.intersection(p.replicas)
    ]
