"""What happened to the migration: folded into its state (migration.py), and published as progress events.

Declared once, here; schemas/events.py derives the wire form from these classes. `str(event)` is its sentence.
"""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core import kraft_events as kev
from agent.core.effects import Effect
from agent.core.endpoint_events import EndpointsDeregistered as EndpointsDeregistered
from agent.core.endpoint_events import EndpointsRegistered as EndpointsRegistered
from agent.core.event import Event as Event
from agent.core.event import because
from agent.core.judged import CauseSuppressed as CauseSuppressed
from agent.core.judged import FlapLimitReached as FlapLimitReached
from agent.core.judged import RuleStateChanged as RuleStateChanged
from agent.core.judged import SuppressedCauseCleared as SuppressedCauseCleared
from agent.core.judged import ThrottleAdapted as ThrottleAdapted
from agent.core.load import BrokerLoad
from agent.core.messages import Executor, Inspected, Outcome, TaskStatus
from agent.core.options import Options
from agent.core.plan import Plan
from agent.core.reasons import BlockedWave, CheckResult, Reason
from agent.core.steering import LeftoverThrottleCleared as LeftoverThrottleCleared
from agent.core.steering import MigrationCancelled as MigrationCancelled
from agent.core.steering import MigrationCompleted as MigrationCompleted
from agent.core.steering import MigrationDrained as MigrationDrained
from agent.core.steering import MigrationPaused as MigrationPaused
from agent.core.steering import MigrationResumed as MigrationResumed
from agent.core.steering import MigrationTuned as MigrationTuned
from agent.core.steering import PauseCauseAdded as PauseCauseAdded
from agent.core.steering import PauseCauseLifted as PauseCauseLifted
from agent.core.steering import RollbackCompleted as RollbackCompleted
from agent.core.steering import RollbackMoved as RollbackMoved
from agent.core.steering import RollbackStarted as RollbackStarted
from agent.core.steering import SlowCauseAdded as SlowCauseAdded
from agent.core.steering import SlowCauseLifted as SlowCauseLifted
from agent.core.steering import SourceEmptyAgain as SourceEmptyAgain
from agent.core.steering import SourceLeft as SourceLeft
from agent.core.steering import SourceMayBeShutDown as SourceMayBeShutDown
from agent.core.steering import SourceRefilled as SourceRefilled
from agent.core.steering import SourceReturned as SourceReturned
from agent.core.steering import StopRequested as StopRequested


# ── commands and their answers ──────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConsidered(Event):
    """A plan or start needs a look at the cluster before it can be answered."""

    command_id: str
    command: str
    issued_by: str
    reason: str
    options: Options

    def __str__(self) -> str:
        return f"{self.command} {self.command_id} is being examined against the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAccepted(Event):
    """The one answer to a command that is obeyed; `repeat` when it was answered before and nothing is done twice."""

    command_id: str
    command: str
    issued_by: str = ""
    reason: str = ""
    repeat: bool = False

    def __str__(self) -> str:
        return f"{self.command} accepted" + (" (again: nothing is done twice)" if self.repeat else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused(Event):
    """The one answer to a command that is not obeyed: every reason at once."""

    command_id: str
    command: str
    reasons: tuple[Reason, ...]
    issued_by: str = ""
    repeat: bool = False

    def __str__(self) -> str:
        return f"{self.command} refused: {because(self.reasons)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade(Event):
    """A dry run's result: what would move, and what stands in the way."""

    command_id: str
    plan: Plan | None
    reasons: tuple[Reason, ...]
    check_results: tuple[CheckResult, ...] = ()  # every check, green and red
    blocked_waves: tuple[BlockedWave, ...] = ()  # what stands in the way of single waves, beside `reasons`
    load: tuple[BrokerLoad, ...] = ()  # each broker of the plan before and after it

    def __str__(self) -> str:
        if self.plan is None:
            return f"no plan: {because(self.reasons)}"
        against = f"; in the way: {because(self.reasons)}" if self.reasons else "; nothing stands in the way"
        p = self.plan
        return f"plan {p.plan_id}: {len(p.waves)} waves, {p.replicas} replicas, {p.size_bytes} bytes{against}"


# ── effects ─────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRequested(Event):
    """Something is asked of the outside; pending until EffectFinished."""

    effect_id: str
    effect: Effect

    def __str__(self) -> str:
        return f"asked for {type(self.effect).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFinished(Event):
    """It ended so."""

    effect_id: str
    name: str
    outcome: Outcome
    retry_at: float | None = None  # when it will be asked for again, if it was not to be had now

    def __str__(self) -> str:
        reason = getattr(self.outcome, "reason", None)
        return f"{self.name}: {type(self.outcome).__name__}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectAbandoned(Event):
    """It is not wanted any more: a stop overtook it."""

    effect_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} is not wanted any more"


