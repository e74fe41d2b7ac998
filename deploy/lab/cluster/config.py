"""The nodes, ports and folders of a lab, as one immutable value.

Every other file of the lab reads it. It starts nothing and opens nothing.
"""

import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

HOST = "127.0.0.1"
CLASS_PATH_VARIABLE = "CRUISE_CONTROL_CLASSPATH"
# These variables let the same demo and tests run on another Kafka, with or without ZooKeeper.
VERSION_VARIABLE = "KAFKA_MIGRATION_LAB_KAFKA_VERSION"
KRAFT_VARIABLE = "KAFKA_MIGRATION_LAB_KRAFT"
DEFAULT_VERSION = "3.9.1"  # the last line with ZooKeeper
PORTS_PER_LAB = 100


class Kind(StrEnum):
    """What kind of process a node is. Its settings and its readiness check depend on it."""

    ZOOKEEPER = "zookeeper"
    CONTROL_KAFKA = "control-kafka"
    CONTROLLER = "controller"  # a KRaft controller of the migrated cluster
    BROKER = "broker"
    CRUISE_CONTROL = "cruise-control"
    NODE_EXPORTER = "node-exporter"
    PROMETHEUS = "prometheus"
    PROXY = "haproxy"


class Role(StrEnum):
    """The side of the migration on which a broker stands."""

    SOURCE = "source"
    DESTINATION = "destination"


class CruiseControlKind(StrEnum):
    """Which Cruise Control the lab runs.

    AUTO runs the real one when its class path is given, and otherwise the stand-in.
    """

    AUTO = "auto"
    STAND_IN = "stand-in"
    REAL = "real"
    NONE = "none"


class Metrics(StrEnum):
    """Which processes export and collect metrics.

    AUTO runs the exporters, and Debian's Prometheus and node exporter where they are installed.
    """

    NONE = "none"  # without the exporter a broker starts a second earlier
    EXPORTERS = "exporters"  # only a JMX exporter in every broker
    AUTO = "auto"


# Broker 11 listens on base port + 11 and serves its metrics on base port + 21.
METRICS_PORT_OFFSET = 10


class BrokerSpec(BaseModel):
    """One broker: its id, its AZ (`broker.rack`) and its side of the migration."""

    model_config = ConfigDict(frozen=True)

    id: int
    rack: str
    role: Role


DEFAULT_CONTROLLER_IDS = (71, 72, 73)

DEFAULT_BROKERS = (
    BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),
    BrokerSpec(id=12, rack="az-b", role=Role.SOURCE),
    BrokerSpec(id=13, rack="az-c", role=Role.SOURCE),
    BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION),
    BrokerSpec(id=32, rack="az-b", role=Role.DESTINATION),
    BrokerSpec(id=33, rack="az-c", role=Role.DESTINATION),
)


class Node(BaseModel):
    """One process of the lab."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    port: int
    broker: BrokerSpec | None = None
    controller_id: int | None = None

    @property
    def metrics_port(self) -> int:
        """The port on which a broker or a controller serves metrics in Prometheus' format."""
        return self.port + METRICS_PORT_OFFSET

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


