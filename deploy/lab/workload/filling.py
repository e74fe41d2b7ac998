"""Fills topics with a real producer: plain, with keys for compaction, and in transactions.

workload.py uses it. Batches are built here and sent as a whole, so that a record costs microseconds
and only the brokers limit the rate.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.cluster.topics import Fill, TopicKind

POOL_BYTES = 1024 * 1024
TRANSACTIONAL_ID = "demo-fill"
ABORT_EVERY = 5  # after this many transactions, one is written and aborted


@dataclass(frozen=True, slots=True)
class FillSettings:
    """The sizes of what is written."""

    record_bytes: int = 4096
    batch_bytes: int = 256 * 1024  # below Kafka's default message.max.bytes, 1 MiB
    batches_in_flight: int = 24
    batches_per_transaction: int = 8
    timeout_seconds: float = 900.0  # normal is below 60 s; a loaded machine needs more
    records_per_key: int = 2  # in a compacted topic, where the cleaner may drop all but the last


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition that are sent together.

    `first` is the number of its first record in that partition.
    """

    fill: Fill
    first: int
    count: int


def batches(fills: Sequence[Fill], records_max: int) -> Iterator[Batch]:
    """Divide records into batches, taken from each partition in turn.

    So all brokers are busy from the first batch to the last.
    """
    longest = max((fill.records for fill in fills), default=0)
    for first in range(0, longest, records_max):
        for fill in fills:
            if first < fill.records:
                yield Batch(fill, first, min(records_max, fill.records - first))


async def fill_topics(
    access: KafkaConnection,
    fills: Sequence[Fill],
    settings: FillSettings,
    progress: Callable[[int, int], None],
) -> None:
    """Write all records.

    Raises a group of KafkaErrors when the brokers refuse, and TimeoutError when it takes too long.
    """
    writer = _Writer(
        settings, sum(fill.records for fill in fills) * settings.record_bytes, progress
    )
    transactional = [fill for fill in fills if fill.topic.kind is TopicKind.TRANSACTIONAL]
    others = [fill for fill in fills if fill.topic.kind is not TopicKind.TRANSACTIONAL]
    async with asyncio.timeout(settings.timeout_seconds), asyncio.TaskGroup() as group:
        group.create_task(writer.plain(access, others))
        if transactional:
            group.create_task(writer.in_transactions(access, transactional))


class _Writer:
    def __init__(
        self, settings: FillSettings, total_bytes: int, progress: Callable[[int, int], None]
    ) -> None:
        self._settings = settings
        self._total_bytes = total_bytes
        self._progress = progress
        self._done_bytes = 0
        # Random bytes cannot be compressed.
        self._pool = random.Random(0).randbytes(POOL_BYTES + settings.record_bytes)
        self._records_max = max(1, settings.batch_bytes // (settings.record_bytes + 64))

    async def plain(self, access: KafkaConnection, fills: Sequence[Fill]) -> None:
        slots = asyncio.Semaphore(self._settings.batches_in_flight)
        async with _producer(access) as producer, asyncio.TaskGroup() as group:
            for batch in batches(fills, self._records_max):
                await slots.acquire()
                sent = await self._send(producer, batch)
                group.create_task(self._confirmed(sent, batch, slots))

    async def in_transactions(self, access: KafkaConnection, fills: Sequence[Fill]) -> None:
        """Commit all batches. Now and then a transaction with other records is aborted."""
        size = self._settings.batches_per_transaction
        todo = list(batches(fills, self._records_max))
        async with _producer(access, transactional_id=TRANSACTIONAL_ID) as producer:
            for number, start in enumerate(range(0, len(todo), size)):
                if number % ABORT_EVERY == 0:
                    await producer.begin_transaction()
                    await (await self._send(producer, Batch(todo[start].fill, first=0, count=1)))
                    await producer.abort_transaction()
                part = todo[start : start + size]
                async with producer.transaction():
                    for sent in [await self._send(producer, batch) for batch in part]:
                        await sent
                self._count(sum(batch.count for batch in part))

    async def _send(self, producer: Any, batch: Batch) -> "asyncio.Future[Any]":
        builder = producer.create_batch()
        now_ms = time.time_ns() // 1_000_000
        keyed = batch.fill.topic.kind is TopicKind.COMPACTED
        distinct = max(1, batch.fill.records // self._settings.records_per_key)
        for number in range(batch.first, batch.first + batch.count):
            start = number * 4093 % POOL_BYTES  # a prime step, so that neighbours differ
            key = f"key-{number % distinct}".encode() if keyed else None
            value = self._pool[start : start + self._settings.record_bytes]
            if builder.append(key=key, value=value, timestamp=now_ms) is None:
                raise ValueError(
                    f"a batch cannot hold {batch.count} records of "
                    f"{self._settings.record_bytes} bytes"
                )
        builder.close()
        sent: asyncio.Future[Any] = await producer.send_batch(
            builder, batch.fill.topic.name, partition=batch.fill.partition
        )
        return sent

    async def _confirmed(
        self, sent: "asyncio.Future[Any]", batch: Batch, slots: asyncio.Semaphore
    ) -> None:
        await sent
        slots.release()
        self._count(batch.count)

    def _count(self, records: int) -> None:
        self._done_bytes += records * self._settings.record_bytes
        self._progress(self._done_bytes, self._total_bytes)


def _producer(access: KafkaConnection, **more: Any) -> Any:
    from aiokafka import AIOKafkaProducer

    return AIOKafkaProducer(
        **replace(access, request_timeout_seconds=60.0).for_aiokafka(),
        acks="all",
        enable_idempotence=True,
        max_batch_size=1024 * 1024,
        **more,
    )
