"""Commands: what an operator orders, which may be refused. Made by wire.py."""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.model.reasons import Reason
from agent.core.planning.options import Options


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
