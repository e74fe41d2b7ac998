"""Publishes the samples of the collector and the alerts of the webhook on the metrics topic."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agent.config.settings import Settings
from agent.topics import Topics
from agent.wire import cloud_event_headers
from schemas.metrics import Alert, Samples

# Alertmanager waits 10 s for an answer; the values of a scrape would be too old by then as well.
SEND_SECONDS_MAX = 8.0


class NotPublishedError(Exception):
    """Kafka did not accept a message in time; the text says which Kafka, and what to check."""


class MetricsTopic(Protocol):
    """The metrics topic as the collector and the webhook need it."""

    async def publish(self, message: Samples | Alert, identity: str) -> None:
        """Publish the samples; returns when the topic has them."""


class Publisher:
    """A producer for the metrics topic.

    `who` is the sender in the CloudEvents attribute `source`, such as `collector/host-1`.
    """

    def __init__(self, settings: Settings, who: str) -> None:
        self.topic = Topics.named(settings.topic_prefix).metrics
        self._servers = settings.bootstrap_servers
        self._connection = settings.connection()
        self._source = f"/kafka-migration/{who}"
        self._producer: Any = None
        self._starting = asyncio.Lock()

    async def publish(self, message: Samples | Alert, identity: str) -> None:
        """Publishes a message with its cluster as the key, and returns when Kafka has stored it.

        `identity` is the CloudEvents id; a message that is sent again has the same id. Raises
        NotPublishedError when Kafka does not accept the message within 8 s.
        """
        kind = "Samples" if isinstance(message, Samples) else "Alert"
        headers = cloud_event_headers(
            kind, identity, self._source, message.cluster, datetime.now(UTC)
        )
        value = message.model_dump_json().encode()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                producer = await self._started()
                await producer.send_and_wait(
                    self.topic, value=value, key=message.cluster.encode(), headers=headers
                )
        except (KafkaError, OSError, TimeoutError) as error:
            says = (
                f"the control Kafka at {self._servers} did not accept the message within "
                f"{SEND_SECONDS_MAX:.0f} s"
            )
            raise NotPublishedError(
                f"{says}: {error!r}; is it up, and does topic {self.topic} exist?"
            ) from error

    async def close(self) -> None:
        """Stops the producer after sending the messages under way, if Kafka accepts them."""
        if self._producer is not None:
            await self._producer.stop()

    async def _started(self) -> Any:
        """Returns the producer, which it starts at the first message.

        So the process can start while Kafka is down.
        """
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection.for_aiokafka(), acks="all", enable_idempotence=True
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer
