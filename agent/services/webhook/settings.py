"""The webhook's own settings, from KAFKA_MIGRATION_WEBHOOK_* variables; the control Kafka is
the agent's setting.
"""

import ssl
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config.errors import SettingsError

TOKEN_LENGTH_MIN = 16
Action = Literal["pause", "slow", "notify"]


class WebhookSettings(BaseSettings):
    """Where it listens, who may send, and what an alert does that does not say so itself."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_MIGRATION_WEBHOOK_", extra="ignore", frozen=True
    )

    host: str = Field(default="127.0.0.1", description="Loopback unless told otherwise")
    port: int = Field(default=6068, ge=1, le=65535)
    token: SecretStr | None = Field(
        default=None, description=("What senders must show; prefer token_file")
    )
    token_file: Path | None = Field(
        default=None, description=("A file that holds nothing but the token")
    )
    tls_cert_file: str | None = Field(
        default=None, description=("Served over TLS when this is given")
    )
    tls_key_file: str | None = None
    body_bytes_max: int = Field(
        default=1_000_000,
        ge=1_000,
        le=50_000_000,
        description=("Alertmanager sends some 1 kB for each alert"),
    )
    cluster: str | None = Field(
        default=None,
        description=("Whose alerts they are when no label tells; for a monitor of one cluster"),
    )
    cluster_labels: tuple[str, ...] = Field(
        default=("kafka_cluster", "strimzi_io_cluster", "cluster"),
        description="Labels that may name the cluster; the first that is there counts. JSON",
    )
    cluster_names: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Where labels name a cluster otherwise than clusters.yaml does: JSON, "
            '{"label\'s": "ours"}'
        ),
    )
    actions: dict[Literal["critical", "warning", "info"], Action] = Field(
        default={"critical": "pause", "warning": "slow", "info": "notify"},
        description=(
            "What an alert of each severity does, unless its label "
            "kafka_migration_action says so. JSON"
        ),
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
        """The token. Raises SettingsError when it cannot be read or is too short to be one."""
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
        """None: plain HTTP. Raises SettingsError."""
        if self.tls_cert_file is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.tls_cert_file, self.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"tls_cert_file, tls_key_file: {error}") from error
        return context
