"""Kafka's command line tools as processes.

clients.py and workload.py use VerifiableProducer, VerifiableConsumer and ProducerPerformance. Every
tool ends with the program that started it, however that ends (see leash.py).
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.cluster import client_security, properties
from deploy.lab.cluster.config import Role
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.processes import ManagedProcess
from deploy.lab.workload.accounting import Position

PACKAGE = "org.apache.kafka.tools"


class WorkloadError(RuntimeError):
    """The workload could not do what was requested. The text says why, and what to look at."""


@dataclass(frozen=True, slots=True)
class LabInfo:
    """What the workload needs to know of a lab."""

    bootstrap_servers: str
    # Clients know only these before a migration, and must find the other brokers themselves.
    source_bootstrap_servers: str
    source_racks: Mapping[int, str]  # AZ by source broker
    java: str
    class_path: str
    access: KafkaConnection  # for the lab's own clients
    class_archive: str | None = None

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> "LabInfo":
        """From the content of lab.json. Raises WorkloadError when that lab has not started."""
        if not description.get("java") or not description.get("class_path"):
            raise WorkloadError(
                "lab.json names no java, no class_path: the lab has not started; "
                "`kafka-migration lab up`"
            )
        brokers: Mapping[str, Mapping[str, Any]] = description["brokers"]
        sources = {
            int(broker_id): b for broker_id, b in brokers.items() if b["role"] == Role.SOURCE
        }
        by_port = {
            int(address.rpartition(":")[2]): address
            for address in description["bootstrap_servers"].split(",")
        }
        return cls(
            bootstrap_servers=str(description["bootstrap_servers"]),
            source_bootstrap_servers=",".join(by_port[int(b["port"])] for b in sources.values()),
            source_racks={broker_id: str(b["rack"]) for broker_id, b in sources.items()},
            java=str(description["java"]),
            class_path=str(description["class_path"]),
            class_archive=description.get("class_archive"),
            access=client_security.connection_of(
                str(description["bootstrap_servers"]), description.get("admin_security") or {}
            ),
        )


class Keeper:
    """Starts processes from one thread that stays alive.

    The kernel ties the life of a child to the thread that started it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tools-keeper")

    def start(self, process: ManagedProcess, command: list[str]) -> None:
        self._thread.submit(process.start, command).result()

    def close(self) -> None:
        """End the thread, and with it every process it started that is still alive."""
        self._thread.shutdown()


def command(
    lab: LabInfo, tool: str, heap_megabytes: int, log_file: Path, *arguments: str
) -> list[str]:
    """The command of a tool, with options for a small JVM. Kafka's logging goes to `log_file`."""
    log4j, log4j2 = (log_file.with_suffix(f".{name}.properties") for name in ("log4j", "log4j2"))
    write_atomically(log4j, properties.log4j_properties(log_file))
    write_atomically(log4j2, properties.log4j2_properties(log_file))
    return [
        lab.java,
        f"-Xmx{heap_megabytes}m",
        "-Xss512k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Duser.language=en",  # decimal points, whatever the language of the machine
        *(
            (f"-XX:SharedArchiveFile={lab.class_archive}", "-Xshare:auto")
            if lab.class_archive
            else ()
        ),
        f"-Dlog4j.configuration={log4j.as_uri()}",
        f"-Dlog4j2.configurationFile={log4j2.as_uri()}",
        "-cp",
        lab.class_path,
        f"{PACKAGE}.{tool}",
        *arguments,
    ]


class Lines:
    """The JSON lines that a running tool has printed since the last call.

    An incomplete line is kept until the next call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        # How many lines were no JSON object, such as warnings of a JVM.
        self.unreadable = 0

    def new(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict):
                yield event
            else:
                self.unreadable += 1


@dataclass(slots=True)
class ProducerTranscript:
    """What one VerifiableProducer reported."""

    acknowledged: list[Position] = field(default_factory=list)
    # (epoch milliseconds, exception and its message) of each failed send.
    errors: list[tuple[int, str]] = field(default_factory=list)

    def apply(self, event: Mapping[str, Any]) -> None:
        if event.get("name") == "producer_send_success":
            self.acknowledged.append(_position(event))
        elif event.get("name") == "producer_send_error":
            kind = str(event["exception"]).removeprefix("class ").rpartition(".")[2]
            self.errors.append((int(event["timestamp"]), f"{kind}: {event.get('message')}"))

    def errors_before(self, until_ms: int) -> Counter[str]:
        """The number of failed sends by cause, without those after the request to stop.

        A closed producer refuses its last send.
        """
        return Counter(
            text for at_ms, text in self.errors if at_ms < until_ms or "IllegalState" not in text
        )


@dataclass(slots=True)
class ConsumerTranscript:
    """What one VerifiableConsumer reported."""

    deliveries: list[Position] = field(default_factory=list)
    received: set[str] = field(default_factory=set)
    assignments: int = 0  # the first is the start; each other is a rebalance
    partitions: int = 0
    failed_commits: Counter[str] = field(default_factory=Counter)

    def apply(self, event: Mapping[str, Any]) -> None:
        name = event.get("name")
        if name == "record_data":
            self.deliveries.append(_position(event))
            self.received.add(str(event["value"]))
        elif name == "partitions_assigned":
            self.assignments += 1
            self.partitions = len(event["partitions"])
        elif name == "offsets_committed" and not event["success"]:
            self.failed_commits[str(event.get("error"))] += 1


def _position(event: Mapping[str, Any]) -> Position:
    return Position(
        str(event["topic"]),
        int(event["partition"]),
        int(event["offset"]),
        str(event["value"]),
        int(event["timestamp"]),
    )


@dataclass(frozen=True, slots=True)
class Burst:
    """The result of a burst of load, in ProducerPerformance's own figures.

    A latency is the time from send to confirmation.
    """

    records: int
    records_per_second: float
    megabytes_per_second: float
    latency_average_ms: float
    latency_max_ms: float
    latency_median_ms: float
    latency_p95_ms: float
    latency_p99_ms: float


_BURST = re.compile(
    r"(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, "
    r"([\d.]+) ms max latency, "
    r"([\d.]+) ms 50th, ([\d.]+) ms 95th, ([\d.]+) ms 99th"
)


def parse_burst(printed: str) -> Burst | None:
    """The summary line of ProducerPerformance.

    It is None when none was printed because it failed or was ended.
    """
    if not (found := _BURST.search(printed)):
        return None
    count, *figures = found.groups()
    return Burst(int(count), *map(float, figures))


def run(keeper: Keeper, process: ManagedProcess, argv: list[str], timeout_seconds: float) -> str:
    """Run a tool to its end, and return what it printed.

    Raises WorkloadError when it fails or takes too long; it is then ended.
    """
    process.output.unlink(missing_ok=True)
    keeper.start(process, argv)
    try:
        if not process.wait(timeout_seconds):
            raise WorkloadError(
                f"{process.name} has not ended after {timeout_seconds:.0f} s; see {process.output}"
            )
        if process.exit_code:
            raise WorkloadError(
                f"{process.name} failed (exit code {process.exit_code}): {process.last_words()}"
            )
        return process.output.read_text(errors="replace")
    finally:
        if process.pid is not None:
            process.kill()


def idempotent_producer(path: Path, client_id: str) -> Path:
    """Write producer settings that restore Kafka's defaults.

    VerifiableProducer alone turns them off (by retries=0).
    """
    settings = {
        "enable.idempotence": "true",
        "acks": "all",
        "retries": "2147483647",
        "client.id": client_id,
    }
    write_atomically(path, properties.render(settings))
    return path
