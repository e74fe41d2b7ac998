"""The shipped mapping on pages that were recorded from the lab.

They come from Kafka 3.9.1 with the JMX exporter 1.0.1 and our rules.
"""

from pathlib import Path

from agent.adapters.prometheus.server import Series, Target, parse_page
from agent.services.collector.mapping import Mapping
from agent.services.collector.reading import PageReader, samples_of
from schemas.metrics import Sample

FOLDER = Path(__file__).parent / "recordings"
MAPPING = Mapping.read()


def page(name: str, broker: int, platform: str, at: float, plus: float = 0.0) -> list[Series]:
    """A recorded page as the collector has it; `plus` is added to every counter, as if time had
    passed.
    """
    labels = {"cluster": "lab", "broker": str(broker), "platform": platform}
    target = Target("host:1", labels)
    return [
        Series(
            {**s.labels, **target.labels},
            s.value + (plus if s.labels["__name__"].endswith("_total") else 0),
            at,
        )
        for s in parse_page((FOLDER / name).read_text(), at)
    ]


def scrape(at: float, plus: float) -> list[Series]:
    """A source on EC2, a destination on Kubernetes, and the source's machine."""
    return [
        *page("jmx-exporter-broker-11.txt", 11, "ec2", at, plus),
        *page("jmx-exporter-broker-31.txt", 31, "k8s", at, plus),
        *page("node-exporter.txt", 11, "ec2", at, plus),
    ]


def collected() -> dict[tuple[str, int | None], Sample]:
    """All samples of the second of two scrapes, ten seconds apart."""
    reader = PageReader(MAPPING.labels)
    found: dict[tuple[str, int | None], Sample] = {}
    for at, plus in ((100.0, 0.0), (110.0, 5_000_000_000.0)):
        reader.take(scrape(at, plus))
        found = {}
        for metric in MAPPING.metrics:
            if metric.exporter is not None:
                by_cluster = samples_of(
                    metric, reader.values(metric.exporter), at, default_cluster=None, names={}
                )
                for sample in by_cluster.get("lab", []):
                    found.setdefault((sample.metric, sample.broker), sample)
    return found


def test_every_jmx_metric_is_found_for_both_brokers() -> None:
    """Nothing that the mapping asks of a broker is missing from what the exporter shows by our
    rules.
    """
    found = collected()
    for metric in MAPPING.metrics:
        if metric.source == "jmx" and metric.name != "exporter_up":  # `up` is the scraper's own
            brokers = {None} if metric.over_brokers else {11, 31}
            assert {broker for name, broker in found if name == metric.name} == brokers, metric.name


def test_values_units_and_platforms_are_as_recorded() -> None:
    """What travels is what the page shows, under our name and unit."""
    found = collected()
    latency = found["produce_latency_p99_ms", 11]
    assert (latency.value, latency.unit, latency.platform) == (513.7400000000004, "ms", "ec2")
    assert found["network_processor_idle_ratio", 11].value == 0.878621507953737
    assert found["network_processor_idle_ratio", 31].platform == "k8s"
    assert found["under_min_isr_partitions", 31].value == 0.0
    assert found["bytes_in_per_second", 11].value == 500_000_000.0
    # Threads were idle for five seconds out of ten.
    assert found["request_handler_idle_ratio", 11].value == 0.5
    assert (
        found["offline_partitions", None].value,
        found["offline_partitions", None].platform,
    ) == (0.0, None)


def test_the_machines_page_gives_load_and_disk_of_ec2_alone() -> None:
    """Load by processor (two of them here), the fullest file system; no such sample of the
    broker on Kubernetes.
    """
    found = collected()
    assert found["cpu_pressure_ratio", 11].value == 53.42 / 2
    assert found["cpu_pressure_ratio", 11].source == "system"
    assert found["disk_used_ratio", 11].value == 1 - 7.1668822016e10 / 2.70553174016e11
    assert not {"cpu_pressure_ratio", "disk_used_ratio"} & {
        name for name, broker in found if broker == 31
    }
    assert found["cpu_load_ratio", 31].value > 1  # its JVM's own view
