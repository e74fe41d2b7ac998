"""The agent's own settings: environment variables (KAFKA_MIGRATION_...), with secrets from files.

Every field says what it is, its unit, and why it has its default.
"""

import socket
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from agent.adapters.kafka.connection import KafkaConnection
from agent.config.cluster_settings import ClusterSettings, read_clusters
from agent.config.connections import KafkaSecurity
from agent.config.environment import EnvironmentSettings, LogFormat, LogLevel


class Settings(EnvironmentSettings):
    """The agent's own settings."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_MIGRATION_", env_nested_delimiter="__")

    bootstrap_servers: str = Field(
        default="localhost:9092", description="The control Kafka, for commands, events and state"
    )
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description="How to connect to it: KAFKA_MIGRATION_SECURITY__PASSWORD_FILE and so on",
    )
    clusters_file: Path = Field(
        default=Path("clusters.yaml"), description="The file of the clusters that this agent drives"
    )
    topic_prefix: str = Field(default="kafka-migration.", description="Prefix of each topic's name")
    topic_partitions: int = Field(
        default=4,
        ge=1,
        le=100,
        description="4 partitions spread a dozen clusters over a few workers",
    )
    topic_replication_factor: int = Field(
        default=3, ge=1, le=5, description="3 on a real cluster; the lab has one broker"
    )
    app_id: str = Field(
        default="kafka-migration", description="Consumer group and prefix of Faust's own topics"
    )
    instance_id: str = Field(
        default_factory=socket.gethostname,
        description="Static group membership: a worker that comes back with the same id has its "
        "clusters again at once. No two workers may share an id; the host names of a StatefulSet "
        "are right",
    )
    # Measured after kill -9: the same instance is back in 2 s, whatever this is. Another instance
    # waits for this time first.
    session_timeout_seconds: float = Field(
        default=10.0, ge=6, le=60, description="With 10 s another worker takes over within 15 s"
    )
    stuck_seconds: float = Field(
        default=120.0,
        ge=5,
        description="A worker that has had no share of the clusters for this long ends, so that "
        "it is started again; a rebalance or a recovery takes seconds",
    )
    web_host: str = Field(
        default="127.0.0.1",
        description="Where /ready and /metrics are served; Faust would listen on every address",
    )
    web_port: int = Field(default=6066, ge=1, le=65535)
    data_folder: Path = Field(
        default=Path("build/agent"), description="Faust's working files; the state is in Kafka"
    )
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"

    def clusters(self) -> dict[str, ClusterSettings]:
        """The clusters by name. Raises SettingsError."""
        return read_clusters(self.clusters_file)

    def connection(self) -> KafkaConnection:
        """The connection to the control Kafka."""
        return self.security.connection(self.bootstrap_servers)
