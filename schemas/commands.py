"""Models of the commands on the control topic.

Commands are validated here and nowhere else; agent/wire.py turns them into messages of the core.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agent.core.planning.options import CONCURRENCY, RATE, Options
from schemas.options import bounds, options_model

Rate = Annotated[int, bounds(RATE)]
Concurrency = Annotated[int, bounds(CONCURRENCY)]


class Command(BaseModel):
    """The fields of every command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: str = Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="An id that the sender chooses; a command with the same id gets the same "
        "answer and is not carried out twice",
    )
    cluster: str = Field(
        min_length=1,
        max_length=100,
        description="The cluster's name in the agent's clusters.yaml",
    )
    issued_by: str = Field(
        default="", max_length=200, description="Who sends the command; events repeat it"
    )
    issued_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When the command was sent"
    )
    reason: str = Field(
        default="", max_length=500, description="Why the command is sent; events repeat it"
    )


class MigrationOptions(options_model(Options)):  # type: ignore[misc] # made at run time
    """The options of a migration, as the core declares them."""


class Plan(Command):
    """Dry run: what would move, how much, how long it would take, and what prevents a start."""

    type: Literal["plan"] = "plan"
    options: MigrationOptions = MigrationOptions()


class Start(Command):
    """Start a migration: the agent surveys the cluster, and then moves partitions."""

    type: Literal["start"] = "start"
    options: MigrationOptions = MigrationOptions()
    plan_id: str | None = Field(
        default=None,
        max_length=64,
        description="The id of a plan to carry out exactly, with the plan's own options",
    )


class Pause(Command):
    """Stop the movement of partitions, or slow it down."""

    type: Literal["pause"] = "pause"
    slow: bool = Field(
        default=False,
        description="Lower the throttle to its minimum instead of stopping, so that no copied "
        "bytes are lost",
    )


class Resume(Command):
    """End the operator's pause or slow-down."""

    type: Literal["resume"] = "resume"


class Rollback(Command):
    """Move back what was moved, starting with the last wave."""

    type: Literal["rollback"] = "rollback"


class Cancel(Command):
    """End the migration; what was moved stays where it is."""

    type: Literal["cancel"] = "cancel"


class Tune(Command):
    """Change the throttle or the concurrency, also while partitions move."""

    type: Literal["tune"] = "tune"
    throttle_bytes_per_second: Rate | Literal[0] | None = Field(
        default=None, description="0 removes the throttle; null leaves it as it is"
    )
    partition_movements_per_broker: Concurrency | None = Field(
        default=None, description="null leaves it as it is"
    )


class Approve(Command):
    """Let the next AZ or wave begin."""

    type: Literal["approve"] = "approve"


class Retry(Command):
    """Try a blocked wave again, or move replicas that appeared on a drained source broker."""

    type: Literal["retry"] = "retry"


class Skip(Command):
    """Leave a blocked wave as it is and go on with the next."""

    type: Literal["skip"] = "skip"


class Kraft(Command):
    """Migrate the cluster from ZooKeeper to KRaft, after its replicas were moved."""

    type: Literal["kraft"] = "kraft"
    action: Literal["plan", "start", "advance", "rollback", "finalize"] = Field(
        description="plan: dry run; start: begin; advance: enter the next phase if every signal "
        "of this phase holds; rollback: return to ZooKeeper; finalize: leave ZooKeeper for good"
    )
    i_know: bool = Field(
        default=False, description="With `finalize`: confirms that it cannot be undone"
    )


AnyCommand = Annotated[
    Plan | Start | Pause | Resume | Rollback | Cancel | Tune | Approve | Retry | Skip | Kraft,
    Field(discriminator="type"),
]
COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)
