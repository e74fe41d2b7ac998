"""The collector: from series to messages, what it says of what it could not have, and its beat."""

import asyncio
import json
import math
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from agent.adapters.prometheus.server import (
    Exporters,
    PrometheusConnection,
    PrometheusServer,
    Target,
    Trouble,
)
from agent.config.errors import SettingsError
from agent.services.collector.collector import Collector, PageSource, Scrape, ServerSource
from agent.services.collector.mapping import Mapping
from agent.services.collector.reading import Owner
from agent.services.collector.settings import CollectorSettings
from schemas.metrics import METRICS, Samples
from tests.fakes.metrics_topic import MetricsTopicFake

MAPPING = Mapping.read()
RULES = MAPPING.labels
BY_NAME = {m.name: m for m in MAPPING.metrics}
SETTINGS = CollectorSettings(prometheus_url="http://prometheus:9090", interval_seconds=1)
B11, B12 = Owner("lab", 11, "ec2"), Owner("lab", 12, "ec2")


class Sources:
    """A source that gives what it is told to, and can take its time."""

    def __init__(self, *scrapes: Scrape, seconds: float = 0.0) -> None:
        self.scrapes = list(scrapes)
        self.seconds = seconds
        self.running = 0
        self.most_running = 0
        self.count = 0

    async def scrape(self) -> Scrape:
        self.running += 1
        self.count += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return self.scrapes.pop(0) if len(self.scrapes) > 1 else self.scrapes[0]

    async def close(self) -> None:
        """Nothing is held."""


def counted(name: str, **labels: str) -> float:
    """A counter's value now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


# ── samples ───────────────────────────────────────────────────────────────────────────────────────


async def test_one_message_for_each_cluster_and_nan_survives_the_way() -> None:
    """What is published can be read again by the agent, NaN and infinity included, and is JSON
    for everybody.
    """
    metric = BY_NAME["produce_latency_p99_ms"]
    values = {B11: math.nan, B12: math.inf, Owner("orders", 1, "k8s"): 4.0}
    topic = MetricsTopicFake()
    collector = Collector(Sources(Scrape([(metric, values)])), SETTINGS)
    await collector.publish(topic, await collector.scrape())
    assert [(m.cluster, len(m.samples)) for m in topic.samples] == [("lab", 2), ("orders", 1)]

    def strict(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    text = topic.samples[0].model_dump_json()
    json.loads(text, parse_constant=strict)
    again = METRICS.validate_json(text)
    assert isinstance(again, Samples)
    assert [math.isnan(again.samples[0].value), again.samples[1].value] == [True, math.inf]


async def test_the_first_entry_of_a_name_counts() -> None:
    """Where two entries have a value for the same broker, the one that stands first in the file
    is told.
    """
    metric = BY_NAME["produce_latency_p99_ms"]
    other = {Owner("lab", 12, "ec2"): 9.0, B11: 9.0}
    collector = Collector(Sources(Scrape([(metric, {B11: 1.0}), (metric, other)])), SETTINGS)
    found = await collector.scrape()
    assert [(s.broker, s.value) for s in found["lab"]] == [(11, 1.0), (12, 9.0)]


async def test_other_peoples_clusters_are_left_out() -> None:
    """A Prometheus knows clusters that this agent does not drive."""
    values = {B11: 1.0, Owner("strangers", 1, None): 1.0}
    source = Sources(Scrape([(BY_NAME["produce_latency_p99_ms"], values)]))
    assert (await Collector(source, SETTINGS, frozenset({"lab"})).scrape()).keys() == {"lab"}


# ── what could not be had ─────────────────────────────────────────────────────────────────────────
async def test_one_wrong_query_does_not_hold_up_the_others() -> None:
    """It is counted under its metric; the rest is asked, named and told; $window becomes the
    setting.
    """
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["query"])
        if "bytesout" in asked[-1]:
            return httpx.Response(
                400, json={"status": "error", "errorType": "bad_data", "error": "parse error"}
            )
        result = [{"metric": {"cluster": "lab", "broker": "11"}, "value": [1.0, "2"]}]
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    server = PrometheusServer(
        PrometheusConnection(url="http://p:9090"), httpx.MockTransport(answer)
    )
    before = counted(
        "kafka_migration_collector_troubles_total", metric="bytes_out_per_second", trouble="query"
    )
    collector = Collector(ServerSource(server, MAPPING, 30), SETTINGS)
    found = await collector.scrape()
    names = {s.metric for s in found["lab"]}
    assert "bytes_out_per_second" not in names
    assert "bytes_in_per_second" in names
    assert collector.trouble == ""
    after = counted(
        "kafka_migration_collector_troubles_total", metric="bytes_out_per_second", trouble="query"
    )
    assert after == before + 1
    assert any("[30s]" in promql for promql in asked)
    assert not any("$" in promql for promql in asked)


async def test_too_many_series_for_a_broker_are_told() -> None:
    """PromQL that forgets to aggregate gives several values for one broker: the first counts,
    and it is counted.
    """

    def answer(_: httpx.Request) -> httpx.Response:
        result = [
            {"metric": {"cluster": "lab", "broker": "11", "dir": d}, "value": [1.0, d]}
            for d in "12"
        ]
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    server = PrometheusServer(
        PrometheusConnection(url="http://p:9090"), httpx.MockTransport(answer)
    )
    scrape = await ServerSource(server, MAPPING, 30).scrape()
    assert ("bytes_in_per_second", "ambiguous") in [
        (name, trouble) for name, trouble, _ in scrape.troubles
    ]
    assert all(values == {Owner("lab", 11, None): 1.0} for _, values in scrape.values)


async def test_a_prometheus_that_is_down_is_told_and_nothing_is_made_up() -> None:
    """No sample at all, not even a zero; /ready says why; the next scrape finds it again."""

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    server = PrometheusServer(PrometheusConnection(url="http://p:9090"), httpx.MockTransport(down))
    collector = Collector(ServerSource(server, MAPPING, 30), SETTINGS)
    assert await collector.scrape() == {}
    assert "http://p:9090" in collector.trouble


async def test_an_exporter_that_is_down_is_told_and_the_others_are_read() -> None:
    """Its broker has no samples but exporter_up = 0."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 2:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, text="kafka_server_replicamanager_underreplicatedpartitions 3\n")

    targets = [Target(f"host:{n}", {"cluster": "lab", "broker": str(n)}) for n in (1, 2)]
    exporters = Exporters(targets, PrometheusConnection(), httpx.MockTransport(answer))
    scrape = await PageSource(exporters, MAPPING).scrape()
    assert [(subject, trouble) for subject, trouble, _ in scrape.troubles] == [
        ("host:2", Trouble.UNREACHABLE)
    ]
    found = (await Collector(Sources(scrape), SETTINGS).scrape())["lab"]
    assert {(s.metric, s.broker, s.value) for s in found} == {
        ("under_replicated_partitions", 1, 3.0),
        ("exporter_up", 1, 1.0),
        ("exporter_up", 2, 0.0),
    }


