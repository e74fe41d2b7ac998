"""What one look at a cluster on its way from ZooKeeper to KRaft shows.

Made by performer/kraft.py; judged in gates.py. Only facts: no figure here is an opinion.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from agent.core.kraft.node_config import NodeMode


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
class VoterFacts:
    """One controller as the leader of the quorum knows it."""

    node_id: int
    # since it last had all that the leader had; -1: the leader has not heard of it
    seconds_behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumFacts:
    """The controllers by Kafka's own word (DescribeQuorum), and what they have finalized; a
    KRaft broker tells it.
    """

    leader_id: int
    epoch: int
    voters: tuple[VoterFacts, ...]
    observer_ids: tuple[int, ...] = ()  # brokers that follow the metadata log
    metadata_version: int = 0  # finalized level of metadata.version; 0: none
    metadata_version_max: int = 0  # the highest that the asked broker can live with

    @property
    def voter_ids(self) -> tuple[int, ...]:
        return tuple(sorted(v.node_id for v in self.voters))


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllersSeen:
    """Who leads KRaft's controllers, and what they have: kept for people, judged nowhere."""

    leader_id: int
    brokers_active: int  # registered and not fenced
    brokers_fenced: int
    epoch: int = 0  # from here on by DescribeQuorum: known from the first broker in KRaft mode on
    voter_ids: tuple[int, ...] = ()
    metadata_version: int = 0
    metadata_version_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftFacts:
    """One look."""

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
    quorum: QuorumFacts | None = None  # None: no broker is in KRaft mode yet, or none told

    @property
    def alive(self) -> frozenset[int]:
        return frozenset(b.broker_id for b in self.brokers)

    def mode(self, broker_id: int) -> NodeMode:
        return next((b.mode for b in self.brokers if b.broker_id == broker_id), NodeMode.UNKNOWN)

    def controller(self, node_id: int) -> ControllerFacts:
        found = next((c for c in self.controllers if c.node_id == node_id), None)
        return found or ControllerFacts(node_id=node_id, reachable=False)

    def controllers_seen(self, last: ControllersSeen | None) -> ControllersSeen | None:
        """What this look shows; what it could not see is as it was `last`. None: nobody leads."""
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
        """The active controller, when exactly one says that it is."""
        claims = [c for c in self.controllers if c.reachable and c.is_active]
        return claims[0] if len(claims) == 1 else None
