"""The state of one cluster's migration, its phases, and the transition table. Nothing here decides.

`evolve` folds events into it, decide.py reads it, and turn.py saves it.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from agent.core import events as ev
from agent.core.effects import (
    Effect,
    Pending,
    RegisterEndpoints,
    Watch,
    WatchSources,
    WatchThrottle,
    WatchWave,
    WaveScope,
)
from agent.core.kraft.state import Kraft, kraft_watch
from agent.core.metrics.rules import RuleState
from agent.core.model.causes import METRIC, Cause, Flaps, SuppressedCause
from agent.core.model.endpoints import Endpoints
from agent.core.model.executor import Executor, TaskStatus
from agent.core.model.reasons import Reason
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.plan import Direction, Plan, Wave, WaveState
from agent.core.planning.policy import Policy
from agent.core.planning.progress import Progress
from agent.core.planning.wave_sizing import lower_limit, movements_at_once


@unique
class Phase(StrEnum):
    """Where a migration stands; the comment says what it waits for."""

    NONE = "none"  # nothing was ever started
    CHECKING = "checking"  # the preconditions before a wave
    REQUESTING = "requesting"  # throttle set, Cruise Control asked
    MOVING = "moving"  # replicas move
    CLOSING = "closing"  # throttle cleared, leaders elected, facts verified
    BETWEEN_WAVES = "between_waves"  # soak time
    AWAITING_APPROVAL = "awaiting_approval"  # an operator's `approve`
    STOPPING = "stopping"  # the execution ends, to pause, cancel or roll back
    PAUSED = "paused"  # every cause to be lifted
    BLOCKED = "blocked"  # a human: retry, skip, cancel, rollback
    PROVING = "proving"  # the rollback's result is compared with the start
    DRAINED = "drained"  # the sources to stay empty, then to leave
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ROLLED_BACK = "rolled_back"


RESTING = frozenset(
    {Phase.NONE, Phase.DRAINED, Phase.COMPLETED, Phase.CANCELLED, Phase.ROLLED_BACK}
)
ACTIVE = frozenset(Phase) - RESTING

_P = Phase

# (phases in which it can happen) x event -> the phase after. An event that is not here changes no
# phase. The picture in docs/phases.md is generated from this table.
TRANSITIONS: dict[type[ev.Event], dict[Phase, Phase]] = {
    ev.MigrationStarted: dict.fromkeys(RESTING, _P.BETWEEN_WAVES),
    ev.WaveBegun: {_P.BETWEEN_WAVES: _P.CHECKING},
    ev.ChecksPassed: {_P.CHECKING: _P.REQUESTING},
    ev.ExecutionStarted: {_P.REQUESTING: _P.MOVING},
    ev.SourceEmptied: {_P.MOVING: _P.CLOSING, _P.CHECKING: _P.CLOSING},
    ev.WaveFellShort: {_P.MOVING: _P.BETWEEN_WAVES, _P.CLOSING: _P.BETWEEN_WAVES},
    ev.WaveVerified: {_P.CLOSING: _P.BETWEEN_WAVES},
    ev.ApprovalAwaited: {_P.BETWEEN_WAVES: _P.AWAITING_APPROVAL},
    ev.ApprovalGiven: {_P.AWAITING_APPROVAL: _P.BETWEEN_WAVES},
    ev.MigrationBlocked: dict.fromkeys(
        (_P.CHECKING, _P.CLOSING, _P.STOPPING, _P.PROVING), _P.BLOCKED
    ),
    ev.WaveReopened: dict.fromkeys((_P.BLOCKED, _P.DRAINED, _P.BETWEEN_WAVES), _P.BETWEEN_WAVES),
    ev.WaveSkipped: {_P.BLOCKED: _P.BETWEEN_WAVES},
    ev.StopRequested: dict.fromkeys(
        (
            _P.CHECKING,
            _P.REQUESTING,
            _P.MOVING,
            _P.CLOSING,
            _P.BETWEEN_WAVES,
            _P.STOPPING,
            _P.PAUSED,
            _P.BLOCKED,
        ),
        _P.STOPPING,
    ),
    ev.MigrationPaused: dict.fromkeys(
        (_P.STOPPING, _P.CHECKING, _P.BETWEEN_WAVES, _P.AWAITING_APPROVAL), _P.PAUSED
    ),
    ev.MigrationResumed: {_P.PAUSED: _P.BETWEEN_WAVES},
    ev.MigrationCancelled: dict.fromkeys(
        (_P.STOPPING, _P.CHECKING, _P.BETWEEN_WAVES, _P.AWAITING_APPROVAL, _P.PAUSED, _P.BLOCKED),
        _P.CANCELLED,
    ),
    ev.RollbackStarted: dict.fromkeys(
        (
            _P.STOPPING,
            _P.CHECKING,
            _P.BETWEEN_WAVES,
            _P.AWAITING_APPROVAL,
            _P.PAUSED,
            _P.BLOCKED,
            _P.DRAINED,
            _P.CANCELLED,
        ),
        _P.BETWEEN_WAVES,
    ),
    ev.RollbackMoved: {_P.BETWEEN_WAVES: _P.PROVING, _P.BLOCKED: _P.PROVING},
    ev.RollbackCompleted: {_P.PROVING: _P.ROLLED_BACK},
    ev.MigrationDrained: {_P.BETWEEN_WAVES: _P.DRAINED},
    ev.MigrationCompleted: {_P.DRAINED: _P.COMPLETED},
}


class StopFor(StrEnum):
    """What comes after a stop."""

    PAUSE = "pause"
    CANCEL = "cancel"
    ROLLBACK = "roll back"
    BLOCK = "wait for a human"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedRate:
    """The rate that the headroom allows, below the ceiling to which it climbs back."""

    bytes_per_second: int
    ceiling_bytes_per_second: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """The answer to a command, kept so that a repeat gets the same."""

    command_id: str
    command: str
    accepted: bool
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainedSource:
    """A drained broker under watch."""

    broker_id: int
    wave: int
    empty_since: float | None
    may_be_shut_down: bool = False
    left: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One cluster's migration: the one running, or the last one. Saved after every message."""

    cluster: str
    migration_id: str = ""
    sequence: int = 0  # events so far on this cluster; an event's id is `<migration_id>/<sequence>`
    phase: Phase = Phase.NONE
    phase_since: float = 0.0
    started_at: float = 0.0
    options: Options = field(default_factory=Options)
    waves: tuple[Wave, ...] = ()
    snapshot_partitions: int = 0

    # the current wave
    progress: Progress | None = None
    attempt_replicas: int = 0  # on the sources when this attempt was checked
    attempt_bytes: int = 0
    attempts_without_progress: int = 0
    # The last attempt fell short and nothing has paused it since: the wave is being finished.
    finishes: bool = False
    wave_since: float = 0.0
    executor: Executor = Executor.IDLE
    task: TaskStatus = TaskStatus.NONE
    executor_since: float = 0.0
    stalled: bool = False
    soak_until: float = 0.0
    approved: tuple[int, ...] = ()

    # why it does not move
    waiting: tuple[Reason, ...] = ()
    waiting_since: float = 0.0
    # (code, since): what is wrong while something moves
    health_issues: tuple[tuple[str, float], ...] = ()
    retry_at: float | None = None
    retries: int = 0
    pause_causes: tuple[Cause, ...] = ()
    slow_causes: tuple[Cause, ...] = ()
    blocked: tuple[Reason, ...] = ()
    stop_for: StopFor | None = None

    # what metrics and alerts say
    rule_states: tuple[RuleState, ...] = ()  # rules that are not clear
    suppressed: tuple[SuppressedCause, ...] = ()
    resumed_at: float = 0.0  # by a human
    flaps: tuple[Flaps, ...] = ()
    adapted_rate: AdaptedRate | None = None

    # the outside
    # every throttle this migration has set: what it may clear
    throttle_rates_set: tuple[int, ...] = ()
    pending: tuple[Pending, ...] = ()
    considered: tuple[ev.CommandConsidered, ...] = ()
    answers: tuple[CommandAnswer, ...] = ()
    plans: tuple[Plan, ...] = ()
    sources: tuple[DrainedSource, ...] = ()
    endpoints: Endpoints = field(default_factory=Endpoints)  # where clients find the brokers

    kraft: Kraft = field(default_factory=Kraft)  # ZooKeeper to KRaft, after the replicas

    @property
    def wave(self) -> Wave | None:
        """The wave whose turn it is, or None when all have ended."""
        return next(
            (w for w in self.waves if w.state in (WaveState.PENDING, WaveState.ACTIVE)), None
        )

    @property
    def direction(self) -> Direction:
        """The direction of the last wave; forward while no wave is planned."""
        return self.waves[-1].direction if self.waves else Direction.FORWARD

    @property
    def stage(self) -> int:
        """How far it is: 1 registered, 2 moving, 3 sources empty, 4 they may be shut down."""
        watched = [s for s in self.sources if not s.left]
        if self.phase is Phase.COMPLETED or (watched and all(s.may_be_shut_down for s in watched)):
            return 4
        if self.phase is Phase.DRAINED:
            return 3
        return 2 if any(w.attempt for w in self.waves) and self.phase in ACTIVE else 1

    @property
    def brokers_of_open_waves(self) -> frozenset[int]:
        """Brokers of both sides of every wave that has not ended."""
        open_waves = (w for w in self.waves if w.state in (WaveState.PENDING, WaveState.ACTIVE))
        return frozenset(
            b for w in open_waves for b in (*w.source_broker_ids, *w.destination_broker_ids)
        )

    @property
    def rollback_brokers(self) -> frozenset[int]:
        """The drained sources that a rollback of this migration needs; none once it rolls back."""
        if self.direction is Direction.BACK:
            return frozenset()
        # They may be shut down, so a rollback cannot count on them.
        released = {s.broker_id for s in self.sources if s.may_be_shut_down or s.left}
        return (
            frozenset(
                b for w in self.waves if w.state is WaveState.DONE for b in w.source_broker_ids
            )
            - released
        )

    def scope(self) -> WaveScope:
        """The current wave as effects name it; call it only where there is one."""
        wave = self.wave
        assert wave is not None, f"no wave in phase {self.phase}"
        return WaveScope(
            migration_id=self.migration_id,
            wave=wave.number,
            attempt=wave.attempt,
            source_broker_ids=wave.source_broker_ids,
            destination_broker_ids=wave.destination_broker_ids,
            lane=wave.lane,
            selection=wave.selection,
        )

    @property
    def throttles(self) -> bool:
        """Whether the agent sets the throttle of the current wave; always for a selection."""
        return self.options.throttle_by is ThrottleBy.AGENT or (
            self.wave is not None and self.wave.selection is not None
        )

    def movements_at_once(self, chosen: int) -> int:
        """Partition movements per broker for the current wave: the operator's or the chosen number,
        within the wave's bound.
        """
        wave = self.wave
        return movements_at_once(self.options, wave, chosen) if wave else chosen

    def rate(self, policy: Policy) -> int | None:
        """The throttle that should be in force, in bytes per second; None: none.

        It is the floor while an operator or an alert slows it, else what the headroom allows, else
        what was asked for.
        """
        asked = self.asked_rate()
        if any(not c.name.startswith(METRIC) for c in self.slow_causes):
            return (
                min(policy.slow_bytes_per_second, asked) if asked else policy.slow_bytes_per_second
            )
        if self.adapted_rate is None:
            return asked
        allowed = self.adapted_rate.bytes_per_second
        return min(allowed, asked) if asked else allowed

    def asked_rate(self) -> int | None:
        """The throttle of the current wave when nothing slows it, bytes per second; None: none."""
        bound = self.wave.throttle_bytes_per_second_max if self.wave else None
        return lower_limit(self.options.throttle_bytes_per_second, bound)

    def pending_effect(self, *kinds: type[Effect]) -> Pending | None:
        """The pending effect of one of these kinds, if any."""
        return next((p for p in self.pending if isinstance(p.effect, kinds)), None)

    def answer(self, command_id: str) -> CommandAnswer | None:
        """The answer that this command was given before, or None."""
        return next((a for a in self.answers if a.command_id == command_id), None)


