"""Fold one event into the state. No decision is taken here: everything that is needed stands in the event."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from agent.core import events as ev
from agent.core import evolve_drained_sources, evolve_endpoints, evolve_metrics, evolve_remaining
from agent.core.effects import (
    CONCURRENT_EFFECTS,
    DeregisterEndpoints,
    MovePartitions,
    Pending,
    StartWave,
    TuneWave,
)
from agent.core.kraft import evolve as kraft_evolve
from agent.core.messages import Busy, Checked, Executor, TaskStatus, Unreachable
from agent.core.migration import TRANSITIONS, Cause, CommandAnswer, DrainedSource, Migration, Phase, StopFor
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
    """An event that cannot happen in this phase: a bug, which stops the worker with nothing saved."""


def evolve(m: Migration, event: ev.Event) -> Migration:
    """Apply one event: its fold, its phase, and one more in the sequence."""
    kind = type(event)
    rows = TRANSITIONS.get(kind)
    if rows is not None and m.phase not in rows:
        raise InvalidTransitionError(
            f"{kind.__name__} cannot happen in phase {m.phase} of {m.migration_id or m.cluster}"
        )
    m = evolve_remaining.folded(m, event)
    if fold := _FOLDS.get(kind):
        m = fold(m, event)
    elif kind.__module__ == kraft_evolve.EVENTS:
        m = replace(m, kraft=kraft_evolve.fold(m.kraft, event))
    m = replace(m, sequence=m.sequence + 1)
    if rows is not None and rows[m.phase] is not m.phase:
        m = replace(m, phase=rows[m.phase], phase_since=event.at, retry_at=None, retries=0)
    return m


def _on(kind: type[E]) -> Callable[[Callable[[Migration, E], Migration]], Callable[[Migration, E], Migration]]:
    def register(fold: Callable[[Migration, E], Migration]) -> Callable[[Migration, E], Migration]:
        _FOLDS[kind] = fold
        return fold

    return register


def _with_wave(m: Migration, number: int, **changes: Any) -> tuple[Wave, ...]:
    return tuple(replace(w, **changes) if w.number == number else w for w in m.waves)


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────
@_on(ev.CommandConsidered)
def _(m: Migration, e: ev.CommandConsidered) -> Migration:
    return replace(m, considered=(*m.considered, e))


def _answered(m: Migration, answer: CommandAnswer) -> Migration:
    others = tuple(a for a in m.answers if a.command_id != answer.command_id)
    return replace(
        m,
        answers=(*others, answer)[-ANSWERS_MAX:],
        considered=tuple(c for c in m.considered if c.command_id != answer.command_id),
    )


@_on(ev.CommandAccepted)
def _(m: Migration, e: ev.CommandAccepted) -> Migration:
    return _answered(m, CommandAnswer(command_id=e.command_id, command=e.command, accepted=True))


@_on(ev.CommandRefused)
def _(m: Migration, e: ev.CommandRefused) -> Migration:
    return _answered(m, CommandAnswer(command_id=e.command_id, command=e.command, accepted=False, reasons=e.reasons))


@_on(ev.PlanMade)
def _(m: Migration, e: ev.PlanMade) -> Migration:
    return replace(m, plans=with_new_plan(m.plans, e.plan)) if e.plan else m


# ── effects ─────────────────────────────────────────────────────────────────────────────────────────────────────
@_on(ev.EffectRequested)
def _(m: Migration, e: ev.EffectRequested) -> Migration:
    pending = Pending(effect_id=e.effect_id, effect=e.effect, since=e.at)
    rate = e.effect.throttle_bytes_per_second if isinstance(e.effect, (StartWave, MovePartitions, TuneWave)) else None
    throttle_rates_set = (
        (*m.throttle_rates_set, rate)[-THROTTLE_RATES_MAX:]
        if rate and rate not in m.throttle_rates_set
        else m.throttle_rates_set
    )
    # Surveys run beside the main line and do not touch its clock.
    retry_at = m.retry_at if isinstance(e.effect, CONCURRENT_EFFECTS) else None
    known = m.endpoints
    if isinstance(e.effect, DeregisterEndpoints):
        known = evolve_endpoints.deregistration_asked(known, e.effect)
    return replace(
        m, pending=(*m.pending, pending), retry_at=retry_at, throttle_rates_set=throttle_rates_set, endpoints=known
    )


@_on(ev.EffectFinished)
def _(m: Migration, e: ev.EffectFinished) -> Migration:
    m = replace(
        m,
        pending=tuple(p for p in m.pending if p.effect_id != e.effect_id),
        retry_at=e.retry_at,
        retries=m.retries + 1 if isinstance(e.outcome, (Busy, Unreachable)) else m.retries,
    )
    if isinstance(e.outcome, Checked) and m.phase is Phase.PAUSED:
        bad = {f"safety:{r.code}" for r in e.outcome.reasons}
        blind = any(r.code in _BLIND for r in e.outcome.passing)  # nothing seen is no good news
        m = replace(
            m,
            pause_causes=tuple(
                replace(c, clear_since=None if blind or c.name in bad else (c.clear_since or e.at))
                if c.is_safety
                else c
                for c in m.pause_causes
            ),
        )
    return m


@_on(ev.EndpointsRegistered)
def _(m: Migration, e: ev.EndpointsRegistered) -> Migration:
    return replace(m, endpoints=evolve_endpoints.registered(m.endpoints, e))


@_on(ev.EndpointsDeregistered)
def _(m: Migration, e: ev.EndpointsDeregistered) -> Migration:
    return replace(m, endpoints=evolve_endpoints.deregistered(m.endpoints, e))


@_on(ev.EffectAbandoned)
def _(m: Migration, e: ev.EffectAbandoned) -> Migration:
    return replace(m, pending=tuple(p for p in m.pending if p.effect_id != e.effect_id))


# ── the course of a migration ───────────────────────────────────────────────────────────────────────────────────
@_on(ev.MigrationStarted)
def _(m: Migration, e: ev.MigrationStarted) -> Migration:
    filled = {b for w in e.plan.waves for b in w.destination_broker_ids}
    return Migration(
        cluster=m.cluster,
        migration_id=e.migration_id,
        sequence=m.sequence,
        phase=m.phase,
        phase_since=m.phase_since,
        started_at=e.at,
        options=e.options,
        waves=e.plan.waves,
        snapshot_partitions=e.snapshot_partitions,
        # Alerts outlive a migration, and so does the watch over brokers that an earlier one drained.
        pause_causes=_causes_that_outlast(m.pause_causes),
        slow_causes=_causes_that_outlast(m.slow_causes),
        rule_states=m.rule_states,
        suppressed=m.suppressed,
        # But they are no wave's of this one, and what it moves to is not drained any more.
        sources=tuple(replace(s, wave=0) for s in m.sources if not s.left and s.broker_id not in filled),
        endpoints=evolve_endpoints.carried_over(m.endpoints, {s.broker_id for s in m.sources if not s.left}),
        throttle_rates_set=m.throttle_rates_set,
        pending=m.pending,
        considered=m.considered,
        answers=m.answers,
        plans=m.plans,
    )


@_on(ev.Waiting)
def _(m: Migration, e: ev.Waiting) -> Migration:
    since = m.waiting_since if m.waiting and e.reasons else e.at
    return replace(m, waiting=e.reasons, waiting_since=since)


@_on(ev.HealthChanged)
def _(m: Migration, e: ev.HealthChanged) -> Migration:
    since = dict(m.health_issues)
    return replace(
        m, health_issues=tuple((c, since.get(c, e.at)) for c in dict.fromkeys(str(r.code) for r in e.reasons))
    )


@_on(ev.ExecutorSeen)
def _(m: Migration, e: ev.ExecutorSeen) -> Migration:
    return replace(m, executor=e.executor, task=e.task, executor_since=e.at)


@_on(ev.WaveBegun)
def _(m: Migration, e: ev.WaveBegun) -> Migration:
    first = m.wave is not None and m.wave.state is WaveState.PENDING
    return replace(
        m,
        waves=_with_wave(m, e.wave, state=WaveState.ACTIVE, attempt=e.attempt),
        wave_since=e.at if first else m.wave_since,
        attempts_without_progress=0 if first else m.attempts_without_progress,
        progress=None,
        health_issues=(),
        stalled=False,
    )


@_on(ev.ChecksPassed)
def _(m: Migration, e: ev.ChecksPassed) -> Migration:
    return replace(m, attempt_replicas=e.replicas, attempt_bytes=e.size_bytes)


@_on(ev.ExecutionStarted)
def _(m: Migration, e: ev.ExecutionStarted) -> Migration:
    return replace(m, executor=Executor.OURS, task=TaskStatus.ACTIVE, executor_since=e.at)


@_on(ev.WaveProgressed)
def _(m: Migration, e: ev.WaveProgressed) -> Migration:
    before = m.progress
    same = before is not None and (before.bytes_moved, before.replicas_left) == (e.bytes_moved, e.replicas_left)
    return replace(
        m,
        stalled=m.stalled and same,
        progress=Progress(
            at=e.at,
            changed_at=before.changed_at if same and before else e.at,
            replicas_left=e.replicas_left,
            bytes_left=e.bytes_left,
            bytes_moved=e.bytes_moved,
            moving=e.moving,
            rate_bytes_per_second=e.rate_bytes_per_second,
            eta_seconds=e.eta_seconds,
        ),
    )


@_on(ev.MovementStalled)
def _(m: Migration, _e: ev.MovementStalled) -> Migration:
    return replace(m, stalled=True)


@_on(ev.WaveFellShort)
def _(m: Migration, e: ev.WaveFellShort) -> Migration:
    return replace(m, attempts_without_progress=0 if e.progressed else m.attempts_without_progress + 1, finishes=True)


@_on(ev.WaveVerified)
def _(m: Migration, e: ev.WaveVerified) -> Migration:
    wave = next((w for w in m.waves if w.number == e.wave), None)
    # A selection leaves the rest where it is: only a whole wave empties its sources.
    whole = wave is not None and wave.direction is Direction.FORWARD and wave.selection is None
    emptied = wave.source_broker_ids if wave and whole else ()
    return replace(
        m,
        # Watched from here on: while other waves move, new topics can land on it.
        sources=(
            *(s for s in m.sources if s.broker_id not in emptied),
            *(DrainedSource(broker_id=b, wave=e.wave, empty_since=e.at) for b in emptied),
        ),
        waves=_with_wave(m, e.wave, state=WaveState.DONE),
        soak_until=e.at + m.options.soak_seconds,
        progress=None,
        finishes=False,
    )


@_on(ev.WaveSkipped)
def _(m: Migration, e: ev.WaveSkipped) -> Migration:
    return replace(m, waves=_with_wave(m, e.wave, state=WaveState.SKIPPED), blocked=())


@_on(ev.WaveReopened)
def _(m: Migration, e: ev.WaveReopened) -> Migration:
    reopened = next((w for w in m.waves if w.number == e.wave), None)
    gone = set(reopened.source_broker_ids) if reopened else set()
    return replace(
        m,
        waves=_with_wave(m, e.wave, state=WaveState.PENDING),
        blocked=(),
        soak_until=0.0,
        # While it is swept its broker is not called drained.
        sources=tuple(s for s in m.sources if s.broker_id not in gone),
    )


@_on(ev.ApprovalGiven)
def _(m: Migration, e: ev.ApprovalGiven) -> Migration:
    return replace(m, approved=(*m.approved, e.wave))


@_on(ev.MigrationBlocked)
def _(m: Migration, e: ev.MigrationBlocked) -> Migration:
    return replace(m, blocked=e.reasons, waiting=(), stop_for=None, attempts_without_progress=0, finishes=False)


# ── pause, resume, slow, tune ───────────────────────────────────────────────────────────────────────────────────
@_on(ev.StopRequested)
def _(m: Migration, e: ev.StopRequested) -> Migration:
    return replace(m, stop_for=StopFor(e.purpose), waiting=(), blocked=e.reasons)


@_on(ev.MigrationPaused)
def _(m: Migration, _e: ev.MigrationPaused) -> Migration:
    return replace(m, stop_for=None, waiting=(), progress=None, finishes=False)


@_on(ev.MigrationTuned)
def _(m: Migration, e: ev.MigrationTuned) -> Migration:
    return replace(
        m,
        options=replace(
            m.options,
            throttle_bytes_per_second=e.throttle_bytes_per_second,
            partition_movements_per_broker=e.partition_movements_per_broker,
        ),
    )


# ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────
@_on(ev.RollbackStarted)
def _(m: Migration, e: ev.RollbackStarted) -> Migration:
    undone = {b for w in e.waves for b in w.destination_broker_ids}
    ended_waves = tuple(w if w.state is WaveState.DONE else replace(w, state=WaveState.ABANDONED) for w in m.waves)
    return replace(
        m,
        waves=(*ended_waves, *e.waves),
        finishes=False,
        stop_for=None,
        blocked=(),
        waiting=(),
        soak_until=0.0,
        sources=tuple(s for s in m.sources if s.broker_id not in undone),
    )


@_on(ev.MigrationCancelled)
def _(m: Migration, _e: ev.MigrationCancelled) -> Migration:
    ended_waves = tuple(
        w if w.state in (WaveState.DONE, WaveState.SKIPPED) else replace(w, state=WaveState.ABANDONED) for w in m.waves
    )
    # What may be shut down is watched on, so that the word can be taken back.
    sources = tuple(s for s in m.sources if s.may_be_shut_down or not s.wave)
    return replace(
        m,
        waves=ended_waves,
        stop_for=None,
        blocked=(),
        waiting=(),
        pause_causes=_causes_that_outlast(m.pause_causes),
        slow_causes=_causes_that_outlast(m.slow_causes),
        adapted_rate=None,
        sources=sources,
    )


@_on(ev.RollbackCompleted)
def _(m: Migration, _e: ev.RollbackCompleted) -> Migration:
    return replace(
        m,
        pause_causes=_causes_that_outlast(m.pause_causes),
        slow_causes=_causes_that_outlast(m.slow_causes),
        adapted_rate=None,
    )


def _causes_that_outlast(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """What goes on by itself. What only waits for an operator has been answered."""
    return tuple(c for c in causes if c.is_external and not c.latched)


@_on(ev.MigrationDrained)
def _(m: Migration, _e: ev.MigrationDrained) -> Migration:
    return replace(m, waiting=(), slow_causes=_causes_that_outlast(m.slow_causes), adapted_rate=None)
