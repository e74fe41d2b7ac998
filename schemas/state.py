"""The status topic: where each migration stands, in full, for those who only want to know that."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

STAGES = {
    1: "destination brokers registered, source brokers hold everything",
    2: "replicas are moving, leaders on both sides",
    3: "source brokers hold no replica",
    4: "source brokers may be shut down",
}


class ReasonStatus(BaseModel):
    """A reason for standing still."""

    model_config = ConfigDict(frozen=True)

    code: str
    seen: str
    needed: str = ""
    do: str = Field(
        default="", description=("What to do about it, in one line; the runbook says more")
    )


class CauseStatus(BaseModel):
    """A cause of a pause or of slowness."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="operator, alert:NAME, metric:RULE, safety:CODE or others:CODE")
    seen: str
    since: float = Field(description="seconds since the epoch")


class WaveStatus(BaseModel):
    """One wave."""

    model_config = ConfigDict(frozen=True)

    number: int
    az: str
    direction: str
    lane: str = Field(
        default="rest",
        description=("rest: Cruise Control moves it; any other: the agent, by reassignment"),
    )
    state: str
    attempt: int
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    replicas: int = Field(description="planned; of a way back: found at its first check")
    size_bytes: int = Field(description="planned; of a way back: found at its first check")
    replicas_left: int = Field(
        description=("on its sources, as Kafka showed it last; before the first look: planned")
    )
    bytes_left: int = Field(description="like replicas_left")
    share: float = Field(description="moved, from 0 to 1: the mean of its bytes and its replicas")


class SourceStatus(BaseModel):
    """A drained broker under watch."""

    model_config = ConfigDict(frozen=True)

    broker_id: int
    may_be_shut_down: bool
    left: bool
    empty_since: float | None


class KraftControllersStatus(BaseModel):
    """KRaft's controllers as last seen."""

    model_config = ConfigDict(frozen=True)

    leader_id: int
    brokers_active: int = Field(description="registered with them and not fenced")
    brokers_fenced: int
    epoch: int = Field(description="0: not yet told; so is metadata_version")
    voter_ids: tuple[int, ...]
    metadata_version: int = Field(description="finalized level of Kafka's feature of that name")
    metadata_version_max: int = Field(description="the highest that the brokers can live with")


class KraftStatus(BaseModel):
    """Where the way from ZooKeeper to KRaft stands."""

    model_config = ConfigDict(frozen=True)

    kraft_id: str
    phase: str
    phase_since: float
    ready: bool = Field(
        description=("every signal of the phase holds: `advance` or `finalize` may come")
    )
    waiting: tuple[ReasonStatus, ...]
    restart_by: str
    node_asked: int | None = Field(description="the node whose restart is awaited")
    broker_ids: tuple[int, ...]
    controller_ids: tuple[int, ...]
    nodes_changed: tuple[int, ...] = Field(description="in this phase")
    drills_passed: tuple[str, ...]
    green_since: float | None = Field(description="soaking: since when every signal holds")
    soak_seconds: float
    controllers: KraftControllersStatus | None = None


class MigrationStatus(BaseModel):
    """Everything an operator asks for first."""

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
        description=(
            "moved, from 0 to 1, in every phase: of the present direction's waves, "
            "each by its bytes"
        )
    )
    replicas: int = Field(description="of the present direction's waves, planned")
    replicas_moved: int = Field(description="of them")
    replicas_left: int = Field(description="on the sources of the present direction's waves")
    bytes_left: int = Field(description="like replicas_left")
    rate_bytes_per_second: float = Field(description="0 unless it is moving")
    eta_seconds: float | None = Field(description="of the current wave; null unless it is moving")
    throttle_bytes_per_second: int | None = Field(description="in force now; null: none")
    waiting: tuple[ReasonStatus, ...]
    blocked: tuple[ReasonStatus, ...]
    pause_causes: tuple[CauseStatus, ...]
    slow_causes: tuple[CauseStatus, ...]
    executor: str
    pending: tuple[str, ...]
    sources: tuple[SourceStatus, ...]
    kraft: KraftStatus | None = None
