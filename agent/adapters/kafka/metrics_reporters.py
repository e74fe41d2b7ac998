"""Finds out from Cruise Control's metrics topic which brokers report to it.

Called by cluster.py, off the event loop.

By Cruise Control's MetricSerde, a record begins with class id (1 byte), version (1), metric (1),
time (8) and broker (4).
"""

import struct
import time
from collections.abc import Iterable

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from agent.adapters.kafka.connection import KafkaConnection

TOPIC = "__CruiseControlMetrics"
BACK_SECONDS = 150.0  # by default a reporter writes every minute: two intervals and a margin
READ_SECONDS_MAX = 5.0
RECORDS_MAX = 200_000
_HEAD = struct.Struct(">bbbqi")


def reporting(connection: KafkaConnection, brokers: Iterable[int]) -> frozenset[int] | None:
    """Return which of these brokers have reported in the last BACK_SECONDS.

    None when that is not known: there is no such topic, it cannot be read, or only some of the
    brokers were seen within READ_SECONDS_MAX. Returns early when all brokers were seen.
    """
    wanted = frozenset(brokers)
    consumer = None
    try:
        consumer = KafkaConsumer(
            **connection.for_kafka_python(),
            group_id=None,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
        )
        numbers = consumer.partitions_for_topic(TOPIC)
        if not numbers:
            return None
        return _read(consumer, [TopicPartition(TOPIC, n) for n in numbers], wanted)
    except (KafkaError, OSError, ValueError):
        return None
    finally:
        if consumer is not None:
            consumer.close()


def _read(
    consumer: KafkaConsumer, partitions: list[TopicPartition], wanted: frozenset[int]
) -> frozenset[int] | None:
    since = int((time.time() - BACK_SECONDS) * 1_000)
    ends = consumer.end_offsets(partitions)
    found = consumer.offsets_for_times(dict.fromkeys(partitions, since))
    starts = {tp: found[tp].offset for tp in partitions if found.get(tp) is not None}
    left = {tp for tp, start in starts.items() if start < ends[tp]}
    if not left:
        return frozenset()
    consumer.assign(sorted(left))
    for tp in left:
        consumer.seek(tp, starts[tp])
    seen: set[int] = set()
    records = 0
    until = time.monotonic() + READ_SECONDS_MAX
    while left and not wanted <= seen:
        if time.monotonic() > until or records > RECORDS_MAX:
            return None if seen else frozenset()  # a broker that was not seen may still report
        for batch in consumer.poll(timeout_ms=500).values():
            records += len(batch)
            seen.update(b for r in batch if (b := reporter_of(r.value)) is not None)
        left = {tp for tp in left if consumer.position(tp) < ends[tp]}
    return wanted & seen


def reporter_of(record: bytes | None) -> int | None:
    """Return the id of the broker that reported this metric; None if the record is too short."""
    if record is None or len(record) < _HEAD.size:
        return None
    broker_id: int = _HEAD.unpack_from(record)[4]
    return broker_id
