"""Reads and writes KIP-73's settings with kafka-python's admin client. Called by kafka_cluster.py, in its thread.

Few requests: all topics of an order go in batches, both lists of a topic together, each broker once. Lists are changed
by APPEND and by writing back what is not ours, so that another tool's entries stay.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import AlterConfigOp, ConfigFilterType, ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from agent.core.throttle import (
    FOLLOWER_RATE,
    FOLLOWER_REPLICAS,
    LEADER_RATE,
    LEADER_REPLICAS,
    BrokerRate,
    Replicas,
    ThrottleFacts,
    ThrottleOrder,
    parse_replicas,
    render_replicas,
)

TOPICS_PER_REQUEST = 200
_STATIC = "STATIC_BROKER_CONFIG"
Operations = dict[str, tuple[AlterConfigOp, str | None]]


def read(admin: KafkaAdminClient, brokers: Sequence[int], topics: Sequence[str] | None) -> ThrottleFacts:
    """What is in force on these brokers and topics (None: all topics). Brokers that do not answer are left out."""
    rates: dict[int, BrokerRate] = {}
    for b in brokers:
        try:
            found = _describe(admin, ConfigResourceType.BROKER, [str(b)], [LEADER_RATE, FOLLOWER_RATE])
        except (KafkaError, OSError, TimeoutError):
            continue
        leader, follower = (_rate(found.get(str(b), {}).get(key)) for key in (LEADER_RATE, FOLLOWER_RATE))
        if leader[0] is not None or follower[0] is not None:
            rates[b] = BrokerRate(leader=leader[0], follower=follower[0], is_static=leader[1] or follower[1])
    names = admin.list_topics() if topics is None else list(topics)
    leaders: dict[str, Replicas | None] = {}
    followers: dict[str, Replicas | None] = {}
    for start in range(0, len(names), TOPICS_PER_REQUEST):
        batch = names[start : start + TOPICS_PER_REQUEST]
        found = _describe(admin, ConfigResourceType.TOPIC, batch, [LEADER_REPLICAS, FOLLOWER_REPLICAS])
        for topic, entries in found.items():
            for key, lists in ((LEADER_REPLICAS, leaders), (FOLLOWER_REPLICAS, followers)):
                if value := (entries.get(key) or {}).get("value"):
                    lists[topic] = parse_replicas(value)
    return ThrottleFacts(rates=rates, leaders=leaders, followers=followers)


def change(admin: KafkaAdminClient, order: ThrottleOrder) -> None:
    """Set the rates of the order, and add its entries to the lists."""
    topics: dict[str, Operations] = {}
    for key, lists in ((LEADER_REPLICAS, order.leaders), (FOLLOWER_REPLICAS, order.followers)):
        for topic, replicas in lists.items():
            topics.setdefault(topic, {})[key] = (AlterConfigOp.APPEND, render_replicas(replicas))
    _alter(admin, ConfigResourceType.TOPIC, topics)
    for b, rate in order.rates.items():
        value = (AlterConfigOp.SET, str(rate))
        _alter_broker(admin, b, {LEADER_RATE: value, FOLLOWER_RATE: value})


def remove(admin: KafkaAdminClient, order: ThrottleOrder) -> None:
    """Remove the order's rates and entries; a list that becomes empty is deleted."""
    for b in order.rates:
        _alter_broker(
            admin, b, {LEADER_RATE: (AlterConfigOp.DELETE, None), FOLLOWER_RATE: (AlterConfigOp.DELETE, None)}
        )
    named = sorted({*order.leaders, *order.followers})
    found = read(admin, (), named) if named else ThrottleFacts()
    topics: dict[str, Operations] = {}
    for key, ours, now in (
        (LEADER_REPLICAS, order.leaders, found.leaders),
        (FOLLOWER_REPLICAS, order.followers, found.followers),
    ):
        for topic, replicas in ours.items():
            listed = now.get(topic)
            if not listed:
                continue  # gone already, or `*`, which is not ours
            rest = listed - replicas
            operation = (AlterConfigOp.SET, render_replicas(rest)) if rest else (AlterConfigOp.DELETE, None)
            topics.setdefault(topic, {})[key] = operation
    _alter(admin, ConfigResourceType.TOPIC, topics)


def _rate(entry: Mapping[str, Any] | None) -> tuple[int | None, bool]:
    """(rate, whether a properties file sets it); Kafka's default, the largest long, is no throttle."""
    if not entry or entry["value"] is None or int(entry["value"]) >= 2**63 - 1:
        return None, False
    return int(entry["value"]), str(entry["config_source"]) == _STATIC


def _describe(
    admin: KafkaAdminClient, kind: ConfigResourceType, names: Sequence[str], keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    resources = [ConfigResource(kind, name, list(keys)) for name in names]
    answer: dict[str, dict[str, dict[str, Any]]] = admin.describe_configs(resources, config_filter=ConfigFilterType.ALL)
    return answer.get(kind.name.lower(), {})


def _alter(admin: KafkaAdminClient, kind: ConfigResourceType, operations: Mapping[str, Operations]) -> None:
    resources = [ConfigResource(kind, name, ops) for name, ops in sorted(operations.items()) if ops]
    for start in range(0, len(resources), TOPICS_PER_REQUEST):
        admin.alter_configs(resources[start : start + TOPICS_PER_REQUEST], raise_on_unknown=False, incremental=True)


def _alter_broker(admin: KafkaAdminClient, broker_id: int, operations: Operations) -> None:
    """A broker that is down keeps its setting and is swept later: the others must not wait for it (CC#1865)."""
    try:
        _alter(admin, ConfigResourceType.BROKER, {str(broker_id): operations})
    except (KafkaError, OSError, TimeoutError):
        if broker_id in {b["broker_id"] for b in admin.describe_cluster()["brokers"] if not b.get("is_fenced")}:
            raise
