"""The settings of each node, with one plain function for each kind of node.

launch.py calls them. They return dictionaries, over which `LabConfig.properties` and
`Lab.start(..., properties=...)` are laid, so that any key can be changed.
"""

import base64
import uuid
from collections.abc import Mapping
from pathlib import Path

from deploy.lab.cluster.config import HOST, LabConfig, Node

Properties = dict[str, str]

OFFSETS_PARTITIONS = 6  # the stock value is 50, and a demo would have to move them all
TRANSACTION_PARTITIONS = 3


def broker_properties(config: LabConfig, node: Node, data: Path) -> Properties:
    """One broker of the migrated cluster.

    Sizes are those of a lab; what makes it safe is set as on a real cluster.
    """
    broker = node.broker
    if broker is None:
        raise ValueError(f"{node.name} is not a broker")
    return {
        **(
            _kraft_broker(config, broker.id)
            if config.kraft
            else _zookeeper_broker(config, broker.id)
        ),
        "broker.rack": broker.rack,
        "listeners": f"PLAINTEXT://{node.address}",
        "advertised.listeners": f"PLAINTEXT://{node.address}",
        "controlled.shutdown.enable": "true",
        # The last brokers of a lab have no other to which they could hand over.
        "controlled.shutdown.retry.backoff.ms": "1000",
        "default.replication.factor": "3",
        "replica.lag.time.max.ms": "10000",
        "num.replica.fetchers": "2",
        **_shared(data),
        **_internal_topics(replication_factor=3, min_insync_replicas=2),
    }


def _zookeeper_broker(config: LabConfig, broker_id: int) -> Properties:
    return {
        "broker.id": str(broker_id),
        "zookeeper.connect": config.zookeeper.address,
        "zookeeper.session.timeout.ms": "6000",  # a killed broker is noticed after 6 s (stock: 18)
        "zookeeper.connection.timeout.ms": "30000",
        "inter.broker.protocol.version": ".".join(config.kafka_version.split(".")[:2]),
    }


def _kraft_broker(config: LabConfig, broker_id: int) -> Properties:
    return {
        "process.roles": "broker",
        "node.id": str(broker_id),
        "controller.quorum.voters": config.quorum_voters,
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }


def controller_properties(config: LabConfig, node: Node, data: Path) -> Properties:
    """A dedicated KRaft controller of the migrated cluster.

    The migration to KRaft adds the keys that it needs.
    """
    return {
        "process.roles": "controller",
        "node.id": str(node.controller_id),
        "controller.quorum.voters": config.quorum_voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CONTROLLER://{node.address}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "num.network.threads": "2",
        "num.io.threads": "2",
        # With the stock values of 1 and 2 s, a few JVMs on two cores lose the quorum again and
        # again, and each look then meets an election. Only a killed controller is missed for this
        # long, because one that is stopped in order says so.
        "controller.quorum.election.timeout.ms": "3000",
        "controller.quorum.fetch.timeout.ms": "8000",
        "controller.quorum.request.timeout.ms": "6000",
    }


def control_kafka_properties(port: int, quorum_port: int, data: Path) -> Properties:
    """The small Kafka of the agent's own topics, one node that is both broker and controller."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{quorum_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{quorum_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        **_shared(data),
        **_internal_topics(replication_factor=1, min_insync_replicas=1),
    }


def zookeeper_properties(node: Node, data: Path) -> Properties:
    """A standalone ZooKeeper. It grants session timeouts of 2 to 20 tickTimes."""
    return {
        "dataDir": str(data),
        "clientPort": str(node.port),
        "clientPortAddress": HOST,
        "tickTime": "1000",
        "maxClientCnxns": "0",
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "ruok,srvr,mntr",
        "autopurge.purgeInterval": "1",
    }


def _shared(data: Path) -> Properties:
    return {
        "log.dirs": str(data),
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "2",
        # The stock value, 300000, is longer than a whole demo.
        "log.retention.check.interval.ms": "5000",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": "4194304",  # stock: 128 MiB, half of the heap here
        "log.index.size.max.bytes": "1048576",
    }


def _internal_topics(replication_factor: int, min_insync_replicas: int) -> Properties:
    return {
        "offsets.topic.num.partitions": str(OFFSETS_PARTITIONS),
        "offsets.topic.replication.factor": str(replication_factor),
        "transaction.state.log.num.partitions": str(TRANSACTION_PARTITIONS),
        "transaction.state.log.replication.factor": str(replication_factor),
        "transaction.state.log.min.isr": str(min_insync_replicas),
    }


def format_kraft_directory(data: Path, node_id: int, cluster_id: str | None = None) -> None:
    """Write what `kafka-storage format` writes, without a JVM.

    Kafka then takes its newest metadata version. A folder that was formatted before is left as it
    is.
    """
    target = data / "meta.properties"
    if target.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    identity = {
        "version": "1",
        "cluster.id": cluster_id or new_cluster_id(),
        "node.id": str(node_id),
    }
    target.write_text(render(identity), encoding="utf-8")


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form: a UUID in 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def overlaid(base: Properties, *overlays: Mapping[str, str | None]) -> Properties:
    """`base` with the keys of each overlay set, or removed where the overlay has None."""
    merged: dict[str, str | None] = dict(base)
    for overlay in overlays:
        merged.update(overlay)
    return {key: value for key, value in merged.items() if value is not None}


def render(settings: Properties) -> str:
    """The text of a Java properties file.

    Backslashes are escaped, so that regular expressions are kept.
    """
    lines = (f"{key}={value.replace(chr(92), chr(92) * 2)}" for key, value in settings.items())
    return "\n".join(lines) + "\n"


def log4j_properties(log_file: Path) -> str:
    """Settings of Log4j 1 (Kafka 3, ZooKeeper) for one log with at most 3 files of 20 MB."""
    return render(
        {
            "log4j.rootLogger": "INFO, file",
            "log4j.appender.file": "org.apache.log4j.RollingFileAppender",
            "log4j.appender.file.File": str(log_file),
            "log4j.appender.file.MaxFileSize": "20MB",
            "log4j.appender.file.MaxBackupIndex": "2",
            "log4j.appender.file.layout": "org.apache.log4j.PatternLayout",
            "log4j.appender.file.layout.ConversionPattern": "%d{ISO8601} %p %m (%c)%n",
            "log4j.logger.org.apache.zookeeper": "WARN",
        }
    )


def log4j2_properties(log_file: Path) -> str:
    """The same for Log4j 2 (Kafka 4, Cruise Control)."""
    return render(
        {
            "appender.file.type": "RollingFile",
            "appender.file.name": "file",
            "appender.file.fileName": str(log_file),
            "appender.file.filePattern": f"{log_file}.%i",
            "appender.file.layout.type": "PatternLayout",
            "appender.file.layout.pattern": "%d{ISO8601} %p %m (%c)%n",
            "appender.file.policies.type": "Policies",
            "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
            "appender.file.policies.size.size": "20MB",
            "appender.file.strategy.type": "DefaultRolloverStrategy",
            "appender.file.strategy.max": "2",
            "rootLogger.level": "INFO",
            "rootLogger.appenderRef.file.ref": "file",
        }
    )
