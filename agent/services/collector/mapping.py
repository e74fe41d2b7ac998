"""The mapping file (mapping.yaml): what to query, and the name and unit of each result.

Read by collector.py.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from agent.config.errors import SettingsError

SHIPPED = Path(__file__).parent / "mapping.yaml"
WINDOW = "$window"
Platform = Literal["ec2", "k8s"]


class LabelRule(BaseModel):
    """A label from which cluster, broker or platform is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1)
    match: str | None = Field(
        default=None,
        description="The whole value must match; if there is a group, the first one is taken",
    )
    value: str | None = Field(default=None, description="Taken instead of the label's value")

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return pattern

    def read(self, labels: dict[str, str]) -> str | None:
        """What this rule reads from the labels; None when it does not match."""
        text = labels.get(self.label, "")
        if not text:
            return None
        if self.match is not None:
            found = re.fullmatch(self.match, text)
            if found is None:
                return None
            text = found.group(1) if found.groups() else text
        return text if self.value is None else self.value


class LabelRules(BaseModel):
    """The rules for each; the first one that matches counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: tuple[LabelRule, ...]
    broker: tuple[LabelRule, ...]
    platform: tuple[LabelRule, ...]


class Reading(BaseModel):
    """What to read from the pages of exporters, without PromQL.

    `reduce` makes one value of several series of a broker.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: str
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Values are regular expressions that match the whole value",
    )
    reduce: Literal["sum", "max", "min", "mean", "count"] = "max"
    times: str | None = Field(
        default=None, description="Multiply by the series of this name with the same labels"
    )
    per_second: bool = Field(
        default=False, description="For a counter: its growth per second since the last scrape"
    )


class ExporterForm(Reading):
    """The value: the reading divided by `per`, times `factor`; with `one_minus`, one minus that."""

    per: Reading | None = Field(
        default=None, description="Zero divided by zero is 0: without requests there is no latency"
    )
    factor: float = 1.0
    one_minus: bool = False


class Metric(BaseModel):
    """One thing that is measured.

    A name may occur twice: the first entry that has a value for a broker counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    unit: str = Field(max_length=20)
    source: Literal["jmx", "system", "ebs"] = "jmx"
    platform: Platform | None = Field(
        default=None, description="Only for brokers on this platform, or of unknown platform"
    )
    over_brokers: Literal["sum", "max"] | None = Field(
        default=None, description="One value for the whole cluster"
    )
    promql: str = Field(description=f"{WINDOW} stands for the setting window_seconds")
    exporter: ExporterForm | None = Field(default=None, description="None: PromQL only")


class Mapping(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: LabelRules
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _one_meaning_each(self) -> Self:
        first: dict[str, Metric] = {}
        for metric in self.metrics:
            other = first.setdefault(metric.name, metric)
            if (other.unit, other.source, other.over_brokers) != (
                metric.unit,
                metric.source,
                metric.over_brokers,
            ):
                raise ValueError(
                    f"{metric.name} occurs twice with another unit, source or over_brokers"
                )
        return self

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Self:
        """Read a mapping file. Raises SettingsError that names file and field."""
        try:
            raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
            return cls.model_validate(raw)
        except OSError as error:
            raise SettingsError(f"the mapping {path} cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise SettingsError(f"the mapping {path} is not YAML: {error}") from error
        except ValidationError as error:
            wrong = "; ".join(
                f"{_place(raw, e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)
            )
            raise SettingsError(f"the mapping {path}: {wrong}") from None


def _place(raw: Any, location: tuple[int | str, ...]) -> str:
    """The place in the file; a metric by its name rather than its number."""
    match location:
        case ("metrics", int(index), *rest):
            entry = raw["metrics"][index]
            name = entry.get("name") if isinstance(entry, dict) else None
            return ".".join(map(str, (f"metrics[{name or index}]", *rest)))
    return ".".join(map(str, location)) or "the file"
