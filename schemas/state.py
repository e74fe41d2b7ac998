"""The messages of the status topic: the full current state of each cluster's migration.

A service that needs only the current state reads these and can ignore the events.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

STAGES = {
    1: "destination brokers registered, source brokers hold everything",
    2: "replicas are moving, leaders on both sides",
    3: "source brokers hold no replica",
    4: "source brokers may be shut down",
}


class ReasonStatus(BaseModel):
    """A reason why nothing moves, or why a wave is blocked."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="The reason's code, such as UNDER_REPLICATED")
    seen: str = Field(description="What the agent saw")
    needed: str = Field(default="", description="What it would have to see instead")
    do: str = Field(
        default="", description="What to do about it, in one line; the runbook says more"
    )


class CauseStatus(BaseModel):
    """One cause of a pause, or of a throttle lowered to its minimum."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="operator, alert:NAME, metric:RULE, safety:CODE or others:CODE")
    seen: str = Field(description="What the agent saw, or the reason that the operator gave")
    since: float = Field(description="When it began, in seconds since the epoch")


class WaveStatus(BaseModel):
    """One wave: the replicas that move from some brokers to others in one go."""

    model_config = ConfigDict(frozen=True)

    number: int
    az: str
    direction: str = Field(description="forward; back during a rollback")
    lane: str = Field(
        default="rest",
        description="Who moves it: for `rest` Cruise Control, for any other lane the agent, "
        "by reassignment",
    )
    state: str
    attempt: int
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    replicas: int = Field(
        description="Replicas to move: as planned, and for a rollback wave as counted at its "
        "first check"
    )
    size_bytes: int = Field(description="Size of these replicas in bytes, counted in the same way")
    replicas_left: int = Field(
        description="Replicas still on its sources when Kafka was last asked; before the first "
        "time, as planned"
    )
    bytes_left: int = Field(description="Size of the replicas left, in bytes")
    share: float = Field(
        description="How much has moved, from 0 to 1: the mean of the shares of its bytes and of "
        "its replicas"
    )


class SourceStatus(BaseModel):
    """A drained source broker, which the agent watches until it has left the cluster."""

    model_config = ConfigDict(frozen=True)

    broker_id: int
    may_be_shut_down: bool
    left: bool = Field(description="Whether the broker has left the cluster")
    empty_since: float | None = Field(
        description="Since when it has held no replica, in seconds since the epoch; null while it "
        "holds some"
    )


class KraftControllersStatus(BaseModel):
    """The KRaft controllers as the agent last saw them."""

    model_config = ConfigDict(frozen=True)

    leader_id: int
    brokers_active: int = Field(
        description="How many brokers are registered with the controllers and not fenced"
    )
    brokers_fenced: int
    epoch: int = Field(description="The quorum leader's epoch; 0 while it is not known")
    voter_ids: tuple[int, ...]
    metadata_version: int = Field(
        description="The finalized level of Kafka's feature metadata.version; 0 while it is not "
        "known"
    )
    metadata_version_max: int = Field(description="The highest level that every broker supports")


class KraftStatus(BaseModel):
    """The state of the migration from ZooKeeper to KRaft."""

    model_config = ConfigDict(frozen=True)

    kraft_id: str
    phase: str
    phase_since: float = Field(description="In seconds since the epoch")
    ready: bool = Field(
        description="Whether every signal of the phase holds, so that `advance` or `finalize` is "
        "accepted"
    )
    waiting: tuple[ReasonStatus, ...]
    restart_by: str = Field(description="Who restarts nodes: manual, lab or webhook")
    node_asked: int | None = Field(description="The node whose restart the agent is waiting for")
    broker_ids: tuple[int, ...]
    controller_ids: tuple[int, ...]
    nodes_changed: tuple[int, ...] = Field(
        description="The nodes that were seen with their new settings in this phase"
    )
    drills_passed: tuple[str, ...]
    green_since: float | None = Field(
        description="While soaking: since when every signal has held, in seconds since the epoch"
    )
    soak_seconds: float
    controllers: KraftControllersStatus | None = None


class MigrationStatus(BaseModel):
    """The full state of one cluster's migration."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = Field(
        description="The version of this schema: docs/schema-versions.md"
    )
    cluster: str
    migration_id: str
    sequence: int
    phase: str
    phase_since: float
    stage: int
    stage_words: str
    started_at: float
    updated_at: float
    options: dict[str, Any]
    waves: tuple[WaveStatus, ...]
    share: float = Field(
        description="How much has moved, from 0 to 1, in every phase: the mean over the waves of "
        "the current direction, weighted by their bytes"
    )
    replicas: int = Field(
        description="Replicas that the waves of the current direction are to move"
    )
    replicas_moved: int = Field(description="How many of these replicas have moved")
    replicas_left: int = Field(
        description="Replicas still on the sources of the current direction's waves"
    )
    bytes_left: int = Field(description="Size of the replicas left, in bytes")
    rate_bytes_per_second: float = Field(
        description="Smoothed rate at which data is copied; 0 unless partitions are moving"
    )
    eta_seconds: float | None = Field(
        description="Time that the current wave still needs; null unless partitions are moving"
    )
    throttle_bytes_per_second: int | None = Field(
        description="The throttle in force now; null: none"
    )
    waiting: tuple[ReasonStatus, ...] = Field(description="What the migration is waiting for")
    blocked: tuple[ReasonStatus, ...] = Field(description="Why the current wave is blocked")
    pause_causes: tuple[CauseStatus, ...]
    slow_causes: tuple[CauseStatus, ...]
    executor: str = Field(
        description="Whom Cruise Control's executor works for: idle (nobody), ours (this "
        "migration), foreign (somebody else) or unreachable"
    )
    pending: tuple[str, ...] = Field(description="The effects whose outcome is not known yet")
    sources: tuple[SourceStatus, ...]
    kraft: KraftStatus | None = None