def watches(migration: Migration, policy: Policy) -> tuple[Watch, ...]:
    """The watches that this state needs; the worker starts what is missing and ends the others."""
    m = migration
    wanted: list[Watch] = []
    if m.phase is Phase.MOVING or (
        m.phase is Phase.PAUSED and m.wave is not None and m.wave.attempt > 0
    ):
        # While paused as well: nothing that somebody starts under our key may move while a cause
        # holds.
        throttled = m.throttles and m.rate(policy) is not None
        wanted.append(WatchWave(scope=m.scope(), throttled=throttled and m.phase is Phase.MOVING))
    if m.throttle_rates_set and m.phase in RESTING | {
        Phase.PAUSED,
        Phase.BLOCKED,
        Phase.AWAITING_APPROVAL,
    }:
        destinations = {b for w in m.waves for b in w.destination_broker_ids}
        wanted.append(
            WatchThrottle(
                destination_broker_ids=tuple(sorted(destinations)),
                throttle_rates_set=m.throttle_rates_set,
            )
        )
    # Brokers that have left are watched too, until the migration is completed: one that comes back
    # may receive new topics.
    if under_watch := tuple(s.broker_id for s in m.sources if m.phase is not Phase.COMPLETED):
        wanted.append(WatchSources(source_broker_ids=under_watch))
    if (look := kraft_watch(m.kraft)) is not None:
        wanted.append(look)
    return tuple(wanted)


def wake_at(migration: Migration) -> float | None:
    """When a Tick is due, in seconds since the epoch; None: only a message can change anything."""
    m = migration
    due: list[float] = []
    if m.retry_at is not None:
        due.append(m.retry_at)
    # While brokers are being registered before a wave, the retry clock counts, not the soak time.
    if (
        m.phase is Phase.BETWEEN_WAVES
        and m.retry_at is None
        and m.pending_effect(RegisterEndpoints) is None
    ):
        due.append(m.soak_until)
    due += [h.until for h in m.suppressed]
    return min(due, default=None)
