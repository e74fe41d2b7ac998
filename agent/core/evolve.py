"""Fold one event into the state.

No decision is taken here: everything that is needed stands in the event.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from agent.core import events as ev
from agent.core import evolve_drained_sources, evolve_endpoints, evolve_metrics, evolve_remaining
from agent.core.effects import (
    EFFECTS,
    DeregisterEndpoints,
    MovePartitions,
    Pending,
    RetryRule,
    StartWave,
    TuneWave,
)
from agent.core.kraft import evolve as kraft_evolve
from agent.core.messages import Busy, Checked, Executor, TaskStatus, Unreachable
from agent.core.migration import (
    TRANSITIONS,
    Cause,
    CommandAnswer,
    DrainedSource,
    Migration,
    Phase,
    StopFor,
)
from agent.core.model.reasons import Code
from agent.core.planning.plan import Direction, Wave, WaveState
from agent.core.planning.progress import Progress
from agent.core.planning.wave import with_new_plan

ANSWERS_MAX = 64  # a repeat is recognised among the last so many commands
THROTTLE_RATES_MAX = 64  # the ledger of rates set; an adaptive throttle sets many

E = TypeVar("E", bound=ev.Event)
Fold = Callable[[Migration, Any], Migration]
# Kafka itself could not be looked at, whatever the cause.
_BLIND = frozenset({Code.KAFKA_UNREACHABLE, Code.KAFKA_LOGIN_REFUSED})
_FOLDS: dict[type[ev.Event], Fold] = evolve_metrics.FOLDS | evolve_drained_sources.FOLDS


class InvalidTransitionError(Exception):
    """An event that cannot happen in this phase: a bug, which stops the worker with nothing
    saved.
    """


def evolve(migration: Migration, event: ev.Event) -> Migration:
    """Apply one event: its fold, its phase, and one more in the sequence."""
    kind = type(event)
    rows = TRANSITIONS.get(kind)
    if rows is not None and migration.phase not in rows:
        raise InvalidTransitionError(
            f"{kind.__name__} cannot happen in phase {migration.phase} of "
            f"{migration.migration_id or migration.cluster}"
        )
    migration = evolve_remaining.folded(migration, event)
    if fold := _FOLDS.get(kind):
        migration = fold(migration, event)
    elif kind.__module__ == kraft_evolve.EVENTS:
        migration = replace(migration, kraft=kraft_evolve.fold(migration.kraft, event))
    migration = replace(migration, sequence=migration.sequence + 1)
    if rows is not None and rows[migration.phase] is not migration.phase:
        migration = replace(
            migration, phase=rows[migration.phase], phase_since=event.at, retry_at=None, retries=0
        )
    return migration


def _on(
    kind: type[E],
) -> Callable[[Callable[[Migration, E], Migration]], Callable[[Migration, E], Migration]]:
    def register(fold: Callable[[Migration, E], Migration]) -> Callable[[Migration, E], Migration]:
        _FOLDS[kind] = fold
        return fold

    return register


def _with_wave(migration: Migration, number: int, **changes: Any) -> tuple[Wave, ...]:
    return tuple(replace(w, **changes) if w.number == number else w for w in migration.waves)


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
@_on(ev.CommandConsidered)
def _(migration: Migration, event: ev.CommandConsidered) -> Migration:
    return replace(migration, considered=(*migration.considered, event))


def _answered(migration: Migration, answer: CommandAnswer) -> Migration:
    others = tuple(a for a in migration.answers if a.command_id != answer.command_id)
    return replace(
        migration,
        answers=(*others, answer)[-ANSWERS_MAX:],
        considered=tuple(c for c in migration.considered if c.command_id != answer.command_id),
    )


@_on(ev.CommandAccepted)
def _(migration: Migration, event: ev.CommandAccepted) -> Migration:
    return _answered(
        migration, CommandAnswer(command_id=event.command_id, command=event.command, accepted=True)
    )


@_on(ev.CommandRefused)
def _(migration: Migration, event: ev.CommandRefused) -> Migration:
    return _answered(
        migration,
        CommandAnswer(
            command_id=event.command_id,
            command=event.command,
            accepted=False,
            reasons=event.reasons,
        ),
    )


@_on(ev.PlanMade)
def _(migration: Migration, event: ev.PlanMade) -> Migration:
    return (
        replace(migration, plans=with_new_plan(migration.plans, event.plan))
        if event.plan
        else migration
    )


# ── effects ───────────────────────────────────────────────────────────────────────────────────────
@_on(ev.EffectRequested)
def _(migration: Migration, event: ev.EffectRequested) -> Migration:
    pending = Pending(effect_id=event.effect_id, effect=event.effect, since=event.at)
    rate = (
        event.effect.throttle_bytes_per_second
        if isinstance(event.effect, (StartWave, MovePartitions, TuneWave))
        else None
    )
    throttle_rates_set = (
        (*migration.throttle_rates_set, rate)[-THROTTLE_RATES_MAX:]
        if rate and rate not in migration.throttle_rates_set
        else migration.throttle_rates_set
    )
    uses_clock = EFFECTS[type(event.effect)].retry is not RetryRule.NONE
    known = migration.endpoints
    if isinstance(event.effect, DeregisterEndpoints):
        known = evolve_endpoints.deregistration_asked(known, event.effect)
    return replace(
        migration,
        pending=(*migration.pending, pending),
        retry_at=None if uses_clock else migration.retry_at,
        throttle_rates_set=throttle_rates_set,
        endpoints=known,
    )


@_on(ev.EffectFinished)
def _(migration: Migration, event: ev.EffectFinished) -> Migration:
    migration = replace(
        migration,
        pending=tuple(p for p in migration.pending if p.effect_id != event.effect_id),
        retry_at=event.retry_at,
        retries=migration.retries + 1
        if isinstance(event.outcome, (Busy, Unreachable))
        else migration.retries,
    )
    if isinstance(event.outcome, Checked) and migration.phase is Phase.PAUSED:
        bad = {f"safety:{r.code}" for r in event.outcome.reasons}
        blind = any(r.code in _BLIND for r in event.outcome.passing)  # nothing seen is no good news
        migration = replace(
            migration,
            pause_causes=tuple(
                replace(
                    c, clear_since=None if blind or c.name in bad else (c.clear_since or event.at)
                )
                if c.is_safety
                else c
                for c in migration.pause_causes
            ),
        )
    return migration


@_on(ev.EndpointsRegistered)
def _(migration: Migration, event: ev.EndpointsRegistered) -> Migration:
    return replace(migration, endpoints=evolve_endpoints.registered(migration.endpoints, event))


@_on(ev.EndpointsDeregistered)
def _(migration: Migration, event: ev.EndpointsDeregistered) -> Migration:
    return replace(migration, endpoints=evolve_endpoints.deregistered(migration.endpoints, event))


@_on(ev.EffectAbandoned)
def _(migration: Migration, event: ev.EffectAbandoned) -> Migration:
    return replace(
        migration, pending=tuple(p for p in migration.pending if p.effect_id != event.effect_id)
    )


# ── the course of a migration ─────────────────────────────────────────────────────────────────────
@_on(ev.MigrationStarted)
def _(migration: Migration, event: ev.MigrationStarted) -> Migration:
    filled = {b for w in event.plan.waves for b in w.destination_broker_ids}
    return Migration(
        cluster=migration.cluster,
        migration_id=event.migration_id,
        sequence=migration.sequence,
        phase=migration.phase,
        phase_since=migration.phase_since,
        started_at=event.at,
        options=event.options,
        waves=event.plan.waves,
        snapshot_partitions=event.snapshot_partitions,
        # Alerts outlive a migration, and so does the watch over brokers that an earlier one
        # drained.
        pause_causes=_causes_that_outlast(migration.pause_causes),
        slow_causes=_causes_that_outlast(migration.slow_causes),
        rule_states=migration.rule_states,
        suppressed=migration.suppressed,
        # But they are no wave's of this one, and what it moves to is not drained any more.
        sources=tuple(
            replace(s, wave=0)
            for s in migration.sources
            if not s.left and s.broker_id not in filled
        ),
        endpoints=evolve_endpoints.carried_over(
            migration.endpoints, {s.broker_id for s in migration.sources if not s.left}
        ),
        throttle_rates_set=migration.throttle_rates_set,
        pending=migration.pending,
        considered=migration.considered,
        answers=migration.answers,
        plans=migration.plans,
    )


@_on(ev.Waiting)
def _(migration: Migration, event: ev.Waiting) -> Migration:
    since = migration.waiting_since if migration.waiting and event.reasons else event.at
    return replace(migration, waiting=event.reasons, waiting_since=since)


@_on(ev.HealthChanged)
def _(migration: Migration, event: ev.HealthChanged) -> Migration:
    since = dict(migration.health_issues)
    return replace(
        migration,
        health_issues=tuple(
            (c, since.get(c, event.at)) for c in dict.fromkeys(str(r.code) for r in event.reasons)
        ),
    )


@_on(ev.ExecutorSeen)
def _(migration: Migration, event: ev.ExecutorSeen) -> Migration:
    return replace(migration, executor=event.executor, task=event.task, executor_since=event.at)


@_on(ev.WaveBegun)
def _(migration: Migration, event: ev.WaveBegun) -> Migration:
    first = migration.wave is not None and migration.wave.state is WaveState.PENDING
    return replace(
        migration,
        waves=_with_wave(migration, event.wave, state=WaveState.ACTIVE, attempt=event.attempt),
        wave_since=event.at if first else migration.wave_since,
        attempts_without_progress=0 if first else migration.attempts_without_progress,
        progress=None,
        health_issues=(),
        stalled=False,
    )


@_on(ev.ChecksPassed)
def _(migration: Migration, event: ev.ChecksPassed) -> Migration:
    return replace(migration, attempt_replicas=event.replicas, attempt_bytes=event.size_bytes)


@_on(ev.ExecutionStarted)
def _(migration: Migration, event: ev.ExecutionStarted) -> Migration:
    return replace(
        migration, executor=Executor.OURS, task=TaskStatus.ACTIVE, executor_since=event.at
    )


@_on(ev.WaveProgressed)
def _(migration: Migration, event: ev.WaveProgressed) -> Migration:
    before = migration.progress
    same = before is not None and (before.bytes_moved, before.replicas_left) == (
        event.bytes_moved,
        event.replicas_left,
    )
    return replace(
        migration,
        stalled=migration.stalled and same,
        progress=Progress(
            at=event.at,
            changed_at=before.changed_at if same and before else event.at,
            replicas_left=event.replicas_left,
            bytes_left=event.bytes_left,
            bytes_moved=event.bytes_moved,
            moving=event.moving,
            rate_bytes_per_second=event.rate_bytes_per_second,
            eta_seconds=event.eta_seconds,
        ),
    )


@_on(ev.MovementStalled)
def _(migration: Migration, _e: ev.MovementStalled) -> Migration:
    return replace(migration, stalled=True)


@_on(ev.WaveFellShort)
def _(migration: Migration, event: ev.WaveFellShort) -> Migration:
    return replace(
        migration,
        attempts_without_progress=0
        if event.progressed
        else migration.attempts_without_progress + 1,
        finishes=True,
    )


@_on(ev.WaveVerified)
def _(migration: Migration, event: ev.WaveVerified) -> Migration:
    wave = next((w for w in migration.waves if w.number == event.wave), None)
    # A selection leaves the rest where it is: only a whole wave empties its sources.
    whole = wave is not None and wave.direction is Direction.FORWARD and wave.selection is None
    emptied = wave.source_broker_ids if wave and whole else ()
    return replace(
        migration,
        # Watched from here on: while other waves move, new topics can land on it.
        sources=(
            *(s for s in migration.sources if s.broker_id not in emptied),
            *(DrainedSource(broker_id=b, wave=event.wave, empty_since=event.at) for b in emptied),
        ),
        waves=_with_wave(migration, event.wave, state=WaveState.DONE),
        soak_until=event.at + migration.options.soak_seconds,
        progress=None,
        finishes=False,
    )


@_on(ev.WaveSkipped)
def _(migration: Migration, event: ev.WaveSkipped) -> Migration:
    return replace(
        migration, waves=_with_wave(migration, event.wave, state=WaveState.SKIPPED), blocked=()
    )


@_on(ev.WaveReopened)
def _(migration: Migration, event: ev.WaveReopened) -> Migration:
    reopened = next((w for w in migration.waves if w.number == event.wave), None)
    gone = set(reopened.source_broker_ids) if reopened else set()
    return replace(
        migration,
        waves=_with_wave(migration, event.wave, state=WaveState.PENDING),
        blocked=(),
        soak_until=0.0,
        # While it is swept its broker is not called drained.
        sources=tuple(s for s in migration.sources if s.broker_id not in gone),
    )


@_on(ev.ApprovalGiven)
def _(migration: Migration, event: ev.ApprovalGiven) -> Migration:
    return replace(migration, approved=(*migration.approved, event.wave))


@_on(ev.MigrationBlocked)
def _(migration: Migration, event: ev.MigrationBlocked) -> Migration:
    return replace(
        migration,
        blocked=event.reasons,
        waiting=(),
        stop_for=None,
        attempts_without_progress=0,
        finishes=False,
    )


# ── pause, resume, slow, tune ─────────────────────────────────────────────────────────────────────
@_on(ev.StopRequested)
def _(migration: Migration, event: ev.StopRequested) -> Migration:
    return replace(migration, stop_for=StopFor(event.purpose), waiting=(), blocked=event.reasons)


@_on(ev.MigrationPaused)
def _(migration: Migration, _e: ev.MigrationPaused) -> Migration:
    return replace(migration, stop_for=None, waiting=(), progress=None, finishes=False)


@_on(ev.MigrationTuned)
def _(migration: Migration, event: ev.MigrationTuned) -> Migration:
    return replace(
        migration,
        options=replace(
            migration.options,
            throttle_bytes_per_second=event.throttle_bytes_per_second,
            partition_movements_per_broker=event.partition_movements_per_broker,
        ),
    )


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────
@_on(ev.RollbackStarted)
def _(migration: Migration, event: ev.RollbackStarted) -> Migration:
    undone = {b for w in event.waves for b in w.destination_broker_ids}
    ended_waves = tuple(
        w if w.state is WaveState.DONE else replace(w, state=WaveState.ABANDONED)
        for w in migration.waves
    )
    return replace(
        migration,
        waves=(*ended_waves, *event.waves),
        finishes=False,
        stop_for=None,
        blocked=(),
        waiting=(),
        soak_until=0.0,
        sources=tuple(s for s in migration.sources if s.broker_id not in undone),
    )


@_on(ev.MigrationCancelled)
def _(migration: Migration, _e: ev.MigrationCancelled) -> Migration:
    ended_waves = tuple(
        w
        if w.state in (WaveState.DONE, WaveState.SKIPPED)
        else replace(w, state=WaveState.ABANDONED)
        for w in migration.waves
    )
    # What may be shut down is watched on, so that the word can be taken back.
    sources = tuple(s for s in migration.sources if s.may_be_shut_down or not s.wave)
    return replace(
        migration,
        waves=ended_waves,
        stop_for=None,
        blocked=(),
        waiting=(),
        pause_causes=_causes_that_outlast(migration.pause_causes),
        slow_causes=_causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
        sources=sources,
    )


@_on(ev.RollbackCompleted)
def _(migration: Migration, _e: ev.RollbackCompleted) -> Migration:
    return replace(
        migration,
        pause_causes=_causes_that_outlast(migration.pause_causes),
        slow_causes=_causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
    )


def _causes_that_outlast(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """What goes on by itself. What only waits for an operator has been answered."""
    return tuple(c for c in causes if c.is_external and not c.latched)


@_on(ev.MigrationDrained)
def _(migration: Migration, _e: ev.MigrationDrained) -> Migration:
    return replace(
        migration,
        waiting=(),
        slow_causes=_causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
    )
