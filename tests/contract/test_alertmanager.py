"""The whole way of an alert with the real programs: our alert rules in Prometheus,
Alertmanager, the webhook.
"""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from agent.services import pages
from agent.services.webhook.server import Webhook
from agent.services.webhook.settings import WebhookSettings
from deploy.lab.cluster.ports import free_ports
from tests.fakes.metrics_topic import MetricsTopicFake

ALERTS = Path(__file__).parent.parent.parent / "deploy" / "prometheus" / "alerts.yml"
PROMETHEUS = shutil.which("prometheus")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
TOKEN = "a-token-of-32-characters-or-more"
SECONDS_MAX = 60.0

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not (PROMETHEUS and ALERTMANAGER),
        reason="Debian's prometheus, prometheus-alertmanager: no",
    ),
]


class Broker:
    """An exporter's page with one gauge of ours."""

    def __init__(self) -> None:
        self.offline = 0

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            text=f"kafka_controller_kafkacontroller_offlinepartitionscount {self.offline}\n"
        )


@contextlib.asynccontextmanager
async def listening(
    broker: Broker, topic: MetricsTopicFake, exporter_port: int, port: int
) -> AsyncIterator[None]:
    """The exporter and the webhook, on loopback."""
    exporter = web.Application()
    exporter.router.add_get("/metrics", broker.metrics)
    settings = WebhookSettings(token=TOKEN, port=port)
    webhook = Webhook(settings, topic, frozenset({"lab"})).application()
    async with (
        pages.served(exporter, "127.0.0.1", exporter_port),
        pages.served(webhook, "127.0.0.1", port),
    ):
        yield


@contextlib.contextmanager
def monitors(folder: Path, exporter_port: int, webhook_port: int) -> Iterator[None]:
    """Prometheus with our rules, and Alertmanager as deploy/prometheus/alerts.yml says it
    should be.
    """
    prometheus_port, alertmanager_port = free_ports(2)
    labels = {"cluster": "lab", "broker": "11", "job": "kafka"}
    prometheus = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]
        },
        "scrape_configs": [
            {
                "job_name": "brokers",
                "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"], "labels": labels}],
            }
        ],
    }
    (folder / "token").write_text(TOKEN)
    receiver: dict[str, Any] = {
        "url": f"http://127.0.0.1:{webhook_port}/alertmanager",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": str(folder / "token")}},
    }
    alertmanager = {
        "route": {
            "receiver": "kafka-migration",
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "kafka-migration", "webhook_configs": [receiver]}],
    }
    for name, settings in {"prometheus": prometheus, "alertmanager": alertmanager}.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(settings))
    commands = [
        [
            str(PROMETHEUS),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
        ],
        [
            str(ALERTMANAGER),
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{alertmanager_port}",
            "--cluster.listen-address=",
        ],
    ]
    with (folder / "monitors.log").open("wb") as log:
        processes = [subprocess.Popen(c, stdout=log, stderr=subprocess.STDOUT) for c in commands]
        try:
            yield
        finally:
            for process in processes:
                process.kill()
                process.wait()


async def test_an_alert_of_ours_fires_and_is_resolved_at_the_webhook(tmp_path: Path) -> None:
    """A partition goes offline: the alert arrives as critical, to pause; it comes back: the
    same alert is resolved.
    """
    broker, topic = Broker(), MetricsTopicFake()
    exporter_port, webhook_port = free_ports(2)

    async def until(count: int) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while len(topic.alerts) < count:  # noqa: ASYNC110 - the topic keeps, it does not call
                await asyncio.sleep(0.1)

    async with listening(broker, topic, exporter_port, webhook_port):
        with monitors(tmp_path, exporter_port, webhook_port):
            broker.offline = 3
            try:
                await until(1)
                broker.offline = 0
                await until(2)
            except TimeoutError:
                pytest.fail((tmp_path / "monitors.log").read_text()[-3000:])
    fired, resolved = topic.alerts[0], topic.alerts[-1]
    assert (fired.cluster, fired.state, fired.severity, fired.action) == (
        "lab",
        "firing",
        "critical",
        "pause",
    )
    assert fired.name.startswith("KafkaOfflinePartitions:")
    assert fired.summary == "3 partitions of lab have no leader"
    assert (resolved.name, resolved.state) == (fired.name, "resolved")
    assert resolved.time > fired.time
