"""The agent's own settings, from KAFKA_MIGRATION_* variables, with secrets from files."""

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
        default="localhost:9092",
        description="The control Kafka, which holds the topics of commands, events and state",
    )
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description="How to connect to the control Kafka: KAFKA_MIGRATION_SECURITY__PASSWORD_FILE "
        "and so on",
    )
    clusters_file: Path = Field(
        default=Path("clusters.yaml"), description="The file of the clusters that this agent drives"
    )
    topic_prefix: str = Field(
        default="kafka-migration.", description="The prefix of each control topic's name"
    )
    topic_partitions: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Partitions of each control topic; 4 spread a dozen clusters over a few "
        "workers",
    )
    topic_replication_factor: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Replicas of each control topic: 3 on a real cluster, 1 in the lab, which has "
        "one broker",
    )
    app_id: str = Field(
        default="kafka-migration",
        description="The consumer group of the workers, and the prefix of Faust's own topics",
    )
    instance_id: str = Field(
        default_factory=socket.gethostname,
        description="The worker's id as a static member of the group: a worker that comes back "
        "with the same id gets its clusters again at once. No two workers may share an id; the "
        "host names of a StatefulSet are suitable",
    )
    # Measured after kill -9: the same instance is back in 2 s, whatever the timeout is; another
    # instance takes over only after the timeout.
    session_timeout_seconds: float = Field(
        default=10.0,
        ge=6,
        le=60,
        description="Session timeout of the group; with 10 s another worker takes over within 15 s",
    )
    stuck_seconds: float = Field(
        default=120.0,
        ge=5,
        description="A worker that was not ready to drive its share of the clusters for this long "
        "ends, so that its supervisor starts it again; a rebalance or a recovery takes seconds",
    )
    web_host: str = Field(
        default="127.0.0.1",
        description="The address at which /ready and /metrics are served; by default only this "
        "machine can reach it",
    )
    web_port: int = Field(default=6066, ge=1, le=65535)
    data_folder: Path = Field(
        default=Path("build/agent"),
        description="The folder of Faust's working files; the state itself is in Kafka",
    )
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"

    def clusters(self) -> dict[str, ClusterSettings]:
        """Reads clusters_file and returns the clusters by name. Raises SettingsError."""
        return read_clusters(self.clusters_file)

    def connection(self) -> KafkaConnection:
        """Returns what the adapters need to connect to the control Kafka.

        Raises OSError when the password file cannot be read.
        """
        return self.security.connection(self.bootstrap_servers)
