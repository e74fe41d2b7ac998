"""Metrics for real: brokers' exporters, a Prometheus where one is installed, collector and
webhook as processes.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from agent import topics
from agent.adapters.prometheus.server import parse_page
from agent.config.discovery_settings import CONNECTIONS
from agent.config.settings import Settings
from agent.services.collector.mapping import Mapping as MetricMapping
from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Metrics, Role, free_base_port
from deploy.lab.cluster.environment import lab_environment
from deploy.lab.cluster.ports import free_ports
from schemas.metrics import METRICS, Alert, Sample, Samples

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

TOPIC = "kafka-migration.metrics"
TOKEN = "a-token-of-32-characters-or-more"
SECONDS_MAX = 60.0
UNITS = {m.name: m.unit for m in MetricMapping.read().metrics}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A broker on each side with exporters, and Debian's Prometheus if there is one; the
    control topics exist.
    """
    brokers = (
        BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),
        BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION),
    )
    config = LabConfig(
        directory=tmp_path_factory.mktemp("metrics"),
        base_port=free_base_port(),
        brokers=brokers,
        cruise_control=CruiseControlKind.NONE,
        metrics=Metrics.AUTO,
    )
    with Lab(config).running() as running:
        servers = running.status()["control_bootstrap_servers"]
        topics.ensure(Settings(bootstrap_servers=servers, topic_replication_factor=1))
        yield running


class Service:
    """`kafka-migration collector` or `webhook` as a process."""

    def __init__(self, lab: Lab, word: str, folder: Path, **environment: str) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{word}.log"
        given = lab_environment(lab.status(), lab.folders.root) | environment
        given = {name: value for name, value in given.items() if value}
        self._environment = {
            **os.environ,
            **given,
            f"KAFKA_MIGRATION_{word.upper()}_{PORTS[word]}": str(self.port),
        }
        self._word = word

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "agent.cli", self._word]
            self.process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """In order."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(self.url + path)

    async def ready(self) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                if (await self.get("/ready")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)


PORTS = {"collector": "WEB_PORT", "webhook": "PORT"}


class Tail:
    """What comes on the metrics topic from now on."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.headers: dict[str, bytes] = {}
        self.key = b""

    async def until(self, wanted: Callable[[Samples | Alert], bool], what: str) -> Any:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    message = METRICS.validate_json(record.value)
                    if wanted(message):
                        self.headers, self.key = dict(record.headers), record.key
                        return message
        raise AssertionError(f"{what} did not come")


@asynccontextmanager
async def following(lab: Lab) -> AsyncIterator[Tail]:
    servers = lab.status()["control_bootstrap_servers"]
    async with AIOKafkaConsumer(
        TOPIC, bootstrap_servers=servers, auto_offset_reset="latest"
    ) as consumer:
        for partition in consumer.assignment():
            await consumer.position(partition)
        yield Tail(consumer)


def by_metric(message: Samples) -> Mapping[str, dict[int | None, Sample]]:
    found: dict[str, dict[int | None, Sample]] = {}
    for sample in message.samples:
        found.setdefault(sample.metric, {})[sample.broker] = sample
    return found


def is_whole(message: Samples | Alert) -> bool:
    """A scrape of both brokers with rates in it (the second, at the earliest) and the mean of a
    window that is over.
    """
    found = by_metric(message) if isinstance(message, Samples) else {}
    return all(
        {11, 31} <= found.get(m, {}).keys()
        for m in ("bytes_in_per_second", "produce_latency_mean_ms")
    )


def check(message: Samples) -> None:
    """Right names, units, brokers and platforms."""
    found = by_metric(message)
    assert message.cluster == "lab"
    for metric in (
        "produce_latency_p99_ms",
        "produce_latency_mean_ms",
        "request_handler_idle_ratio",
        "exporter_up",
    ):
        assert {b: s.platform for b, s in found[metric].items()} == {11: "ec2", 31: "k8s"}, metric
    assert {s.metric: s.unit for s in message.samples} == {
        s.metric: UNITS[s.metric] for s in message.samples
    }
    assert found["active_controllers"][None].value == 1.0
    assert found["offline_partitions"][None].value == 0.0
    assert 0.0 < found["network_processor_idle_ratio"][11].value <= 1.0
    assert all(s.value == 1.0 for s in found["exporter_up"].values())


def direct(lab: Lab) -> dict[str, str]:
    """Settings of a collector without a Prometheus."""
    targets = str(lab.status()["targets_file"])
    return {
        "KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL": "",
        "KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE": targets,
    }


