"""Which brokers report to Cruise Control: read from its metrics topic.

Called by cluster.py, off the event loop.

Source: Cruise Control's MetricSerde: each record is class id (1 byte), version (1), metric (1),
time (8), broker (4).
"""

import struct
import time
from collections.abc import Iterable

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from agent.adapters.kafka.connection import KafkaConnection

TOPIC = "__CruiseControlMetrics"
BACK_SECONDS = 150.0  # a reporter tells every minute, unless set otherwise: twice, and some
READ_SECONDS_MAX = 5.0
RECORDS_MAX = 200_000
_HEAD = struct.Struct(">bbbqi")


def reporting(connection: KafkaConnection, brokers: Iterable[int]) -> frozenset[int] | None:
    """Of these brokers, those that have reported of late; None: there is no such topic, or it may
    not be read.

    Ends as soon as all were seen, and at the latest after READ_SECONDS_MAX: those it has not seen
    then may report.
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
            return None if seen else frozenset()  # not all was read: silence proves nothing
        for batch in consumer.poll(timeout_ms=500).values():
            records += len(batch)
            seen.update(b for r in batch if (b := reporter_of(r.value)) is not None)
        left = {tp for tp in left if consumer.position(tp) < ends[tp]}
    return wanted & seen


def reporter_of(record: bytes | None) -> int | None:
    """The broker that told this metric; None where it is not one."""
    if record is None or len(record) < _HEAD.size:
        return None
    broker_id: int = _HEAD.unpack_from(record)[4]
    return broker_id
