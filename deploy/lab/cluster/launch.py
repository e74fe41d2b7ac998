"""Writes the settings files of a node and returns the command that runs it.

The supervisor calls it.
"""

import json
import os
import sys
from pathlib import Path

from deploy.lab.cluster import (
    exporter,
    monitors,
    properties,
    proxies,
    readiness,
    real_cruise_control,
    security,
)
from deploy.lab.cluster.config import CruiseControlKind, Kind, LabConfig, Metrics, Node
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.jars import Installation

HEAP_MEGABYTES = {
    Kind.ZOOKEEPER: 96,
    Kind.CONTROL_KAFKA: 192,
    Kind.CONTROLLER: 192,
    Kind.CRUISE_CONTROL: 512,
}
MAIN_CLASSES = {
    Kind.ZOOKEEPER: "org.apache.zookeeper.server.quorum.QuorumPeerMain",
    Kind.CONTROL_KAFKA: "kafka.Kafka",
    Kind.CONTROLLER: "kafka.Kafka",
    Kind.BROKER: "kafka.Kafka",
    Kind.CRUISE_CONTROL: real_cruise_control.MAIN_CLASS,
}


class Folders:
    """The paths of all files and folders of a lab, below its one folder."""

    def __init__(self, directory: Path) -> None:
        self.root = directory.resolve()
        self.config = self.root / "config"
        self.logs = self.root / "logs"
        self.all_data = self.root / "data"
        self.lab_file = self.root / "lab.json"
        self.clusters_file = self.root / "clusters.yaml"
        self.environment_file = self.root / "environment.json"  # for `kafka-migration`
        self.targets_file = self.root / "targets.json"
        self.settings_file = self.root / "lab-settings.json"
        self.lock_file = self.root / "lab.lock"
        # Only a cluster that began without ZooKeeper has it.
        self.cluster_id_file = self.root / "config" / "cluster-id"
        self.socket = self.root / "control.sock"
        self.supervisor_log = self.logs / "supervisor.log"

    def data(self, name: str) -> Path:
        return self.all_data / name

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def output(self, name: str) -> Path:
        """What the process prints, such as the reason why a JVM cannot start."""
        return self.logs / f"{name}.out"

    def overrides(self, name: str) -> Path:
        return self.config / f"{name}.overrides.json"


def prepare(config: LabConfig, node: Node, installation: Installation) -> list[str]:
    """Write the files of the node, and return the command that runs it."""
    folders = Folders(config.directory)
    for folder in (folders.config, folders.logs, folders.data(node.name)):
        folder.mkdir(parents=True, exist_ok=True)
    if (
        node.kind is Kind.CRUISE_CONTROL
        and config.cruise_control_kind is CruiseControlKind.STAND_IN
    ):
        return _stand_in(config, node)
    if node.kind in {Kind.PROMETHEUS, Kind.NODE_EXPORTER}:
        return monitors.command(config, node, folders.config, folders.data(node.name))
    if node.kind is Kind.PROXY:
        file = folders.config / "haproxy.cfg"
        write_atomically(file, proxies.configuration(config))
        return [proxies.program() or "haproxy", "-db", "-f", str(file)]
    settings = folders.config / f"{node.name}.properties"
    write_atomically(settings, properties.render(settings_of(config, node)))
    if node.kind is Kind.CONTROLLER or (config.kraft and node.broker):
        _format(config, node)
    return [*_java(config, node, installation), MAIN_CLASSES[node.kind], str(settings)]


def _format(config: LabConfig, node: Node) -> None:
    """Write what KRaft needs in a folder before the first start.

    This is the id of the cluster, which is the existing one if there is one.
    """
    folders = Folders(config.directory)
    node_id = node.broker.id if node.broker else node.controller_id
    data = folders.data(node.name)
    if (data / "meta.properties").exists():
        return
    if config.kraft:
        if not folders.cluster_id_file.exists():
            write_atomically(folders.cluster_id_file, properties.new_cluster_id())
        cluster_id = folders.cluster_id_file.read_text(encoding="utf-8").strip()
    else:
        cluster_id = readiness.cluster_id(config.zookeeper.address)
    properties.format_kraft_directory(data, node_id or 0, cluster_id)


