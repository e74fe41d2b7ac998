"""What one look at a cluster shows while it migrates from ZooKeeper to KRaft.

performer/kraft.py reads these facts, and gates.py decides by them.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from agent.core.kraft.node_config import NodeMode


class ZkMigrationState(IntEnum):
    """Values of Kafka's gauge ZkMigrationState. Their order is not that of time: PRE_MIGRATION
    comes before MIGRATION.
    """

    NONE = 0
    MIGRATION = 1  # the metadata is copied, and ZooKeeper and KRaft are both written
    PRE_MIGRATION = 2  # the controllers wait for the brokers
    POST_MIGRATION = 3  # finalized
    ZK = 4  # shown by a broker while a ZooKeeper controller leads


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFacts:
    """One KRaft controller, by its page of metrics."""

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
    """One broker, by the settings that it reports itself."""

    broker_id: int
    mode: NodeMode
    protocol_version: str = ""  # inter.broker.protocol.version
    reserved_id_max: int = 1000  # reserved.broker.max.id


@dataclass(frozen=True, slots=True, kw_only=True)
class VoterFacts:
    """One controller, as the leader of the quorum reports it."""

    node_id: int
    # time since it last had all records of the leader; -1: the leader has not heard of it
    seconds_behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumFacts:
    """The controllers as a broker in KRaft mode reports them (DescribeQuorum), and the features
    that they have finalized.
    """

    leader_id: int
    epoch: int
    voters: tuple[VoterFacts, ...]
    observer_ids: tuple[int, ...] = ()  # brokers that follow the metadata log
    metadata_version: int = 0  # finalized level of metadata.version; 0: none
    metadata_version_max: int = 0  # the highest that the asked broker supports

    @property
    def voter_ids(self) -> tuple[int, ...]:
        """The node ids of the voters, in ascending order."""
        return tuple(sorted(v.node_id for v in self.voters))


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllersSeen:
    """The leader of the KRaft controllers and what it has registered; shown to people, decides
    nothing.
    """

    leader_id: int
    brokers_active: int  # registered and not fenced
    brokers_fenced: int
    # this and what follows is known once a broker runs in KRaft mode (DescribeQuorum)
    epoch: int = 0
    voter_ids: tuple[int, ...] = ()
    metadata_version: int = 0
    metadata_version_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftFacts:
    """The facts of one look."""

    reachable: bool  # Kafka answered
    brokers: tuple[BrokerFacts, ...] = ()  # alive
    assigned: tuple[int, ...] = ()  # brokers that some partition names as a replica
    reassignments: int = 0
    under_replicated: int = 0
    under_replicated_leader_ids: tuple[int, ...] = ()
    # brokers whose loss would take a partition's last in-sync replica
    sole_in_sync_broker_ids: tuple[int, ...] = ()
    offline: int = 0
    controllers: tuple[ControllerFacts, ...] = ()
    zookeeper: ZooKeeperFacts = ZooKeeperFacts(reachable=False)
    quorum: QuorumFacts | None = None  # None: no broker in KRaft mode reported it

    @property
    def alive(self) -> frozenset[int]:
        """The ids of the live brokers."""
        return frozenset(b.broker_id for b in self.brokers)

    def mode(self, broker_id: int) -> NodeMode:
        """The mode that the broker reports; UNKNOWN if it is not alive."""
        return next((b.mode for b in self.brokers if b.broker_id == broker_id), NodeMode.UNKNOWN)

    def controller(self, node_id: int) -> ControllerFacts:
        """The facts of one controller; not reachable if there are none."""
        found = next((c for c in self.controllers if c.node_id == node_id), None)
        return found or ControllerFacts(node_id=node_id, reachable=False)

    def controllers_seen(self, last: ControllersSeen | None) -> ControllersSeen | None:
        """What this look shows of the controllers, completed by `last` where it saw nothing; None
        while no leader was ever seen.
        """
        active, quorum = self.active, self.quorum
        if active is None:
            return last
        now = ControllersSeen(
            leader_id=active.node_id,
            brokers_active=active.active_brokers,
            brokers_fenced=active.fenced_brokers,
        )
        if quorum is not None:
            return replace(
                now,
                leader_id=quorum.leader_id,
                epoch=quorum.epoch,
                voter_ids=quorum.voter_ids,
                metadata_version=quorum.metadata_version,
                metadata_version_max=quorum.metadata_version_max,
            )
        if last is None:
            return now
        return replace(
            last,
            leader_id=now.leader_id,
            brokers_active=now.brokers_active,
            brokers_fenced=now.brokers_fenced,
        )

    @property
    def active(self) -> ControllerFacts | None:
        """The active controller, if exactly one controller reports that it is active."""
        claims = [c for c in self.controllers if c.reachable and c.is_active]
        return claims[0] if len(claims) == 1 else None