async def test_exporters_reach_the_metrics_topic(lab: Lab, tmp_path: Path) -> None:
    """Exporter, collector, topic: names, units, brokers; a CloudEvent keyed by cluster; stopped
    in order with 0.
    """
    async with following(lab) as tail:
        with Service(lab, "collector", tmp_path, **direct(lab)) as collector:
            check(await tail.until(is_whole, "a whole scrape"))
            assert tail.key == b"lab"
            assert (tail.headers["ce_type"], tail.headers["ce_subject"]) == (b"Samples", b"lab")
            await collector.ready()
            page = (await collector.get("/metrics")).text
            assert 'kafka_migration_collector_scrapes_total{result="whole"}' in page
            assert collector.stop() == 0


@pytest.mark.skipif(not shutil.which("prometheus"), reason="Debian's prometheus is not installed")
async def test_prometheus_reaches_the_metrics_topic(lab: Lab, tmp_path: Path) -> None:
    """The same through a real Prometheus by PromQL, rates and the windowed mean included."""
    assert lab.status()["prometheus_url"]
    async with following(lab) as tail:
        with Service(lab, "collector", tmp_path):
            check(await tail.until(is_whole, "a whole scrape"))


async def test_a_lost_broker_is_told_and_nothing_is_made_up(lab: Lab, tmp_path: Path) -> None:
    """Its exporter is down and so said; no other sample of it, no zero; the other broker is
    read on.
    """
    async with following(lab) as tail:
        with Service(lab, "collector", tmp_path, **direct(lab)):
            await tail.until(is_whole, "a whole scrape")
            lab.kill("broker-31")
            try:

                def is_lost(message: Samples | Alert) -> bool:
                    up = (
                        by_metric(message).get("exporter_up", {})
                        if isinstance(message, Samples)
                        else {}
                    )
                    return 31 in up and up[31].value == 0.0

                found = by_metric(await tail.until(is_lost, "exporter_up = 0"))
                assert {metric for metric, samples in found.items() if 31 in samples} == {
                    "exporter_up"
                }
                assert 11 in found["produce_latency_p99_ms"]
            finally:
                lab.start("broker-31")


def test_once_prints_what_would_be_published(lab: Lab) -> None:
    """`collector --once` publishes nothing and prints JSON, rates included."""
    environment = {**os.environ, **lab_environment(lab.status(), lab.folders.root), **direct(lab)}
    environment.pop("KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL")
    command = [sys.executable, "-m", "agent.cli", "collector", "--once"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    check(Samples.model_validate(json.loads(done.stdout)))
    assert "bytes_in_per_second" in done.stdout


async def test_an_alert_by_http_reaches_the_metrics_topic(lab: Lab, tmp_path: Path) -> None:
    """A plain alert through the webhook process; while the control Kafka is deaf the sender is
    asked to come again.
    """
    token = tmp_path / "token"
    token.write_text(TOKEN)
    body = {"cluster": "lab", "name": "checkout-slow", "status": "firing", "severity": "warning"}
    with Service(
        lab, "webhook", tmp_path, KAFKA_MIGRATION_WEBHOOK_TOKEN_FILE=str(token)
    ) as webhook:
        await webhook.ready()

        async def post() -> httpx.Response:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                headers = {"Authorization": f"Bearer {TOKEN}"}
                return await client.post(webhook.url + "/alert", json=body, headers=headers)

        async with following(lab) as tail:
            assert (await post()).json() == {"published": 1}
            alert = await tail.until(lambda m: isinstance(m, Alert), "the alert")
            assert (alert.cluster, alert.name, alert.action) == ("lab", "checkout-slow", "slow")
            assert tail.headers["ce_type"] == b"Alert"
        lab.pause("control-kafka")
        try:
            assert (await post()).status_code == 503
        finally:
            lab.unpause("control-kafka")
        assert webhook.stop() == 0


async def _connected(lab: Lab, broker: int) -> float:
    """Connections to a broker, by its exporter: what the census of clients asks for
    (agent/config/discovery_settings.py).
    """
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(
            f"http://127.0.0.1:{lab.config.node(f'broker-{broker}').metrics_port}/metrics"
        )
    counts = [s for s in parse_page(page.text, 0.0) if f"({s.labels['__name__']}{{" in CONNECTIONS]
    assert counts, "the exporter's rules show no connection-count"
    assert {s.labels["listener"] for s in counts} == {"PLAINTEXT"}
    return sum(s.value for s in counts)


async def test_brokers_show_who_is_connected(lab: Lab) -> None:
    """Clients that connect and say nothing are connections too, by the shipped rules of the
    exporter.
    """
    port = lab.config.node("broker-11").port
    links = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(20)]
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while await _connected(lab, 11) < 20:
            assert time.monotonic() < deadline, await _connected(lab, 11)
            await asyncio.sleep(0.5)
    finally:
        for link in links:
            link.close()