def settings_of(config: LabConfig, node: Node) -> properties.Properties:
    """The settings of the node, overlaid with those of the lab's config and of the last `start`."""
    folders = Folders(config.directory)
    data = folders.data(node.name)
    if node.kind is Kind.ZOOKEEPER:
        base = properties.zookeeper_properties(node, data)
    elif node.kind is Kind.CONTROL_KAFKA:
        properties.format_kraft_directory(data, node_id=1)
        base = properties.control_kafka_properties(node.port, config.control_quorum_port, data)
    elif node.kind is Kind.CONTROLLER:
        base = properties.controller_properties(config, node, data)
    elif node.kind is Kind.BROKER:
        base = properties.broker_properties(config, node, data)
        if config.cruise_control_kind is CruiseControlKind.REAL:
            base |= real_cruise_control.reporter_properties(config)
    else:
        write_atomically(data / "capacity.json", real_cruise_control.capacity())
        base = real_cruise_control.cruise_control_properties(config, data)
    overrides = folders.overrides(node.name)
    latest = json.loads(overrides.read_text(encoding="utf-8")) if overrides.exists() else {}
    safe = {
        **proxies.overlay(config, node),
        **security.overlay(config, node),
        **security.removed(config, node),
    }
    return properties.overlaid(base, safe, config.properties.get(node.name, {}), latest)


def _java(config: LabConfig, node: Node, installation: Installation) -> list[str]:
    """The command of Java, with options for many small, short-lived JVMs on few cores."""
    folders = Folders(config.directory)
    heap = config.broker_heap_megabytes if node.kind is Kind.BROKER else HEAP_MEGABYTES[node.kind]
    real = config.cruise_control_kind is CruiseControlKind.REAL
    class_path, archive = installation.class_path, installation.archive
    if node.kind is Kind.CRUISE_CONTROL:
        class_path, archive = config.cruise_control_class_path, None
    elif node.kind is Kind.BROKER and real:
        class_path += os.pathsep + real_cruise_control.reporter_class_path(
            config.cruise_control_class_path
        )
    log_file = folders.log(node.name)
    log4j, log4j2 = (
        folders.config / f"{node.name}.{name}.properties" for name in ("log4j", "log4j2")
    )
    write_atomically(log4j, properties.log4j_properties(log_file))
    write_atomically(log4j2, properties.log4j2_properties(log_file))
    return [
        str(installation.java),
        f"-Xmx{heap}m",
        "-Xms32m",
        "-Xss512k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        *((f"-XX:SharedArchiveFile={archive}", "-Xshare:auto") if archive else ()),
        "-Djava.awt.headless=true",
        f"-Dlog4j.configuration={log4j.as_uri()}",
        f"-Dlog4j2.configurationFile={log4j2.as_uri()}",
        f"-Dkafka.logs.dir={folders.logs}",
        *security.java_options(config, node),
        *_exporter(config, node, installation),
        *config.java_options.get(node.name, ()),
        "-cp",
        class_path,
    ]


def _exporter(config: LabConfig, node: Node, installation: Installation) -> tuple[str, ...]:
    if installation.exporter is None:
        return ()
    if node.kind is Kind.CONTROLLER:
        rules = Folders(config.directory).config / "controllers.exporter.yaml"
        write_atomically(rules, exporter.CONTROLLER_RULES)
        return (exporter.java_option(installation.exporter, rules, node.metrics_port),)
    if node.broker is None or config.metrics is Metrics.NONE:
        return ()
    return (exporter.java_option(installation.exporter, exporter.BROKER_RULES, node.metrics_port),)


def _stand_in(config: LabConfig, node: Node) -> list[str]:
    return [
        sys.executable,
        "-m",
        "deploy.lab.standin",
        "--bootstrap-servers",
        config.bootstrap_servers,
        "--port",
        str(node.port),
        *security.stand_in_options(config),
    ]
