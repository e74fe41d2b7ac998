"""The messages of the metrics topic: batches of samples, and alerts.

The key of each message is the cluster's name.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, WithJsonSchema

# JSON numbers cannot express these three values; every reader of JSON accepts them as strings.
_NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}


class Sample(BaseModel):
    """One measured value."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    metric: str = Field(
        min_length=1,
        max_length=200,
        description="The metric's name, which ends with its unit if it has one",
    )
    value: Annotated[float, WithJsonSchema(_NUMBER)] = Field(
        description='"NaN" means that the source had no value'
    )
    unit: str = Field(default="", max_length=20)
    time: datetime
    broker: int | None = Field(
        default=None, description="The broker's id; null when the value is of the whole cluster"
    )
    platform: Literal["ec2", "k8s"] | None = None
    source: Literal["jmx", "system", "ebs"] = "jmx"


class Samples(BaseModel):
    """The samples of one cluster from one scrape; a large scrape may take several messages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["samples"]
    cluster: str = Field(min_length=1, max_length=100)
    samples: tuple[Sample, ...] = Field(max_length=10_000)


class Alert(BaseModel):
    """An alert that fires or is resolved; `action` says what it does while it fires."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["alert"]
    cluster: str = Field(min_length=1, max_length=100)
    name: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")
    state: Literal["firing", "resolved"]
    severity: Literal["info", "warning", "critical"] = "critical"
    action: Literal["pause", "slow", "notify"] = "pause"
    labels: dict[str, str] = Field(default_factory=dict, max_length=50)
    summary: str = Field(default="", max_length=500)
    time: datetime


AnyMetric = Annotated[Samples | Alert, Field(discriminator="type")]
METRICS: TypeAdapter[AnyMetric] = TypeAdapter(AnyMetric)
