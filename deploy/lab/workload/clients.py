"""Clients that were not written here: Kafka's VerifiableProducer and VerifiableConsumer.

workload.py runs a pair on each of its client topics while replicas move. When they stop,
accounting.py judges every message.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.lab.cluster.processes import ManagedProcess, ProcessState
from deploy.lab.cluster.topics import TopicSpec
from deploy.lab.workload.accounting import (
    Position,
    account,
    delay,
    longest_gap,
)
from deploy.lab.workload.client_report import ClientReport, Progress
from deploy.lab.workload.tools import (
    ConsumerTranscript,
    Keeper,
    LabInfo,
    Lines,
    ProducerTranscript,
    WorkloadError,
    command,
    idempotent_producer,
)

POLL_SECONDS = 0.2
# The tool's default is 30 s, during which nobody would read the partitions of a lost member.
SESSION_TIMEOUT_MS = 10_000


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How the clients run."""

    rate_per_second: int = 100  # messages per second of each producer
    keys_per_partition: int = 10  # without keys a slow producer uses one partition for seconds
    heap_megabytes: int = 48
    start_timeout_seconds: float = 90.0
    drain_timeout_seconds: float = 60.0  # for the groups to read the last records
    stop_timeout_seconds: float = 30.0  # SIGKILL follows
    read_timeout_seconds: float = 120.0  # for reading the topics to their end


@dataclass(slots=True)
class _Producer:
    topic: str
    prefix: int
    process: ManagedProcess
    lines: Lines
    said: ProducerTranscript


@dataclass(slots=True)
class _Consumer:
    topic: str
    process: ManagedProcess
    lines: Lines
    said: ConsumerTranscript


