"""Folds the beginning, the waiting and the ends of a whole migration into the state."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agent.core import events as ev
from agent.core.evolve.endpoints import carried_over
from agent.core.evolve.pauses import causes_that_outlast
from agent.core.migration import Migration
from agent.core.planning.plan import WaveState


def _migration_started(migration: Migration, event: ev.MigrationStarted) -> Migration:
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
        pause_causes=causes_that_outlast(migration.pause_causes),
        slow_causes=causes_that_outlast(migration.slow_causes),
        rule_states=migration.rule_states,
        suppressed=migration.suppressed,
        # But they are no wave's of this one, and what it moves to is not drained any more.
        sources=tuple(
            replace(s, wave=0)
            for s in migration.sources
            if not s.left and s.broker_id not in filled
        ),
        endpoints=carried_over(
            migration.endpoints, {s.broker_id for s in migration.sources if not s.left}
        ),
        throttle_rates_set=migration.throttle_rates_set,
        pending=migration.pending,
        considered=migration.considered,
        answers=migration.answers,
        plans=migration.plans,
    )


def _waiting(migration: Migration, event: ev.Waiting) -> Migration:
    since = migration.waiting_since if migration.waiting and event.reasons else event.at
    return replace(migration, waiting=event.reasons, waiting_since=since)


def _migration_blocked(migration: Migration, event: ev.MigrationBlocked) -> Migration:
    return replace(
        migration,
        blocked=event.reasons,
        waiting=(),
        stop_for=None,
        attempts_without_progress=0,
        finishes=False,
    )


def _migration_tuned(migration: Migration, event: ev.MigrationTuned) -> Migration:
    return replace(
        migration,
        options=replace(
            migration.options,
            throttle_bytes_per_second=event.throttle_bytes_per_second,
            partition_movements_per_broker=event.partition_movements_per_broker,
        ),
    )


def _rollback_started(migration: Migration, event: ev.RollbackStarted) -> Migration:
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


def _migration_cancelled(migration: Migration, _event: ev.MigrationCancelled) -> Migration:
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
        pause_causes=causes_that_outlast(migration.pause_causes),
        slow_causes=causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
        sources=sources,
    )


def _rollback_completed(migration: Migration, _event: ev.RollbackCompleted) -> Migration:
    return replace(
        migration,
        pause_causes=causes_that_outlast(migration.pause_causes),
        slow_causes=causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
    )


def _migration_drained(migration: Migration, _event: ev.MigrationDrained) -> Migration:
    return replace(
        migration,
        waiting=(),
        slow_causes=causes_that_outlast(migration.slow_causes),
        adapted_rate=None,
    )


FOLDS: dict[type[ev.Event], Callable[[Migration, Any], Migration]] = {
    ev.MigrationStarted: _migration_started,
    ev.Waiting: _waiting,
    ev.MigrationBlocked: _migration_blocked,
    ev.MigrationTuned: _migration_tuned,
    ev.RollbackStarted: _rollback_started,
    ev.MigrationCancelled: _migration_cancelled,
    ev.RollbackCompleted: _rollback_completed,
    ev.MigrationDrained: _migration_drained,
}
