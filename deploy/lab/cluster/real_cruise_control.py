"""Settings and start of a real Cruise Control 2.5.x, when CRUISE_CONTROL_CLASSPATH holds one.

Called by launch.py.

Stock, its limits too, but for what a lab cannot wait for: short windows, fast metadata, small
topics of its own.
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
# Cruise Control refuses to start where it samples more often than brokers report
REPORTING_INTERVAL_MS = "5000"
METRICS_TOPIC = "__CruiseControlMetrics"
PARTITION_SAMPLES_TOPIC = "__KafkaCruiseControlPartitionMetricSamples"
BROKER_SAMPLES_TOPIC = "__KafkaCruiseControlModelTrainingSamples"
TOPIC_PARTITIONS = 3
TOPIC_REPLICATION_FACTOR = 2


def reporter_properties(config: LabConfig) -> Properties:
    """What every broker needs so that Cruise Control sees its load.

    The lab makes the topic, on the source brokers.
    """
    return {
        "metric.reporters": REPORTER_CLASS,
        "cruise.control.metrics.reporter.bootstrap.servers": config.bootstrap_servers,
        REPORTING_INTERVAL_KEY: REPORTING_INTERVAL_MS,
        "cruise.control.metrics.topic": METRICS_TOPIC,
        "cruise.control.metrics.topic.auto.create": "false",
    }


def reporter_class_path(class_path: str) -> str:
    """Of Cruise Control's jars only the reporter's: the others would stand beside the broker's
    own.
    """
    reporters = [jar for jar in expanded(class_path) if "metrics-reporter" in Path(jar).name]
    if not reporters:
        raise ValueError(
            "CRUISE_CONTROL_CLASSPATH names no jar of the metrics reporter "
            "(cruise-control-metrics-reporter-*.jar)"
        )
    return os.pathsep.join(reporters)


def expanded(class_path: str) -> list[str]:
    """The entries of a Java class path, with `folder/*` written out."""
    entries: list[str] = []
    for entry in class_path.split(os.pathsep):
        entries.extend(
            sorted(glob.glob(f"{entry[:-1]}*.jar")) if entry.endswith(f"{os.sep}*") else [entry]  # noqa: PTH207
        )
    return [entry for entry in entries if entry]


def cruise_control_properties(config: LabConfig, folder: Path) -> Properties:
    """Cruise Control's own file.

    `folder` receives what it keeps on disk. What is not named here is stock.
    """
    goals = "com.linkedin.kafka.cruisecontrol.analyzer.goals."
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "webserver.http.address": HOST,
        "webserver.http.port": str(config.cruise_control_node.port),
        "capacity.config.file": str(folder / "capacity.json"),
        "failed.brokers.file.path": str(folder / "failed-brokers.txt"),
        # those of the settings file that it ships with
        "hard.goals": ",".join(goals + goal for goal in HARD_GOALS),
        **_failure_detection(config),
        **_self_healing(),
        **_metrics(),
    }


def _failure_detection(config: LabConfig) -> Properties:
    """From where it knows which brokers are alive:

    ZooKeeper, or Kafka where ZooKeeper is absent, leaves, or is locked.

    2.5.143 refuses to start with neither key. 2.5.146 has no code for ZooKeeper and passes over
    both keys.
    """
    if config.kraft or config.controller_nodes or config.secure:
        return {"kafka.broker.failure.detection.enable": "true"}
    return {"zookeeper.connect": config.zookeeper.address}


def _self_healing() -> Properties:
    """Off, as it ships; but what is switched on by `admin` heals.

    With the default notifier nothing ever would.
    """
    package = "com.linkedin.kafka.cruisecontrol.detector.notifier"
    return {
        "anomaly.notifier.class": f"{package}.SelfHealingNotifier",
        "self.healing.enabled": "false",
    }


def _metrics() -> Properties:
    """Windows and topics: stock, Cruise Control would plan nothing before its first window of
    five minutes is full.
    """
    return {
        # stock 55 s, for which a new topic or a finished move stays unknown
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
        # Stock 32 each: sixty-four more partitions that every lab would have to move.
        "partition.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "broker.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "sample.store.topic.replication.factor": str(TOPIC_REPLICATION_FACTOR),
    }


def capacity() -> str:
    """Generous capacities for any broker: in a lab no goal shall fail for want of room.

    MB, percent, KB/s.
    """
    limits = {"DISK": "500000", "CPU": "100", "NW_IN": "500000", "NW_OUT": "500000"}
    return json.dumps(
        {"brokerCapacities": [{"brokerId": "-1", "capacity": limits, "doc": "any broker"}]},
        indent=2,
    )
