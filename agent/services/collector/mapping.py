"""Reads the mapping file (mapping.yaml): what to query, and the name and unit of each result."""

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
    """A rule that reads the cluster, the broker or the platform from one label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1)
    match: str | None = Field(
        default=None,
        description="A regular expression that the whole value must match; if it has groups, the "
        "first one is the result",
    )
    value: str | None = Field(
        default=None, description="The result when the rule matches, instead of the label's value"
    )

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
        """Returns what this rule reads from the labels; None when it does not match."""
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
    """The rules for cluster, broker and platform; for each, the first rule that matches counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: tuple[LabelRule, ...]
    broker: tuple[LabelRule, ...]
    platform: tuple[LabelRule, ...]


class Reading(BaseModel):
    """What to read from the pages of exporters when there is no server that understands PromQL.

    `reduce` says how the series of a broker become one value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: str
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that a series must have; each value is a regular expression that must "
        "match the whole value of the label",
    )
    reduce: Literal["sum", "max", "min", "mean", "count"] = "max"
    times: str | None = Field(
        default=None,
        description="Multiply each value by the series of this name with the same labels",
    )
    per_second: bool = Field(
        default=False, description="For a counter: take its growth per second since the last scrape"
    )


class ExporterForm(Reading):
    """How a metric is computed from exporters: the reading divided by `per`, times `factor`.

    With `one_minus`, the value is 1 minus that.
    """

    per: Reading | None = Field(
        default=None,
        description="Divide by this reading; zero divided by zero is 0, since without requests "
        "there is no latency",
    )
    factor: float = 1.0
    one_minus: bool = False


class Metric(BaseModel):
    """One entry of the mapping file: a metric, and how to query it.

    Several entries may have the same name: the first one that has a value for a broker counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    unit: str = Field(max_length=20)
    source: Literal["jmx", "system", "ebs"] = "jmx"
    platform: Platform | None = Field(
        default=None,
        description="Use this entry only for brokers on this platform, or on an unknown one",
    )
    over_brokers: Literal["sum", "max"] | None = Field(
        default=None, description="Publish one value for the whole cluster: the sum or the maximum"
    )
    promql: str = Field(
        description=f"The query; {WINDOW} stands for the setting window_seconds, in seconds"
    )
    exporter: ExporterForm | None = Field(
        default=None,
        description="How to read the metric from exporters; left out when only PromQL can",
    )


class Mapping(BaseModel):
    """The whole mapping file."""

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
        """Reads a mapping file. Raises SettingsError, which names the file and the field."""
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
    """Returns the place in the file, with the name of a metric instead of its number."""
    match location:
        case ("metrics", int(index), *rest):
            entry = raw["metrics"][index]
            name = entry.get("name") if isinstance(entry, dict) else None
            return ".".join(map(str, (f"metrics[{name or index}]", *rest)))
    return ".".join(map(str, location)) or "the file"
