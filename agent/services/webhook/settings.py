"""The webhook's own settings, from KAFKA_MIGRATION_WEBHOOK_* variables.

It finds the control Kafka by the settings of the agent (agent/config/settings.py).
"""

import ssl
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from agent.config.environment import EnvironmentSettings
from agent.config.errors import SettingsError

TOKEN_LENGTH_MIN = 16
Action = Literal["pause", "slow", "notify"]


class WebhookSettings(EnvironmentSettings):
    """Where the webhook listens, who may send alerts, and what the alerts do."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_MIGRATION_WEBHOOK_")

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=6068, ge=1, le=65535)
    token: SecretStr | None = Field(
        default=None, description="The bearer token that senders need; prefer token_file"
    )
    token_file: Path | None = Field(
        default=None, description="A file that holds nothing but the token"
    )
    tls_cert_file: str | None = Field(
        default=None, description="A certificate (PEM); with it, the webhook serves TLS"
    )
    tls_key_file: str | None = None
    body_bytes_max: int = Field(
        default=1_000_000,
        ge=1_000,
        le=50_000_000,
        description="The largest request in bytes; Alertmanager sends about 1 kB for each alert",
    )
    cluster: str | None = Field(
        default=None,
        description="The cluster of alerts without a cluster label, for a monitoring system of "
        "one cluster",
    )
    cluster_labels: tuple[str, ...] = Field(
        default=("kafka_cluster", "strimzi_io_cluster", "cluster"),
        description="Labels that may name the cluster, as JSON; the first one that is present "
        "counts",
    )
    cluster_names: dict[str, str] = Field(
        default_factory=dict,
        description="For labels that name a cluster differently from clusters.yaml, as JSON: "
        '{"name in labels": "name in clusters.yaml"}',
    )
    actions: dict[Literal["critical", "warning", "info"], Action] = Field(
        default={"critical": "pause", "warning": "slow", "info": "notify"},
        description="What an alert of each severity does, as JSON; the alert's label "
        "kafka_migration_action takes precedence",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.token is None) == (self.token_file is None):
            raise ValueError(
                "set token_file (or token): whoever can send an alert can stop a migration"
            )
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together")
        return self

    def secret(self) -> bytes:
        """Returns the token that senders need.

        Raises SettingsError when it cannot be read or is shorter than 16 characters.
        """
        if self.token_file is not None:
            try:
                text = self.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError(
                    f"token_file {self.token_file} cannot be read: {error.strerror}"
                ) from error
        else:
            text = self.token.get_secret_value() if self.token else ""
        if len(text) < TOKEN_LENGTH_MIN:
            raise SettingsError(
                f"the webhook's token is shorter than {TOKEN_LENGTH_MIN} "
                "characters: make a random one"
            )
        return text.encode()

    def tls(self) -> ssl.SSLContext | None:
        """Returns the TLS context to serve with; None for plain HTTP.

        Raises SettingsError when the certificate or its key cannot be loaded.
        """
        if self.tls_cert_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert_file, self.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"tls_cert_file, tls_key_file: {error}") from error
        return context
