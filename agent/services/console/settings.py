"""The console's own settings, from KAFKA_MIGRATION_CONSOLE_* variables.

It finds the control Kafka by the settings of the agent (agent/config/settings.py).
"""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from agent.config.environment import EnvironmentSettings
from agent.config.errors import SettingsError


class ConsoleSettings(EnvironmentSettings):
    """Where the page is served, who may view it, and who may send commands."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_MIGRATION_CONSOLE_")

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on; every address except a loopback one needs a token",
    )
    port: int = Field(default=8088, ge=1, le=65535)
    public_origin: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="The origin at which browsers reach the console through a proxy, such as "
        "https://migration.example.com; with https, cookies are marked as secure",
    )
    token: SecretStr | None = Field(
        default=None, description="The token of operators, who may send commands"
    )
    token_file: Path | None = Field(
        default=None, description="A file that holds nothing but the token of operators"
    )
    viewer_token: SecretStr | None = Field(
        default=None, description="The token of viewers, who may not send commands"
    )
    viewer_token_file: Path | None = None
    session_hours: float = Field(default=12.0, gt=0, le=168, description="How long a session lasts")

    @model_validator(mode="after")
    def _nobody_unasked(self) -> Self:
        if not self.is_loopback and self.token is None and self.token_file is None:
            raise ValueError(
                f"host {self.host} can be reached from outside: set token_file (or token) as well"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the console."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def origin(self) -> str:
        """The scheme, host and port at which browsers reach the console."""
        return self.public_origin or f"http://{self.host}:{self.port}"

    def tokens(self) -> tuple[str | None, str | None]:
        """Returns the tokens of operators and of viewers; None for one that is not set.

        Raises SettingsError when a file cannot be read or is empty.
        """
        return _read(self.token, self.token_file, "token_file"), _read(
            self.viewer_token, self.viewer_token_file, "viewer_token_file"
        )


def _read(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    if file is None:
        return value.get_secret_value() if value else None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"KAFKA_MIGRATION_CONSOLE_{name.upper()}: {file}: {error.strerror}"
        ) from error
    if not token:
        raise SettingsError(
            f"KAFKA_MIGRATION_CONSOLE_{name.upper()}: {file} is empty: put a long random word there"
        )
    return token
