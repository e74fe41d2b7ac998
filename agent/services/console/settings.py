"""The console's own settings, from KAFKA_MIGRATION_CONSOLE_* variables; the control Kafka is
the agent's setting.
"""

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config.errors import SettingsError


class ConsoleSettings(BaseSettings):
    """Where the page is served, and who may look and who may order."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_MIGRATION_CONSOLE_", extra="ignore", frozen=True
    )

    host: str = Field(
        default="127.0.0.1",
        description=("Loopback unless told otherwise; another one needs a token"),
    )
    port: int = Field(default=8088, ge=1, le=65535)
    public_origin: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="How browsers reach it through a proxy, such as "
        "https://migration.example.com; https marks the "
        "cookie secure",
    )
    token: SecretStr | None = Field(default=None, description="Who has it may give orders")
    token_file: Path | None = Field(
        default=None, description=("The same, from a file that holds nothing else")
    )
    viewer_token: SecretStr | None = Field(default=None, description="Who has it may look")
    viewer_token_file: Path | None = None
    session_hours: float = Field(default=12.0, gt=0, le=168, description="A login lasts that long")

    @model_validator(mode="after")
    def _nobody_unasked(self) -> Self:
        if not self.is_loopback and self.token is None and self.token_file is None:
            raise ValueError(
                f"host {self.host} can be reached from outside: set token_file (or token) as well"
            )
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def origin(self) -> str:
        """Scheme, host and port as a browser names them."""
        return self.public_origin or f"http://{self.host}:{self.port}"

    def tokens(self) -> tuple[str | None, str | None]:
        """(of operators, of viewers).

        Raises SettingsError when a file cannot be read or is empty.
        """
        return _read(self.token, self.token_file, "token_file"), _read(
            self.viewer_token, self.viewer_token_file, "viewer_token_file"
        )

    @classmethod
    def read(cls, **given: object) -> Self:
        """From the environment, what is given first.

        Raises SettingsError that names each wrong variable.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = "; ".join(
                f"KAFKA_MIGRATION_CONSOLE_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(wrong) from None


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
