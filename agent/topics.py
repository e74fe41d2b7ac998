"""The control topics: their names, and their creation before the worker starts. Called by main.py.

Made by ourselves and not by Faust: compaction and partition counts are part of the contract, and a missing source topic
would be ignored in silence.
"""

from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from agent.settings import Settings, SettingsError

COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "3600000"}
KEPT_A_MONTH = {"retention.ms": str(30 * 24 * 3600 * 1000)}


@dataclass(frozen=True, slots=True)
class Topics:
    """Names, all with the prefix."""

    commands: str
    metrics: str
    events: str
    status: str
    rejected: str
    inbox: str
    snapshots: str

    @classmethod
    def named(cls, prefix: str) -> "Topics":
        return cls(*(prefix + name for name in cls.__slots__))


def ensure(settings: Settings) -> Topics:
    """Create what is missing. Raises SettingsError when Kafka cannot be reached or a topic has another shape."""
    topics = Topics.named(settings.topic_prefix)
    configs = {
        topics.status: COMPACTED,
        topics.snapshots: COMPACTED,
        topics.events: KEPT_A_MONTH,
        topics.rejected: KEPT_A_MONTH,
    }
    wanted = {
        getattr(topics, name): (1 if name == "snapshots" else settings.topic_partitions) for name in Topics.__slots__
    }
    try:
        admin = KafkaAdminClient(**settings.connection().for_kafka_python(), client_id="kafka-migration-topics")
    except (KafkaError, OSError) as error:
        says = f"the control Kafka at {settings.bootstrap_servers} cannot be reached: {error!r}"
        raise SettingsError(f"{says}; set KAFKA_MIGRATION_BOOTSTRAP_SERVERS") from error
    try:
        there = {t["name"]: len(t["partitions"]) for t in admin.describe_topics() if t["error_code"] == 0}
        for name, partitions in wanted.items():
            if name in there and there[name] != partitions:
                says = f"topic {name} has {there[name]} partitions"
                raise SettingsError(f"{says}, KAFKA_MIGRATION_TOPIC_PARTITIONS wants {partitions}: set it to that")
        missing = [
            NewTopic(
                name=name,
                num_partitions=partitions,
                replication_factor=settings.topic_replication_factor,
                topic_configs=configs.get(name, {}),
            )
            for name, partitions in wanted.items()
            if name not in there
        ]
        if missing:
            admin.create_topics(missing)
    except TopicAlreadyExistsError:
        pass  # another worker was faster
    except (KafkaError, OSError) as error:
        raise SettingsError(f"the control topics cannot be created: {error!r}") from error
    finally:
        admin.close()
    return topics
