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
        min_length=1, description="The cluster to check, as host:port,..."
    )
    cluster: str = Field(
        default="kafka", description="The cluster's name in metrics, answers and logs"
    )
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description="How to connect; the user needs Describe on the cluster and every topic, and "
        "DescribeConfigs on every topic",
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
        description="Which partitions count as unhealthy besides those that are offline or under "
        "min.insync.replicas: with under_replicated, every under-replicated one (replicas that a "
        "move is adding do not count); with min_isr_slack, those with too few spare replicas",
    )
    slack_replicas: int = Field(
        default=1,
        ge=1,
        le=10,
        description="For min_isr_slack: how many in-sync replicas a partition must have beyond "
        "min.insync.replicas",
    )
    ready_after_looks: int = Field(
        default=3,
        ge=1,
        le=100,
        description="How many checks in a row must be healthy before the answer is ready",
    )
    ready_after_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        description="For how long checks must be healthy as well, so that a short recovery does "
        "not count",
    )
    stale_seconds: float | None = Field(
        default=None,
        gt=0,
        description="The answer is not ready when the last check is older than this; three "
        "intervals and five seconds when left out",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on; a Kubernetes probe needs 0.0.0.0. Answers name topics, "
        "so restrict access",
    )
    port: int = Field(
        default=6069,
        ge=1,
        le=65535,
        description="Port of /ready, /live and /metrics; the webhook uses 6068",
    )
    partitions_listed: int = Field(
        default=50,
        ge=1,
        le=1_000,
        description="How many unhealthy partitions /ready lists; the others are only counted",
    )
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"

    def policy(self) -> ReadinessPolicy:
        """Returns these settings as the core's policy."""
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
    """Yields each variable with its description and default for `--help`, nested ones too."""
    for name, field in model.model_fields.items():
        if field.annotation is KafkaSecurity:
            yield from variables(KafkaSecurity, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", _variable_help(field)


def _variable_help(field: FieldInfo) -> str:
    text = field.description or "as in the settings of Kafka's own clients"
    if field.is_required():
        return f"{text}. Must be set"
    return text if field.default in (None, "") else f"{text}. Default: {field.default}"
