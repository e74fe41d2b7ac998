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
    """A dry run: what would move, how much, how long it takes, and what stands in the way."""

    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMigration(Command):
    """Start the migration.

    With `plan_id` it follows that plan, and is refused if the cluster has changed too much since.
    """

    options: Options
    plan_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseMigration(Command):
    """Stop the execution; or, with `slow`, lower the throttle to its floor and go on copying."""

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
    """Let the next AZ or wave begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryWave(Command):
    """Try a blocked wave again, or move away what has landed on a drained broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipWave(Command):
    """Leave a blocked wave as it is and go on to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftCommand(Command):
    """Steer the migration from ZooKeeper to KRaft: plan, start, advance, rollback or finalize.

    `finalize` cannot be undone, so it needs `i_know`.
    """

    action: str
    i_know: bool = False

    @property
    def word(self) -> str:
        """The command as people type it, such as `kraft start`."""
        return f"kraft {self.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseCommand(Command):
    """A command that cannot be obeyed for what it says, such as an unknown field."""

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
