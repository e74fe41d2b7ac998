"""The agent's own settings: environment variables (KAFKA_MIGRATION_...), with secrets from files.

Every field says what it is, its unit, and why it has its default.
"""

import socket
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.adapters.kafka.connection import KafkaConnection
from agent.config.cluster_settings import ClusterSettings, read_clusters
from agent.config.connections import KafkaSecurity
from agent.config.errors import SettingsError


class Settings(BaseSettings):
    """The agent's own settings."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_MIGRATION_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    bootstrap_servers: str = Field(
        default="localhost:9092", description=("The control Kafka: commands, events, state")
    )
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description=("Of the control Kafka: KAFKA_MIGRATION_SECURITY__PASSWORD_FILE and so on"),
    )
    clusters_file: Path = Field(
        default=Path("clusters.yaml"), description=("The clusters this agent drives")
    )
    topic_prefix: str = Field(default="kafka-migration.", description="Before each topic's name")
    topic_partitions: int = Field(
        default=4, ge=1, le=100, description=("4: a dozen clusters over a few workers")
    )
    topic_replication_factor: int = Field(
        default=3, ge=1, le=5, description="3 on a real cluster; the lab has one broker"
    )
    app_id: str = Field(
        default="kafka-migration", description=("Consumer group and prefix of Faust's own topics")
    )
    instance_id: str = Field(
        default_factory=socket.gethostname,
        description="Static group membership: a worker that comes back with the same id owns "
        "its clusters at once. "
        "Two workers must not share one; a StatefulSet's host names are right",
    )
    # After kill -9 (measured) the same instance is back in 2 s, whatever this is; another one waits
    # for this first.
    session_timeout_seconds: float = Field(
        default=10.0, ge=6, le=60, description="10: a take-over within 15 s"
    )
    stuck_seconds: float = Field(
        default=120.0,
        ge=5,
        description="A worker that has no share of the clusters for so long ends, to be "
        "started anew; a rebalance or a "
        "recovery takes seconds",
    )
    web_host: str = Field(
        default="127.0.0.1",
        description=("For /ready and /metrics; Faust's own default is every address"),
    )
    web_port: int = Field(default=6066, ge=1, le=65535)
    data_folder: Path = Field(
        default=Path("build/agent"), description=("Faust's scratch files; the state is in Kafka")
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = Field(
        default="text", description=("json: one object a line, for collectors")
    )

    @classmethod
    def read(cls, **given: Any) -> Self:
        """From the environment, and what is given before it.

        Raises SettingsError that names each wrong variable.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            # What was given is not shown: it may be a secret.
            wrong = "; ".join(
                f"KAFKA_MIGRATION_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(wrong) from None

    def clusters(self) -> dict[str, ClusterSettings]:
        """The clusters by name. Raises SettingsError."""
        return read_clusters(self.clusters_file)

    def connection(self) -> KafkaConnection:
        """The control Kafka."""
        return self.security.connection(self.bootstrap_servers)