async def test_nothing_found_and_nothing_taken_are_both_told() -> None:
    """A metric without series is counted; samples that Kafka does not take are dropped,
    counted, and forgotten.
    """
    name = BY_NAME["ebs_queue_length"].name
    before = counted("kafka_migration_collector_troubles_total", metric=name, trouble="no_series")
    collector = Collector(Sources(Scrape([(BY_NAME["ebs_queue_length"], {})])), SETTINGS)
    assert await collector.scrape() == {}
    assert collector.trouble
    assert (
        counted("kafka_migration_collector_troubles_total", metric=name, trouble="no_series")
        == before + 1
    )

    topic = MetricsTopicFake()
    topic.down = True
    collector = Collector(
        Sources(Scrape([(BY_NAME["produce_latency_p99_ms"], {B11: 1.0})])), SETTINGS
    )
    await collector.publish(topic, await collector.scrape())
    assert "broker:9092" in collector.trouble
    topic.down = False
    await collector.publish(topic, await collector.scrape())
    assert (collector.trouble, len(topic.samples)) == ("", 1)


# ── the beat ──────────────────────────────────────────────────────────────────────────────────────
async def test_a_scrape_never_overlaps_the_next() -> None:
    """One that lasts longer than the interval makes the beats in between be left out, and they
    are counted.
    """
    source = Sources(Scrape([(BY_NAME["produce_latency_p99_ms"], {B11: 1.0})]), seconds=1.2)
    before = counted("kafka_migration_collector_skipped_scrapes_total")
    collector, stop = Collector(source, SETTINGS), asyncio.Event()
    running = asyncio.create_task(collector.run(MetricsTopicFake(), stop))
    while source.count < 2:  # noqa: ASYNC110 - the source counts, it does not call
        await asyncio.sleep(0.05)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert source.most_running == 1
    assert counted("kafka_migration_collector_skipped_scrapes_total") > before


async def test_it_stops_between_two_scrapes_at_once() -> None:
    """An order to stop does not wait for the next beat, and what was scraped has been published."""
    source = Sources(Scrape([(BY_NAME["produce_latency_p99_ms"], {B11: 1.0})]))
    settings = CollectorSettings(prometheus_url="http://p:9090", interval_seconds=600)
    topic, stop = MetricsTopicFake(), asyncio.Event()
    running = asyncio.create_task(Collector(source, settings).run(topic, stop))
    while not topic.messages:  # noqa: ASYNC110 - the topic keeps, it does not call
        await asyncio.sleep(0.01)
    stop.set()
    began = time.monotonic()
    async with asyncio.timeout(60):
        await running
    assert time.monotonic() - began < 60
    assert source.count == 1


# ── settings ──────────────────────────────────────────────────────────────────────────────────────
def test_there_is_one_source(tmp_path: Path) -> None:
    """Neither or both is told with the names of both settings; a targets file that is wrong
    with its place.
    """
    for given in ({}, {"prometheus_url": "http://p:9090", "targets_file": tmp_path / "t.yaml"}):
        with pytest.raises(ValidationError, match="PROMETHEUS_URL"):
            CollectorSettings.model_validate(given)
    path = tmp_path / "targets.yaml"
    settings = CollectorSettings(targets_file=path)
    for text, words in {
        "[]": "no targets",
        "[{targets: 5}]": r"0\.targets",
        "a: [": "not YAML",
    }.items():
        path.write_text(text)
        with pytest.raises(SettingsError, match=words):
            settings.targets()
    path.write_text('[{"targets": ["a:1", "https://b/x"], "labels": {"broker": "11"}}]')
    assert [t.url for t in settings.targets()] == ["http://a:1/metrics", "https://b/x"]


def test_secrets_come_from_files_and_stay_unseen(tmp_path: Path) -> None:
    """The token is read without its newline and never shown."""
    (tmp_path / "token").write_text("very-secret\n")
    settings = CollectorSettings(prometheus_url="https://p", token_file=tmp_path / "token")
    assert settings.connection().token == "very-secret"
    assert "very-secret" not in repr(settings.connection()) + repr(settings)
    with pytest.raises(SettingsError, match="cannot be read"):
        CollectorSettings(prometheus_url="https://p", token_file=tmp_path / "none").connection()
    with pytest.raises(ValidationError):
        CollectorSettings(prometheus_url="https://user:secret@p")