class Clients:
    """A producer and a consumer for each topic.

    Only one thread at a time may use it, and `start` and `stop` may be called once each.
    """

    def __init__(
        self,
        lab: LabInfo,
        directory: Path,
        topics: Sequence[TopicSpec],
        settings: ClientSettings,
        keeper: Keeper,
    ) -> None:
        self._lab = lab
        self._directory = directory
        self._topics = topics
        self._settings = settings
        self._keeper = keeper
        self._producers: list[_Producer] = []
        self._consumers: list[_Consumer] = []
        self._started_ms = 0

    def start(self) -> None:
        """Return when every producer has a confirmation and every group has all its partitions.

        Raises WorkloadError if that does not happen.
        """
        if self._producers:
            raise WorkloadError(
                "the clients were started already; make a new Workload for another run"
            )
        self._directory.mkdir(parents=True, exist_ok=True)
        # This number distinguishes the values of this run from those of earlier runs.
        run = secrets.randbelow(10**7) * 10
        for index, topic in enumerate(self._topics):
            self._start_consumer(topic)
            self._start_producer(topic, run + index)
        deadline = time.monotonic() + self._settings.start_timeout_seconds
        while waiting := self._not_working():
            self._require_alive()
            if time.monotonic() > deadline:
                raise WorkloadError(
                    f"clients do not work: {', '.join(waiting)}; see {self._directory}"
                )
            time.sleep(POLL_SECONDS)
            self._listen()
        self._started_ms = _now_ms()

    def progress(self) -> Progress:
        """The counts so far. It is cheap, as it only reads what was printed since the last call."""
        self._listen()
        now_ms = _now_ms()
        latest = [
            p.said.acknowledged[-1].at_ms if p.said.acknowledged else now_ms
            for p in self._producers
        ]
        return Progress(
            acknowledged=sum(len(p.said.acknowledged) for p in self._producers),
            consumed=sum(len(c.said.received) for c in self._consumers),
            producer_errors=sum(len(p.said.errors) for p in self._producers),
            seconds_since_acknowledgement=max((now_ms - at_ms) / 1000 for at_ms in latest)
            if latest
            else 0.0,
            ended=self._ended_by_themselves(),
        )

    def stop(self) -> ClientReport:
        """Stop the producers, let the groups read the rest, stop them, and judge every message.

        The topics are read from beginning to end for that.
        """
        if not self._producers:
            raise WorkloadError("there are no clients to stop: call start_clients first")
        ended_by_themselves = self._ended_by_themselves()
        asked_ms = _now_ms()
        self._end([p.process for p in self._producers])
        self._drain()
        self._end([c.process for c in self._consumers])
        self._listen()
        topics = {topic.name: topic.partitions for topic in self._topics}
        log = read_to_end(self._lab.bootstrap_servers, topics, self._settings.read_timeout_seconds)
        return self._report(asked_ms, log, ended_by_themselves)

    def kill(self) -> None:
        """End every process that is still alive, at once."""
        for client in self._everyone:
            if client.process.pid is not None:
                client.process.kill()

    # ---- internals

    @property
    def _everyone(self) -> list[_Producer | _Consumer]:
        return [*self._producers, *self._consumers]

    def _start_producer(self, topic: TopicSpec, prefix: int) -> None:
        name = f"producer-{topic.name}"
        config = idempotent_producer(self._directory / f"{name}.properties", name)
        arguments = {
            "--bootstrap-server": self._lab.source_bootstrap_servers,
            "--topic": topic.name,
            "--throughput": self._settings.rate_per_second,
            "--acks": -1,
            "--max-messages": -1,
            "--value-prefix": prefix,
            "--repeating-keys": self._settings.keys_per_partition * topic.partitions,
            "--producer.config": config,
        }
        process, lines = self._start(name, "VerifiableProducer", arguments)
        self._producers.append(_Producer(topic.name, prefix, process, lines, ProducerTranscript()))

    def _start_consumer(self, topic: TopicSpec) -> None:
        arguments = {
            "--bootstrap-server": self._lab.source_bootstrap_servers,
            "--topic": topic.name,
            "--group-id": f"{topic.name}-readers",
            "--session-timeout": SESSION_TIMEOUT_MS,
        }
        process, lines = self._start(
            f"consumer-{topic.name}", "VerifiableConsumer", arguments, "--verbose"
        )
        self._consumers.append(_Consumer(topic.name, process, lines, ConsumerTranscript()))

    def _start(
        self, name: str, tool: str, arguments: dict[str, object], *flags: str
    ) -> tuple[ManagedProcess, Lines]:
        output = self._directory / f"{name}.jsonl"
        output.unlink(missing_ok=True)
        options = [str(part) for pair in arguments.items() for part in pair]
        log_file = self._directory / f"{name}.log"
        process = ManagedProcess(name, output)
        self._keeper.start(
            process,
            command(self._lab, tool, self._settings.heap_megabytes, log_file, *options, *flags),
        )
        return process, Lines(output)

    def _listen(self) -> None:
        """Process what the clients have printed since the last call."""
        for client in self._everyone:
            for event in client.lines.new():
                client.said.apply(event)

    def _not_working(self) -> list[str]:
        partitions = {topic.name: topic.partitions for topic in self._topics}
        silent = [p.process.name for p in self._producers if not p.said.acknowledged]
        return silent + [
            c.process.name for c in self._consumers if c.said.partitions < partitions[c.topic]
        ]

    def _ended_by_themselves(self) -> tuple[str, ...]:
        return tuple(
            c.process.name for c in self._everyone if c.process.state is ProcessState.EXITED
        )

    def _require_alive(self) -> None:
        for client in self._everyone:
            if client.process.state is ProcessState.EXITED:
                raise WorkloadError(
                    f"{client.process.name} ended while starting (exit code "
                    f"{client.process.exit_code}): {client.process.last_words()}"
                )

    def _end(self, processes: Sequence[ManagedProcess]) -> None:
        alive = [process for process in processes if process.pid is not None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + self._settings.stop_timeout_seconds
        for process in alive:
            if not process.wait(max(0.0, deadline - time.monotonic())):
                process.kill()

    def _drain(self) -> None:
        """Wait until the living groups have received all that was confirmed.

        What they miss is in the report.
        """
        deadline = time.monotonic() + self._settings.drain_timeout_seconds
        while time.monotonic() < deadline:
            self._listen()
            received = {
                c.topic: c.said.received for c in self._consumers if c.process.pid is not None
            }
            if not any(
                ack.value not in received[producer.topic]
                for producer in self._producers
                if producer.topic in received
                for ack in producer.said.acknowledged
            ):
                return
            time.sleep(POLL_SECONDS)

    def _report(
        self, asked_ms: int, log: list[Position], ended_by_themselves: tuple[str, ...]
    ) -> ClientReport:
        acks = [p for producer in self._producers for p in producer.said.acknowledged]
        deliveries = [p for consumer in self._consumers for p in consumer.said.deliveries]
        found = account(acks, deliveries, log, {producer.prefix for producer in self._producers})
        errors = sum((p.said.errors_before(asked_ms) for p in self._producers), Counter[str]())
        commits = sum((c.said.failed_commits for c in self._consumers), Counter[str]())
        return ClientReport(
            seconds=round((asked_ms - self._started_ms) / 1000, 1),
            messages=found.messages,
            redelivered=found.redelivered,
            unread=found.unread,
            vanished=found.vanished,
            unconfirmed=found.unconfirmed,
            producer_errors=dict(errors),
            failed_commits=dict(commits),
            rebalances=sum(max(0, c.said.assignments - 1) for c in self._consumers),
            longest_acknowledgement_gap=max(
                (
                    longest_gap((p.at_ms for p in producer.said.acknowledged), asked_ms)
                    for producer in self._producers
                ),
                key=lambda gap: gap.seconds,
            ),
            longest_delivery_gap=max(
                (
                    longest_gap(p.at_ms for p in consumer.said.deliveries)
                    for consumer in self._consumers
                ),
                key=lambda gap: gap.seconds,
            ),
            delay=delay(acks, deliveries),
            ended={c.process.name: str(c.process.state) for c in self._everyone},
            ended_by_themselves=ended_by_themselves,
            examples=found.examples,
        )


def read_to_end(
    bootstrap_servers: str, topics: Mapping[str, int], timeout_seconds: float
) -> list[Position]:
    """Every record of these topics (partitions by name), read by a consumer without a group.

    Must not be called on a thread whose event loop runs.

    Raises WorkloadError when it takes too long.
    """
    try:
        return asyncio.run(_read_to_end(bootstrap_servers, topics, timeout_seconds))
    except TimeoutError as error:
        names = ", ".join(sorted(topics))
        raise WorkloadError(
            f"{names}: not read to the end in {timeout_seconds:.0f} s; is every partition online?"
        ) from error


async def _read_to_end(
    bootstrap_servers: str, topics: Mapping[str, int], timeout_seconds: float
) -> list[Position]:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    found: list[Position] = []
    left = [
        TopicPartition(topic, partition)
        for topic, count in topics.items()
        for partition in range(count)
    ]
    async with (
        asyncio.timeout(timeout_seconds),
        AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
        ) as consumer,
    ):
        consumer.assign(left)
        ends = await consumer.end_offsets(left)
        while left := [tp for tp in left if await consumer.position(tp) < ends[tp]]:
            for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                found += [
                    Position(
                        tp.topic,
                        tp.partition,
                        record.offset,
                        (record.value or b"").decode(errors="replace"),
                    )
                    for record in records
                ]
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
