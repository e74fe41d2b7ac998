"""The envelope of progress events; agent/core/events/ declares the events themselves."""

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from agent.core import events as core

# The version of events and of statuses; docs/schema-versions.md says when it changes.
SCHEMA_VERSION: Literal[1] = 1
EVENT_CLASSES: tuple[type[core.Event], ...] = get_args(core.AnyEvent)
# These events are details for programs: they are logged at level DEBUG, and the console does not
# show them.
DETAIL_EVENTS = frozenset(
    {"EffectRequested", "EffectFinished", "EffectAbandoned", "WaveProgressed", "ExecutorSeen"}
)


class ProgressEvent(BaseModel):
    """One event of a migration; `sequence` orders the events of a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(
        description="The version of this schema: docs/schema-versions.md"
    )
    id: str = Field(
        description="<migration_id>/<sequence>; an event with an id that came before is a repeat"
    )
    type: str = Field(description="The event's name, such as WaveVerified")
    time: datetime
    cluster: str
    migration_id: str = Field(description="Empty before the first migration of a cluster")
    sequence: int = Field(ge=0)
    phase: str = Field(description="The migration's phase after the event")
    stage: int = Field(
        ge=1,
        le=4,
        description="1: destination brokers are registered; 2: replicas are moving; 3: source "
        "brokers hold no replica; 4: source brokers may be shut down",
    )
    summary: str = Field(description="The event as a sentence for people")
    data: dict[str, Any] = Field(
        description="The event's own fields; see the JSON Schema of its type"
    )
