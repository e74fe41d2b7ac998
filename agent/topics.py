"""The control topics: their names, and their creation before the worker starts. Called by main.py.

The agent creates them itself instead of leaving it to Faust: their compaction and partition counts
are part of the contract, and Faust would silently ignore a missing source topic.
"""

import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from agent.config.errors import SettingsError
from agent.config.settings import Settings

# A restart reads what compaction has left. Compaction never touches the last segment, so small
# segments leave only a few minutes uncompacted.
COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "600000",
    "segment.bytes": "16777216",
}
KEPT_A_MONTH = {"cleanup.policy": "delete", "retention.ms": str(30 * 24 * 3600 * 1000)}
SHOWN_SECONDS_MAX, SHOWN_LOOK_SECONDS = 30.0, 0.2
_NO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the control topics, with their prefix."""

    commands: str
    metrics: str
    events: str
    status: str
    rejected: str
    inbox: str
    snapshots: str

    @classmethod
    def named(cls, prefix: str) -> "Topics":
        """Returns the names with this prefix, such as `kafka-migration.`."""
        return cls(*(prefix + f.name for f in fields(cls)))


def ensure(settings: Settings) -> tuple[Topics, str]:
    """Creates the control topics that are missing.

    Returns the names, and the id that Kafka gave the inbox, which shows whether the inbox was ever
    deleted and created again; the id is empty when Kafka has none.

    Raises SettingsError when Kafka cannot be reached, or when the inbox has another number of
    partitions than the settings.
    """
    topics = Topics.named(settings.topic_prefix)
    try:
        admin = KafkaAdminClient(
            **settings.connection().for_kafka_python(), client_id="kafka-migration-topics"
        )
    except (KafkaError, OSError) as error:
        says = f"the control Kafka at {settings.bootstrap_servers} cannot be reached: {error!r}"
        raise SettingsError(f"{says}; set KAFKA_MIGRATION_BOOTSTRAP_SERVERS") from error
    try:
        there = _described(admin)
        _check_inbox(there.get(topics.inbox), topics.inbox, settings.topic_partitions)
        _create(admin, settings, topics, there)
        _keep_compacted(
            admin, [name for name in (topics.status, topics.snapshots) if name in there]
        )
        inbox_id = str(_shown(admin, topics.inbox).get("topic_id") or "")
    except (KafkaError, OSError) as error:
        raise SettingsError(f"the control topics cannot be created: {error!r}") from error
    finally:
        admin.close()
    return topics, "" if inbox_id == _NO_ID else inbox_id


def _described(admin: KafkaAdminClient) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in admin.describe_topics() if t["error_code"] == 0}


def _shown(admin: KafkaAdminClient, name: str) -> dict[str, Any]:
    """Returns the description of a topic; waits for it, since a new one may not be visible yet."""
    deadline = time.monotonic() + SHOWN_SECONDS_MAX
    while (found := _described(admin).get(name)) is None:
        if time.monotonic() > deadline:
            raise SettingsError(
                f"topic {name} was created but is not visible after {SHOWN_SECONDS_MAX:.0f} s"
            )
        time.sleep(SHOWN_LOOK_SECONDS)
    return found


def _check_inbox(inbox: Mapping[str, Any] | None, name: str, partitions: int) -> None:
    """Raises SettingsError when the inbox has another number of partitions than the settings.

    The agent's table has as many partitions as the inbox. Other topics may have any number.
    """
    if inbox is not None and len(inbox["partitions"]) != partitions:
        says = f"topic {name} has {len(inbox['partitions'])} partitions"
        raise SettingsError(
            f"{says}, but KAFKA_MIGRATION_TOPIC_PARTITIONS is {partitions}: "
            "set it to the topic's number"
        )


def _create(
    admin: KafkaAdminClient, settings: Settings, topics: Topics, there: Mapping[str, Any]
) -> None:
    configs = {
        topics.status: COMPACTED,
        topics.snapshots: COMPACTED,
        topics.events: KEPT_A_MONTH,
        topics.rejected: KEPT_A_MONTH,
    }
    missing = [
        NewTopic(
            name=name,
            num_partitions=1 if name == topics.snapshots else settings.topic_partitions,
            replication_factor=settings.topic_replication_factor,
            topic_configs=configs.get(name, {}),
        )
        for name in astuple(topics)
        if name not in there
    ]
    try:
        if missing:
            admin.create_topics(missing)
    except TopicAlreadyExistsError:
        pass  # another worker has created them meanwhile


def _keep_compacted(admin: KafkaAdminClient, names: list[str]) -> None:
    """Sets these topics to be compacted, where they are not.

    A broker that creates a topic automatically makes one that deletes old messages, and with them
    state that must be kept.
    """
    policy = "cleanup.policy"
    for name in names:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, [policy])]
        found = admin.describe_configs(asked, config_filter=ConfigFilterType.ALL).get("topic", {})
        if found.get(name, {}).get(policy, {}).get("value") != "compact":
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(COMPACTED))])
