"""A control Kafka of one broker and a worker before still clusters, as processes.

Used by reaction.py and events.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from agent import topics
from agent.config.settings import Settings
from deploy.lab.cluster.config import CruiseControlKind, LabConfig
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.processes import ManagedProcess
from tests.benchmarks.still_cluster import RACKS, RECORDER

READY_SECONDS_MAX = 60.0
PARTITIONS = 4
PREFIX = "bench."
RULES = [
    {
        "name": "latency",
        "metric": "produce_latency_p99_ms",
        "above": 500,
        "clear": 200,
        "action": "notify",
    },
    {
        "name": "handlers",
        "metric": "request_handler_idle_ratio",
        "below": 0.1,
        "clear": 0.3,
        "action": "notify",
    },
    {
        "name": "network",
        "metric": "network_processor_idle_ratio",
        "below": 0.1,
        "clear": 0.3,
        "action": "notify",
    },
    {"name": "min-isr", "metric": "under_min_isr_partitions", "above": 0, "action": "notify"},
    {"name": "offline", "metric": "offline_partitions", "above": 0, "action": "notify"},
    {"name": "disk", "metric": "disk_used_ratio", "above": 0.85, "clear": 0.8, "action": "notify"},
]


class Stage:
    """One control Kafka for as long as it lasts; workers come and go."""

    def __init__(self, folder: Path, base_port: int, clusters: list[str]) -> None:
        self.folder, self.clusters = folder, clusters
        folder.mkdir(parents=True, exist_ok=True)
        config = LabConfig(
            directory=folder / "lab",
            base_port=base_port,
            brokers=(),
            cruise_control=CruiseControlKind.NONE,
        )
        self.lab = Lab(config)
        self.bootstrap_servers = config.control_kafka.address
        self.recorder_port = base_port + 50
        self._web_port = base_port + 51
        self._clusters_file = folder / "clusters.yaml"
        self.names = topics.Topics.named("")

    def write_clusters(self, **rule: object) -> None:
        """clusters.yaml: as many still clusters as there are names, each with the rules."""
        sources, destinations = [b for b in RACKS if b < 31], [b for b in RACKS if b >= 31]
        # Nobody is missed here: the brokers of the samples are many more than the cluster's.
        rules = [
            {
                **r,
                "on_missing": "ignore",
                "stale_seconds": 86_400,
                "resume_delay_seconds": 0,
                **rule,
            }
            for r in RULES
        ]
        entry = {
            "bootstrap_servers": "127.0.0.1:1",
            "source_broker_ids": sources,
            "destination_broker_ids": destinations,
            "policy": {"slow_bytes_per_second": 10_000_000, "rules": rules},
        }
        url = f"http://127.0.0.1:{self.recorder_port}"
        listed = {
            n: {**entry, "cruise_control": {"url": f"{url}/{n}/kafkacruisecontrol"}}
            for n in self.clusters
        }
        self._clusters_file.write_text(yaml.safe_dump({"clusters": listed}))

    def settings(self, app_id: str) -> dict[str, str]:
        return {
            "KAFKA_MIGRATION_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_MIGRATION_CLUSTERS_FILE": str(self._clusters_file),
            "KAFKA_MIGRATION_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_MIGRATION_TOPIC_PARTITIONS": str(PARTITIONS),
            "KAFKA_MIGRATION_TOPIC_PREFIX": PREFIX,
            "KAFKA_MIGRATION_APP_ID": app_id,
            "KAFKA_MIGRATION_INSTANCE_ID": app_id,
            "KAFKA_MIGRATION_DATA_FOLDER": str(self.folder / "agent"),
            "KAFKA_MIGRATION_WEB_PORT": str(self._web_port),
            "KAFKA_MIGRATION_LOG_LEVEL": "WARNING",
            RECORDER: f"http://127.0.0.1:{self.recorder_port}",
        }

    def ensure_topics(self, metrics_configs: dict[str, str]) -> None:
        """Make the control topics as the worker would, with these settings on top for the
        metrics topic.
        """
        settings = Settings.model_validate(
            {
                "bootstrap_servers": self.bootstrap_servers,
                "topic_replication_factor": 1,
                "topic_partitions": PARTITIONS,
                "topic_prefix": PREFIX,
            }
        )
        self.names, _ = topics.ensure(settings)
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, self.names.metrics, metrics_configs)]
        )
        admin.close()

    @contextlib.contextmanager
    def worker(self, app_id: str) -> Iterator[ManagedProcess]:
        """One worker, ended when the block ends."""
        process = ManagedProcess("worker", self.folder / f"{app_id}.log")
        pairs = [f"{name}={value}" for name, value in self.settings(app_id).items()]
        env = shutil.which("env") or "/usr/bin/env"
        process.start([env, *pairs, sys.executable, "-m", "tests.benchmarks.still_cluster"])
        try:
            yield process
        finally:
            if process.pid is not None:
                process.terminate()
                if not process.wait(15.0):
                    process.kill()

    def await_ready(self, process: ManagedProcess) -> None:
        """Return when the worker owns its clusters."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            if process.pid is None:
                raise RuntimeError(f"the worker has ended: {process.last_words(20)}")
            url = f"http://127.0.0.1:{self._web_port}/ready"
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(url, timeout=2) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"the worker is not ready: {process.last_words(20)}")

    def counter(self, name: str) -> float:
        """The sum of one of the worker's Prometheus counters; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._web_port}/metrics", timeout=5
            ) as answer:
                text = answer.read().decode()
        except (urllib.error.URLError, OSError):
            return 0.0
        lines = [
            line
            for line in text.splitlines()
            if line.startswith((f"{name}_total{{", f"{name}_total "))
        ]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def machine() -> str:
    """Where it was measured, for the settings' row."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
