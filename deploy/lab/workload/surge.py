"""The load of the demo's load spike, and the rule by which the agent is to react to it.

demo.py uses it. Kafka's own ProducerPerformance makes the load. The latency at rest differs from
machine to machine, so the threshold of the rule is measured just before.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from agent.adapters.prometheus.server import Exporters
from agent.services.collector.collector import PageSource
from agent.services.collector.mapping import Mapping as MetricMapping
from agent.services.collector.settings import CollectorSettings
from deploy.lab.cluster import topics
from deploy.lab.cluster.description import CLUSTER_NAME
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.processes import ManagedProcess
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.cluster.topics import TopicSpec
from deploy.lab.workload.tools import Keeper, LabInfo, command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kafka.admin import KafkaAdminClient

RULE = "produce-latency"
CAUSE = f"metric:{RULE}"
# A mean shows the present, while the p99 of a broker remembers a spike for minutes.
METRIC = "produce_latency_mean_ms"
TIMES_CALM = 3.0
THRESHOLD_MS_MIN = 300.0  # moving replicas alone sometimes costs 100 to 270 ms in a lab
CLEAR_PART = 0.5
CALM_SECONDS = 5.0
TOPIC = TopicSpec("demo.surge", 12)
HEAP_MEGABYTES = 256
RECORD_BYTES = 100_000
CREATE_TIMEOUT_SECONDS = 60.0
DELETE_WAIT_MS = 1000  # how long each leader waits for its followers
DELETE_RETRY_SECONDS = 1.0
DELETE_SECONDS_MAX = 60.0
# A broker deletes whole closed segments, and only at its next check of retention.
SEGMENT_SETTINGS = {"segment.bytes": str(8 * 1024 * 1024), "file.delete.delay.ms": "1000"}
# Large requests, so that few of them show in a mean beside the many small ones of clients.
PRODUCER = (
    "acks=all",
    "batch.size=1000000",
    "linger.ms=50",
    "max.request.size=12000000",
    "buffer.memory=60000000",
)
_WINDOW = re.compile(r"([\d.]+) MB/sec\), ([\d.]+) ms avg latency, ([\d.]+) ms max latency")


async def calm_latency_ms(targets_file: Path) -> float:
    """The present latency of a produce request in milliseconds, from exporters and mapping.

    It is the mean over CALM_SECONDS on the slowest broker.
    """
    settings = CollectorSettings(targets_file=targets_file, prometheus_url=None)
    source = PageSource(Exporters(settings.targets(), settings.connection()), MetricMapping.read())
    try:
        await source.scrape()  # a mean needs two samples
        await asyncio.sleep(CALM_SECONDS)
        scrape = await source.scrape()
    finally:
        await source.close()
    return max(
        (v for metric, values in scrape.values if metric.name == METRIC for v in values.values()),
        default=0.0,
    )


def rule_for(calm_ms: float) -> dict[str, Any]:
    """A rule that pauses when a request takes far longer than at rest, with a lab's times."""
    above = round(max(TIMES_CALM * calm_ms, THRESHOLD_MS_MIN))
    return {
        "name": RULE,
        "metric": METRIC,
        "above": above,
        "clear": round(above * CLEAR_PART),
        "duration_seconds": 1,
        "resume_delay_seconds": 8,
        "stale_seconds": 30,
        "action": "pause",
        "on_missing": "notify",
        "flaps_max": 10,
    }


def add_rule(clusters_file: Path, rule: Mapping[str, Any]) -> None:
    """Write the rule into clusters.yaml, as an operator would."""
    content = yaml.safe_load(clusters_file.read_text(encoding="utf-8"))
    content["clusters"][CLUSTER_NAME]["policy"]["rules"] = [dict(rule)]
    write_atomically(clusters_file, yaml.safe_dump(content, sort_keys=False))


