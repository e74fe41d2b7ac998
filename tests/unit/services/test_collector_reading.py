"""How the series of exporters' pages become one value for each broker, without PromQL."""

import math

import pytest

from agent.adapters.prometheus.server import (
    Series,
)
from agent.services.collector.mapping import ExporterForm, Mapping, Reading
from agent.services.collector.reading import Owner, PageReader, samples_of

MAPPING = Mapping.read()
RULES = MAPPING.labels
BY_NAME = {m.name: m for m in MAPPING.metrics}
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
    # The last entry of that name in the file is the one for Kubernetes.
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
