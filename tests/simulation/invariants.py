"""What must never happen, whatever dies: named functions, each returns what is wrong, or None. Checked after every step."""

from collections import Counter
from typing import TYPE_CHECKING

from agent.core.migration import ACTIVE, Phase
from agent.core.plan import Direction

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

# After a pause is called so, another hand or a late request may still start something: it must be stopped within this.
STRAY_SECONDS_MAX = 25.0


def one_execution_a_key(s: "Simulation") -> str | None:
    """Cruise Control never executes twice for the same attempt while the first one's work could still be known."""
    double = [k for k, n in Counter(s.cc.executions_started).items() if n > 1 and k not in s.may_be_asked_again]
    return f"executed twice for {double}" if double else None


def nothing_moves_while_paused(s: "Simulation") -> str | None:
    """PAUSED means that nothing of ours moves; a stray is stopped soon."""
    m = s.migration
    moving = m.phase is Phase.PAUSED and bool(s.cc.execution and s.cc.execution.reason.startswith(m.migration_id + "/"))
    if not moving:
        s.stray_since = None
        return None
    if s.stray_since is None:
        s.stray_since = s.world.now
    if s.world.now - s.stray_since > STRAY_SECONDS_MAX and not s.trouble.cruise_control_down and s.cc.up:
        return f"an execution runs {s.world.now - s.stray_since:.0f} s after the pause"
    return None


def replication_factor_and_az_spread_hold(s: "Simulation") -> str | None:
    """A settled partition has three replicas in three AZs, always."""
    for p in s.world.partitions.values():
        if p.adding or p.removing:
            continue
        if len(p.replicas) != 3:
            return f"{p.name} has replicas {p.replicas}"
        if len({s.world.racks[r] for r in p.replicas}) != 3:
            return f"{p.name} lies on {p.replicas}, not in three AZs"
    return None


def drained_only_if_drained(s: "Simulation") -> str | None:
    """When a broker is called drained or free to be shut down, it held nothing when it was looked at."""
    for e in s.new_events:
        if e.type == "SourceMayBeShutDown":
            broker = e.data["broker_id"]
            held = [str(p.name) for p in s.world.partitions.values() if broker in p.replicas]
            fresh = s.arrived_since(s.world.now - 5.0, broker)
            if set(held) - fresh:
                return f"broker {broker} may be shut down, it says, and holds {held}"
        if e.type == "WaveVerified":
            wave = next((w for w in s.migration.waves if w.number == e.data["wave"]), None)
            for broker in wave.source_broker_ids if wave else ():
                held = [str(p.name) for p in s.world.partitions.values() if broker in p.replicas]
                if set(held) - s.arrived_since(s.world.now - 5.0, broker):
                    return f"wave {e.data['wave']} is called verified, and broker {broker} holds {held}"
    return None


def each_command_is_answered_once(s: "Simulation") -> str | None:
    """One answer for each command; a repeat is marked as one."""
    if not s.new_events:
        return None
    answers: Counter[str] = Counter()
    for e in s.durable.events.values():
        if e.type in ("CommandAccepted", "CommandRefused") and not e.data["repeat"]:
            answers[e.data["command_id"]] += 1
    double = [c for c, n in answers.items() if n > 1]
    return f"answered more than once: {double}" if double else None


def ids_mean_one_thing(s: "Simulation") -> str | None:
    """An event id is never used again for something else."""
    for e in s.new_events:
        before = s.durable.events.get(e.id)
        if before is not None and (before.type, before.data) != (e.type, e.data):
            return f"{e.id} was {before.type} and is now {e.type}"
    return None


def foreign_throttle_stays(s: "Simulation") -> str | None:
    """What another tool has set is never removed."""
    if s.foreign_throttle and not s.foreign_throttle <= s.world.followers.get("foreign", set()):
        return "another tool's throttle was removed"
    return None


EVERY_STEP = (
    one_execution_a_key,
    nothing_moves_while_paused,
    replication_factor_and_az_spread_hold,
    drained_only_if_drained,
    each_command_is_answered_once,
    ids_mean_one_thing,
    foreign_throttle_stays,
)


# ── after quiet ─────────────────────────────────────────────────────────────────────────────────────────────────
def finished_paused_or_blocked(s: "Simulation") -> str | None:
    """When all is calm, every migration has ended, or says which cause or reason holds it."""
    m = s.migration
    if m.phase not in ACTIVE:
        return None
    if m.phase is Phase.PAUSED and m.pause_causes:
        return None
    if m.phase is Phase.BLOCKED and m.blocked:
        return None
    if m.phase is Phase.AWAITING_APPROVAL:
        return None
    return f"still {m.phase}, waiting for {[str(r) for r in m.waiting]}, pending {[p.effect for p in m.pending]}"


def every_command_has_its_answer(s: "Simulation") -> str | None:
    """No command is forgotten."""
    answered = {
        e.data["command_id"] for e in s.durable.events.values() if e.type in ("CommandAccepted", "CommandRefused")
    }
    left = [c for c in s.commands_sent if c not in answered]
    return f"never answered: {left}" if left else None


def rollback_restores(s: "Simulation") -> str | None:
    """After a rollback one to one, the assignment is the one before the start, order included."""
    m = s.migration
    if m.phase is not Phase.ROLLED_BACK:
        return None
    before = s.snapshots.kept[m.migration_id]
    different = [
        f"{name}: {replicas} before, {s.world.partitions[name].replicas} now"
        for name, replicas in before.items()
        if tuple(s.world.partitions[name].replicas) != replicas
    ]
    told = next(e for e in reversed(s.durable.published) if e.type == "RollbackCompleted").data["comparison"]
    if told["different"] != len(different) and not s.moved_by_others:
        return f"it tells {told['different']} differences, and there are {different}"
    different = [d for d in different if d.split(":")[0] not in s.moved_by_others]
    return f"not restored: {different}" if different else None


def done_means_moved(s: "Simulation") -> str | None:
    """After a completed way forward the sources hold nothing."""
    m = s.migration
    if m.phase is not Phase.DRAINED or m.direction is not Direction.FORWARD:
        return None
    drained = {src.broker_id for src in m.sources if src.empty_since is not None}
    held = [str(p.name) for p in s.world.partitions.values() if drained & set(p.replicas)]
    return f"drained, it says, and the sources hold {held}" if held else None


def no_throttle_is_left(s: "Simulation") -> str | None:
    """At rest nothing of ours is throttled."""
    if s.migration.phase in ACTIVE and s.migration.phase is not Phase.PAUSED:
        return None
    lists = {t: v for t, v in s.world.followers.items() if v and t != "foreign"}
    if s.world.rates or lists:
        return f"throttle left in phase {s.migration.phase}: {s.world.rates} {lists}"
    return None


AFTER_QUIET = (
    finished_paused_or_blocked,
    every_command_has_its_answer,
    rollback_restores,
    done_means_moved,
    no_throttle_is_left,
)
