"""Settings and start of a real Cruise Control 2.5.x, when CRUISE_CONTROL_CLASSPATH holds one. Called by launch.py.

Stock but for what a lab cannot wait for: short windows, fast metadata, more user tasks, the six hard goals.
"""

import glob
import json
import os
from pathlib import Path

from deploy.lab.config import HOST, LabConfig
from deploy.lab.properties import Properties
from deploy.lab.standin.goals import HARD_GOALS

MAIN_CLASS = "com.linkedin.kafka.cruisecontrol.KafkaCruiseControlMain"
REPORTER_CLASS = "com.linkedin.kafka.cruisecontrol.metricsreporter.CruiseControlMetricsReporter"
REPORTING_INTERVAL_KEY = "cruise.control.metrics.reporter.metrics.reporting.interval.ms"
REPORTING_INTERVAL_MS = "5000"  # Cruise Control refuses to start where it samples more often than brokers report
METRICS_TOPIC = "__CruiseControlMetrics"
PARTITION_SAMPLES_TOPIC = "__KafkaCruiseControlPartitionMetricSamples"
BROKER_SAMPLES_TOPIC = "__KafkaCruiseControlModelTrainingSamples"
TOPIC_PARTITIONS = 3
TOPIC_REPLICATION_FACTOR = 2


def reporter_properties(config: LabConfig) -> Properties:
    """What every broker needs so that Cruise Control sees its load. The lab makes the topic, on the source brokers."""
    return {
        "metric.reporters": REPORTER_CLASS,
        "cruise.control.metrics.reporter.bootstrap.servers": config.bootstrap_servers,
        REPORTING_INTERVAL_KEY: REPORTING_INTERVAL_MS,
        "cruise.control.metrics.topic": METRICS_TOPIC,
        "cruise.control.metrics.topic.auto.create": "false",
    }


def reporter_class_path(class_path: str) -> str:
    """Of Cruise Control's jars only the reporter's: the others would stand beside the broker's own."""
    reporters = [jar for jar in expanded(class_path) if "metrics-reporter" in Path(jar).name]
    if not reporters:
        raise ValueError(
            "CRUISE_CONTROL_CLASSPATH names no jar of the metrics reporter (cruise-control-metrics-reporter-*.jar)"
        )
    return os.pathsep.join(reporters)


def expanded(class_path: str) -> list[str]:
    """The entries of a Java class path, with `folder/*` written out."""
    entries: list[str] = []
    for entry in class_path.split(os.pathsep):
        entries.extend(sorted(glob.glob(f"{entry[:-1]}*.jar")) if entry.endswith(f"{os.sep}*") else [entry])  # noqa: PTH207
    return [entry for entry in entries if entry]


def cruise_control_properties(config: LabConfig, folder: Path) -> Properties:
    """Cruise Control's own file. `folder` receives what it keeps on disk."""
    goals = "com.linkedin.kafka.cruisecontrol.analyzer.goals."
    monitor = "com.linkedin.kafka.cruisecontrol.monitor.sampling."
    return {
        "bootstrap.servers": config.bootstrap_servers,
        "zookeeper.connect": config.zookeeper.address,
        "metadata.max.age.ms": "5000",
        "metric.sampler.class": f"{monitor}CruiseControlMetricsReporterSampler",
        "metric.reporter.topic": METRICS_TOPIC,
        "metric.sampling.interval.ms": "10000",
        REPORTING_INTERVAL_KEY: REPORTING_INTERVAL_MS,
        "partition.metrics.window.ms": "20000",
        "num.partition.metrics.windows": "3",
        "min.samples.per.partition.metrics.window": "1",
        "broker.metrics.window.ms": "20000",
        "num.broker.metrics.windows": "3",
        "min.samples.per.broker.metrics.window": "1",
        "sample.store.class": f"{monitor}KafkaSampleStore",
        "partition.metric.sample.store.topic": PARTITION_SAMPLES_TOPIC,
        "broker.metric.sample.store.topic": BROKER_SAMPLES_TOPIC,
        "partition.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "broker.sample.store.topic.partition.count": str(TOPIC_PARTITIONS),
        "sample.store.topic.replication.factor": str(TOPIC_REPLICATION_FACTOR),
        "capacity.config.file": str(folder / "capacity.json"),
        "failed.brokers.file.path": str(folder / "failed-brokers.txt"),
        "hard.goals": ",".join(goals + goal for goal in HARD_GOALS),
        "self.healing.enabled": "false",
        "max.active.user.tasks": "50",
        "topic.config.provider.class": "com.linkedin.kafka.cruisecontrol.config.KafkaAdminTopicConfigProvider",
        "webserver.http.address": HOST,
        "webserver.http.port": str(config.cruise_control_node.port),
    }


def capacity() -> str:
    """Generous capacities for any broker: in a lab no goal shall fail for want of room. MB, percent, KB/s."""
    limits = {"DISK": "500000", "CPU": "100", "NW_IN": "500000", "NW_OUT": "500000"}
    return json.dumps({"brokerCapacities": [{"brokerId": "-1", "capacity": limits, "doc": "any broker"}]}, indent=2)
