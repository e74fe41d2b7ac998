"""What comes in: commands (orders, which may be refused) and observations (facts).

All carry their own time.

Made by wire.py (commands) and the adapters (observations); met by decide.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from agent.core.kraft.messages import KraftObserved as KraftObserved
from agent.core.kraft.messages import KraftSurveyed as KraftSurveyed
from agent.core.kraft.messages import RestartRequested as RestartRequested
from agent.core.kraft.messages import ZooKeeperReleased as ZooKeeperReleased
from agent.core.metrics.observations import BrokersObserved as BrokersObserved
from agent.core.metrics.observations import HeadroomObserved as HeadroomObserved
from agent.core.metrics.observations import RuleStateObserved as RuleStateObserved
from agent.core.metrics.produce_latency import ProduceLatency
from agent.core.model.client_positions import ClientImpact
from agent.core.model.endpoints import Deregistered as Deregistered
from agent.core.model.endpoints import Registered as Registered
from agent.core.model.reasons import BlockedWave, CheckResult, Reason
from agent.core.model.throttle import RateSeen
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands have in common.

    `at` is when the agent read it, in seconds since the epoch.
    """

    command_id: str
    cluster: str
    at: float
    issued_by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMigration(Command):
    """Dry run: what would move, how much, how long, what stands in the way."""

    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMigration(Command):
    """Move.

    With `plan_id`: just that plan, refused if the cluster has changed in a way that matters.
    """

    options: Options
    plan_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseMigration(Command):
    """Stop the execution; or, slow: lower the throttle to the floor and keep the copied bytes."""

    slow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeMigration(Command):
    """Lift the operator's pause, and go on from what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBackMigration(Command):
    """Undo what was moved, in reverse order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelMigration(Command):
    """Stop for good and leave what was moved where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneMigration(Command):
    """Change throttle and concurrency, also while moving. None: leave as it is; 0: no throttle."""

    throttle_bytes_per_second: int | None = None
    partition_movements_per_broker: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveMigration(Command):
    """Open the gate before the next AZ or wave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryWave(Command):
    """Try a blocked wave again, or sweep a source that refilled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipWave(Command):
    """Leave a blocked wave as it is and go on to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftCommand(Command):
    """From ZooKeeper to KRaft: plan, start, advance, rollback or finalize; the last only with
    `i_know`.
    """

    action: str
    i_know: bool = False

    @property
    def word(self) -> str:
        return f"kraft {self.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseCommand(Command):
    """A command that could be read but not obeyed for a reason found at the edge, such as an
    unknown field.
    """

    reasons: tuple[Reason, ...]


AnyCommand: TypeAlias = (
    PlanMigration
    | StartMigration
    | PauseMigration
    | ResumeMigration
    | RollBackMigration
    | CancelMigration
    | TuneMigration
    | ApproveMigration
    | RetryWave
    | SkipWave
    | KraftCommand
    | RefuseCommand
)


