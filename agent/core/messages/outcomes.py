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
