"""The Faust wiring: a handler a topic, the table, the tick. No decision is taken here.

commands and metrics are validated and forwarded to the inbox; the inbox handler is the only writer of the table.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import faust
from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from agent import telemetry, translate, turn
from agent.clusters import DrivenCluster
from agent.core import messages as msg
from agent.core.migration import Migration, wake_at
from agent.core.reasons import Code, Reason
from agent.settings import ClusterSettings, Settings
from agent.topics import Topics
from schemas.events import ProgressEvent

log = logging.getLogger("kafka_migration.app")

# Twice as fine as the shortest delay that the core asks for.
TICK_SECONDS = 0.25
REJECTED_BYTES_MAX = 900_000  # the original is cut there, so that a poison message cannot crash its own funeral


class Agent:
    """The worker's moving parts around one Faust app."""

    def __init__(
        self, app: faust.App, settings: Settings, clusters: Mapping[str, ClusterSettings], topics: Topics
    ) -> None:
        self.app = app
        self._settings = settings
        self._clusters = clusters
        self._policies = {name: c.core_policy() for name, c in clusters.items()}
        self._names = topics
        self._driven: dict[str, DrivenCluster] = {}
        self._delivered: dict[str, int] = {}  # cluster -> last sequence known to be on the events topic
        self._ticked: dict[str, float] = {}  # cluster -> the due time a Tick was last posted for
        self._inbox, self._events, self._status, self._rejected, commands, metrics = (
            _raw_topic(app, name)
            for name in (topics.inbox, topics.events, topics.status, topics.rejected, topics.commands, topics.metrics)
        )
        self._table = app.Table(
            "migrations",
            key_type=bytes,
            value_type=bytes,
            partitions=settings.topic_partitions,
            help="cluster -> Record (turn.py)",
        )
        app.agent(commands, name="commands")(self._on_commands)
        app.agent(metrics, name="metrics")(self._on_metrics)
        app.agent(self._inbox, name="inbox")(self._on_inbox)
        app.timer(TICK_SECONDS)(self._tick)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.page("/ready")(self._ready_view())
        app.page("/metrics")(_metrics_view())

    # ── handlers ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _on_commands(self, stream: Any) -> None:
        """Orders: validated, forwarded; what cannot be read is rejected, and refused where its sender can be told."""
        async for event in stream.noack().events():
            data, at = event.message.value, time.time()
            try:
                command = translate.read_command(data, at)
            except ValidationError as error:
                await self._refuse_unreadable(event, translate.what_is_wrong(error))
            else:
                if command.cluster in self._clusters:
                    await self._to_inbox(command.cluster, command)
                else:
                    await self._refuse_unreadable(event, (self._unknown_cluster(command.cluster),))
            event.ack()

    async def _on_metrics(self, stream: Any) -> None:
        """Alerts go to the inbox at once; samples are judged by the collector's side for now."""
        async for event in stream.noack().events():
            try:
                metric = translate.read_metric(event.message.value)
            except ValidationError as error:
                await self._reject(event, translate.what_is_wrong(error))
            else:
                if metric.cluster not in self._clusters:
                    await self._reject(event, (self._unknown_cluster(metric.cluster),))
                elif metric.type == "alert" and metric.action != "notify":
                    await self._to_inbox(metric.cluster, translate.alert_observed(metric, time.time()))
            event.ack()

    async def _on_inbox(self, stream: Any) -> None:
        """The only writer of the table."""
        async for event in stream.noack().events():
            cluster = (event.message.key or b"").decode(errors="replace")
            if cluster in self._clusters:
                try:
                    await self._meet(cluster, event)
                except Exception as bug:
                    # Nothing was saved and the message is not acknowledged: the worker stops, and meets it again.
                    log.critical("a bug stops the worker at inbox offset %d", event.message.offset, exc_info=True)
                    await self.app.crash(bug)
                    raise
            event.ack()

    async def _meet(self, cluster: str, event: Any) -> None:
        try:
            message = translate.from_json(event.message.value, msg.Message)
        except ValueError as error:  # someone else has written to the inbox
            await self._reject(event, (Reason(Code.UNREADABLE_COMMAND, str(error)[:1_000]),))
            return
        policy = self._policies[cluster]
        try:
            taken = turn.take(
                self._table, cluster, message, event.message.offset, policy, self._delivered.get(cluster, -1)
            )
        except turn.RecordTooLargeError as error:
            await self._reject(event, (Reason(Code.WAVE_TOO_LARGE_FOR_STATE, str(error)),))
            return
        migration = taken.record.migration
        if driven := self._driven.get(cluster):
            driven.reconcile(migration)
        if taken.events:
            await self._publish(cluster, taken.events)
            await self._publish_status(migration)

    # ── the tick ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _tick(self) -> None:
        """Take over what has become ours, let go what is not, and wake what is due."""
        if self.app.rebalancing or not self._recovered():
            return
        now = time.time()
        for name in self._clusters:
            if not self._owns(name):
                continue
            record = turn.load(self._table, name)
            if name not in self._driven:
                await self._take_over(name, record)
            self._driven[name].reconcile(record.migration)
            due = wake_at(record.migration)
            if due is not None and due <= now and self._ticked.get(name) != due:
                self._ticked[name] = due  # once for each due time; the answer sets another
                await self._to_inbox(name, msg.Tick(at=now))
        for name in [n for n in self._driven if not self._owns(n)]:
            await self._let_go(name)

    async def _take_over(self, name: str, record: turn.Record) -> None:
        log.info("%s is ours to drive, in phase %s", name, record.migration.phase)

        async def post(observation: msg.Observation) -> None:
            await self._to_inbox(name, observation)

        self._driven[name] = DrivenCluster.open(name, self._clusters[name], self._settings, self._names, post)
        self._ticked.pop(name, None)
        if left := turn.undelivered(record):
            await self._publish(name, left)
            await self._publish_status(record.migration)

    async def _let_go(self, name: str) -> None:
        log.info("%s is not ours any more", name)
        await self._driven.pop(name).close()

    async def _on_revoked(self, _app: faust.App, revoked: Any, **_: Any) -> None:
        lost = {tp.partition for tp in revoked if tp.topic == self._names.inbox}
        for name in [n for n in self._driven if self._partition(n) in lost]:
            await self._let_go(name)

    async def close(self) -> None:
        """The worker stops."""
        for name in list(self._driven):
            await self._let_go(name)

    def _recovered(self) -> bool:
        return bool(self.app.tables.recovery.completed.is_set())

    def _partition(self, cluster: str) -> int:
        return int(self.app.producer.key_partition(self._names.inbox, cluster.encode()).partition)

    def _owns(self, cluster: str) -> bool:
        inbox = {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == self._names.inbox}
        return self._partition(cluster) in inbox

    # ── what goes out ───────────────────────────────────────────────────────────────────────────────────────────
    async def _to_inbox(self, cluster: str, message: msg.Message) -> None:
        await self._inbox.send(key=cluster.encode(), value=translate.to_json(message, msg.Message))

    async def _publish(self, cluster: str, events: tuple[ProgressEvent, ...]) -> None:
        for e in events:
            sent = await self._events.send(
                key=cluster.encode(),
                value=e.model_dump_json().encode(),
                headers=self._headers(e.type, e.id, cluster, e.time),
            )
            sent.add_done_callback(lambda done, n=e.sequence: self._was_delivered(cluster, n, done))
            telemetry.told(e)

    def _was_delivered(self, cluster: str, sequence: int, done: "asyncio.Future[Any]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._delivered[cluster] = max(sequence, self._delivered.get(cluster, -1))

    async def _publish_status(self, migration: Migration) -> None:
        now = time.time()
        status = translate.status(migration, self._policies[migration.cluster], now)
        identity = f"{migration.migration_id or migration.cluster}/{migration.sequence}"
        await self._status.send(
            key=migration.cluster.encode(),
            value=status.model_dump_json().encode(),
            headers=self._headers("MigrationStatus", identity, migration.cluster, datetime.fromtimestamp(now, UTC)),
        )
        telemetry.stands(status)

    async def _reject(self, event: Any, reasons: tuple[Reason, ...]) -> None:
        """The original bytes, with why and where from in the headers."""
        message = event.message
        telemetry.REJECTED.labels(message.topic).inc()
        place = f"{message.topic}/{message.partition}/{message.offset}"
        text = "; ".join(map(str, reasons))
        log.warning("rejected %s: %s", place, text)
        headers = self._headers("Rejected", place, place, datetime.now(UTC))
        headers += [
            ("km_reason", text.encode()[:10_000]),
            ("km_topic", message.topic.encode()),
            ("km_partition", str(message.partition).encode()),
            ("km_offset", str(message.offset).encode()),
        ]
        await self._rejected.send(key=message.key, value=(message.value or b"")[:REJECTED_BYTES_MAX], headers=headers)

    async def _refuse_unreadable(self, event: Any, reasons: tuple[Reason, ...]) -> None:
        """Rejected, and answered where the sender can be told."""
        await self._reject(event, reasons)
        command_id, cluster = translate.sender_of(event.message.value)
        if command_id is None or cluster is None:
            return
        refusal = msg.RefuseCommand(command_id=command_id, cluster=cluster, at=time.time(), reasons=reasons)
        if cluster in self._clusters:
            await self._to_inbox(cluster, refusal)
            return
        # No state belongs to a cluster that we do not know; the id comes from the place, so that a replay repeats it.
        place = event.message
        envelope = translate.refusal_of_stranger(refusal, f"{place.topic}/{place.partition}/{place.offset}")
        await self._events.send(
            key=cluster.encode(),
            value=envelope.model_dump_json().encode(),
            headers=self._headers(envelope.type, envelope.id, cluster, envelope.time),
        )

    def _unknown_cluster(self, cluster: str) -> Reason:
        known = ", ".join(sorted(self._clusters))
        return Reason(Code.UNKNOWN_CLUSTER, f"cluster: '{cluster}' is not configured here", f"one of: {known}")

    def _headers(self, kind: str, identity: str, subject: str, at: datetime) -> list[tuple[str, bytes]]:
        return translate.cloud_event_headers(kind, identity, f"/kafka-migration/{self._settings.app_id}", subject, at)

    # ── the web ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _ready_view(self) -> type[View]:
        agent = self

        class Ready(View):  # type: ignore[misc]
            """200 while this worker drives, or could drive, its share."""

            async def get(self, request: Request) -> Response:  # noqa: ARG002 - the form of a Faust view
                ready = not agent.app.rebalancing and agent._recovered()
                body = {"ready": ready, "drives": sorted(agent._driven)}
                return self.json(body, status=200 if ready else 503)

        return Ready


def _metrics_view() -> type[View]:
    class Metrics(View):  # type: ignore[misc]
        """Prometheus."""

        async def get(self, request: Request) -> Response:  # noqa: ARG002 - the form of a Faust view
            return self.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])

    return Metrics


def _raw_topic(app: faust.App, name: str) -> Any:
    """Bytes in, bytes out: Faust's own codecs crash the worker on a bad value."""
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
