"""The mapping file: the shipped one is complete, and a wrong one is told by file, metric and
field.
"""

from pathlib import Path

import pytest
import yaml

from agent.config.errors import SettingsError
from agent.services.collector.mapping import SHIPPED, Mapping
from agent.services.collector.reading import Owner, owner_of
from schemas.metrics import Sample

# What the article names as high-level, system and disk indicators, and what a migration needs
# beside.
WANTED = {
    "produce_latency_p99_ms",
    "network_processor_idle_ratio",
    "request_handler_idle_ratio",
    "replication_lag_messages",
    "under_replicated_partitions",
    "under_min_isr_partitions",
    "offline_partitions",
    "active_controllers",
    "bytes_in_per_second",
    "bytes_out_per_second",
    "reassignment_bytes_in_per_second",
    "reassignment_bytes_out_per_second",
    "cpu_pressure_ratio",
    "disk_used_ratio",
    "ebs_queue_length",
    "ebs_throughput_bytes_per_second",
    "ebs_burst_balance_ratio",
}


def _written(tmp_path: Path, change: object) -> Path:
    raw = yaml.safe_load(SHIPPED.read_text())
    assert callable(change)
    change(raw)
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def test_the_shipped_mapping_covers_what_is_judged() -> None:
    """Every indicator has an entry; the unit stands in its name; EC2 and Kubernetes both have
    one.
    """
    metrics = Mapping.read().metrics
    assert {m.name for m in metrics} >= WANTED
    assert {m.platform for m in metrics if m.name == "cpu_pressure_ratio"} == {"ec2", "k8s"}
    assert {m.platform for m in metrics if m.name == "disk_used_ratio"} == {"ec2", "k8s"}
    endings = {
        "ms": "_ms",
        "ratio": ("_ratio", "_up"),
        "bytes/s": "bytes_per_second",
        "partitions": "_partitions",
    }
    by_second = {"bytes_in_per_second", "bytes_out_per_second"}
    for m in metrics:
        if m.unit == "bytes/s":
            assert m.name.endswith("_per_second")
        elif m.unit in endings:
            assert m.name.endswith(endings[m.unit]), m.name
    assert by_second <= {m.name for m in metrics}


def test_every_source_of_the_wire_has_a_metric() -> None:
    """jmx, system and ebs are all asked for."""
    wire = Sample.model_json_schema()["properties"]["source"]["enum"]
    assert {m.source for m in Mapping.read().metrics} == set(wire)


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"cluster": "lab", "broker": "11", "platform": "ec2"}, Owner("lab", 11, "ec2")),
        ({"tag_KafkaCluster": "orders", "tag_KafkaBroker": "12"}, Owner("orders", 12, "ec2")),
        (
            {"kafka_cluster": "orders", "broker_id": "3", "instance_id": "i-0abc"},
            Owner("orders", 3, "ec2"),
        ),
        (
            {"pod": "orders-kafka-31", "namespace": "kafka", "container": "kafka"},
            Owner("orders", 31, "k8s"),
        ),
        ({"pod": "orders-kafka-31", "strimzi_io_cluster": "other"}, Owner("other", 31, "k8s")),
        (
            {"cluster": "eks-1", "kafka_cluster": "orders", "pod": "kafka-7"},
            Owner("orders", 7, "k8s"),
        ),
        ({"persistentvolumeclaim": "data-orders-kafka-31"}, Owner(None, 31, "k8s")),
        ({"broker": "kafka-1.example.org", "cluster": "lab"}, Owner("lab", None, None)),
        ({"instance": "10.0.0.1:9404"}, Owner(None, None, None)),
    ],
)
def test_tags_and_labels_come_to_one_form(labels: dict[str, str], owner: Owner) -> None:
    """EC2's tags and Kubernetes' labels both end as cluster, broker and platform."""
    assert owner_of(labels, Mapping.read().labels) == owner


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    """A wrong field, a wrong pattern, the same name with two units, no file, no YAML: each is
    told with its place.
    """
    cases = {
        r"metrics\[produce_latency_p99_ms\]\.promkl": lambda raw: raw["metrics"][0].update(
            promkl="up"
        ),
        r"metrics\[produce_latency_p99_ms\]\.source": lambda raw: raw["metrics"][0].update(
            source="jmxx"
        ),
        r"labels\.broker\.0\.match.*not a regular expression": lambda raw: raw["labels"]["broker"][
            0
        ].update(match="("),
        "produce_latency_p99_ms occurs twice": lambda raw: raw["metrics"].append(
            {**raw["metrics"][0], "unit": "s"}
        ),
        "metrics": lambda raw: raw.update(metrics=[]),
    }
    for words, change in cases.items():
        with pytest.raises(SettingsError, match=words):
            Mapping.read(_written(tmp_path, change))
    with pytest.raises(SettingsError, match="cannot be read"):
        Mapping.read(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(SettingsError, match="not YAML"):
        Mapping.read(tmp_path / "bad.yaml")
