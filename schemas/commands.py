"""Commands: orders on the control topic.

Validated here and nowhere else; wire.py makes core messages of them.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

BrokerIds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...],
    Field(max_length=500, description=("Kafka broker ids (broker.id)")),
]
# The article's throttle is 100 MB/s. Below 1 kB/s is a mistake in the unit; above 10 GB/s too.
Rate = Annotated[
    int, Field(ge=1_000, le=10_000_000_000, description=("bytes per second, for each broker"))
]
Concurrency = Annotated[
    int, Field(ge=1, le=1_250, description=("partition movements at once on each broker"))
]


class Command(BaseModel):
    """What every command has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: str = Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description=(
            "Chosen by the sender; the same id again is answered the same and does nothing twice"
        ),
    )
    cluster: str = Field(
        min_length=1,
        max_length=100,
        description=("The cluster's name in the agent's clusters.yaml"),
    )
    issued_by: str = Field(default="", max_length=200, description="Who orders, for the audit")
    issued_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), description="When it was ordered"
    )
    reason: str = Field(default="", max_length=500, description="Why, for the audit")


class MigrationOptions(BaseModel):
    """What is asked of a migration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["full", "az", "brokers"] = Field(
        default="full", description="everything AZ by AZ; one AZ; named brokers to named brokers"
    )
    source_broker_ids: BrokerIds = Field(default=(), description="Empty: those of clusters.yaml")
    destination_broker_ids: BrokerIds = Field(
        default=(), description=("Empty: those of clusters.yaml")
    )
    az: str | None = Field(
        default=None, max_length=100, description=("With mode `az`: its broker.rack")
    )
    az_order: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=(), max_length=50, description="AZs in the order to move; others follow"
    )
    pairing: Literal["one_to_one", "zone"] = Field(
        default="one_to_one",
        description=("one source to one destination, exactly reversible; or an AZ in one request"),
    )
    throttle_bytes_per_second: Rate | None = Field(
        default=None, description=("KIP-73 throttle; null: none")
    )
    throttle_by: Literal["agent", "cruise_control"] = Field(
        default="agent",
        description=(
            "agent: can be tuned while moving; cruise_control: the article's call to the letter"
        ),
    )
    partition_movements_per_broker: Concurrency | None = Field(
        default=None, description="null: fit for the wave"
    )
    partition_movements_in_cluster: Concurrency | None = Field(
        default=None,
        description=("Bound on all brokers together, but one a destination of a wave; null: none"),
    )
    progress_check_interval_ms: int | None = Field(
        default=None,
        ge=5_000,
        le=600_000,
        description=("Cruise Control's poll interval; null: fit for the wave"),
    )
    soak_seconds: float = Field(default=0.0, ge=0, le=604_800, description="Rest after each wave")
    approval: Literal["none", "az", "wave"] = Field(
        default="none", description="Where an `approve` is awaited"
    )
    canary_partitions: int = Field(
        default=0,
        ge=0,
        le=100,
        description=("So many of the smallest partitions of the first pair go first; 0: none"),
    )
    large_partition_bytes: int | None = Field(
        default=None,
        ge=1_000_000,
        description=("Partitions of at least this size get a wave of their own; null: none"),
    )
    internal_topics: Literal["with_others", "first", "last"] = Field(
        default="with_others",
        description=(
            "__consumer_offsets and __transaction_state: any time; first of each pair, "
            "slowly; last, slowly"
        ),
    )
    internal_throttle_bytes_per_second: Rate | None = Field(
        default=None,
        description=("With internal_topics first or last; null: a tenth of the throttle"),
    )
    wave_brokers_max: int | None = Field(
        default=None,
        ge=1,
        le=500,
        description=("With pairing zone: so many brokers in a wave; null: the whole AZ"),
    )
    wave_bytes_max: int | None = Field(
        default=None,
        ge=1_000_000,
        description=("With pairing zone: so many bytes in a wave, one broker at least"),
    )


class Plan(Command):
    """Dry run: what would move, how much, how long, what stands in the way."""

    type: Literal["plan"] = "plan"
    options: MigrationOptions = MigrationOptions()


class Start(Command):
    """Move."""

    type: Literal["start"] = "start"
    options: MigrationOptions = MigrationOptions()
    plan_id: str | None = Field(
        default=None, max_length=64, description=("Run just this plan, with its options")
    )


class Pause(Command):
    """Stop the execution, or slow it down."""

    type: Literal["pause"] = "pause"
    slow: bool = Field(
        default=False, description=("Lower the throttle to the floor and keep the copied bytes")
    )


class Resume(Command):
    """Lift an operator's pause."""

    type: Literal["resume"] = "resume"


class Rollback(Command):
    """Undo what was moved, last first."""

    type: Literal["rollback"] = "rollback"


class Cancel(Command):
    """Stop for good; what was moved stays."""

    type: Literal["cancel"] = "cancel"


class Tune(Command):
    """Change rates, also while moving."""

    type: Literal["tune"] = "tune"
    throttle_bytes_per_second: Rate | Literal[0] | None = Field(
        default=None, description="0: no throttle; null: as it is"
    )
    partition_movements_per_broker: Concurrency | None = Field(
        default=None, description="null: as it is"
    )


class Approve(Command):
    """Open the gate."""

    type: Literal["approve"] = "approve"


class Retry(Command):
    """A blocked wave again, or the sweep of a source that has refilled."""

    type: Literal["retry"] = "retry"


class Skip(Command):
    """Leave a blocked wave as it is."""

    type: Literal["skip"] = "skip"


class Kraft(Command):
    """From ZooKeeper to KRaft, after the replicas were moved."""

    type: Literal["kraft"] = "kraft"
    action: Literal["plan", "start", "advance", "rollback", "finalize"] = Field(
        description="plan: what would be done; start; advance: the next phase, where its "
        "signals hold; rollback: to "
        "ZooKeeper again; finalize: the point of no return"
    )
    i_know: bool = Field(
        default=False, description=("With `finalize`: that there is no way back after it")
    )


AnyCommand = Annotated[
    Plan | Start | Pause | Resume | Rollback | Cancel | Tune | Approve | Retry | Skip | Kraft,
    Field(discriminator="type"),
]
COMMANDS: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)