class LabConfig(BaseModel):
    """All settings of a lab.

    Two labs run side by side when their folders and their base ports differ.
    """

    model_config = ConfigDict(frozen=True)

    directory: Path = Path(".lab")
    # It is below the ephemeral ports of Linux, which start at 32768.
    base_port: int = Field(default=29000, ge=1024, le=65535 - PORTS_PER_LAB)
    kafka_version: str = Field(
        default_factory=lambda: os.environ.get(VERSION_VARIABLE, DEFAULT_VERSION)
    )
    brokers: tuple[BrokerSpec, ...] = DEFAULT_BROKERS
    # Without ZooKeeper the controllers below hold the metadata from the beginning.
    kraft: bool = Field(default_factory=lambda: os.environ.get(KRAFT_VARIABLE, "") not in {"", "0"})
    # Beside ZooKeeper these are started by the migration to KRaft and not by `up`.
    controller_ids: tuple[int, ...] = ()
    cruise_control: CruiseControlKind = CruiseControlKind.AUTO
    cruise_control_class_path: str = Field(
        default_factory=lambda: os.environ.get(CLASS_PATH_VARIABLE, "")
    )
    secure: bool = False  # TLS, SASL and ACLs everywhere; secrets in the lab's folder
    metrics: Metrics = Metrics.NONE
    # Names of the monitoring nodes; `up` sets them from what is installed.
    monitors: tuple[str, ...] = ()
    proxies: bool = False  # HAProxy between clients and brokers
    keep_data: bool = False  # if False, every `up` begins with an empty cluster
    start_timeout_seconds: float = 180.0  # normal is below 30 s; a loaded machine needs more
    # SIGKILL follows. Only a lab whose data are kept is shut down in order at all.
    stop_timeout_seconds: float = 15.0
    broker_heap_megabytes: int = 256
    # Additional settings by name of the node; None removes a key.
    properties: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    # Additional options by name of the node, such as -javaagent:...
    java_options: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def zookeeper(self) -> Node:
        return Node(name="zookeeper", kind=Kind.ZOOKEEPER, port=self.base_port)

    @property
    def control_kafka(self) -> Node:
        return Node(name="control-kafka", kind=Kind.CONTROL_KAFKA, port=self.base_port + 1)

    @property
    def control_quorum_port(self) -> int:
        return self.base_port + 2

    @property
    def control_certificate_port(self) -> int:
        """In a secure lab, the control Kafka's port for clients with a certificate."""
        return self.base_port + 4

    @property
    def proxy_node(self) -> Node:
        """HAProxy, which serves its own metrics on the port of the node."""
        return Node(name="haproxy", kind=Kind.PROXY, port=self.base_port + 7)

    @property
    def cruise_control_node(self) -> Node:
        return Node(name="cruise-control", kind=Kind.CRUISE_CONTROL, port=self.base_port + 3)

    @property
    def broker_nodes(self) -> tuple[Node, ...]:
        """The brokers. Broker 11 listens on the base port plus 11, so a port shows its broker."""
        return tuple(
            Node(
                name=f"broker-{broker.id}",
                kind=Kind.BROKER,
                port=self.base_port + broker.id,
                broker=broker,
            )
            for broker in self.brokers
        )

    @property
    def monitor_nodes(self) -> tuple[Node, ...]:
        """Debian's Prometheus and its node exporter, as far as they were found."""
        known = (
            Node(name="node-exporter", kind=Kind.NODE_EXPORTER, port=self.base_port + 6),
            Node(name="prometheus", kind=Kind.PROMETHEUS, port=self.base_port + 5),
        )
        return tuple(node for node in known if node.name in self.monitors)

    @property
    def controller_nodes(self) -> tuple[Node, ...]:
        """The KRaft controllers of the migrated cluster, whether they run yet or not."""
        ids = self.controller_ids or (DEFAULT_CONTROLLER_IDS if self.kraft else ())
        return tuple(
            Node(
                name=f"controller-{n}",
                kind=Kind.CONTROLLER,
                port=self.base_port + n,
                controller_id=n,
            )
            for n in ids
        )

    @property
    def quorum_voters(self) -> str:
        """The value of `controller.quorum.voters` for the migrated cluster."""
        return ",".join(f"{node.controller_id}@{node.address}" for node in self.controller_nodes)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every process, in the order in which they are started."""
        with_cruise_control = self.cruise_control_kind is not CruiseControlKind.NONE
        return (
            *(() if self.kraft else (self.zookeeper,)),
            self.control_kafka,
            *self.controller_nodes,
            *self.broker_nodes,
            *((self.proxy_node,) if self.proxies else ()),
            *((self.cruise_control_node,) if with_cruise_control else ()),
            *self.monitor_nodes,
        )

    @property
    def cruise_control_kind(self) -> CruiseControlKind:
        """The kind that runs. AUTO depends on whether a class path was given."""
        if self.cruise_control is not CruiseControlKind.AUTO:
            return self.cruise_control
        return (
            CruiseControlKind.REAL if self.cruise_control_class_path else CruiseControlKind.STAND_IN
        )

    @property
    def ports(self) -> dict[int, str]:
        """Every port on which the lab listens, and the process that needs it."""
        ports = {node.port: node.name for node in self.nodes} | {
            self.control_quorum_port: "control-kafka (quorum)"
        }
        if self.secure:
            ports |= {self.control_certificate_port: "control-kafka (certificates)"}
        ports |= {node.metrics_port: f"{node.name} (metrics)" for node in self.controller_nodes}
        if self.metrics is not Metrics.NONE:
            ports |= {node.metrics_port: f"{node.name} (metrics)" for node in self.broker_nodes}
        return ports

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.broker_nodes)

    @property
    def source_ids(self) -> tuple[int, ...]:
        return tuple(broker.id for broker in self.brokers if broker.role is Role.SOURCE)

    @property
    def source_racks(self) -> dict[int, str]:
        """The AZ of each source broker."""
        return {broker.id: broker.rack for broker in self.brokers if broker.role is Role.SOURCE}

    @property
    def cruise_control_url(self) -> str | None:
        if self.cruise_control_kind is CruiseControlKind.NONE:
            return None
        return f"http{'s' if self.secure else ''}://{self.cruise_control_node.address}/kafkacruisecontrol"

    @property
    def prometheus_url(self) -> str | None:
        return next(
            (f"http://{n.address}" for n in self.monitor_nodes if n.kind is Kind.PROMETHEUS), None
        )

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError, which lists the existing names."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(
            f"no node {name!r} in this lab; there are: "
            f"{', '.join(node.name for node in self.nodes)}"
        )
