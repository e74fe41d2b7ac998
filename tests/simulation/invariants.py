"""What must never happen, whatever dies: named functions, each returns what is wrong, or None.

Called by simulation.py: after every step that led to events, after every moment in which the world
went on, after every change of an assignment, and when all is calm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.core import events as ev
from agent.core.messages import TaskStatus
from agent.core.migration import Phase
from agent.core.model.causes import METRIC
from agent.core.planning.selection import EVERYTHING
from agent.worker.cluster_rules import RETRY_SECONDS
from tests.simulation.discovery_invariants import (
    found_before_filled,
    not_shut_down_while_shown,
    sent_away_only_when_free,
)
from tests.simulation.executor_invariants import (
    cruise_control_has_a_place_left,
    healing_is_not_set_loose,
    remembers_what_was_said_and_stopped,
)
from tests.simulation.progress_invariants import (
    what_has_moved_stays_told,
)
from tests.simulation.sim_cruise_control import BY_HAND
from tests.simulation.sim_metrics import RESUME_DELAY_SECONDS, SCRAPE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.core.migration import Migration
    from agent.core.model.cluster import TopicPartition
    from agent.core.planning.plan import Wave
    from agent.performer.ports import RemoveBroker
    from tests.simulation.simulation import Simulation

# A late request may start something after the pause: it must be stopped within this, once it can
# be.
STRAY_SECONDS_MAX = 12.0
# What begins between our look and our request cannot be seen.
RACE_SECONDS = 4.0
REPLICAS = 3
STILL = frozenset(
    {
        Phase.PAUSED,
        Phase.BLOCKED,
        Phase.AWAITING_APPROVAL,
        Phase.CANCELLED,
        Phase.ROLLED_BACK,
        Phase.DRAINED,
    }
)


@dataclass
class Watched:
    """What the invariants remember of the past."""

    stray_since: float | None = None
    disobeyed_since: float | None = None
    stray_moves_since: float | None = None
    accepted: int = 0  # requests that were judged already
    foreign_at: float = float("-inf")  # when somebody else last moved something
    foreign_moves: dict[TopicPartition, float] = field(default_factory=dict)
    foreign_throttle: set[tuple[str, tuple[int, int]]] = field(default_factory=set)
    # When topics were created after the start.
    born: dict[TopicPartition, float] = field(default_factory=dict)
    shut_down: set[int] = field(default_factory=set)
    spoken_at: float = float("-inf")  # when an operator last let it go on, or elsewhere
    verified_at: dict[str, float] = field(default_factory=dict)  # by `migration/wave`
    healed: int = 0  # of Cruise Control's healings, judged already
    stopped_for: frozenset[str] = frozenset()  # the causes of the last stop of what moved
    started_clean: bool = True  # the destinations were empty when the migration started
    started_at: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    answered_again: Counter[str] = field(default_factory=Counter)
    # (migration, wave): replicas, as told last
    told_moved: dict[tuple[str, int], int] = field(default_factory=dict)


# ── at each request ───────────────────────────────────────────────────────────────────────────────
def asked_only_when_wanted(m: Migration, request: RemoveBroker) -> str | None:
    """Cruise Control is asked only in REQUESTING, for the current attempt, and while no cause
    holds.
    """
    if m.phase is not Phase.REQUESTING or request.reason != m.scope().key:
        return f"asked for {request.reason} in phase {m.phase}"
    if m.pause_causes:
        return f"asked for {request.reason} while {[c.name for c in m.pause_causes]} hold"
    return None


def moved_only_when_wanted(
    m: Migration, targets: Mapping[TopicPartition, Sequence[int]]
) -> str | None:
    """Kafka is asked to move only partitions of the present selection, and only while no cause
    holds.
    """
    wave = m.wave
    if m.phase not in (Phase.REQUESTING, Phase.MOVING) or wave is None or wave.selection is None:
        return f"{[str(n) for n in targets]} are moved in phase {m.phase}"
    if m.pause_causes:
        return (
            f"{[str(n) for n in targets]} are moved while {[c.name for c in m.pause_causes]} hold"
        )
    picked = (wave.selection or EVERYTHING).contains
    wrong = [
        str(n)
        for n, t in targets.items()
        if not picked(n) or not set(wave.destination_broker_ids) & set(t)
    ]
    return f"{wrong} are not of wave {wave.number}" if wrong else None


def _judge_accepted(s: Simulation) -> str | None:
    """Nothing of ours is executed twice, and no request of ours cancels what moves."""
    new, s.watched.accepted = s.cc.accepted[s.watched.accepted :], len(s.cc.accepted)
    for one in new:
        if one.reason == BY_HAND:
            continue
        known = [
            t for t in s.cc.tasks if t.reason == one.reason and t.user_task_id != one.user_task_id
        ]
        if any(t.status in (TaskStatus.IN_EXECUTION, TaskStatus.COMPLETED) for t in known):
            return f"{one.reason} was executed before without an error, and Cruise Control knows it"
        old = [
            n
            for n in one.cancelled
            if s.watched.foreign_moves.get(n, float("-inf")) < one.at - RACE_SECONDS
        ]
        if old and s.watched.foreign_at < one.at - RACE_SECONDS:
            return f"{one.reason} has cancelled the moves of {[str(n) for n in old]}"
    return None


def never_two_executions(s: Simulation) -> str | None:
    """One attempt is executed once while anybody remembers it, and never over moves that are
    still in flight.
    """
    return _judge_accepted(s) if len(s.cc.accepted) != s.watched.accepted else None


def _cannot_stop(s: Simulation) -> bool:
    t = s.trouble
    asked_in_vain = (
        t.cruise_control_down or t.crowded or t.login_refused or not s.cc.up or s.cc.hung
    )
    return asked_in_vain or t.kafka_down or s.durable.is_down


def nothing_moves_at_rest(s: Simulation) -> str | None:
    """Paused, blocked, waiting or ended means that nothing of ours is executed; a stray is
    stopped soon.
    """
    e, m = s.cc.execution, s.migration
    stray = e is not None and m.phase in STILL and e.task.reason.startswith(f"{m.migration_id}/")
    if not stray or _cannot_stop(s) or not s.lease.mine or s.agent.has_mail:
        s.watched.stray_since = None
    elif s.watched.stray_since is None:
        s.watched.stray_since = s.world.now
    elif s.world.now - s.watched.stray_since > STRAY_SECONDS_MAX:
        return (
            f"an execution goes on {s.world.now - s.watched.stray_since:.0f} s after it was "
            f"{m.phase}"
        )
    return None


def nothing_moves_while_a_metric_pauses(s: Simulation) -> str | None:
    """Whatever the samples do: while a rule or an alert holds a pause, what moves is stopped,
    in any phase.
    """
    m, e = s.migration, s.cc.execution
    ours = e is not None and bool(m.migration_id) and e.task.reason.startswith(f"{m.migration_id}/")
    causes = [c for c in m.pause_causes if c.is_external]
    if not (ours and causes) or _cannot_stop(s) or not s.lease.mine:
        s.watched.disobeyed_since = None
    elif s.watched.disobeyed_since is None:
        s.watched.disobeyed_since = s.world.now
    elif s.world.now - s.watched.disobeyed_since > STRAY_SECONDS_MAX:
        return f"it moves on in phase {m.phase} while {[c.name for c in causes]} hold"
    return None


def calm_metrics_let_go(s: Simulation) -> str | None:
    """A calm cluster is not kept paused by metrics for longer than the resume delay and one scrape.

    What has flapped too often waits for an operator; a worker that has just taken over has to see
    for itself, and may hear its forerunner's last judgement one scrape later. A rule state that
    could not be posted is posted again RETRY_SECONDS later.
    """
    calm_since = s.monitors.calm_since
    held = [c.name for c in s.migration.pause_causes if c.name.startswith(METRIC) and not c.latched]
    if calm_since is None or not held or s.agent.has_mail or s.durable.is_down:
        return None
    heard_from = s.durable.up_since + RETRY_SECONDS
    calm_for = s.world.now - max(calm_since, s.agent.born + 2 * SCRAPE_SECONDS, heard_from)
    if calm_for > RESUME_DELAY_SECONDS + SCRAPE_SECONDS:
        return f"{held} hold though all has been calm for {calm_for:.0f} s"
    return None


def no_selection_moves_at_rest(s: Simulation) -> str | None:
    """Paused, blocked or ended: nothing that a lane of ours asked for moves; what arrives late
    is cancelled soon.
    """
    m, w = s.migration, s.world
    stray = []
    for wave in m.waves if m.phase in STILL and s.cc.execution is None and w.moving else ():
        if wave.selection is not None and wave.attempt:
            to, of, picked = (
                set(wave.destination_broker_ids),
                set(wave.source_broker_ids),
                (wave.selection or EVERYTHING).contains,
            )
            stray += [
                n
                for n, p in w.moving.items()
                if picked(n) and set(p.adding) <= to and set(p.removing) <= of
            ]
    stray = [n for n in stray if n not in s.watched.foreign_moves]
    if (
        not stray
        or s.trouble.kafka_down
        or s.trouble.cruise_control_down
        or s.durable.is_down
        or not s.lease.mine
        or s.agent.has_mail
    ):
        s.watched.stray_moves_since = None
    elif s.watched.stray_moves_since is None:
        s.watched.stray_moves_since = w.now
    elif w.now - s.watched.stray_moves_since > STRAY_SECONDS_MAX:
        return (
            f"{[str(n) for n in stray]} still move {w.now - s.watched.stray_moves_since:.0f} s "
            f"after it was {m.phase}"
        )
    return None


# ── at each event ─────────────────────────────────────────────────────────────────────────────────
def drained_only_if_drained(s: Simulation) -> str | None:
    """A broker that is called empty, verified, drained, or free to be shut down, held nothing
    when it was looked at.
    """
    for e in s.new_events:
        if isinstance(e, ev.SourceMayBeShutDown):
            brokers: tuple[int, ...] = (e.broker_id,)
        elif isinstance(e, ev.MigrationDrained):
            brokers = e.broker_ids
        elif isinstance(e, (ev.SourceEmptied, ev.WaveVerified)):
            waves = [w for w in s.migration.waves if w.number == e.wave]
            if waves and waves[0].selection is not None:
                if wrong := _left_of(s, waves[0]):
                    return (
                        f"{type(e).__name__} {e.wave}: {wrong} are still on "
                        f"{waves[0].source_broker_ids}"
                    )
                continue
            brokers = waves[0].source_broker_ids if waves else ()
        else:
            continue
        for broker in brokers:
            held = s.held_before(broker) - s.watched.foreign_moves.keys()
            if held:
                return f"{type(e).__name__}: broker {broker} holds {sorted(map(str, held))}"
    return None


def _left_of(s: Simulation, wave: Wave) -> list[str]:
    picked = (wave.selection or EVERYTHING).contains
    held = {n for b in wave.source_broker_ids for n in s.held_before(b) if picked(n)}
    return sorted(str(n) for n in held - s.watched.foreign_moves.keys())


def each_command_is_answered_once(s: Simulation) -> str | None:
    """One answer for each command; whatever is said again is marked as a repeat."""
    for e in s.new_events:
        if isinstance(e, (ev.CommandAccepted, ev.CommandRefused)) and not e.repeat:
            s.watched.answers[e.command_id] += 1
            if s.watched.answers[e.command_id] > 1:
                return f"{e.command_id} is answered a second time: {e}"
    return None


def remembers_the_start(s: Simulation) -> str | None:
    """Not an invariant of its own: what later ones compare with."""
    for e in s.new_events:
        if isinstance(e, ev.MigrationStarted):
            s.watched.started_at = e.at
            to = {b for w in e.plan.waves for b in w.destination_broker_ids}
            before = s.snapshots.kept[e.migration_id]
            s.watched.started_clean = not any(to & set(replicas) for replicas in before.values())
    return None


def foreign_throttle_stays(s: Simulation) -> str | None:
    """What another tool has set is never removed."""
    gone = [
        (topic, entry)
        for topic, entry in s.watched.foreign_throttle
        if entry not in s.world.followers.get(topic, ())
        and (topic != "t" or "t" in s.world.followers)
    ]
    return f"another tool's throttle was removed: {gone}" if gone else None


def differences_from_the_start(s: Simulation) -> list[str]:
    """Partitions whose replicas or their order are not what they were before the start."""
    before = s.snapshots.kept[s.migration.migration_id]
    now = {n: tuple(p.replicas) for n, p in s.world.partitions.items()}
    return [f"{n}: {r} before, {now[n]} now" for n, r in before.items() if n in now and now[n] != r]


def tells_the_truth_of_a_rollback(s: Simulation) -> str | None:
    """RollbackCompleted names as many differences as there are."""
    for e in s.new_events:
        if isinstance(e, ev.RollbackCompleted) and s.watched.foreign_at < s.looked_at:
            different = len(differences_from_the_start(s))
            if different != e.comparison.different:
                return f"{e.comparison.different} differences are told, there are {different}"
    return None


EVERY_EVENT = (
    remembers_the_start,
    remembers_what_was_said_and_stopped,
    drained_only_if_drained,
    each_command_is_answered_once,
    tells_the_truth_of_a_rollback,
    found_before_filled,
    not_shut_down_while_shown,
    what_has_moved_stays_told,
)
EVERY_MOMENT = (
    healing_is_not_set_loose,
    sent_away_only_when_free,
    never_two_executions,
    cruise_control_has_a_place_left,
    nothing_moves_at_rest,
    no_selection_moves_at_rest,
    nothing_moves_while_a_metric_pauses,
    calm_metrics_let_go,
    foreign_throttle_stays,
)


# ── at each change of an assignment ───────────────────────────────────────────────────────────────
def replication_factor_and_az_spread_hold(s: Simulation) -> str | None:
    """A settled partition has three replicas in three AZs, always."""
    racks = s.world.racks
    for p in s.world.partitions.values():
        if not p.is_moving and (
            len(p.replicas) != REPLICAS or len({racks[r] for r in p.replicas}) != REPLICAS
        ):
            return f"{p.name} lies on {p.replicas}"
    return None


def nothing_is_lost(s: Simulation) -> str | None:
    """A broker that was shut down because we said so is named by no assignment that was there
    then.
    """
    for broker in s.watched.shut_down:
        if held := s.held_before(broker) - s.watched.foreign_moves.keys():
            return (
                f"broker {broker} was shut down, and {sorted(map(str, held))} had a replica on it"
            )
    return None


EVERY_CHANGE = (replication_factor_and_az_spread_hold, nothing_is_lost)
