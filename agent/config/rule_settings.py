"""Settings of metric rules and of broker limits: parts of a cluster's `policy` in clusters.yaml."""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.core.metrics.rules import Action, Aggregation, Brokers, Rule, Side
from agent.core.planning.policy import Limits
from schemas.options import options_model

RULES_MAX = 100

_Seconds = Annotated[float, Field(ge=0, le=86_400)]
_Level = Annotated[float, Field(allow_inf_nan=False)]


class RuleSettings(BaseModel):
    """A rule that pauses, slows or notifies while a metric is beyond a threshold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="The rule's name; a pause by this rule has the cause metric:NAME",
    )
    metric: str = Field(
        min_length=1, max_length=200, description="The metric's name in the samples, with its unit"
    )
    above: _Level | None = Field(
        default=None, description="Values above this are bad; give one of `above` and `below`"
    )
    below: _Level | None = Field(default=None, description="Values below this are bad")
    clear: _Level | None = Field(
        default=None,
        description="A firing rule becomes calm only when values are on the good side of this; "
        "default: the threshold",
    )
    duration_seconds: _Seconds = Field(
        default=0.0,
        description="The rule fires after values were bad for this long, measured by the times of "
        "the samples",
    )
    resume_delay_seconds: _Seconds = Field(
        default=60.0, description="The rule becomes calm after values were good for this long"
    )
    stale_seconds: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="Older samples do not count; the default is four scrape intervals of 15 s",
    )
    aggregation: Aggregation = Field(
        default=Aggregation.ANY,
        description="any: one broker is beyond the threshold for the whole duration; all: every "
        "broker is; worst: at each moment some broker is",
    )
    brokers: Brokers = Field(
        default=Brokers.ALL,
        description="Whose samples count: those of all, source or destination brokers; with "
        "`cluster`, samples without a broker",
    )
    platform: Literal["ec2", "k8s"] | None = Field(
        default=None, description="Only samples of brokers on this platform count"
    )
    action: Action = Field(
        default=Action.PAUSE, description="What the rule does while it fires: notify, slow or pause"
    )
    on_missing: Literal["pause", "slow", "notify", "ignore"] | None = Field(
        default=None,
        description="What to do when a broker of the remaining waves has no fresh sample; "
        "default: pause, or notify when `action` is notify",
    )
    flaps_max: int = Field(
        default=3,
        ge=1,
        le=20,
        description="After this many pauses within flap_window_seconds, an operator must resume",
    )
    flap_window_seconds: float = Field(
        default=3_600.0, gt=0, le=604_800, description="The window of flaps_max"
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a rule needs one of `above` and `below`")
        if self.clear is not None and self.core().is_beyond(self.clear, self.core().threshold):
            raise ValueError(f"clear {self.clear:g} is on the bad side of the threshold")
        return self

    def core(self) -> Rule:
        """Returns the rule as the core evaluates it."""
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


class LimitsSettings(options_model(Limits)):  # type: ignore[misc] # made at run time
    """What a destination broker can carry; what is left out is not checked."""

    def core(self) -> Limits:
        """Returns the limits as the core checks them."""
        return Limits(**self.model_dump())
