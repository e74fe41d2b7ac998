"""The Cluster port on real brokers, through the admin client of kafka-python.

The client is synchronous, so calls run in threads. One client serves all calls, which may run at
the same time. Every error of the library becomes ClusterUnavailableError.
"""

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from kafka import KafkaAdminClient
from kafka.admin import AlterConfigOp, ConfigFilterType, ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from kafka.structs import TopicPartition as KafkaTopicPartition

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.standin.cluster import (
    NO_LEADER,
    Broker,
    ClusterUnavailableError,
    ClusterView,
    LogDirs,
    Partition,
    Reassignment,
    TopicPartition,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

_REQUEST_TIMEOUT_MS = 15_000
_PREFERRED = 0
_DYNAMIC_BROKER_CONFIG = "DYNAMIC_BROKER_CONFIG"
_DYNAMIC_TOPIC_CONFIG = "DYNAMIC_TOPIC_CONFIG"


class KafkaCluster:
    def __init__(self, connection: KafkaConnection | str) -> None:
        """`connection` may be the bootstrap servers of a cluster without security."""
        plain = (
            KafkaConnection(bootstrap_servers=connection)
            if isinstance(connection, str)
            else connection
        )
        self._connection = replace(plain, request_timeout_seconds=_REQUEST_TIMEOUT_MS / 1_000)
        self._client: KafkaAdminClient | None = None
        self._lock = threading.Lock()

    async def describe(self) -> ClusterView:
        return await self._call(self._describe)

    async def log_dirs(self, brokers: Collection[int]) -> LogDirs:
        return await self._call(lambda admin: self._log_dirs(admin, brokers))

    async def min_in_sync(self, topics: Collection[str]) -> Mapping[str, int]:
        key = "min.insync.replicas"
        configs = await self._call(
            lambda admin: admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, [key]) for topic in topics],
                config_filter=ConfigFilterType.ALL,
            )
        )
        return {
            topic: int(entries[key]["value"]) for topic, entries in configs.get("topic", {}).items()
        }

    async def reassignments(self) -> Mapping[TopicPartition, Reassignment]:
        listed = await self._call(
            lambda admin: admin.list_partition_reassignments(timeout_ms=_REQUEST_TIMEOUT_MS)
        )
        return {
            TopicPartition(tp.topic, tp.partition): Reassignment(
                tuple(found["replicas"]),
                tuple(found["adding_replicas"]),
                tuple(found["removing_replicas"]),
            )
            for tp, found in listed.items()
        }

    async def reassign(
        self, targets: Mapping[TopicPartition, tuple[int, ...] | None]
    ) -> Mapping[TopicPartition, str | None]:
        if not targets:
            return {}
        wanted = {
            KafkaTopicPartition(*tp): None if to is None else list(to) for tp, to in targets.items()
        }
        answers = await self._call(
            lambda admin: admin.alter_partition_reassignments(wanted, _REQUEST_TIMEOUT_MS)
        )
        return {
            TopicPartition(tp.topic, tp.partition): None if error is None else error.__name__
            for tp, error in answers.items()
        }

    async def elect_preferred(self, partitions: Collection[TopicPartition]) -> None:
        by_topic = defaultdict(list)
        for tp in partitions:
            by_topic[tp.topic].append(tp.partition)
        await self._call(
            lambda admin: admin.elect_leaders(
                _PREFERRED, dict(by_topic), _REQUEST_TIMEOUT_MS, raise_errors=False
            )
        )

    async def broker_configs(self, broker: int) -> Mapping[str, str]:
        resource = ConfigResource(ConfigResourceType.BROKER, str(broker))
        configs = await self._call(
            lambda admin: admin.describe_configs([resource], config_filter=ConfigFilterType.ALL)
        )
        return _of_source(configs["broker"][str(broker)], _DYNAMIC_BROKER_CONFIG)

    async def topic_configs(self, topic: str) -> Mapping[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        configs = await self._call(
            lambda admin: admin.describe_configs([resource], config_filter=ConfigFilterType.ALL)
        )
        return _of_source(configs["topic"][topic], _DYNAMIC_TOPIC_CONFIG)

    async def change_broker_configs(self, broker: int, changes: Mapping[str, str | None]) -> None:
        await self._change(ConfigResourceType.BROKER, str(broker), changes)

    async def change_topic_configs(self, topic: str, changes: Mapping[str, str | None]) -> None:
        await self._change(ConfigResourceType.TOPIC, topic, changes)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)

    async def _change(
        self, kind: ConfigResourceType, name: str, changes: Mapping[str, str | None]
    ) -> None:
        if not changes:
            return
        operations = {
            key: (AlterConfigOp.DELETE, None) if value is None else (AlterConfigOp.SET, value)
            for key, value in changes.items()
        }
        await self._call(
            lambda admin: admin.alter_configs(
                [ConfigResource(kind, name, operations)], raise_on_unknown=False, incremental=True
            )
        )

    async def _call(self, function: Callable[[KafkaAdminClient], T]) -> T:
        return await asyncio.to_thread(self._call_in_thread, function)

    def _call_in_thread(self, function: Callable[[KafkaAdminClient], T]) -> T:
        client = None
        try:
            client = self._admin()
            return function(client)
        except (KafkaError, OSError, TimeoutError) as error:
            self._discard(client)
            raise ClusterUnavailableError(f"Kafka did not answer: {error!r}") from error

    def _discard(self, client: Any) -> None:
        """Make the next call after a failure connect again.

        The client remembers a controller that may be gone.
        """
        with self._lock:
            current = self._client
            if current is None or current is not client:
                return
            self._client = None
        current.close()

    def _admin(self) -> KafkaAdminClient:
        with self._lock:
            if self._client is None:
                self._client = KafkaAdminClient(
                    **self._connection.for_kafka_python(),
                    client_id="cruise-control-stand-in",
                    reconnect_backoff_max_ms=1_000,
                    metadata_max_age_ms=5_000,
                )
            return self._client

    @staticmethod
    def _describe(admin: KafkaAdminClient) -> ClusterView:
        cluster = admin.describe_cluster()
        brokers = {
            broker["broker_id"]: Broker(
                broker["broker_id"], broker["host"], broker["rack"] or broker["host"]
            )
            for broker in cluster["brokers"]
            if not broker.get("is_fenced")
        }
        partitions = {}
        for topic in admin.describe_topics():
            for found in topic["partitions"]:
                tp = TopicPartition(topic["name"], found["partition_index"])
                partitions[tp] = Partition(
                    tp=tp,
                    leader=found["leader_id"] if found["leader_id"] in brokers else NO_LEADER,
                    replicas=tuple(found["replica_nodes"]),
                    in_sync=tuple(found["isr_nodes"]),
                    offline=tuple(
                        broker for broker in found["replica_nodes"] if broker not in brokers
                    ),
                )
        return ClusterView(brokers, cluster["controller_id"], partitions)

    @staticmethod
    def _log_dirs(admin: KafkaAdminClient, brokers: Collection[int]) -> LogDirs:
        online: dict[int, tuple[str, ...]] = {}
        offline: dict[int, tuple[str, ...]] = {}
        sizes: dict[tuple[TopicPartition, int], int] = {}
        everything = {
            topic["name"]: [found["partition_index"] for found in topic["partitions"]]
            for topic in admin.describe_topics()
        }
        for broker in sorted(brokers):
            try:
                answered = admin.describe_log_dirs(everything, [broker])
            except KafkaError as error:  # the other brokers count even if one does not answer
                log.warning("No log dirs of broker %d: %r", broker, error)
                continue
            directories = [directory for answer in answered for directory in answer["log_dirs"]]
            online[broker] = tuple(d["log_dir"] for d in directories if d["error_code"] == 0)
            offline[broker] = tuple(d["log_dir"] for d in directories if d["error_code"] != 0)
            for directory in directories:
                for topic in directory["topics"]:
                    for found in topic["partitions"]:
                        if not found["is_future_key"]:
                            tp = TopicPartition(topic["name"], found["partition_index"])
                            sizes[tp, broker] = found["partition_size"]
        return LogDirs(online, offline, sizes)


def _of_source(entries: Mapping[str, Mapping[str, Any]], source: str) -> dict[str, str]:
    return {
        key: entry["value"]
        for key, entry in entries.items()
        if str(entry["config_source"]) == source
    }
