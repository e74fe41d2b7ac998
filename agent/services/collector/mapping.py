"""The mapping file: what is asked, and under which name and unit each answer travels.

The form of mapping.yaml.

Read by collector.py. Knows labels and arithmetic; asks nobody.
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
    """A label that tells cluster, broker or platform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1)
    match: str | None = Field(
        default=None, description=("The whole value must match; its first group is taken, if any")
    )
    value: str | None = Field(default=None, description="Told instead of what the label says")

    @field_validator("match")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return pattern

    def read(self, labels: dict[str, str]) -> str | None:
        """What this rule finds; None: nothing."""
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
    """Of each, the first rule that finds something counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: tuple[LabelRule, ...]
    broker: tuple[LabelRule, ...]
    platform: tuple[LabelRule, ...]


class Reading(BaseModel):
    """What to take from exporters' pages, which know no PromQL.

    Of several series for a broker, `reduce` makes one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    series: str
    labels: dict[str, str] = Field(
        default_factory=dict, description=("Values are regular expressions, matched whole")
    )
    reduce: Literal["sum", "max", "min", "mean", "count"] = "max"
    times: str | None = Field(
        default=None, description=("Multiplied by the series of this name with the same labels")
    )
    per_second: bool = Field(
        default=False, description=("A counter: its growth since the last scrape, by the second")
    )


class ExporterForm(Reading):
    """The value: reading, divided by `per`, times `factor`, then perhaps taken from one."""

    per: Reading | None = Field(
        default=None, description=("Nothing divided by nothing is 0: no request, no latency")
    )
    factor: float = 1.0
    one_minus: bool = False


class Metric(BaseModel):
    """One thing that is measured.

    The same name may stand twice: the first that has a value for a broker counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,99}$")
    unit: str = Field(max_length=20)
    source: Literal["jmx", "system", "ebs"] = "jmx"
    platform: Platform | None = Field(
        default=None, description=("Only for brokers there, or where nothing tells")
    )
    over_brokers: Literal["sum", "max"] | None = Field(
        default=None, description="One value for the whole cluster"
    )
    promql: str = Field(description=f"{WINDOW} stands for the setting window_seconds")
    exporter: ExporterForm | None = Field(default=None, description="None: PromQL only")


class Mapping(BaseModel):
    """All of the file."""

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
                    f"{metric.name} stands twice with another unit, source or over_brokers"
                )
        return self

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Self:
        """Raises SettingsError that names file and field."""
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
    """Where in the file: a metric by its name, since nobody counts entries."""
    match location:
        case ("metrics", int(index), *rest):
            entry = raw["metrics"][index]
            name = entry.get("name") if isinstance(entry, dict) else None
            return ".".join(map(str, (f"metrics[{name or index}]", *rest)))
    return ".".join(map(str, location)) or "the file"
