"""What must hold when all is calm: named functions, each returns what is wrong, or None.

Called by simulation.py when a schedule has come to rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core.migration import ACTIVE, Phase
from agent.core.model.causes import METRIC
from agent.core.planning.options import Pairing
from agent.core.planning.plan import Direction, WaveState
from tests.simulation.discovery_invariants import a_way_back_is_shown
from tests.simulation.invariants import STILL, differences_from_the_start
from tests.simulation.progress_invariants import at_rest_the_truth_is_told
from tests.simulation.sim_ports import LOOK_SECONDS

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def finished_paused_or_blocked(s: Simulation) -> str | None:
    """When all is calm, every migration has ended, or says which cause or reason holds it."""
    m = s.migration
    if m.phase not in ACTIVE or m.phase is Phase.AWAITING_APPROVAL:
        return None
    if m.phase is Phase.PAUSED and m.pause_causes:
        held = [
            c.name
            for c in m.pause_causes
            if c.is_safety or (c.name.startswith(METRIC) and not c.latched)
        ]
        return f"paused for {held}, and the cluster is well" if held else None
    if m.phase is Phase.BLOCKED and m.blocked:
        return None
    return (
        f"still {m.phase}, waiting for {[str(r) for r in m.waiting]}, pending "
        f"{[p.effect for p in m.pending]}"
    )


def every_command_has_its_answer(s: Simulation) -> str | None:
    """No command is forgotten."""
    left = [c for c in s.commands_sent if not s.watched.answers[c]]
    return f"never answered: {left}" if left else None


def rollback_restores(s: Simulation) -> str | None:
    """After a rollback one to one, the assignment is the one before the start, order included.

    Unless others have moved something since, a wave back was skipped, or the destinations held
    replicas before: then it is told how many differ (`tells_the_truth_of_a_rollback`).
    """
    m = s.migration
    skipped = any(w.state is WaveState.SKIPPED for w in m.waves if w.direction is Direction.BACK)
    if m.phase is not Phase.ROLLED_BACK or m.options.pairing is not Pairing.ONE_TO_ONE or skipped:
        return None
    if not s.watched.started_clean or s.watched.foreign_at >= s.watched.started_at - LOOK_SECONDS:
        return None
    different = differences_from_the_start(s)
    return f"not restored: {different}" if different else None


def drained_means_empty(s: Simulation) -> str | None:
    """At the end no source that is called empty holds a replica."""
    m = s.migration
    if m.phase not in (Phase.DRAINED, Phase.COMPLETED):
        return None
    held = {
        src.broker_id: s.world.held(src.broker_id)
        for src in m.sources
        if src.empty_since is not None
    }
    wrong = {b: sorted(map(str, names)) for b, names in held.items() if names}
    return f"called empty, and hold: {wrong}" if wrong else None


def shut_down_means_completed(s: Simulation) -> str | None:
    """When every source has left as told, the migration is completed."""
    m = s.migration
    if (
        m.phase is Phase.DRAINED
        and m.sources
        and all(src.broker_id in s.watched.shut_down for src in m.sources)
    ):
        return "every source has left, and it is not completed"
    return None


def every_source_may_leave(s: Simulation) -> str | None:
    """When all is calm, a source that is empty may be shut down."""
    m = s.migration
    waiting = [
        src.broker_id
        for src in m.sources
        if src.empty_since is not None and not src.may_be_shut_down
    ]
    return (
        f"{waiting} are empty, and may never be shut down"
        if m.phase is Phase.DRAINED and waiting
        else None
    )


def no_throttle_is_left(s: Simulation) -> str | None:
    """At rest nothing is throttled by us, on no broker that is alive, for no topic."""
    if s.migration.phase in ACTIVE - STILL:
        return None
    foreign = s.watched.foreign_throttle
    lists = [
        (topic, entry)
        for side in (s.world.leaders, s.world.followers)
        for topic, entries in side.items()
        for entry in entries
        if (topic, entry) not in foreign
    ]
    rates = {b: r for b, r in s.world.rates.items() if b in s.world.alive}
    return (
        f"left in phase {s.migration.phase}: rates {rates}, lists {lists}"
        if rates or lists
        else None
    )


AFTER_QUIET = (
    finished_paused_or_blocked,
    every_command_has_its_answer,
    rollback_restores,
    drained_means_empty,
    every_source_may_leave,
    shut_down_means_completed,
    no_throttle_is_left,
    a_way_back_is_shown,
    at_rest_the_truth_is_told,
)
