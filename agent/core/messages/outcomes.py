"""Outcomes: how an effect ended, told apart by what to do next. Made by the performer."""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.checks.inspection import Compared, Inspected
from agent.core.kraft.messages import KraftSurveyed, RestartRequested, ZooKeeperReleased
from agent.core.model.endpoints import Deregistered, Registered
from agent.core.model.reasons import BlockedWave, CheckResult, Reason
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """The outcome of MakePlan and PrepareMigration: every reason against it, and the plan if one
    could be made.
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
    """The outcome of CheckCluster: `reasons` need somebody to act, `passing` go by themselves."""

    reasons: tuple[Reason, ...]
    passing: tuple[Reason, ...] = ()
    replicas: int = 0  # replicas on the wave's sources now
    size_bytes: int = 0
    leaders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRequested:
    """The outcome of StartWave and MovePartitions: Cruise Control has accepted the request.

    `adopted`: it had accepted it before, and the request was found there.
    """

    user_task_id: str
    adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """The outcome of StopWave and TuneWave. A stop says what is left on the wave's sources."""

    replicas_left: int | None = None
    bytes_left: int | None = None  # None: a source does not answer
    left_alone: Reason | None = None  # why replica orders and leaders were not put right after it
    stopped_by: str = ""  # who, other than we, had stopped the execution before


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """It could not be done now. It is requested again soon."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Nobody answered. It may have happened, so the performer looks before it acts again."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """It was refused, and would be refused again: a human has to look."""

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
