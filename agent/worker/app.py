"""The Faust wiring: a handler for each topic, the table, the tick. Nothing is decided here.

Commands and metrics are validated and forwarded to the inbox. The inbox handler is the only writer
of the table.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
from aiokafka.partitioner import murmur2
from pydantic import ValidationError

from agent import telemetry, wire
from agent.config.cluster_settings import ClusterSettings
from agent.config.settings import Settings
from agent.core import messages as msg
from agent.core.kraft.state import KraftPhase
from agent.core.metrics.rule_evaluator import Sample
from agent.core.model.reasons import Code, Reason
from agent.topics import COMPACTED, Topics
from agent.worker import turn, web
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.driven_cluster import Drive, DrivenCluster
from agent.worker.metric_evaluation import MetricEvaluation
from agent.worker.publisher import WorkerPublisher, raw_topic
from schemas.metrics import Alert, Samples

log = logging.getLogger("kafka_migration.app")

# Half of the shortest delay that the core requests.
TICK_SECONDS = 0.25
# When a worker with assigned partitions has read nothing more of the table for this long, it never
# will.
TABLE_SECONDS_MAX = 20.0


class StuckError(RuntimeError):
    """The worker waits in vain for its partitions, or for the table of their clusters."""


class Agent:
    """The handlers, timers and driven clusters of one Faust app."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        clusters: Mapping[str, ClusterSettings],
        topics: Topics,
        inbox_id: str = "",
        drive: Drive = DrivenCluster.open,
    ) -> None:
        """`inbox_id`: Kafka's id of the inbox topic. `drive`: opens a cluster's connections."""
        self._drive = drive
        self.app = app
        self._settings = settings
        self._clusters = clusters
        self._policies = {name: c.core_policy() for name, c in clusters.items()}
        self._names = topics
        self._driven: dict[str, DrivenCluster] = {}
        self._undrivable: dict[str, Reason] = {}  # clusters whose record must not be changed
        self._without_zookeeper: set[str] = set()  # clusters that have left ZooKeeper for good
        self._has_partitions = False  # whether the consumer group has assigned any
        # clusters whose outbox was sent again since their partition was assigned
        self._outbox_resent: set[str] = set()
        self._publisher = WorkerPublisher(app, topics, settings.app_id)
        self._metric_evaluation = MetricEvaluation(self._read_samples)
        table = app.Table(
            "migrations",
            key_type=bytes,
            value_type=bytes,
            partitions=settings.topic_partitions,
            extra_topic_configs=COMPACTED,
            help="cluster -> Record (turn.py)",
        )
        self._records = turn.Records(table, inbox_id)
        for name, handle in (
            (topics.commands, self._on_command),
            (topics.metrics, self._on_metric),
            (topics.inbox, self._on_inbox),
        ):
            app.agent(raw_topic(app, name), name=name)(self._handler(handle))
        app.timer(TICK_SECONDS)(self._tick)
        app.task(self._metric_evaluation.run)
        app.on_partitions_assigned.connect(self._on_assigned)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.page("/ready")(
            web.ready_view(self._is_ready, lambda: sorted(self._driven), self._cannot_drive)
        )
        app.page("/metrics")(web.metrics_view())

    # ── handlers ──────────────────────────────────────────────────────────────────────────────────
    def _handler(
        self, handle: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        """Wrap a handler, so that a message is acknowledged once it is handled.

        A message that cannot be handled stops the worker, and the next worker gets it again.
        """

        async def run(stream: Any) -> None:
            async for event in stream.noack().events():
                try:
                    await handle(event.message)
                except Exception as bug:
                    place = (
                        f"{event.message.topic}/{event.message.partition}/{event.message.offset}"
                    )
                    log.critical(
                        "%s stops the worker; nothing of it was saved", place, exc_info=True
                    )
                    await self.app.crash(bug)
                    raise
                event.ack()

        return run

    async def _on_command(self, message: Any) -> None:
        """Validate a command and forward it to the inbox.

        An unreadable command is rejected; if it names an id and a cluster, it is also refused.
        """
        try:
            command = wire.read_command(message.value, time.time())
        except ValidationError as error:
            await self._refuse_unreadable(message, wire.what_is_wrong(error))
            return
        if command.cluster in self._clusters:
            await self._publisher.to_inbox(command.cluster, command)
        else:
            await self._refuse_unreadable(message, (self._unknown_cluster(command.cluster),))

    async def _on_metric(self, message: Any) -> None:
        """Forward an alert to the inbox at once, and queue samples as they are.

        Samples are acknowledged before they are evaluated, because newer ones follow.
        """
        if not wire.may_be_alert(message.value):
            self._metric_evaluation.put(message)
            return
        metric = await self._read_metric(message)
        if metric is None:
            return
        if metric.type == "samples":
            self._metric_evaluation.put(message)
        elif metric.action != "notify":
            await self._publisher.to_inbox(metric.cluster, wire.alert_observed(metric, time.time()))

    async def _read_metric(self, message: Any) -> Samples | Alert | None:
        """Parse a message of the metrics topic; an unreadable one is rejected, and gives None."""
        try:
            metric = wire.read_metric(message.value)
        except ValidationError as error:
            await self._publisher.reject(message, wire.what_is_wrong(error))
            return None
        if metric.cluster not in self._clusters:
            await self._publisher.reject(message, (self._unknown_cluster(metric.cluster),))
            return None
        return metric

    async def _read_samples(self, message: Any) -> tuple[str, int, list[Sample]] | None:
        """Parse queued samples. Those of a cluster that another worker owns are forwarded."""
        metric = await self._read_metric(message)
        if metric is None or metric.type == "alert":
            return None
        # The sender hashes keys differently, so the owner of the cluster reads another partition.
        if self._partition(metric.cluster) != message.partition:
            await self._publisher.forward_samples(metric.cluster, message.value)
            return None
        samples = wire.samples_of_rules(metric, self._metric_evaluation.metrics(metric.cluster))
        return metric.cluster, len(metric.samples), samples

    async def _on_inbox(self, message: Any) -> None:
        """Apply a message to the state of its cluster: the only writer of the table."""
        cluster = (message.key or b"").decode(errors="replace")
        if cluster not in self._clusters:
            return  # the cluster was removed from clusters.yaml
        try:
            read = wire.from_json(message.value, msg.Message)
        except ValueError as error:  # someone else has written to the inbox
            await self._publisher.reject(
                message, (Reason(Code.UNREADABLE_COMMAND, str(error)[:1_000]),)
            )
            return
        if (unusable := self._records.reason_unusable(cluster)) is not None:
            await self._publisher.refuse_for_record(message, read, unusable)
            return
        await self._resend_outbox(cluster)
        policy = self._policies[cluster]
        delivered = self._publisher.delivered_through(cluster)
        try:
            taken = turn.apply_message(
                self._records, cluster, read, message.offset, policy, delivered
            )
        except turn.RecordTooLargeError as error:
            await self._publisher.reject(
                message, (Reason(Code.WAVE_TOO_LARGE_FOR_STATE, str(error)),)
            )
            return
        if not taken.events:
            return
        migration = taken.record.migration
        if driven := self._driven.get(cluster):
            driven.tasks.reconcile(migration)
        await self._publisher.events(cluster, taken.events)
        await self._publisher.status(migration, policy)
        for e in taken.events:
            telemetry.record_event(e)

    async def _refuse_unreadable(self, message: Any, reasons: tuple[Reason, ...]) -> None:
        """Reject a command, and refuse it if it names an id and a cluster."""
        place = await self._publisher.reject(message, reasons)
        command_id, cluster = wire.sender_of(message.value)
        if command_id is None or cluster is None:
            return
        refusal = msg.RefuseCommand(
            command_id=command_id, cluster=cluster, at=time.time(), reasons=reasons
        )
        if cluster in self._clusters:
            await self._publisher.to_inbox(cluster, refusal)
        else:
            await self._publisher.answer_without_state(refusal, place)

    def _unknown_cluster(self, cluster: str) -> Reason:
        known = ", ".join(sorted(self._clusters))
        return Reason(
            Code.UNKNOWN_CLUSTER, f"cluster: '{cluster}' is not configured here", f"one of: {known}"
        )

    # ── the tick ──────────────────────────────────────────────────────────────────────────────────
    async def _tick(self) -> None:
        """Take over clusters that are ours now, release those that are not, and tick the rest."""
        if not self._is_ready():
            return
        ours = [name for name in self._owned() if self._is_drivable(name)]
        finished_in_kraft = {
            n for n in ours if n in self._driven and self._is_kraft_done(n)
        } - self._without_zookeeper
        for name in [n for n in self._driven if n not in ours or n in finished_in_kraft]:
            await self._release_cluster(name)
        for name in ours:
            if name not in self._driven and not self._take_over(name):
                continue
            await self._resend_outbox(name)
            driven = self._driven.get(name)
            if driven is None:  # it was released during the sending
                continue
            telemetry.LEASE.labels(name).set(driven.lease.held())
            await driven.tasks.tick(self._records.load(name).migration)

    def _is_drivable(self, name: str) -> bool:
        """Whether a cluster's record can be used; if not, each reason is logged once."""
        unusable = self._records.reason_unusable(name)
        if unusable is None:
            self._undrivable.pop(name, None)
        elif self._undrivable.get(name) != unusable:
            self._undrivable[name] = unusable
            log.error("%s cannot be driven: %s", name, unusable)
        return unusable is None

    def _cannot_drive(self) -> dict[str, str]:
        return {n: str(self._undrivable[n]) for n in self._owned() if n in self._undrivable}

    def _is_kraft_done(self, name: str) -> bool:
        """Whether the cluster's migration to KRaft is finished.

        From then on, neither the lease nor the watch of brokers uses ZooKeeper.
        """
        return self._records.load(name).migration.kraft.phase is KraftPhase.DONE

    def _take_over(self, name: str) -> bool:
        async def post(observation: msg.Observation) -> None:
            await self._publisher.to_inbox(name, observation)

        migration = self._records.load(name).migration
        worker = ClusterWorker(self._policies[name], migration, time.time())
        try:
            cluster = self._clusters[name]
            if self._is_kraft_done(name):
                cluster = cluster.model_copy(update={"zookeeper": None})
                self._without_zookeeper.add(name)
            driven = self._drive(name, cluster, self._settings, self._names, post, worker)
        except OSError as error:  # such as a missing password file; other clusters are driven
            log.error("%s cannot be driven: %s; this is tried again", name, error)  # noqa: TRY400 - no bug
            return False
        self._driven[name] = driven
        self._metric_evaluation.open(name, driven.tasks, lambda: self._records.load(name).migration)
        log.info("%s is ours to drive, in phase %s", name, migration.phase)
        return True

    async def _resend_outbox(self, name: str) -> None:
        """Send the events again that may not have been delivered.

        The last owner may have died, or the connection may have broken. They are sent before any
        new event, so that the events stay in order.
        """
        if name in self._outbox_resent and not self._publisher.has_undelivered(name):
            return
        self._outbox_resent.add(name)
        record = self._records.load(name)
        await self._publisher.events(
            name, turn.undelivered(record, self._publisher.delivered_through(name))
        )
        # A cluster without a migration has a status as well, which shows that it can be driven.
        await self._publisher.status(self._records.load(name).migration, self._policies[name])

    async def _release_cluster(self, name: str) -> None:
        log.info("%s is not ours any more", name)
        self._metric_evaluation.close(name)
        await self._driven.pop(name).close()

    async def _on_assigned(self, _app: faust.App, _assigned: Any, **_: Any) -> None:
        self._has_partitions = True

    async def _on_revoked(self, _app: faust.App, revoked: Any, **_: Any) -> None:
        self._has_partitions = False
        lost = {tp.partition for tp in revoked if tp.topic == self._names.inbox}
        self._outbox_resent -= {name for name in self._clusters if self._partition(name) in lost}
        for name in [n for n in self._driven if self._partition(n) in lost]:
            await self._release_cluster(name)

    async def close(self) -> None:
        """Release every cluster, because the worker stops."""
        for name in list(self._driven):
            await self._release_cluster(name)

    async def watch_assignment(self) -> None:
        """Crash the worker when it waits too long for its partitions; runs until then.

        Faust goes on silently when its coordinator has failed, or when it has missed that it has to
        read the table for new partitions (recovery.py, "rebalance again"). A restart helps, which
        is left to the service manager.
        """
        alive_at = read_at = time.monotonic()
        read = -1
        while True:
            await asyncio.sleep(1.0)
            now, before, read = time.monotonic(), read, self._table_read()
            if self._is_ready():
                alive_at = read_at = now
            elif not self._has_partitions or read != before:
                read_at = now
            if now > alive_at + self._settings.stuck_seconds:
                says = (
                    f"no share of the clusters for {self._settings.stuck_seconds:.0f} s: "
                    "the worker stops"
                )
            elif now > read_at + TABLE_SECONDS_MAX:
                says = (
                    "a share of the clusters, but read no more of the table for "
                    f"{TABLE_SECONDS_MAX:.0f} s: the worker stops"
                )
            else:
                continue
            log.critical(says)
            await self.app.crash(StuckError(says))
            return

    def _table_read(self) -> int:
        """How much of the table was read: the sum of the offsets of its partitions."""
        return sum(
            offset
            for offset in self.app.tables.recovery.active_offsets.values()
            if offset is not None
        )

    def _is_ready(self) -> bool:
        return not self.app.rebalancing and bool(self.app.tables.recovery.completed.is_set())

    def _owned(self) -> list[str]:
        actives = {
            tp.partition
            for tp in self.app.assignor.assigned_actives()
            if tp.topic == self._names.inbox
        }
        return [name for name in self._clusters if self._partition(name) in actives]

    def _partition(self, cluster: str) -> int:
        """The partition in which aiokafka's default partitioner puts the key of a cluster."""
        return int((murmur2(cluster.encode()) & 0x7FFFFFFF) % self._settings.topic_partitions)
