"""Progress events: the envelope, around the event classes that are declared once
(agent/core/events/).
"""

from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from agent.core import events as core

SCHEMA_VERSION: Literal[1] = 1  # of events and statuses: docs/schema-versions.md
EVENT_CLASSES: tuple[type[core.Event], ...] = get_args(core.AnyEvent)
# Details for machines: logs tell them at level DEBUG only, and the console leaves them out.
DETAIL_EVENTS = frozenset(
    {"EffectRequested", "EffectFinished", "EffectAbandoned", "WaveProgressed", "ExecutorSeen"}
)


class ProgressEvent(BaseModel):
    """One thing that happened, ordered per cluster by `sequence`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(
        description="The version of this schema: docs/schema-versions.md"
    )
    id: str = Field(
        description=("<migration_id>/<sequence>: the same id is the same event, sent again")
    )
    type: str = Field(description="The event's name, such as WaveVerified")
    time: datetime
    cluster: str
    migration_id: str = Field(description="Empty before the first migration of a cluster")
    sequence: int = Field(ge=0)
    phase: str = Field(description="The migration's phase after it")
    stage: int = Field(
        ge=1,
        le=4,
        description=("1 registered, 2 moving, 3 sources hold nothing, 4 they may be shut down"),
    )
    summary: str = Field(description="A sentence for people")
    data: dict[str, Any] = Field(
        description=("The event's own fields; see the JSON Schema of its type")
    )
