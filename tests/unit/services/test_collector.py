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
    Series,
    Target,
    Trouble,
)
from agent.config.settings import SettingsError
from agent.services.collector.collector import Collector, PageSource, Scrape, ServerSource
from agent.services.collector.mapping import ExporterForm, Mapping, Reading
from agent.services.collector.reading import Owner, PageReader, samples_of
from agent.services.collector.settings import CollectorSettings
from schemas.metrics import METRICS, Samples
from tests.fakes.metrics_topic import MetricsTopicFake

MAPPING = Mapping.read()
RULES = MAPPING.labels
BY_NAME = {m.name: m for m in MAPPING.metrics}
SETTINGS = CollectorSettings(prometheus_url="http://prometheus:9090", interval_seconds=1)
B11, B12 = Owner("lab", 11, "ec2"), Owner("lab", 12, "ec2")


def series(name: str, value: float, at: float = 100.0, broker: int = 11, **labels: str) -> Series:
    """A series of an EC2 broker of the cluster lab."""
    given = {"__name__": name, "cluster": "lab", "broker": str(broker), "platform": "ec2", **labels}
    return Series(given, value, at)


def read(form: ExporterForm, *scrapes: list[Series]) -> dict[Owner, float]:
    """What the last of these scrapes gives."""
    reader = PageReader(RULES)
    found: dict[Owner, float] = {}
    for scrape in scrapes:
        reader.take(scrape)
        found = reader.values(form)
    return found


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


# ── exporters' pages without PromQL ───────────────────────────────────────────────────────────────
def test_several_series_become_one_for_each_broker() -> None:
    """`reduce` says how; the labels asked for must match whole."""
    page = [
        series("a", 1, dir="x"),
        series("a", 3, dir="xy"),
        series("a", 7, dir="y"),
        series("a", 5, broker=12, dir="x"),
        series("ab", 9, dir="x"),
    ]
    for how, wanted in {"sum": 4.0, "max": 3.0, "min": 1.0, "mean": 2.0, "count": 2.0}.items():
        form = ExporterForm.model_validate({"series": "a", "reduce": how, "labels": {"dir": "xy?"}})
        assert read(form, page)[B11] == wanted
    assert read(ExporterForm(series="a", labels={"dir": "x"}), page) == {B11: 1.0, B12: 5.0}


def test_a_counters_growth_needs_two_scrapes() -> None:
    """By the second since the last scrape; one that begins anew counts from 0; one scrape alone
    gives nothing.
    """
    form = ExporterForm(series="c", per_second=True)
    assert read(form, [series("c", 100)]) == {}
    assert read(form, [series("c", 100)], [series("c", 150, at=110)]) == {B11: 5.0}
    assert read(form, [series("c", 100)], [series("c", 20, at=110)]) == {B11: 2.0}
    assert read(form, [series("c", 100)], [series("c", 150, at=100)]) == {}


def test_a_missed_scrape_makes_the_window_longer() -> None:
    """An exporter that did not answer once is measured over both intervals, not compared with
    nothing.
    """
    form = ExporterForm(series="c", per_second=True)
    assert read(form, [series("c", 100)], [], [series("c", 200, at=120)]) == {B11: 5.0}


def test_the_mean_of_the_window_is_exact() -> None:
    """From count and mean since the start: 100 requests of 2 ms, then 10 of 50 ms, are 50 ms in
    this window.
    """
    form = BY_NAME["produce_latency_mean_ms"].exporter
    assert form is not None
    mean, count = (
        "kafka_network_requestmetrics_totaltimems_mean",
        "kafka_network_requestmetrics_totaltimems_count",
    )

    def at(time_: float, mean_: float, count_: float) -> list[Series]:
        return [
            series(mean, mean_, time_, request="Produce"),
            series(count, count_, time_, request="Produce"),
        ]

    first, second = at(100, 2.0, 100), at(110, 700 / 110, 110)
    assert read(form, first, second)[B11] == pytest.approx(50.0)
    assert read(form, first, second, at(120, 700 / 110, 110))[B11] == 0.0  # no request, no latency


def test_a_share_is_divided_and_taken_from_one() -> None:
    """The fullest file system: one minus the smallest free share; nothing by nothing is 0,
    something by nothing NaN.
    """
    form = ExporterForm(series="free", per=Reading(series="size"), one_minus=True)
    assert read(form, [series("free", 25), series("size", 100)]) == {B11: 0.75}
    assert read(form, [series("free", 25)]) == {}
    assert math.isnan(read(form, [series("free", 25), series("size", 0)])[B11])
    plain = ExporterForm(series="free", per=Reading(series="size"))
    assert read(plain, [series("free", 0), series("size", 0)]) == {B11: 0.0}


def test_nan_does_not_hide_the_values_beside_it() -> None:
    """Of several series the ones with a value count; NaN only when none has one."""
    form = ExporterForm(series="a")
    assert read(form, [series("a", math.nan, d="1"), series("a", 4, d="2")]) == {B11: 4.0}
    assert math.isnan(read(form, [series("a", math.nan)])[B11])


# ── samples ───────────────────────────────────────────────────────────────────────────────────────
def test_a_metric_of_one_platform_leaves_the_other_out() -> None:
    """The load average is no measure for a broker on Kubernetes; where no label tells, the
    entry's platform counts.
    """
    values = {
        Owner("lab", 11, "ec2"): 1.0,
        Owner("lab", 31, "k8s"): 2.0,
        Owner("lab", 12, None): 3.0,
    }
    found = samples_of(BY_NAME["disk_used_ratio"], values, 0.0, default_cluster=None, names={})
    # the last entry of that name in the file is the one for Kubernetes
    assert [(s.broker, s.platform) for s in found["lab"]] == [(31, "k8s"), (12, "k8s")]


def test_cluster_wide_metrics_have_no_broker() -> None:
    """Controllers are summed over the brokers, offline partitions are what any of them sees."""
    values = {B11: 0.0, B12: 1.0}
    (sample,) = samples_of(
        BY_NAME["active_controllers"], values, 0.0, default_cluster=None, names={}
    )["lab"]
    assert (sample.broker, sample.value) == (None, 1.0)


def test_names_of_clusters_are_ours() -> None:
    """A label's name is translated; series that name no cluster are the default's, or nobody's."""
    values = {Owner("kafka-orders", 1, None): 1.0, Owner(None, 2, None): 2.0}
    metric = BY_NAME["produce_latency_p99_ms"]
    found = samples_of(metric, values, 0.0, default_cluster="lab", names={"kafka-orders": "orders"})
    assert {cluster: [s.broker for s in samples] for cluster, samples in found.items()} == {
        "orders": [1],
        "lab": [2],
    }
    assert samples_of(metric, values, 0.0, default_cluster=None, names={}).keys() == {
        "kafka-orders"
    }


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
