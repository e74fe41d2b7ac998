"""What the lab's brokers and monitors are told so that metrics are shown: pure functions."""

import json
import os
from pathlib import Path

import yaml

from agent.services.collector.settings import CollectorSettings
from deploy.lab import LabConfig, Metrics
from deploy.lab.cluster.description import describe
from deploy.lab.cluster.environment import metrics_environment
from deploy.lab.cluster.exporter import BROKER_RULES
from deploy.lab.cluster.jars import Installation
from deploy.lab.cluster.launch import Folders, prepare
from deploy.lab.cluster.monitors import write_targets

JAVA = Installation(Path("/java"), (Path("/kafka.jar"),), None, "3.9.1", Path("/exporter.jar"))


def test_metrics_have_ports_of_their_own() -> None:
    """With exporters and monitors no two listeners share a port, and all lie in the lab's block."""
    config = LabConfig(
        base_port=29000, metrics=Metrics.AUTO, monitors=("prometheus", "node-exporter")
    )
    assert len(config.ports) == len(config.nodes) + 1 + len(config.broker_nodes)
    assert all(29000 <= port < 29100 for port in config.ports)


def test_brokers_alone_get_the_exporter(tmp_path: Path) -> None:
    """A -javaagent on loopback with our rules, on every broker, and only where metrics are
    wanted.
    """
    for metrics in Metrics:
        config = LabConfig(directory=tmp_path, metrics=metrics)
        agents = {
            node.name: [a for a in prepare(config, node, JAVA) if a.startswith("-javaagent")]
            for node in (*config.broker_nodes, config.zookeeper, config.control_kafka)
        }
        wanted = metrics is not Metrics.NONE
        for node in config.broker_nodes:
            option = f"-javaagent:/exporter.jar=127.0.0.1:{node.metrics_port}:{BROKER_RULES}"
            assert agents.pop(node.name) == ([option] if wanted else [])
        assert not any(agents.values())
    assert BROKER_RULES.is_file()


def test_targets_are_what_the_collector_reads(tmp_path: Path) -> None:
    """Every broker with cluster, id and platform; its machine's exporter too, where there is
    one.
    """
    config = LabConfig(
        directory=tmp_path, base_port=29000, metrics=Metrics.AUTO, monitors=("node-exporter",)
    )
    write_targets(config)
    targets = CollectorSettings(targets_file=Folders(tmp_path).targets_file).targets()
    kafka = {
        t.labels["broker"]: (t.address, t.labels["platform"])
        for t in targets
        if t.labels["job"] == "kafka"
    }
    assert kafka["11"] == ("127.0.0.1:29021", "ec2")
    assert kafka["33"] == ("127.0.0.1:29043", "k8s")
    assert {t.address for t in targets if t.labels["job"] == "node"} == {"127.0.0.1:29006"}
    assert {t.labels["cluster"] for t in targets} == {"lab"}
    groups = json.loads(Folders(tmp_path).targets_file.read_text())
    assert all(set(group) == {"targets", "labels"} for group in groups)  # Prometheus' own form


def test_the_collector_asks_prometheus_where_it_runs_and_the_exporters_elsewhere(
    tmp_path: Path,
) -> None:
    """lab.json tells both, and one of them becomes the collector's setting."""
    for monitors, wanted in {("prometheus",): "PROMETHEUS_URL", (): "TARGETS_FILE"}.items():
        config = LabConfig(directory=tmp_path, metrics=Metrics.AUTO, monitors=monitors)
        told = metrics_environment(describe(config, None, {}))
        sources = {name for name in told if name.endswith(("_PROMETHEUS_URL", "_TARGETS_FILE"))}
        assert sources == {f"KAFKA_MIGRATION_COLLECTOR_{wanted}"}


def test_prometheus_listens_on_loopback_and_scrapes_the_targets(tmp_path: Path) -> None:
    """Its settings name the targets file, and nothing of it can be reached from outside."""
    program = tmp_path / "bin" / "prometheus"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{program.parent}:{before}"
    try:
        config = LabConfig(
            directory=tmp_path, base_port=29000, metrics=Metrics.AUTO, monitors=("prometheus",)
        )
        argv = prepare(config, config.node("prometheus"), JAVA)
    finally:
        os.environ["PATH"] = before
    assert argv[0] == str(program)
    assert "--web.listen-address=127.0.0.1:29005" in argv
    settings = yaml.safe_load((tmp_path / "config" / "prometheus.yml").read_text())
    (job,) = settings["scrape_configs"]
    assert job["file_sd_configs"] == [{"files": [str(Folders(tmp_path).targets_file)]}]
