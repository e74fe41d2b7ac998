"""The workload of the demo: topics with data on the source brokers, and clients.

The clients must notice nothing of a migration. The demo and tests call create_topics, fill,
start_clients and stop_clients, and at any time facts and spike. All calls block, so call them from
a thread without a running event loop (asyncio.to_thread). It uses nothing of the agent.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.lab.cluster import topics
from deploy.lab.cluster.processes import ManagedProcess
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.cluster.topics import TopicKind, TopicSpec
from deploy.lab.workload import facts
from deploy.lab.workload.client_report import ClientReport, Progress
from deploy.lab.workload.clients import Clients, ClientSettings
from deploy.lab.workload.filling import FillSettings, fill_topics
from deploy.lab.workload.tools import (
    Burst,
    Keeper,
    LabInfo,
    WorkloadError,
    command,
    parse_burst,
    run,
)

MEBIBYTE = 1024 * 1024
CREATE_TIMEOUT_SECONDS = 60.0
REPLICAS_POLL_SECONDS = 0.3
SPIKE_HEAP_MEGABYTES = 128
# How much longer than planned a burst may take when the cluster cannot keep up.
SPIKE_GRACE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WorkloadConfig:
    """The options of a workload. The defaults are those of the demo."""

    topics: tuple[TopicSpec, ...] = field(default_factory=topics.default_topics)
    replication_factor: int = 3
    min_insync_replicas: int = 2
    fill_bytes: int = 400 * MEBIBYTE  # bytes of records, before replication
    fill: FillSettings = field(default_factory=FillSettings)
    clients: ClientSettings = field(default_factory=ClientSettings)


class Workload:
    """One workload on one lab.

    `description` is the content of lab.json, and `directory` receives the output of the clients.
    """

    def __init__(
        self, description: Mapping[str, Any], directory: Path, config: WorkloadConfig | None = None
    ) -> None:
        self.config = config or WorkloadConfig()
        self.lab = LabInfo.of(description)
        self._directory = directory.resolve()  # the tools need absolute paths
        self._keeper = Keeper()
        chosen = [topic for topic in self.config.topics if topic.kind is TopicKind.CLIENTS]
        self._clients = Clients(
            self.lab, self._directory, chosen, self.config.clients, self._keeper
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this workload that is still alive.

        It may be called at any time, and more than once.
        """
        self._clients.kill()
        self._keeper.close()

    def create_topics(self) -> int:
        """Create the topics that are missing, with all replicas on the source brokers.

        Returns how many were created, as soon as every broker has its replicas.

        Raises KafkaError when the cluster refuses, WorkloadError when it is too slow, and
        ValueError when there are fewer source brokers than replicas.
        """
        placed = topics.assign(
            self.config.topics, self.lab.source_racks, self.config.replication_factor
        )
        timeout_ms = int(CREATE_TIMEOUT_SECONDS * 1000)
        with admin_client(self.lab.access, CREATE_TIMEOUT_SECONDS) as admin:
            existing = set(admin.list_topics())
            wanted = {
                topic.name: {
                    "assignments": placed[topic.name],
                    "configs": topics.settings(topic, self.config.min_insync_replicas),
                }
                for topic in self.config.topics
                if topic.name not in existing
            }
            if wanted:
                admin.create_topics(wanted, timeout_ms=timeout_ms)
                admin.wait_for_topics(list(wanted), timeout_ms=timeout_ms)
                self._await_replicas(admin, {name: placed[name] for name in wanted})
            return len(wanted)

    def fill(
        self, total_bytes: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> float:
        """Write `total_bytes` of records (by default those of the config), by weight of the topics.

        Returns the seconds that it took. `progress(done_bytes, total_bytes)` is called as batches
        are confirmed.

        Raises WorkloadError when the brokers refuse.
        """
        from aiokafka.errors import KafkaError

        started = time.monotonic()
        fills = topics.plan_fill(
            self.config.topics, total_bytes or self.config.fill_bytes, self.config.fill.record_bytes
        )
        report = progress or (lambda _done, _total: None)
        try:
            asyncio.run(fill_topics(self.lab.access, fills, self.config.fill, report))
        except* (KafkaError, TimeoutError) as group:
            raise WorkloadError(
                f"the topics could not be filled: {group.exceptions[0]!r}"
            ) from group
        return time.monotonic() - started

    def start_clients(self) -> None:
        """Start Kafka's own producers and consumers, and return when all of them work.

        Raises WorkloadError when they do not.
        """
        self._clients.start()

    def progress(self) -> Progress:
        """The counts of the clients so far. It is cheap."""
        return self._clients.progress()

    def stop_clients(self) -> ClientReport:
        """Stop the clients in order, read their topics to the end, and judge every message."""
        return self._clients.stop()

    def facts(self) -> dict[str, Any]:
        """What Kafka shows of the topics of this workload now, as plain values for JSON."""
        seen = facts.look(self.lab.access)
        names = {topic.name for topic in self.config.topics}
        partitions = {name: p for name, p in seen.partitions.items() if name[0] in names}
        sizes = {
            broker: {n: s for n, s in held.items() if n[0] in names}
            for broker, held in seen.log_dirs.items()
        }
        return {
            "topics": len({topic for topic, _ in partitions}),
            "partitions": len(partitions),
            "replicas_per_broker": _sorted(
                Counter(r for p in partitions.values() for r in p.replicas)
            ),
            "leaders_per_broker": _sorted(Counter(p.leader for p in partitions.values())),
            "bytes_per_broker": {
                str(broker): sum(held.values()) for broker, held in sorted(sizes.items())
            },
            "bytes": sum(sizes.get(p.leader, {}).get(name, 0) for name, p in partitions.items()),
            "largest_partition_bytes": max(
                (s for held in sizes.values() for s in held.values()), default=0
            ),
            "out_of_sync": sum(1 for p in partitions.values() if set(p.isr) != set(p.replicas)),
            "distinct_racks_min": min(
                (len({seen.racks.get(r) for r in p.replicas}) for p in partitions.values()),
                default=0,
            ),
        }

    def spike(
        self,
        seconds: float,
        records_per_second: int,
        *,
        record_bytes: int = 10_000,
        topic: str | None = None,
    ) -> Burst:
        """A burst of load by Kafka's ProducerPerformance with acks=all.

        It goes into the first plain topic unless another one is given, and ends when the last
        record is confirmed.

        Raises WorkloadError when it fails or takes a minute longer than planned.
        """
        target = topic or next(t.name for t in self.config.topics if t.kind is TopicKind.PLAIN)
        self._directory.mkdir(parents=True, exist_ok=True)
        arguments = {
            "--topic": target,
            "--num-records": max(1, int(seconds * records_per_second)),
            "--throughput": records_per_second,
            "--record-size": record_bytes,
            "--producer-props": f"bootstrap.servers={self.lab.bootstrap_servers}",
        }
        options = [str(part) for pair in arguments.items() for part in pair]
        argv = command(
            self.lab,
            "ProducerPerformance",
            SPIKE_HEAP_MEGABYTES,
            self._directory / "spike.log",
            *options,
            "acks=all",
            "client.id=spike",
        )
        process = ManagedProcess("spike", self._directory / "spike.out")
        printed = run(self._keeper, process, argv, seconds + SPIKE_GRACE_SECONDS)
        burst = parse_burst(printed)
        if burst is None:
            raise WorkloadError(f"ProducerPerformance printed no summary; see {process.output}")
        return burst

    def _await_replicas(self, admin: Any, placed: Mapping[str, Mapping[int, list[int]]]) -> None:
        """Wait until the folders of the replicas exist.

        A topic is in the metadata before its leaders know of it.
        """
        asked = {name: list(partitions) for name, partitions in placed.items()}
        wanted = sum(
            len(replicas) for partitions in placed.values() for replicas in partitions.values()
        )
        deadline = time.monotonic() + CREATE_TIMEOUT_SECONDS
        while True:
            found = sum(
                len(topic["partitions"])
                for answer in admin.describe_log_dirs(asked, list(self.lab.source_racks))
                for folder in answer["log_dirs"]
                for topic in folder["topics"]
            )
            if found >= wanted:
                return
            if time.monotonic() > deadline:
                raise WorkloadError(
                    f"{wanted - found} of {wanted} replicas were not created in "
                    f"{CREATE_TIMEOUT_SECONDS:.0f} s: are all source brokers alive?"
                )
            time.sleep(REPLICAS_POLL_SECONDS)


def _sorted(counts: Counter[int]) -> dict[str, int]:
    return {str(broker): count for broker, count in sorted(counts.items())}