class Surge:
    """Producers without a rate limit, on a topic of their own.

    Calls block, and `close` ends all producers.
    """

    def __init__(self, lab: LabInfo, directory: Path) -> None:
        self._lab = lab
        self._directory = directory.resolve()
        self._keeper = Keeper()
        self._producers: list[ManagedProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._keeper.close()

    def create_topic(self) -> None:
        """Create the topic on the source brokers, like all others.

        Raises KafkaError when the cluster refuses.
        """
        placed = topics.assign((TOPIC,), self._lab.source_racks, 3)
        timeout_ms = int(CREATE_TIMEOUT_SECONDS * 1000)
        with admin_client(self._lab.bootstrap_servers, CREATE_TIMEOUT_SECONDS) as admin:
            wanted = {
                TOPIC.name: {
                    "assignments": placed[TOPIC.name],
                    "configs": topics.settings(TOPIC, 2) | SEGMENT_SETTINGS,
                }
            }
            admin.create_topics(wanted, timeout_ms=timeout_ms)
            admin.wait_for_topics([TOPIC.name], timeout_ms=timeout_ms)

    def add_producer(self) -> int:
        """Start one more producer, and return how many there are."""
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"surge-{len(self._producers) + 1}"
        process = ManagedProcess(name, self._directory / f"{name}.out")
        process.output.unlink(missing_ok=True)
        arguments = {
            "--topic": TOPIC.name,
            "--num-records": 100_000_000,
            "--throughput": -1,
            "--record-size": RECORD_BYTES,
            "--producer-props": f"bootstrap.servers={self._lab.bootstrap_servers}",
        }
        options = [str(part) for pair in arguments.items() for part in pair]
        log = self._directory / f"{name}.log"
        argv = command(
            self._lab,
            "ProducerPerformance",
            HEAP_MEGABYTES,
            log,
            *options,
            *PRODUCER,
            f"client.id={name}",
        )
        self._keeper.start(process, argv)
        self._producers.append(process)
        return len(self._producers)

    def stop(self) -> dict[str, float] | None:
        """End all producers.

        Returns the latency (milliseconds) and the rate that they reported last, or None if there
        are none yet.
        """
        for process in self._producers:
            if process.pid is not None:
                process.kill()
        return parse_windows("".join(p.output.read_text(errors="replace") for p in self._producers))

    def forget_records(self) -> bool:
        """Delete what was produced, so that it need not be moved.

        Returns whether every leader has deleted it. What is not deleted in time is moved.
        """
        from kafka.errors import KafkaError

        deadline = time.monotonic() + DELETE_SECONDS_MAX
        while True:
            with (
                contextlib.suppress(KafkaError, OSError),
                admin_client(self._lab.bootstrap_servers, CREATE_TIMEOUT_SECONDS) as admin,
            ):
                if _is_empty_once_deleted(admin):
                    return True
            if time.monotonic() > deadline:
                return False
            time.sleep(DELETE_RETRY_SECONDS)


def _is_empty_once_deleted(admin: KafkaAdminClient) -> bool:
    """Tell each leader to delete the records of the spike, and return whether none has any left.

    A leader deletes at once and then waits for its followers. A replica in flight does not follow
    for minutes, so a timeout of that wait says nothing, but the offsets do.
    """
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import KafkaError

    partitions = [TopicPartition(TOPIC.name, n) for n in range(TOPIC.partitions)]
    with contextlib.suppress(KafkaError):
        high_watermark = -1
        admin.delete_records(dict.fromkeys(partitions, high_watermark), timeout_ms=DELETE_WAIT_MS)
    first, next_ones = (
        admin.list_partition_offsets(dict.fromkeys(partitions, spec))
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
    )
    return all(first[p].offset == next_ones[p].offset for p in partitions)


def parse_windows(printed: str) -> dict[str, float] | None:
    """The worst of the five-second windows that ProducerPerformance printed, or None."""
    if not (said := _WINDOW.findall(printed)):
        return None
    return {
        "megabytes_per_second": max(float(rate) for rate, _, _ in said),
        "latency_average_ms": max(float(average) for _, average, _ in said),
        "latency_max_ms": max(float(longest) for _, _, longest in said),
    }