# ── outcomes of effects: told apart by what to do next ────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """PrepareMigration and MakePlan end so: every reason against it, and the plan if one could
    be made.
    """

    reasons: tuple[Reason, ...]
    plan: Plan | None
    # every check, green and red; each red one is among the reasons too
    check_results: tuple[CheckResult, ...] = ()
    snapshot_partitions: int = 0  # partitions whose assignment was saved; 0 for a plan
    # what stands in the way of single waves; the rest holds for all
    blocked_waves: tuple[BlockedWave, ...] = ()
    load: tuple[BrokerLoad, ...] = ()  # each broker of the plan before and after it


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """CheckCluster ends so: reasons that need a change in the world, and those that pass by
    themselves.
    """

    reasons: tuple[Reason, ...]
    passing: tuple[Reason, ...] = ()
    replicas: int = 0  # replicas on the wave's sources now
    size_bytes: int = 0
    leaders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRequested:
    """StartWave ends so:

    Cruise Control accepted it under this user task; `adopted` when it had it already.
    """

    user_task_id: str
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """CloseWave ends so: what Kafka itself shows after the move."""

    replicas_left: int
    bytes_left: int
    leaders_left: int
    reassignments: int
    not_in_sync: int  # moved partitions without full ISR
    not_preferred: int  # moved partitions not led by their preferred replica
    throttles_left: int  # throttle entries of ours still in Kafka
    order_changed: int  # moved partitions whose replica order is not the one before, substituted
    partitions: int  # partitions that were looked at
    coordinators_loading: int = 0  # destinations on which groups or transactions wait for one
    # of bytes_left: logs that no assignment names, left by a broker that was down meanwhile
    stray_bytes: int = 0
    # replication factor or AZ spread changed, or an end offset lost
    faults: tuple[Reason, ...] = ()
    clients: ClientImpact | None = None  # None: not looked at before the wave
    # while it moved; None: no metric of it came
    produce_latency: tuple[ProduceLatency, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """CompareSnapshot ends so: the assignment now against the one before the start."""

    partitions: int
    different: int
    not_preferred: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """StopWave and TuneWave end so: done.

    A stop tells what it has left on the wave's sources, as Kafka shows it.
    """

    replicas_left: int | None = None
    bytes_left: int | None = None  # None: a source is silent
    left_alone: Reason | None = None  # why replica orders and leaders were not put right after it
    stopped_by: str = ""  # who, other than we, had stopped the execution before


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Not now: ask again soon."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """No answer: it may or may not have happened; look before asking again."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Asking again would not help: a human has to look."""

    reason: Reason


Outcome: TypeAlias = (
    Surveyed
    | Checked
    | ExecutionRequested
    | Inspected
    | Compared
    | Performed
    | Registered
    | Deregistered
    | Busy
    | Unreachable
    | Rejected
    | KraftSurveyed
    | RestartRequested
    | ZooKeeperReleased
)


# ── observations ──────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passes; sent when `wake_at` of the state is due."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectEnded:
    """An effect ended so; ignored unless that effect is pending."""

    at: float
    effect_id: str
    outcome: Outcome


class Executor(StrEnum):
    """Whom Cruise Control's executor works for."""

    IDLE = "idle"
    OURS = "ours"  # the reason carries this migration's id
    FOREIGN = "foreign"
    UNREACHABLE = "unreachable"


class TaskStatus(StrEnum):
    """The user task that bears our key, in Cruise Control's own words; NONE when it knows none."""

    NONE = "None"
    ACTIVE = "Active"
    IN_EXECUTION = "InExecution"
    COMPLETED = "Completed"
    COMPLETED_WITH_ERROR = "CompletedWithError"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveObserved:
    """The standing watch looked at the wave; Kafka's facts first, Cruise Control's word beside
    them.
    """

    at: float
    wave: int
    attempt: int
    replicas_left: int  # on the sources' log dirs, or due to stay there
    bytes_left: int
    bytes_moved: int  # on the destinations, of partitions still in flight or done
    moving: int  # our reassignments in flight
    # None: Cruise Control was not asked at this look, and neither was `task`
    executor: Executor | None
    task: TaskStatus
    # why Cruise Control could not be asked, in its own words where it has said some
    trouble: Reason | None = None
    reasons: tuple[Reason, ...] = ()  # why it is not safe to go on, as of now
    rates: tuple[RateSeen, ...] = ()  # KIP-73 rates in force on any broker
    silent: bool = False  # a source does not answer: its bytes are in no figure
    # who, other than we, asked Cruise Control to stop this attempt, by its own user tasks
    stopped_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesObserved:
    """The watch after the move looked at the drained brokers: replicas on each, and which of
    them are alive.
    """

    at: float
    replicas: tuple[tuple[int, int], ...]  # (broker id, replicas on it)
    alive: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSwept:
    """The watch over throttles found some of ours at rest, and cleared it: a broker had been
    down.
    """

    at: float
    entries: int
    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanged:
    """An outside alert fired or was resolved; `slow`: yield bandwidth instead of stopping."""

    at: float
    name: str
    firing: bool
    slow: bool = False
    seen: str = ""


Observation: TypeAlias = (
    Tick
    | EffectEnded
    | WaveObserved
    | SourcesObserved
    | ThrottleSwept
    | AlertChanged
    | RuleStateObserved
    | HeadroomObserved
    | BrokersObserved
    | KraftObserved
)
Message: TypeAlias = AnyCommand | Observation
