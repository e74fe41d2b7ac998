"""Who owns Cruise Control's execution, and what must never happen to it or because of it.

Listed in invariants.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import events as ev
from agent.core.effects import StopWave
from agent.core.model.reasons import Code
from tests.simulation.sim_cruise_control import USER_TASKS_MAX
from tests.simulation.sim_ports import LOOK_SECONDS

if TYPE_CHECKING:
    from agent.performer.ports import RemoveBroker
    from tests.simulation.simulation import Simulation

GOES_ON = frozenset({"resume", "rollback", "retry", "skip", "approve", "start", "cancel"})
ASKED_SECONDS = 1.5  # Cruise Control is asked just before; what begins within this cannot be known
HEALING_ALONE = frozenset({f"safety:{Code.SELF_HEALING_ON}"})


def remembers_what_was_said_and_stopped(s: Simulation) -> str | None:
    """Not an invariant of its own: what the others compare with."""
    for e in s.new_events:
        if isinstance(e, ev.CommandAccepted) and e.command in GOES_ON and not e.repeat:
            s.watched.spoken_at = e.at
        elif isinstance(e, ev.WaveVerified):
            s.watched.verified_at[f"{s.migration.migration_id}/{e.wave}"] = e.at
        elif isinstance(e, ev.ExecutionStarted):
            s.watched.stopped_for = frozenset()
        elif isinstance(e, ev.EffectRequested) and isinstance(e.effect, StopWave):
            # Only a stop of an execution that is known to run in Cruise Control counts.
            suppressed = e.effect.at_once and e.effect.scope.selection is None
            if not suppressed:
                continue
            s.watched.stopped_for = frozenset(c.name for c in s.migration.pause_causes)
    return None


# ── at each act ───────────────────────────────────────────────────────────────────────────────────
def not_begun_again_after_a_stop(s: Simulation, request: RemoveBroker) -> str | None:
    """What somebody has stopped by Cruise Control's own API is begun again only after an operator's
    word.

    As long as Cruise Control remembers it: who restarts it, forgets. A stop held up nothing if the
    wave of its execution was verified, be it after the stop or before it, while the executor had
    not noticed its own end yet.
    """
    wave = request.reason.rsplit("/", 1)[0]
    for task in s.cc.tasks:
        if task.stop is None or task.reason.rsplit("/", 1)[0] != wave:
            continue
        at, by = task.stop
        if task.began < s.watched.verified_at.get(wave, 0.0):
            continue
        if not by.startswith(f"{s.migration.migration_id}/") and s.watched.spoken_at < at:
            return (
                f"{request.reason} is asked for, and {task.reason} was stopped {by} "
                f"{s.world.now - at:.1f} s ago"
            )
    return None


def orders_are_left_to_the_executor(s: Simulation) -> str | None:
    """While something is executed no replica order is set and no leader elected: it would put
    its own order back.
    """
    e = s.cc.execution
    slow_seconds = s.trouble.look_seconds(s.world.now) - LOOK_SECONDS
    if e is None or e.began >= s.world.now - ASKED_SECONDS - slow_seconds:
        return None
    return (
        f"orders or leaders are touched {s.world.now - e.began:.1f} s after the execution "
        f"of '{e.task.reason}' began"
    )


def stops_only_its_own(s: Simulation) -> str | None:
    """Somebody else's execution is not ours to stop."""
    e = s.cc.execution
    if (
        e is None
        or e.began >= s.looked_at
        or e.task.reason.startswith(f"{s.migration.migration_id}/")
    ):
        return None
    return f"the execution of '{e.task.reason}', {s.world.now - e.began:.1f} s old, is told to stop"


# ── at each moment ────────────────────────────────────────────────────────────────────────────────
def healing_is_not_set_loose(s: Simulation) -> str | None:
    """Self-healing never moves replicas because we stopped our own execution on its account, in
    the midst of a wave.
    """
    new, s.watched.healed = s.cc.healed[s.watched.healed :], len(s.cc.healed)
    for one in new:
        s.watched.foreign_at = one.at
        s.watched.foreign_moves |= dict.fromkeys(one.names, one.at)
        if s.watched.stopped_for == HEALING_ALONE:
            return (
                f"{[str(n) for n in one.names]} are healed after a stop for nothing but "
                "self-healing"
            )
    return None


def cruise_control_has_a_place_left(s: Simulation) -> str | None:
    """A stock Cruise Control takes five requests at a time; one agent alone never fills it,
    whatever the wave does.
    """
    if s.crashes or not s.cc.full_at:  # the next life does not know what the last one has asked
        return None
    return f"a question of ours found {USER_TASKS_MAX} active user tasks, {len(s.cc.full_at)} times"
