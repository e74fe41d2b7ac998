"""Metric rules and limits as clusters.yaml writes them; read by settings.py.

Every field: its unit, why its default.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.metrics.rules import Action, Aggregation, Brokers, Rule, Side
from agent.core.planning.options import Limits

RULES_MAX = 100

_Seconds = Annotated[float, Field(ge=0, le=86_400)]
_Level = Annotated[float, Field(allow_inf_nan=False)]


class RuleSettings(BaseModel):
    """One rule over one metric."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,100}$", description=("Its cause is called metric:NAME")
    )
    metric: str = Field(
        min_length=1, max_length=200, description=("As the samples name it, with its unit")
    )
    above: _Level | None = Field(
        default=None, description=("Bad above this; one of `above` and `below`")
    )
    below: _Level | None = Field(default=None, description="Bad below this")
    clear: _Level | None = Field(
        default=None, description=("Fired, it is calm only beyond this; default: the threshold")
    )
    duration_seconds: _Seconds = Field(
        default=0.0, description=("It must be bad for so long, by the samples' own times")
    )
    resume_delay_seconds: _Seconds = Field(
        default=60.0, description=("And calm for so long: a breath of a busy broker")
    )
    stale_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="Older samples are none: four scrapes of 15 s"
    )
    aggregation: Aggregation = Field(
        default=Aggregation.ANY, description=("any, all or worst of the brokers")
    )
    brokers: Brokers = Field(
        default=Brokers.ALL, description=("all, source, destination; cluster: of no broker")
    )
    platform: Literal["ec2", "k8s"] | None = Field(
        default=None, description=("Only samples with this tag")
    )
    action: Action = Field(default=Action.PAUSE, description="notify, slow or pause")
    on_missing: Literal["pause", "slow", "notify", "ignore"] | None = Field(
        default=None,
        description=(
            "No fresh sample of a broker that is to move; default: pause, or notify "
            "where that is all"
        ),
    )
    flaps_max: int = Field(
        default=3, ge=1, le=20, description=("So many pauses in the window wait for an operator")
    )
    flap_window_seconds: float = Field(default=3_600.0, gt=0, le=604_800)

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule needs one of `above` and `below`")
        if self.clear is not None and self.core().is_beyond(self.clear, self.core().threshold):
            raise ValueError(f"clear {self.clear:g} is on the bad side of the threshold")
        return self

    def core(self) -> Rule:
        """As the core reads it."""
        by_default = Action.NOTIFY if self.action is Action.NOTIFY else Action.PAUSE
        missing = {None: by_default, "ignore": None}
        return Rule(
            name=self.name,
            metric=self.metric,
            threshold=self.above
            if self.above is not None
            else self.below
            if self.below is not None
            else math.inf,
            side=Side.ABOVE if self.above is not None else Side.BELOW,
            clear=self.clear,
            duration_seconds=self.duration_seconds,
            resume_delay_seconds=self.resume_delay_seconds,
            stale_seconds=self.stale_seconds,
            aggregation=self.aggregation,
            brokers=self.brokers,
            platform=self.platform,
            action=self.action,
            on_missing=missing[self.on_missing]
            if self.on_missing in missing
            else Action(str(self.on_missing)),
            flaps_max=self.flaps_max,
            flap_window_seconds=self.flap_window_seconds,
        )


class LimitsSettings(BaseModel):
    """What a destination broker can carry; what is left out is not checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replicas_max: int | None = Field(
        default=None, ge=1, description=("Replicas on one broker after the move")
    )
    network_bytes_per_second_max: int | None = Field(
        default=None,
        ge=1,
        description=("What may come in: the throttle, and what is written to its logs"),
    )

    def core(self) -> Limits:
        """As the core checks them."""
        return Limits(**self.model_dump())
