"""What the performer needs of the outside, as Protocols.

Each has an adapter and a fake for the simulation. Every call has a time-out of its own, and raises
`PortError`, and nothing else, when the other side cannot be asked.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core.kraft.facts import ControllerFacts, QuorumFacts, ZooKeeperFacts
from agent.core.kraft.messages import ZooKeeperReleased
from agent.core.kraft.node_config import NodeChange
from agent.core.kraft.options import KraftController
from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Executor,
    Observation,
    Rejected,
    TaskStatus,
    Unreachable,
)
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import (
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.endpoints import Endpoint
from agent.core.model.reasons import Code, Reason
from agent.core.model.throttle import ThrottleChange, ThrottleFacts

# Sends an observation to the core, through the cluster's inbox.
Post = Callable[[Observation], Awaitable[None]]


class PortError(Exception):
    """The other side could not be asked or did not answer; the message says who and how."""

    def __init__(self, message: str, code: Code = Code.KAFKA_UNREACHABLE) -> None:
        super().__init__(message)
        self.code = code  # which side it was


class Clock(Protocol):
    """Time, so that the simulation can own it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...


class KafkaPort(Protocol):
    """The Kafka cluster that is migrated. Every call raises PortError."""

    async def cluster(self) -> ClusterFacts:
        """Full metadata, with reassignments and min.insync.replicas; slow on a large cluster."""
        ...

    async def alive(self) -> Mapping[int, str | None]:
        """Live brokers and their racks; cheap."""
        ...

    async def reassignments(self) -> Sequence[Reassignment]:
        """Every reassignment in flight, whoever began it; costs by their number."""
        ...

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        """Log dirs of these brokers (only these partitions in them); brokers that do not answer
        are left out.
        """
        ...

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        """These partitions only; those that exist no more are left out."""
        ...

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        """End offsets of a bounded sample of these partitions, and how far groups are behind on
        them.
        """
        ...

    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        """KIP-73 settings in force. `topics` None: of all topics."""
        ...

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Settings in force by name, secrets left out; brokers that do not answer are left out."""
        ...

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Of these, the registered brokers whose advertised address takes no TCP connection,
        and why.
        """
        ...

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        """Of these, those that Cruise Control's reporter has told of lately; None: that cannot
        be seen.
        """
        ...

    async def loading_coordinators(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Of these, the brokers on which groups or transactions wait for a coordinator that
        loads, and which.
        """
        ...

    async def set_throttle(self, change: ThrottleChange) -> None:
        """Set rates and throttled replicas in a few batched requests; live brokers only."""
        ...

    async def clear_throttle(self, change: ThrottleChange) -> None:
        """Remove exactly what `change` names; what is not there is no error."""
        ...

    async def reorder_replicas(
        self, replica_orders: Mapping[TopicPartition, Sequence[int]]
    ) -> None:
        """Give partitions their replicas in this order; the brokers stay the same, so that
        nothing is copied.
        """
        ...

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        """Begin reassignments (KIP-455); None cancels the one in flight.

        What is refused shows in the next look.
        """
        ...

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        """Run preferred leader elections; partitions that need none are no error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlState:
    """What Cruise Control says of itself."""

    executor: Executor  # OURS when the reason in force begins with our migration's id
    executor_state: str  # its own word, such as INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS
    executor_reason: str
    valid_windows: int
    self_healing: tuple[str, ...] = ()  # anomaly types for which it is enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTask:
    """A remove_broker user task that bears our key."""

    user_task_id: str
    status: TaskStatus
    reason: str
    # who, other than we, asked to stop what it executes: endpoint, client and time
    stopped_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBroker:
    """One remove_broker request.

    `throttle_bytes_per_second` is sent only where Cruise Control shall set it.
    """

    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    reason: str
    partition_movements_per_broker: int
    progress_check_interval_ms: int
    throttle_bytes_per_second: int | None = None
    dryrun: bool = False


class CruiseControlPort(Protocol):
    """Cruise Control's REST API, as far as we call it.

    Raises PortError when it cannot be reached.
    """

    def can_spare_a_question(self) -> bool:
        """Whether it was asked so seldom of late that a standing watch may ask too; what acts
        asks in any case.
        """
        ...

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        """Executor and monitor; an answer so old will do, if the executor was idle in it and we
        gave no order since.
        """
        ...

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        """The remove_broker tasks, dry runs left out, whose reason is `key` (or begins with
        `key` + '/').
        """
        ...

    async def remove_broker(
        self, request: RemoveBroker
    ) -> ExecutionRequested | Busy | Unreachable | Rejected:
        """Request it once; never raises. Unreachable: it may or may not have been accepted."""
        ...

    async def stop(self, reason: str) -> None:
        """Stop the execution (stop_proposal_execution); other tools' reassignments are left alone.

        `reason` marks the stop as ours.
        """
        ...

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        """Change it for the running execution, from its next progress check on (admin)."""
        ...


class SnapshotPort(Protocol):
    """The assignment before the start, kept in pieces in the snapshots topic."""

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        """Store it; saving again replaces it."""
        ...

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        """The replicas of each partition, in order; None if it is not whole."""
        ...

    async def save_positions(self, migration_id: str, wave: int, positions: Positions) -> None:
        """Store a wave's positions before it; saving again replaces them."""
        ...

    async def load_positions(self, migration_id: str, wave: int) -> Positions | None:
        """The stored positions; None if there are none."""
        ...


class DiscoveryPort(Protocol):
    """The service registry in which clients find the brokers.

    Raises PortError when it does not answer or refuses.
    """

    async def endpoints_of(self, broker_ids: Iterable[int]) -> Sequence[Endpoint]:
        """The entries of these brokers, as they stand now; those that have none are left out."""
        ...

    async def register(
        self, broker_ids: Iterable[int], restore: Iterable[Endpoint]
    ) -> Sequence[Reason]:
        """Have these brokers in the service, each as in `restore` if it is there, once its endpoint
        answers.

        Out: why some are not there, or not passing; empty: clients find them all. What is there
        already stays.
        """
        ...

    async def deregister(self, broker_ids: Iterable[int]) -> Sequence[Reason]:
        """Deregister them; out: why some are still there. Those that are not there are no error."""
        ...


class ClientCensus(Protocol):
    """Counts the connections of clients to brokers, as far as the implementation sees them."""

    async def connections(self, broker_ids: Iterable[int]) -> Mapping[int, int]:
        """Connections by broker; an unknown one is left out. Raises PortError."""
        ...


class LeasePort(Protocol):
    """One driver per cluster: a lock at the cluster, whose loss stops new effects at once."""

    def held(self) -> bool:
        """True while this agent is the driver; asked before every change."""
        ...

    def holder(self) -> str:
        """Who holds the lease, in words for people."""
        ...


class KraftKafkaPort(Protocol):
    """What only a way to KRaft asks of a cluster: what brokers were started with, and their
    controllers.
    """

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Keys set in each broker's own file; brokers that do not answer are left out.

        Raises PortError.
        """
        ...

    async def quorum(self, broker_id: int) -> QuorumFacts:
        """The controllers' quorum, by the word of a broker in KRaft mode. Raises PortError."""
        ...


class KraftZooKeeperPort(Protocol):
    """The znodes by which ZooKeeper and KRaft agree who leads the cluster."""

    async def facts(self) -> ZooKeeperFacts:
        """What those znodes say; a ZooKeeper that does not answer is `reachable=False`."""
        ...

    async def release(self) -> ZooKeeperReleased:
        """Delete /controller where KRaft holds it, and /migration; deleting again finds nothing.

        Raises PortError.
        """
        ...


class ControllerMetricsPort(Protocol):
    """The metrics pages of KRaft controllers."""

    async def facts(self, controllers: Iterable[KraftController]) -> tuple[ControllerFacts, ...]:
        """Each controller as its page shows it; one that does not answer is `reachable=False`."""
        ...


class RestartsPort(Protocol):
    """Whoever restarts nodes with new settings: people, the lab, or a tool behind a webhook.

    A restart is requested once for each attempt; whether it happened, the cluster itself shows.
    """

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Return when it was requested, or done. Raises PortError when nobody could be asked."""
        ...

    async def close(self) -> None:
        """Close what connections are open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside that one cluster's migration needs."""

    kafka: KafkaPort
    cruise_control: CruiseControlPort
    snapshots: SnapshotPort
    lease: LeasePort
    clock: Clock
    discovery: DiscoveryPort | None = None  # None: clients know the brokers by themselves
    census: ClientCensus | None = None
