"""The collector's own settings, from KAFKA_MIGRATION_COLLECTOR_* variables.

It finds the control Kafka by the settings of the agent (agent/config/settings.py).
"""

from pathlib import Path
from typing import Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from agent.adapters.prometheus.server import PrometheusConnection, Target
from agent.config.environment import EnvironmentSettings
from agent.config.errors import SettingsError, wrong_fields
from agent.secrets import secret
from agent.services.collector.mapping import SHIPPED


class TargetGroup(BaseModel):
    """One entry of a targets file, which has the format of Prometheus' file_sd_configs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: tuple[str, ...]
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels of all series of these targets, such as cluster, broker and platform",
    )


class CollectorSettings(EnvironmentSettings):
    """What the collector reads, how often, and with which credentials.

    Exactly one of prometheus_url and targets_file must be set.
    """

    model_config = SettingsConfigDict(env_prefix="KAFKA_MIGRATION_COLLECTOR_")

    prometheus_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
        description="The URL of a Prometheus server (or of Thanos or Mimir), without credentials, "
        "such as http://prometheus:9090",
    )
    targets_file: Path | None = Field(
        default=None,
        description="The exporters to read directly, without a Prometheus server: YAML or JSON in "
        "the format of Prometheus' file_sd_configs, with labels cluster, broker and platform "
        "(ec2 or k8s)",
    )
    mapping_file: Path = Field(
        default=SHIPPED,
        description="The file that says what to query and how each result is named; the shipped "
        "one explains the format",
    )
    interval_seconds: float = Field(
        default=15.0,
        ge=1,
        le=600,
        description="Time between scrapes; most Prometheus servers scrape every 15 s",
    )
    timeout_seconds: float = Field(default=10.0, gt=0, le=120, description="Timeout of one query")
    window_seconds: int = Field(
        default=60,
        ge=5,
        le=3600,
        description="The window of rates in PromQL, at least twice Prometheus' scrape interval",
    )
    cluster: str | None = Field(
        default=None,
        description="The cluster of series that have no cluster label",
    )
    cluster_names: dict[str, str] = Field(
        default_factory=dict,
        description="For labels that name a cluster differently from clusters.yaml, as JSON: "
        '{"name in labels": "name in clusters.yaml"}',
    )
    username: str | None = Field(
        default=None, description="The user of basic authentication; needs password_file"
    )
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description="A file that holds nothing but the password"
    )
    token_file: Path | None = Field(
        default=None, description="A file that holds nothing but a bearer token"
    )
    ca_file: str | None = Field(
        default=None, description="Certificate authorities to trust instead of the system's (PEM)"
    )
    cert_file: str | None = Field(
        default=None, description="A client certificate (PEM), for mutual TLS"
    )
    key_file: str | None = None
    web_host: str = Field(
        default="127.0.0.1", description="The address at which /ready and /metrics are served"
    )
    web_port: int = Field(
        default=6067, ge=1, le=65535, description="The port of both; the agent uses 6066"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.prometheus_url is None) == (self.targets_file is None):
            raise ValueError(
                "set either KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL (a server to query) or "
                "KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE (exporters to read directly)"
            )
        if self.username is not None and self.token_file is not None:
            raise ValueError("username and token_file exclude each other")
        return self

    def connection(self) -> PrometheusConnection:
        """Returns what the Prometheus adapter needs to connect.

        Raises SettingsError when the file of a secret cannot be read.
        """
        try:
            password = secret(self.password, self.password_file)
            token = secret(None, self.token_file)
        except OSError as error:
            raise SettingsError(f"{error.filename} cannot be read: {error.strerror}") from error
        return PrometheusConnection(
            url=self.prometheus_url or "",
            username=self.username,
            password=password,
            password_file=self.password_file,
            token=token,
            token_file=self.token_file,
            ca_file=self.ca_file,
            certificate_file=self.cert_file,
            key_file=self.key_file,
            timeout_seconds=self.timeout_seconds,
        )

    def targets(self) -> list[Target]:
        """Reads the targets file and returns its exporters; empty when none is set.

        Raises SettingsError when the file cannot be read or names no targets.
        """
        path = self.targets_file
        if path is None:
            return []
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))  # this reads JSON as well
            groups = TypeAdapter(tuple[TargetGroup, ...]).validate_python(raw)
        except OSError as error:
            raise SettingsError(
                f"the targets file {path} cannot be read: {error.strerror}"
            ) from error
        except yaml.YAMLError as error:
            raise SettingsError(f"the targets file {path} is not YAML: {error}") from error
        except ValidationError as error:
            wrong = wrong_fields(error, "the list")
            raise SettingsError(f"the targets file {path}: {wrong}") from None
        if not (found := [Target(address, g.labels) for g in groups for address in g.targets]):
            raise SettingsError(f"the targets file {path} names no targets")
        return found
