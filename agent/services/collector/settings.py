"""The collector's own settings:

KAFKA_MIGRATION_COLLECTOR_* variables. The control Kafka is the agent's setting.
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
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.adapters.prometheus.server import PrometheusConnection, Target
from agent.config.errors import SettingsError
from agent.services.collector.mapping import SHIPPED


class TargetGroup(BaseModel):
    """An entry of a targets file, in the form of Prometheus' own file_sd_configs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: tuple[str, ...]
    labels: dict[str, str] = Field(
        default_factory=dict, description=("Such as cluster, broker, platform")
    )


class CollectorSettings(BaseSettings):
    """What is asked, how often, and who we are there. Either prometheus_url or targets_file."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_MIGRATION_COLLECTOR_", extra="ignore", frozen=True
    )

    prometheus_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
        description=(
            "The Prometheus server (or Thanos, Mimir), such as http://prometheus:9090; "
            "credentials apart"
        ),
    )
    targets_file: Path | None = Field(
        default=None,
        description="Without a Prometheus: the exporters to read directly, as YAML or JSON in "
        "the form of Prometheus' "
        "file_sd_configs, with labels cluster, broker and platform (ec2 or k8s)",
    )
    mapping_file: Path = Field(
        default=SHIPPED,
        description=(
            "What is asked, and how each answer is named; the shipped one explains itself"
        ),
    )
    interval_seconds: float = Field(
        default=15.0,
        ge=1,
        le=600,
        description=("Between scrapes. 15: as often as most Prometheus servers scrape"),
    )
    timeout_seconds: float = Field(default=10.0, gt=0, le=120, description="Of one question")
    window_seconds: int = Field(
        default=60,
        ge=5,
        le=3600,
        description=("Of rates in PromQL: at least twice Prometheus' scrape interval"),
    )
    cluster: str | None = Field(
        default=None,
        description=("Whose series they are when no label tells; for a Prometheus of one cluster"),
    )
    cluster_names: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Where labels name a cluster otherwise than clusters.yaml does: JSON, "
            '{"label\'s": "ours"}'
        ),
    )
    username: str | None = Field(
        default=None, description=("Basic authentication, with password_file")
    )
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description=("A file that holds nothing but the password")
    )
    token_file: Path | None = Field(
        default=None, description=("A file that holds nothing but a bearer token")
    )
    ca_file: str | None = Field(
        default=None, description=("Whom to trust, where it is not the system's list")
    )
    cert_file: str | None = Field(default=None, description="Our own certificate, for mutual TLS")
    key_file: str | None = None
    web_host: str = Field(default="127.0.0.1", description="For /ready and /metrics")
    web_port: int = Field(default=6067, ge=1, le=65535, description="Next to the agent's 6066")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.prometheus_url is None) == (self.targets_file is None):
            raise ValueError(
                "set either KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL (a server, asked by "
                "PromQL) or "
                "KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE (exporters, read directly)"
            )
        if self.username is not None and self.token_file is not None:
            raise ValueError("username and token_file exclude each other")
        return self

    def connection(self) -> PrometheusConnection:
        """As the adapter wants it. Raises SettingsError when a secret's file cannot be read."""
        try:
            password = self.password.get_secret_value() if self.password else None
            if self.password_file is not None:
                password = self.password_file.read_text(encoding="utf-8").strip()
            token = (
                self.token_file.read_text(encoding="utf-8").strip()
                if self.token_file is not None
                else None
            )
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
            cert_file=self.cert_file,
            key_file=self.key_file,
            timeout_seconds=self.timeout_seconds,
        )

    def targets(self) -> list[Target]:
        """The exporters of the targets file. Raises SettingsError."""
        path = self.targets_file
        if path is None:
            return []
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
            groups = TypeAdapter(tuple[TargetGroup, ...]).validate_python(raw)
        except OSError as error:
            raise SettingsError(
                f"the targets file {path} cannot be read: {error.strerror}"
            ) from error
        except yaml.YAMLError as error:
            raise SettingsError(f"the targets file {path} is not YAML: {error}") from error
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors(include_url=False)
            )
            raise SettingsError(f"the targets file {path}: {wrong}") from None
        if not (found := [Target(address, g.labels) for g in groups for address in g.targets]):
            raise SettingsError(f"the targets file {path} names no targets")
        return found
