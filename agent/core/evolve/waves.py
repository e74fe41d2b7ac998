"""Folds what happens to a wave, from its beginning to its verification, into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.migration import DrainedSource, Migration
from agent.core.model.executor import Executor, TaskStatus
from agent.core.planning.plan import Direction, Wave, WaveState
from agent.core.planning.progress import Progress


def _with_wave(migration: Migration, number: int, **changes: Any) -> tuple[Wave, ...]:
    return tuple(replace(w, **changes) if w.number == number else w for w in migration.waves)


def _health_changed(migration: Migration, event: ev.HealthChanged) -> Migration:
    since = dict(migration.health_issues)
    return replace(
        migration,
        health_issues=tuple(
            (c, since.get(c, event.at)) for c in dict.fromkeys(str(r.code) for r in event.reasons)
        ),
    )


def _executor_seen(migration: Migration, event: ev.ExecutorSeen) -> Migration:
    return replace(migration, executor=event.executor, task=event.task, executor_since=event.at)


def _wave_begun(migration: Migration, event: ev.WaveBegun) -> Migration:
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


def _checks_passed(migration: Migration, event: ev.ChecksPassed) -> Migration:
    return replace(migration, attempt_replicas=event.replicas, attempt_bytes=event.size_bytes)


def _execution_started(migration: Migration, event: ev.ExecutionStarted) -> Migration:
    return replace(
        migration, executor=Executor.OURS, task=TaskStatus.ACTIVE, executor_since=event.at
    )


def _wave_progressed(migration: Migration, event: ev.WaveProgressed) -> Migration:
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


def _movement_stalled(migration: Migration, _event: ev.MovementStalled) -> Migration:
    return replace(migration, stalled=True)


def _wave_fell_short(migration: Migration, event: ev.WaveFellShort) -> Migration:
    return replace(
        migration,
        attempts_without_progress=0
        if event.progressed
        else migration.attempts_without_progress + 1,
        finishes=True,
    )


def _wave_verified(migration: Migration, event: ev.WaveVerified) -> Migration:
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


def _wave_skipped(migration: Migration, event: ev.WaveSkipped) -> Migration:
    return replace(
        migration, waves=_with_wave(migration, event.wave, state=WaveState.SKIPPED), blocked=()
    )


def _wave_reopened(migration: Migration, event: ev.WaveReopened) -> Migration:
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


def _approval_given(migration: Migration, event: ev.ApprovalGiven) -> Migration:
    return replace(migration, approved=(*migration.approved, event.wave))


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.HealthChanged: _health_changed,
    ev.ExecutorSeen: _executor_seen,
    ev.WaveBegun: _wave_begun,
    ev.ChecksPassed: _checks_passed,
    ev.ExecutionStarted: _execution_started,
    ev.WaveProgressed: _wave_progressed,
    ev.MovementStalled: _movement_stalled,
    ev.WaveFellShort: _wave_fell_short,
    ev.WaveVerified: _wave_verified,
    ev.WaveSkipped: _wave_skipped,
    ev.WaveReopened: _wave_reopened,
    ev.ApprovalGiven: _approval_given,
}
