"""What the settings of every program share: they are read from environment variables."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.config.errors import wrong_variables

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="Level of the log on stderr")
]
LogFormat = Annotated[
    Literal["text", "json"],
    Field(description="json: one object on each line, for log collectors"),
]


class EnvironmentSettings(BaseSettings):
    """Settings from the variables of the environment that start with the class's `env_prefix`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, **given: Any) -> Self:
        """The settings of the environment; a value that is given and not None takes precedence.

        Raises SettingsError, which names each wrong variable and shows no value.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            raise wrong_variables(error, cls.model_config["env_prefix"]) from None
