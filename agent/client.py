"""A client of the control topics: publishes commands, waits for answers, reads events and statuses.

Used by the command line (agent/cli), the console, the demo and tests. Other services can do the
same with any Kafka client, without code of the agent.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

RETRY_SECONDS = 0.5
ANSWERS = frozenset({"CommandAccepted", "CommandRefused"})
PLANS = frozenset({"PlanMade", "KraftPlanned", "CommandRefused"})
Json = dict[str, Any]


class ClientError(Exception):
    """The control topics cannot be used, or no answer came; the text says what to check."""


class ControlClient:
    """Communicates with the agent through Kafka only.

    `connection` holds the keyword arguments of aiokafka (bootstrap_servers and security), and
    `prefix` is the prefix of each topic's name.
    """

    def __init__(self, connection: Mapping[str, Any], prefix: str = "kafka-migration.") -> None:
        self._connection = dict(connection)
        self._prefix = prefix

    async def send_command(self, command: Json, timeout_seconds: float = 60.0) -> Json:
        """Publishes a command and returns its answer: a CommandAccepted or CommandRefused event.

        Fills in `command_id` when it is missing. Raises ClientError when no answer comes in time;
        the command stays in the topic, and an agent carries it out as soon as one runs.
        """
        return await self._ask(command, ANSWERS, timeout_seconds)

    async def plan(self, command: Json, timeout_seconds: float = 120.0) -> Json:
        """Publishes a plan command, and returns a PlanMade, KraftPlanned or CommandRefused event.

        Otherwise like `send_command`.
        """
        return await self._ask(command, PLANS, timeout_seconds)

    async def _ask(self, command: Json, answers: frozenset[str], timeout_seconds: float) -> Json:
        command = {"command_id": uuid.uuid4().hex, **command}
        async with self._tail("events", from_start=False) as events, self._producer() as producer:
            value = json.dumps(command).encode()
            await producer.send_and_wait(
                self._prefix + "commands", value=value, key=command["cluster"].encode()
            )
            async for event in _until(events, time.monotonic() + timeout_seconds):
                mine = event["data"].get("command_id") == command["command_id"]
                if mine and event["type"] in answers:
                    return event
        raise ClientError(
            f"no answer to {command['type']} {command['command_id']} within "
            f"{timeout_seconds:.0f} s: is an agent running? The command stays in the topic, and "
            "an agent carries it out as soon as one runs."
        )

    async def events(
        self, cluster: str | None = None, *, from_start: bool = False
    ) -> AsyncIterator[Json]:
        """Yields the progress events of one cluster, or of all, as they come and without end.

        With `from_start` it yields all past events first.
        """
        async with self._tail("events", from_start=from_start) as events:
            async for event in events:
                if event is not None and cluster in (None, event.get("cluster")):
                    yield event

    async def past_events(self, cluster: str | None = None) -> list[Json]:
        """Returns every event that was published until now, of one cluster or of all."""
        async with self._tail("events", from_start=True) as events:
            return [e async for e in _until_end(events) if cluster in (None, e.get("cluster"))]

    async def statuses(self) -> dict[str, Json]:
        """Returns the latest status of each cluster, by the cluster's name."""
        async with self._tail("status", from_start=True) as statuses:
            return {s["cluster"]: s async for s in _until_end(statuses)}

    async def follow_status(self, cluster: str) -> AsyncIterator[Json]:
        """Yields the latest status of a cluster, and then each new one, without end."""
        latest = (await self.statuses()).get(cluster)
        if latest is not None:
            yield latest
        async with self._tail("status", from_start=False) as statuses:
            async for status in statuses:
                if status is not None and status.get("cluster") == cluster:
                    yield status

    async def everything(self, topic: str) -> AsyncGenerator[Json | None]:
        """Yields all messages of the topic `events` or `status` from its start, without end.

        It yields None when there are no more messages for now.
        """
        async with self._tail(topic, from_start=True) as messages:
            async for message in messages:
                yield message

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(**self._connection, acks="all", enable_idempotence=True)
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise self._unreachable(error) from error
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def _tail(
        self, topic: str, *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[Json | None]]:
        """Opens a reader of all partitions of a topic, without a consumer group.

        The reader yields None when there are no more messages for now.
        """
        name = self._prefix + topic
        consumer = AIOKafkaConsumer(
            name,
            **self._connection,
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
            # A seek would not do: the consumer's own reset of its positions may still be under way
            # and would undo it.
            auto_offset_reset="earliest" if from_start else "latest",
        )
        try:
            await consumer.start()
            partitions = sorted(consumer.assignment())
            if not partitions:
                raise ClientError(
                    f"topic {name} does not exist yet: start an agent once, or "
                    "correct the topic prefix"
                )
            # The consumer resets its positions only when they are asked for. They must be known
            # before anything is published, so that the answer is not missed.
            for tp in partitions:
                await consumer.position(tp)
            yield _read(consumer, partitions)
        except KafkaError as error:
            raise self._unreachable(error) from error
        finally:
            await consumer.stop()

    def _unreachable(self, error: KafkaError) -> ClientError:
        servers = self._connection.get("bootstrap_servers")
        return ClientError(f"the control Kafka at {servers} cannot be used: {error}")


async def _read(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> AsyncIterator[Json | None]:
    while True:
        batches = await consumer.getmany(*partitions, timeout_ms=200)
        for records in batches.values():
            for record in records:
                if record.value:
                    yield json.loads(record.value)
        if batches:
            continue
        try:
            ends = await consumer.end_offsets(partitions)
            caught_up = all([await consumer.position(tp) >= ends[tp] for tp in partitions])
        except KafkaError:  # when Kafka is back, the reader goes on where it was
            await asyncio.sleep(RETRY_SECONDS)
            continue
        if caught_up:
            yield None


async def _until_end(messages: AsyncIterator[Json | None]) -> AsyncIterator[Json]:
    async for message in messages:
        if message is None:
            return
        yield message


async def _until(messages: AsyncIterator[Json | None], deadline: float) -> AsyncIterator[Json]:
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                message = await anext(messages)
        except TimeoutError:
            return
        if message is not None:
            yield message
