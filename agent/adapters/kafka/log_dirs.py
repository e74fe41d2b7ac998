"""Reads the log dirs of brokers: sizes of replicas and free space of volumes.

Called by cluster.py, in the thread of admin_thread.py.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from kafka import KafkaAdminClient

from agent.adapters.kafka import admin_requests
from agent.adapters.kafka.metadata import by_topic
from agent.core.model.cluster import BrokerLogs, LogDir, TopicPartition


def read(
    admin: KafkaAdminClient, brokers: Sequence[int], names: Iterable[TopicPartition] | None
) -> dict[int, BrokerLogs]:
    """Return the log dirs of each broker; one that does not answer or read a dir is left out.

    `names`: only these partitions; None means all. Raises KafkaError when this agent may not see
    the log dirs.
    """
    wanted = None if names is None else by_topic(names)
    shared: dict[TopicPartition, TopicPartition] = {}
    answers = admin_requests.log_dirs(admin, brokers, wanted)
    # each answer is freed as it is read
    return {b: of_broker(b, answers.given.pop(b), shared) for b in list(answers.given)}


def of_broker(
    broker_id: int, response: Any, shared: dict[TopicPartition, TopicPartition] | None = None
) -> BrokerLogs:
    """Return one broker's DescribeLogDirs response as sizes and dirs, in bytes.

    `shared` holds each partition's name once for all brokers, to save memory.
    """
    shared = {} if shared is None else shared
    sizes = {
        shared.setdefault(
            name := TopicPartition(topic.name, p.partition_index), name
        ): p.partition_size
        for log_dir in response.results
        for topic in log_dir.topics
        for p in topic.partitions
        if not p.is_future_key
    }
    dirs = tuple(
        LogDir(
            d.log_dir,
            sum(len(t.partitions) for t in d.topics),
            *(_bytes_or_unknown(n) for n in (d.usable_bytes, d.total_bytes)),
        )
        for d in response.results
    )
    known_free = [d.free_bytes for d in dirs if d.free_bytes >= 0]
    return BrokerLogs(
        broker_id=broker_id,
        size_bytes=sizes,
        free_bytes=sum(known_free) if known_free else -1,
        dirs=dirs,
    )


def _bytes_or_unknown(size_bytes: int | None) -> int:
    """The sizes of volumes are absent before Kafka 3.3 (KIP-827): -1."""
    return -1 if size_bytes is None else size_bytes
