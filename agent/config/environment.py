"""The base class of the settings that each program reads from environment variables."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config.errors import wrong_variables

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    Field(description="The lowest level that is logged to stderr"),
]
LogFormat = Annotated[
    Literal["text", "json"],
    Field(description="text: for people; json: one object on each line, for log collectors"),
]


class EnvironmentSettings(BaseSettings):
    """Settings from the environment variables whose names start with the class's `env_prefix`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Reads the environment; a `given` value that is not None replaces that of its variable.

        Raises SettingsError, which names each wrong variable and shows no value.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise wrong_variables(error, cls.model_config["env_prefix"]) from None
