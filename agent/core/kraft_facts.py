"""What one look at a cluster on its way from ZooKeeper to KRaft shows. Made by adapters/kraft_look.py; judged in
kraft_gates.py. Only facts: no figure here is an opinion.
"""

from dataclasses import dataclass
from enum import IntEnum

from agent.core.kraft_changes import NodeMode


class ZkMigrationState(IntEnum):
    """Kafka's gauge of that name. Not ordered: MIGRATION comes after PRE_MIGRATION."""

    NONE = 0
    MIGRATION = 1  # metadata copied, both are written
    PRE_MIGRATION = 2  # the controllers wait for the brokers
    POST_MIGRATION = 3  # finalized
    ZK = 4  # a broker's, while ZooKeeper's controller leads


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """One KRaft controller by its metrics page."""

    node_id: int
    reachable: bool
    is_active: bool = False
    state: int = 0  # ZkMigrationState
    migrating_brokers: int = 0  # MigratingZkBrokerCount
    write_behind_lag: int = 0  # ZkWriteBehindLag, records not yet in ZooKeeper
    active_brokers: int = 0
    fenced_brokers: int = 0
    metadata_errors: int = 0
    started_at: float = 0.0  # of its process, seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperFacts:
    """What ZooKeeper holds."""

    reachable: bool
    controller_id: int | None = None  # /controller
    kraft_controller: bool = False  # it is a KRaft controller that holds /controller
    kraft_epoch: int = 0  # and the epoch with which it holds it
    controller_epoch: int = 0  # /controller_epoch
    migration_node: bool = False  # /migration exists
    broker_ids: tuple[int, ...] = ()  # /brokers/ids


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """One broker by its own word."""

    broker_id: int
    mode: NodeMode
    protocol_version: str = ""  # inter.broker.protocol.version
    reserved_id_max: int = 1000  # reserved.broker.max.id


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftFacts:
    """One look."""

    reachable: bool  # Kafka answered
    brokers: tuple[BrokerFacts, ...] = ()  # alive
    assigned: tuple[int, ...] = ()  # brokers that some partition names as a replica
    reassignments: int = 0
    under_replicated: int = 0
    leaders_of_under_replicated: tuple[int, ...] = ()
    alone_in_sync: tuple[int, ...] = ()  # brokers whose loss would take a partition's last in-sync replica
    offline: int = 0
    controllers: tuple[ControllerFacts, ...] = ()
    zookeeper: ZooKeeperFacts = ZooKeeperFacts(reachable=False)
    quorum_epoch: int = 0  # of KRaft's controller, by what it wrote to ZooKeeper

    @property
    def alive(self) -> frozenset[int]:
        return frozenset(b.broker_id for b in self.brokers)

    def mode(self, broker_id: int) -> NodeMode:
        return next((b.mode for b in self.brokers if b.broker_id == broker_id), NodeMode.UNKNOWN)

    def controller(self, node_id: int) -> ControllerFacts:
        found = next((c for c in self.controllers if c.node_id == node_id), None)
        return found or ControllerFacts(node_id=node_id, reachable=False)

    @property
    def active(self) -> ControllerFacts | None:
        """The active controller, when exactly one says that it is."""
        claims = [c for c in self.controllers if c.reachable and c.is_active]
        return claims[0] if len(claims) == 1 else None
