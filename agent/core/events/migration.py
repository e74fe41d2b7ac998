"""The beginning, the ends, the rollback and the waiting of a whole migration."""

from dataclasses import dataclass

from agent.core.checks.inspection import Compared
from agent.core.model.event import Event, because
from agent.core.model.reasons import Reason
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan, Wave


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStarted(Event):
    """The plan is fixed and the assignment is saved: from now on replicas may move."""

    migration_id: str
    command_id: str
    options: Options
    plan: Plan
    snapshot_partitions: int

    def __str__(self) -> str:
        p = self.plan
        return (
            f"migration {self.migration_id} started: {len(p.waves)} waves, {p.replicas} "
            f"replicas, {p.size_bytes} bytes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """Why nothing moves, where that passes by itself and needs no pause; empty: it has passed."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"waiting: {because(self.reasons)}" if self.reasons else "no longer waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationBlocked(Event):
    """It cannot go on without an operator, who may retry, skip, cancel or roll back."""

    wave: int
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"blocked at wave {self.wave}: {because(self.reasons)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted(Event):
    """What was moved is moved back, the last wave first."""

    waves: tuple[Wave, ...]

    def __str__(self) -> str:
        return f"rollback started: {len(self.waves)} waves"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackMoved(Event):
    """Every wave of the rollback has ended; it is compared with the start."""

    def __str__(self) -> str:
        return "everything is back, comparing with the assignment before the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCompleted(Event):
    """The rollback has ended; `comparison` holds the assignment against that before the start."""

    comparison: Compared

    def __str__(self) -> str:
        c = self.comparison
        return (
            f"rolled back: {c.different} of {c.partitions} partitions differ from before the start"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationCancelled(Event):
    """The migration has ended by a cancel; what was moved stays where it is."""

    def __str__(self) -> str:
        return "cancelled; what was moved stays where it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationDrained(Event):
    """Every wave has ended: the drained brokers are watched until they have left the cluster."""

    broker_ids: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"drained: brokers {', '.join(map(str, self.broker_ids))} hold nothing; "
            "watching for late arrivals"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationCompleted(Event):
    """Every drained broker has left the cluster."""

    def __str__(self) -> str:
        return "completed: every source broker has left the cluster"
