"""Settings and start of a real Cruise Control 2.5.x, which CRUISE_CONTROL_CLASSPATH names.

launch.py uses this. Values are stock, including its limits, except what would take too long in a
lab: windows are short, metadata are read often, and its own topics are small.
"""

import glob
import json
import os
from pathlib import Path

from deploy.lab.cluster.config import HOST, LabConfig
from deploy.lab.cluster.properties import Properties
from deploy.lab.standin.goals import HARD_GOALS

MAIN_CLASS = "com.linkedin.kafka.cruisecontrol.KafkaCruiseControlMain"
REPORTER_CLASS = "com.linkedin.kafka.cruisecontrol.metricsreporter.CruiseControlMetricsReporter"
REPORTING_INTERVAL_KEY = "cruise.control.metrics.reporter.metrics.reporting.interval.ms"
# Cruise Control refuses to start if it samples more often than brokers report.
REPORTING_INTERVAL_MS = "5000"
METRICS_TOPIC = "__CruiseControlMetrics"
PARTITION_SAMPLES_TOPIC = "__KafkaCruiseControlPartitionMetricSamples"
BROKER_SAMPLES_TOPIC = "__KafkaCruiseControlModelTrainingSamples"
TOPIC_PARTITIONS = 3
TOPIC_REPLICATION_FACTOR = 2


def reporter_properties(config: LabConfig) -> Properties:
    """What every broker needs so that Cruise Control knows its load.

    The lab creates the topic on the source brokers.
    """
    return {
        "metric.reporters": REPORTER_CLASS,
        "cruise.control.metrics.reporter.bootstrap.servers": config.bootstrap_servers,
        REPORTING_INTERVAL_KEY: REPORTING_INTERVAL_MS,
        "cruise.control.metrics.topic": METRICS_TOPIC,
        "cruise.control.metrics.topic.auto.create": "false",
    }


def reporter_class_path(class_path: str) -> str:
    """The reporter's jars among those of Cruise Control.

    The others would conflict with the jars of the broker.
    """
    reporters = [jar for jar in expanded(class_path) if "metrics-reporter" in Path(jar).name]
    if not reporters:
        raise ValueError(
            "CRUISE_CONTROL_CLASSPATH names no jar of the metrics reporter "
            "(cruise-control-metrics-reporter-*.jar)"
        )
    return os.pathsep.join(reporters)


def expanded(class_path: str) -> list[str]:
    """The entries of a Java class path, with `folder/*` expanded to its jars."""
    entries: list[str] = []
    for entry in class_path.split(os.pathsep):
        entries.extend(
            sorted(glob.glob(f"{entry[:-1]}*.jar")) if entry.endswith(f"{os.sep}*") else [entry]  # noqa: PTH207
        )
    return [entry for entry in entries if entry]


def cruise_control_properties(config: LabConfig, folder: Path) -> Properties:
    """The settings file of Cruise Control.

    `folder` receives what it stores on disk. Settings that are not named here are stock.
    """
    goals = "com.linkedin.kafka.cruisecontrol.analyzer.goals."
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "webserver.http.address": HOST,
        "webserver.http.port": str(config.cruise_control_node.port),
        "capacity.config.file": str(folder / "capacity.json"),
        "failed.brokers.file.path": str(folder / "failed-brokers.txt"),
        # These are the goals of the settings file that is delivered with it.
        "hard.goals": ",".join(goals + goal for goal in HARD_GOALS),
        **_failure_detection(config),
        **_self_healing(),
        **_metrics(),
    }


def _failure_detection(config: LabConfig) -> Properties:
    """The source from which it knows which brokers are alive.

    This is ZooKeeper, or Kafka where ZooKeeper is absent, is about to leave, or needs a login.
    Version 2.5.143 does not start with neither key. Version 2.5.146 has no code for ZooKeeper and
    ignores both keys.
    """
    if config.kraft or config.controller_nodes or config.secure:
        return {"kafka.broker.failure.detection.enable": "true"}
    return {"zookeeper.connect": config.zookeeper.address}


def _self_healing() -> Properties:
    """Self-healing is off, as by default, but `admin` can switch it on.

    The default notifier would never heal anything.
    """
    package = "com.linkedin.kafka.cruisecontrol.detector.notifier"
    return {
        "anomaly.notifier.class": f"{package}.SelfHealingNotifier",
        "self.healing.enabled": "false",
    }


def _metrics() -> Properties:
    """Windows and topics.

    With stock values Cruise Control makes no plan before its first window of five minutes is full.
    """
    return {
        # With the stock 55 s a new topic or a finished move stays unknown for that long.
        "metadata.max.age.ms": "5000",
        "metric.reporter.topic": METRICS_TOPIC,
        "metric.sampling.interval.ms": "10000",
        REPORTING_INTERVAL_KEY: REPORTING_INTERVAL_MS,
        "partition.metrics.window.ms": "20000",
        "num.partition.metrics.windows": "3",
        "min.samples.per.partition.metrics.window": "1",
        "broker.metrics.window.ms": "20000",
        "num.broker.metrics.windows": "3",
        "min.samples.per.broker.metrics.window": "1",
        "partition.metric.sample.store.topic": PARTITION_SAMPLES_TOPIC,
        "broker.metric.sample.store.topic": BROKER_SAMPLES_TOPIC,
        # The stock value is 32 for each topic, and every lab would have to move these partitions.
        "partition.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "broker.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "sample.store.topic.replication.factor": str(TOPIC_REPLICATION_FACTOR),
    }


def capacity() -> str:
    """Generous capacities for any broker, so that no goal fails in a lab because of them.

    Disk is in MB, CPU in percent, network in KB/s.
    """
    limits = {"DISK": "500000", "CPU": "100", "NW_IN": "500000", "NW_OUT": "500000"}
    return json.dumps(
        {"brokerCapacities": [{"brokerId": "-1", "capacity": limits, "doc": "any broker"}]},
        indent=2,
    )
