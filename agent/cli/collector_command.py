"""`kafka-migration collector` and `kafka-migration webhook`, the sources of metrics and alerts.

Registered by app.py.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agent.cli.connection import lab_settings
from agent.cli.terminal import Exit, fail

# Time between the two scrapes of --once; the growth of a counter can only be computed from two.
ONCE_SECONDS = 2.0


def collector(
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Try a mapping: scrape and print the samples as JSON instead of publishing them.",
        ),
    ] = False,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="The mapping file; when left out, the one that "
            "KAFKA_MIGRATION_COLLECTOR_MAPPING_FILE names, or the shipped one."
        ),
    ] = None,
) -> None:
    """Query Prometheus (or exporters) at an interval and publish samples on the `metrics` topic.

    Set one of the two sources:

    - KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL=http://prometheus:9090, a server to query; if it
      needs them, set ..._TOKEN_FILE, or ..._USERNAME and ..._PASSWORD_FILE, and ..._CA_FILE

    - KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE=targets.yaml, exporters to read directly, in the format
      of file_sd_configs: `[{targets: [host:9404], labels: {cluster: orders, broker: "11", platform:
      ec2}}]`

    The mapping file says what to query, and the name and unit of each sample. Copy it, change it,
    and try it:

    `kafka-migration collector --once --mapping my-mapping.yaml`

    Rules on these metrics are in clusters.yaml. Where that file exists, only samples of its
    clusters are published. Run one collector only; it serves /ready and /metrics on
    KAFKA_MIGRATION_COLLECTOR_WEB_PORT (6067). Ctrl-C ends it.
    """
    os.environ.update(lab_settings("metrics"))
    if mapping is not None:
        os.environ["KAFKA_MIGRATION_COLLECTOR_MAPPING_FILE"] = str(mapping)
    _run(_collect_once() if once else _collect())


def webhook() -> None:
    """Receive alerts of a monitoring system by HTTP and publish them on the `metrics` topic.

    - POST /alertmanager: Alertmanager's webhook, version 4 (Grafana sends the same). The label
      `cluster` names the Kafka cluster; `severity` critical pauses, warning slows, info notifies,
      unless the label `kafka_migration_action` says otherwise

    - POST /alert: `{"cluster": "orders", "name": "checkout-slow", "status": "firing"}`, later with
      "resolved"

    Requests need the header `Authorization: Bearer TOKEN` with the token of
    KAFKA_MIGRATION_WEBHOOK_TOKEN_FILE. The webhook listens on 127.0.0.1:6068, or as
    KAFKA_MIGRATION_WEBHOOK_HOST and ..._PORT say, and serves TLS with ..._TLS_CERT_FILE and
    ..._TLS_KEY_FILE.

    `curl -H "Authorization: Bearer $(cat token)" -d '{"cluster": "lab", "name": "by-hand",
    "status": "firing"}' http://127.0.0.1:6068/alert`
    """
    os.environ.update(lab_settings("metrics"))
    _run(_listen())


def _run(work: Any) -> None:
    from agent import telemetry
    from agent.config.errors import SettingsError, wrong_fields
    from agent.config.settings import Settings

    try:
        settings = Settings.read()
        telemetry.configure_logging(settings.log_level, settings.log_format)
        asyncio.run(work)
    except (SettingsError, OSError) as error:
        fail(Exit.USAGE, str(error), as_json=False)
    except ValidationError as error:
        fail(Exit.USAGE, wrong_fields(error, error.title), as_json=False)


async def _collect() -> None:
    from agent.config.settings import Settings
    from agent.services import pages
    from agent.services.collector.collector import Collector, source_of
    from agent.services.collector.mapping import Mapping
    from agent.services.collector.settings import CollectorSettings
    from agent.services.publisher import Publisher

    settings, own = Settings.read(), CollectorSettings()
    stop = pages.stop_on_signal()
    source = source_of(own, Mapping.read(own.mapping_file))
    publisher = Publisher(settings, f"collector/{settings.instance_id}")
    work = Collector(source, own, _clusters(settings))
    try:
        async with pages.served(pages.pages(lambda: work.trouble), own.web_host, own.web_port):
            await work.run(publisher, stop)
    finally:
        await work.close()
        await publisher.close()


async def _collect_once() -> None:
    from agent.config.settings import Settings
    from agent.services.collector.collector import Collector, source_of
    from agent.services.collector.mapping import Mapping
    from agent.services.collector.settings import CollectorSettings
    from schemas.metrics import Samples

    own = CollectorSettings()
    work = Collector(
        source_of(own, Mapping.read(own.mapping_file)), own, _clusters(Settings.read())
    )
    try:
        found = await work.scrape()
        if own.targets_file is not None:
            await asyncio.sleep(ONCE_SECONDS)
            found = await work.scrape()
    finally:
        await work.close()
    for cluster, samples in found.items():
        message = Samples(type="samples", cluster=cluster, samples=tuple(samples))
        sys.stdout.write(message.model_dump_json(indent=2) + "\n")
    if work.trouble:
        fail(Exit.UNREACHABLE, work.trouble, as_json=False)


async def _listen() -> None:
    from agent.config.settings import Settings
    from agent.services import pages
    from agent.services.publisher import Publisher
    from agent.services.webhook.server import Webhook
    from agent.services.webhook.settings import WebhookSettings

    settings, own = Settings.read(), WebhookSettings()
    stop = pages.stop_on_signal()
    publisher = Publisher(settings, f"webhook/{settings.instance_id}")
    server = Webhook(own, publisher, _clusters(settings))
    try:
        async with pages.served(server.application(), own.host, own.port, own.tls()):
            await stop.wait()
    finally:
        await publisher.close()


def _clusters(settings: Any) -> frozenset[str]:
    """Returns the names of the clusters in clusters.yaml; empty when that file does not exist."""
    return frozenset(settings.clusters()) if settings.clusters_file.exists() else frozenset()
