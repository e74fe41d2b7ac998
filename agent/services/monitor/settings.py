"""The monitor's settings, from KAFKA_MIGRATION_MONITOR_* variables; `kafka-migration monitor
--help` lists them.
"""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config.connections import KafkaSecurity
from agent.config.errors import SettingsError
from agent.core.checks.readiness import Criterion, ReadinessPolicy

PREFIX = "KAFKA_MIGRATION_MONITOR_"


class MonitorSettings(BaseSettings):
    """Which cluster, how often, what counts, and where it is told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    bootstrap_servers: str = Field(
        min_length=1, description=("The cluster to watch: host:port, several with commas")
    )
    cluster: str = Field(default="kafka", description="Its name, in metrics and answers")
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description=(
            "Its user needs Describe on the cluster and every topic, and "
            "DescribeConfigs on every topic"
        ),
    )
    request_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Of one request to Kafka"
    )
    interval_seconds: float = Field(
        default=10.0,
        ge=0.5,
        le=300,
        description=("From the start of a look to the start of the next one"),
    )
    criterion: Criterion = Field(
        default=Criterion.UNDER_REPLICATED,
        description="What counts beside partitions that are offline or under min ISR: "
        "under_replicated (any, net of "
        "adding replicas) or min_isr_slack (only those too near to min.insync.replicas)",
    )
    slack_replicas: int = Field(
        default=1,
        ge=1,
        le=10,
        description=("min_isr_slack: in-sync replicas wanted beyond min.insync.replicas"),
    )
    ready_after_looks: int = Field(
        default=3, ge=1, le=100, description=("Healthy looks in a row before it is ready")
    )
    ready_after_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        description=("And for how long: a flap must not open the budget"),
    )
    stale_seconds: float | None = Field(
        default=None,
        gt=0,
        description=(
            "Not ready when the last look is older; else three intervals and five seconds"
        ),
    )
    host: str = Field(
        default="127.0.0.1",
        description=(
            "Address to listen on; a Kubernetes probe needs 0.0.0.0. The answers name "
            "topics: keep others out"
        ),
    )
    port: int = Field(
        default=6069,
        ge=1,
        le=65535,
        description=("For /ready, /live and /metrics; next to the webhook's 6068"),
    )
    partitions_listed: int = Field(
        default=50, ge=1, le=1_000, description=("In the body of /ready; the rest is counted")
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Of its log, on stderr"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description=("json: one object a line, for collectors")
    )

    @classmethod
    def read(cls) -> Self:
        """From the environment.

        Raises SettingsError that names each wrong variable and shows no value.
        """
        try:
            return cls()
        except ValidationError as error:
            wrong = "; ".join(
                f"{PREFIX}{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(wrong) from None

    def policy(self) -> ReadinessPolicy:
        """As the core reads it."""
        return ReadinessPolicy(
            criterion=self.criterion,
            slack_replicas=self.slack_replicas,
            ready_after_looks=self.ready_after_looks,
            ready_after_seconds=self.ready_after_seconds,
            stale_seconds=self.stale_seconds or 3 * self.interval_seconds + 5.0,
        )


def variables(
    model: type[BaseModel] = MonitorSettings, prefix: str = PREFIX
) -> Iterator[tuple[str, str]]:
    """(variable, what it is and its default), nested ones too: for `--help`."""
    for name, field in model.model_fields.items():
        if field.annotation is KafkaSecurity:
            yield from variables(KafkaSecurity, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", _variable_help(field)


def _variable_help(field: FieldInfo) -> str:
    text = field.description or "as for Kafka's own clients"
    if field.is_required():
        return f"{text}. Must be set"
    return text if field.default in (None, "") else f"{text}. Default: {field.default}"