# ── the migration ───────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStarted(Event):
    """The plan is fixed and the assignment saved: from here on replicas may move."""

    migration_id: str
    command_id: str
    options: Options
    plan: Plan
    snapshot_partitions: int

    def __str__(self) -> str:
        p = self.plan
        return (
            f"migration {self.migration_id} started: {len(p.waves)} waves, {p.replicas} replicas, {p.size_bytes} bytes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """Why nothing moves right now, where no pause is needed: it passes by itself. Empty: it has passed."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"waiting: {because(self.reasons)}" if self.reasons else "no longer waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Event):
    """What speaks against moving on, while something moves; empty when all is well again."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"not well: {because(self.reasons)}" if self.reasons else "all is well again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSeen(Event):
    """Cruise Control's executor or our user task has changed."""

    executor: Executor
    task: TaskStatus

    def __str__(self) -> str:
        return f"Cruise Control: executor {self.executor}, our user task {self.task}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBegun(Event):
    """A wave's turn, or another attempt at its rest: the cluster is checked first."""

    wave: int
    attempt: int

    def __str__(self) -> str:
        return f"wave {self.wave}: attempt {self.attempt}, checking the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksPassed(Event):
    """Every precondition holds: Cruise Control is asked."""

    wave: int
    replicas: int
    leaders: int
    size_bytes: int

    def __str__(self) -> str:
        return f"wave {self.wave}: all checks hold, {self.replicas} replicas with {self.size_bytes} bytes to move"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted(Event):
    """Cruise Control has accepted the request; `adopted`: it had it already, from before a crash."""

    wave: int
    attempt: int
    user_task_id: str
    adopted: bool
    by_agent: bool = False  # a selection, by Kafka's own reassignment

    def __str__(self) -> str:
        if self.by_agent:
            return f"wave {self.wave}: its partitions move by Kafka's own reassignment"
        how = "is found running" if self.adopted else "runs"
        return f"wave {self.wave}: Cruise Control {how} as user task {self.user_task_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveProgressed(Event):
    """How far the wave is, from Kafka's log dirs and reassignments."""

    wave: int
    replicas_left: int
    bytes_left: int
    bytes_moved: int
    moving: int
    rate_bytes_per_second: float
    eta_seconds: float | None

    def __str__(self) -> str:
        left = f"{self.replicas_left} replicas left, {self.moving} moving"
        return f"wave {self.wave}: {left}, {self.bytes_moved} bytes moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementStalled(Event):
    """No byte and no replica for too long."""

    wave: int
    reason: Reason

    def __str__(self) -> str:
        return f"wave {self.wave}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEmptied(Event):
    """Kafka shows no replica on the wave's sources and nothing in flight: the wave is closed and verified."""

    wave: int

    def __str__(self) -> str:
        return f"wave {self.wave}: nothing of it is left on the source, verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFellShort(Event):
    """The execution ended and something is left, whatever Cruise Control says: the rest is asked for again."""

    wave: int
    attempt: int
    reason: Reason
    progressed: bool
    replicas_left: int
    bytes_left: int

    def __str__(self) -> str:
        return f"wave {self.wave}: attempt {self.attempt} fell short, {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveVerified(Event):
    """The proof, from Kafka's facts alone."""

    wave: int
    facts: Inspected
    seconds: float

    def __str__(self) -> str:
        f = self.facts
        stray = f" ({f.stray_bytes} of them stray logs that no assignment names)" if f.stray_bytes else ""
        return (
            f"wave {self.wave} verified: {f.replicas_left} replicas and {f.bytes_left} bytes{stray} on the source, "
            f"full ISR, {f.order_changed} orders changed, {f.throttles_left} throttles left, after {self.seconds:.0f} s"
            + (f"; {f.clients}" if f.clients else "")
            + "".join(f"; {told}" for told in f.produce_latency or ())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSkipped(Event):
    """An operator left a blocked wave as it is."""

    wave: int

    def __str__(self) -> str:
        return f"wave {self.wave} skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveReopened(Event):
    """A wave is tried again: an operator's `retry`, or late arrivals on its source."""

    wave: int
    why: str

    def __str__(self) -> str:
        return f"wave {self.wave} again: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAwaited(Event):
    """The gate before this wave is shut until someone approves."""

    wave: int
    az: str

    def __str__(self) -> str:
        return f"approval awaited before wave {self.wave} ({self.az})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(Event):
    """The gate is open."""

    wave: int
    issued_by: str

    def __str__(self) -> str:
        return f"wave {self.wave} approved by {self.issued_by or 'an operator'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationBlocked(Event):
    """It cannot go on without a human: `retry`, `skip`, `cancel` or `rollback`."""

    wave: int
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"blocked at wave {self.wave}: {because(self.reasons)}"


AnyEvent: TypeAlias = (
    CommandConsidered | CommandAccepted | CommandRefused | PlanMade
    | EffectRequested | EffectFinished | EffectAbandoned
    | MigrationStarted | Waiting | HealthChanged | ExecutorSeen
    | WaveBegun | ChecksPassed | ExecutionStarted | WaveProgressed | MovementStalled
    | SourceEmptied | WaveFellShort | WaveVerified | WaveSkipped | WaveReopened | ApprovalAwaited | ApprovalGiven
    | MigrationBlocked | PauseCauseAdded | PauseCauseLifted | SlowCauseAdded | SlowCauseLifted | StopRequested
    | MigrationPaused | MigrationResumed | MigrationTuned
    | RollbackStarted | RollbackMoved | RollbackCompleted | MigrationCancelled
    | MigrationDrained | SourceMayBeShutDown | SourceRefilled | SourceEmptyAgain | SourceLeft | SourceReturned
    | RuleStateChanged | CauseSuppressed | SuppressedCauseCleared | FlapLimitReached | ThrottleAdapted
    | LeftoverThrottleCleared | MigrationCompleted | EndpointsRegistered | EndpointsDeregistered
    | kev.KraftPlanned | kev.KraftStarted | kev.KraftWaiting | kev.KraftReady | kev.KraftNotReady
    | kev.KraftControllersSeen | kev.KraftNodeAsked | kev.KraftNodeSeenDown | kev.KraftNodeChanged
    | kev.KraftControllersBegun | kev.KraftMigrationBegun | kev.KraftTurnBegun
    | kev.KraftSoakBegun | kev.KraftGreen | kev.KraftDrillBegun | kev.KraftDrillPassed
    | kev.KraftFinalizeBegun | kev.KraftCompleted
    | kev.KraftRollbackStarted | kev.KraftControllersLeaving | kev.KraftReleaseBegun | kev.KraftReleased
    | kev.KraftRolledBack
)  # fmt: skip
