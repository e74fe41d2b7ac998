"""The monitor's settings, from KAFKA_MIGRATION_MONITOR_* variables.

`kafka-migration monitor --help` lists them.
"""

from collections.abc import Iterator

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsConfigDict

from agent.config.connections import KafkaSecurity
from agent.config.environment import EnvironmentSettings, LogFormat, LogLevel
from agent.core.checks.readiness import Criterion, ReadinessPolicy

PREFIX = "KAFKA_MIGRATION_MONITOR_"


class MonitorSettings(EnvironmentSettings):
    """Which cluster the monitor checks, how often, by which criterion, and where it answers."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")

    bootstrap_servers: str = Field(
        min_length=1, description="The cluster to watch: host:port, several separated by commas"
    )
    cluster: str = Field(default="kafka", description="Name of the cluster in metrics and answers")
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description=(
            "How to connect; the user needs Describe on the cluster and every topic, and "
            "DescribeConfigs on every topic"
        ),
    )
    request_timeout_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Timeout of one request to Kafka"
    )
    interval_seconds: float = Field(
        default=10.0,
        ge=0.5,
        le=300,
        description="Time from the start of a check to the start of the next one",
    )
    criterion: Criterion = Field(
        default=Criterion.UNDER_REPLICATED,
        description="Which partitions count besides those that are offline or under min ISR: "
        "under_replicated (any, without the replicas that a move adds) or min_isr_slack (only "
        "those too close to min.insync.replicas)",
    )
    slack_replicas: int = Field(
        default=1,
        ge=1,
        le=10,
        description="For min_isr_slack: how many in-sync replicas there must be beyond "
        "min.insync.replicas",
    )
    ready_after_looks: int = Field(
        default=3, ge=1, le=100, description="Healthy checks in a row before the answer is ready"
    )
    ready_after_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        description="And for how long they must last, so that a short recovery does not count",
    )
    stale_seconds: float | None = Field(
        default=None,
        gt=0,
        description=(
            "The answer is not ready when the last check is older than this; three intervals and "
            "five seconds when left out"
        ),
    )
    host: str = Field(
        default="127.0.0.1",
        description=(
            "Address to listen on; a Kubernetes probe needs 0.0.0.0. Answers name topics, so "
            "restrict access"
        ),
    )
    port: int = Field(
        default=6069,
        ge=1,
        le=65535,
        description="Port of /ready, /live and /metrics; the webhook has 6068",
    )
    partitions_listed: int = Field(
        default=50,
        ge=1,
        le=1_000,
        description="How many partitions /ready lists; the others are counted",
    )
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"

    def policy(self) -> ReadinessPolicy:
        """The policy of the core."""
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
    """(variable, its description and default), nested ones too, for `--help`."""
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
