"""Sends what leaves the worker: inbox messages, progress events, statuses, rejected messages.

Called by app.py. Remembers which events are known to have arrived. Decides nothing.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import faust

from agent import telemetry, wire
from agent.core import messages as msg
from agent.core.migration import Migration
from agent.core.model.reasons import Reason
from agent.core.planning.policy import Policy
from agent.topics import Topics
from schemas.events import ProgressEvent

log = logging.getLogger("kafka_migration.outbound")

# The original is cut to this size, so that a message that is too large can still be rejected.
REJECTED_BYTES_MAX = 900_000
REASON_HEADER_BYTES_MAX = 10_000
RESEND_SECONDS = 1.0


class WorkerPublisher:
    """The worker's producer side."""

    def __init__(self, app: faust.App, topics: Topics, app_id: str) -> None:
        self._source = f"/kafka-migration/{app_id}"
        self._inbox, self._metrics, self._events, self._status, self._rejected = (
            raw_topic(app, name)
            for name in (
                topics.inbox,
                topics.metrics,
                topics.events,
                topics.status,
                topics.rejected,
            )
        )
        # cluster -> the last sequence that is known to be in the events topic
        self._delivered: dict[str, int] = {}
        # cluster -> monotonic time since when an event could not be delivered
        self._undelivered_since: dict[str, float] = {}
        self._send_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def to_inbox(self, cluster: str, message: msg.Message) -> None:
        """Send a message to the inbox; return when Kafka has it.

        Only then may its cause be acknowledged.
        """
        sent = await self._inbox.send(
            key=cluster.encode(), value=wire.to_json(message, msg.Message)
        )
        await asyncio.shield(sent)  # a cancelled caller must not cancel the delivery

    async def forward_samples(self, cluster: str, value: bytes) -> None:
        """Send samples to the partition that the cluster's owner reads.

        The delivery is not awaited, because newer samples follow.
        """
        await self._metrics.send(key=cluster.encode(), value=value)

    # ── events and status ─────────────────────────────────────────────────────────────────────────
    def delivered_through(self, cluster: str) -> int:
        """Return the sequence up to which all events are known to have arrived; -1: none is."""
        return self._delivered.get(cluster, -1)

    def has_undelivered(self, cluster: str) -> bool:
        """Whether the outbox has to be sent again, RESEND_SECONDS after an event was lost."""
        return (
            time.monotonic() > self._undelivered_since.get(cluster, float("inf")) + RESEND_SECONDS
        )

    async def events(self, cluster: str, events: Iterable[ProgressEvent]) -> None:
        """Send events in order; an event that is sent again has the same id.

        The delivery is not awaited; see `delivered_through`.
        """
        async with self._send_locks[cluster]:
            self._undelivered_since.pop(cluster, None)
            for e in events:
                sent = await self._send_event(e)
                sent.add_done_callback(
                    lambda done, sequence=e.sequence: self._arrived(cluster, sequence, done)
                )

    async def answer_without_state(self, refusal: msg.RefuseCommand, place: str) -> None:
        """Send the refusal of a command for a cluster whose state cannot record it.

        `place`: topic, partition and offset of the command.
        """
        await asyncio.shield(await self._send_event(wire.refusal_without_state(refusal, place)))

    async def _send_event(self, event: ProgressEvent) -> Any:
        value, headers = (
            event.model_dump_json().encode(),
            self._headers(event.type, event.id, event.cluster, event.time),
        )
        return await self._events.send(key=event.cluster.encode(), value=value, headers=headers)

    def _arrived(self, cluster: str, sequence: int, done: "asyncio.Future[Any]") -> None:
        if done.cancelled() or done.exception() is not None:
            log.warning("%s: event %d could not be delivered, and is sent again", cluster, sequence)
            self._undelivered_since.setdefault(cluster, time.monotonic())
        elif cluster not in self._undelivered_since:
            self._delivered[cluster] = max(sequence, self.delivered_through(cluster))

    async def status(self, migration: Migration, policy: Policy) -> None:
        """Send the full status of a cluster."""
        now = time.time()
        status = wire.status(migration, policy, now)
        identity = f"{migration.migration_id or migration.cluster}/{migration.sequence}"
        await self._status.send(
            key=migration.cluster.encode(),
            value=status.model_dump_json().encode(),
            headers=self._headers(
                "MigrationStatus", identity, migration.cluster, datetime.fromtimestamp(now, UTC)
            ),
        )
        telemetry.record_status(status)

    # ── rejected messages ─────────────────────────────────────────────────────────────────────────
    async def reject(self, message: Any, reasons: tuple[Reason, ...]) -> str:
        """Send the original bytes to the topic of rejected messages.

        The headers have the reasons and the place, `topic/partition/offset`, which is returned.
        """
        place = f"{message.topic}/{message.partition}/{message.offset}"
        text = "; ".join(map(str, reasons))
        telemetry.REJECTED.labels(message.topic).inc()
        log.warning("%s: rejected %s: %s", message.topic, place, text)
        headers = [
            *self._headers("Rejected", place, place, datetime.now(UTC)),
            ("km_reason", text.encode()[:REASON_HEADER_BYTES_MAX]),
            ("km_topic", message.topic.encode()),
            ("km_partition", str(message.partition).encode()),
            ("km_offset", str(message.offset).encode()),
        ]
        value = (message.value or b"")[:REJECTED_BYTES_MAX]
        await asyncio.shield(
            await self._rejected.send(key=message.key, value=value, headers=headers)
        )
        return place

    async def refuse_for_record(self, message: Any, read: msg.Message, unusable: Reason) -> None:
        """Reject an inbox message of a cluster whose saved record must not be changed.

        A command is also refused on the events topic, with the reason `unusable`; a refusal that
        was decided earlier keeps its own reasons.
        """
        reasons = read.reasons if isinstance(read, msg.RefuseCommand) else (unusable,)
        place = await self.reject(message, reasons)
        if isinstance(read, msg.Command):
            refusal = msg.RefuseCommand(
                command_id=read.command_id, cluster=read.cluster, at=read.at, reasons=reasons
            )
            await self.answer_without_state(refusal, place)

    def _headers(
        self, kind: str, identity: str, subject: str, at: datetime
    ) -> list[tuple[str, bytes]]:
        return wire.cloud_event_headers(kind, identity, self._source, subject, at)


def raw_topic(app: faust.App, name: str) -> Any:
    """Return a topic of raw bytes, because Faust's codecs crash the worker on a bad value."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )
