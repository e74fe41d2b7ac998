"""What the performer needs from the outside, as Protocols.

Each has an adapter, and a fake for the simulation. Every call has a time-out of its own. When the
other side cannot be asked, it raises `PortError` and nothing else.
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
        self.code = code  # says which side failed


class Clock(Protocol):
    """Time, which the simulation can replace."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for this number of seconds."""
        ...


class KafkaPort(Protocol):
    """The Kafka cluster that is migrated. Every call may raise PortError."""

    async def cluster(self) -> ClusterFacts:
        """Return full metadata, reassignments and min.insync.replicas; slow on a large cluster."""
        ...

    async def alive(self) -> Mapping[int, str | None]:
        """Return the live brokers and their racks; cheap."""
        ...

    async def reassignments(self) -> Sequence[Reassignment]:
        """Return every reassignment in flight, whoever began it; the cost grows with the number."""
        ...

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        """Return the log dirs of these brokers; `names`: only these partitions, None means all.

        Brokers that do not answer are left out.
        """
        ...

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        """Return these partitions; those that no longer exist are left out."""
        ...

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        """Return end offsets and group lags of a limited sample of these partitions."""
        ...

    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        """Return the throttle (KIP-73) in force; `topics` None means all topics."""
        ...

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Return each broker's settings by name.

        Secrets, and brokers that do not answer, are left out.
        """
        ...

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Return which of these registered brokers accept no TCP connection, with the reason.

        The connection is made to the broker's advertised address.
        """
        ...

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        """Return which of these brokers have lately reported metrics to Cruise Control.

        None when that cannot be seen.
        """
        ...

    async def loading_coordinators(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        """Return which of these brokers are loading coordinators, and which ones, as text.

        Groups or transactions wait until a coordinator is loaded.
        """
        ...

    async def set_throttle(self, change: ThrottleChange) -> None:
        """Set rates and throttled replicas in a few batched requests; live brokers only."""
        ...

    async def clear_throttle(self, change: ThrottleChange) -> None:
        """Remove exactly what `change` names; what is not set is no error."""
        ...

    async def reorder_replicas(
        self, replica_orders: Mapping[TopicPartition, Sequence[int]]
    ) -> None:
        """Put the replicas of partitions into this order.

        The brokers stay the same, so that nothing is copied.
        """
        ...

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        """Begin reassignments (KIP-455); a target of None cancels the one in flight.

        A refusal is no error here; the next observation shows it.
        """
        ...

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        """Run preferred leader elections; partitions that need none are no error."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlState:
    """The state of Cruise Control."""

    executor: Executor  # OURS when the reason of the execution begins with our migration's id
    executor_state: str  # its own word, such as INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS
    executor_reason: str
    valid_windows: int
    self_healing: tuple[str, ...] = ()  # anomaly types for which it is enabled


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTask:
    """A remove_broker user task whose reason is our key."""

    user_task_id: str
    status: TaskStatus
    reason: str
    # who else requested to stop it (endpoint, client and time); empty when nobody did
    stopped_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBroker:
    """One remove_broker request.

    `throttle_bytes_per_second` is given only when Cruise Control has to set the throttle.
    """

    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    reason: str
    partition_movements_per_broker: int
    progress_check_interval_ms: int
    throttle_bytes_per_second: int | None = None
    dryrun: bool = False


class CruiseControlPort(Protocol):
    """The part of Cruise Control's REST API that the agent calls.

    Raises PortError when it cannot be reached.
    """

    def can_spare_a_question(self) -> bool:
        """Whether a standing watch may ask now; effects ask in any case."""
        ...

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        """Return the state of executor and monitor.

        An earlier answer up to `age_seconds_max` old is good enough if the executor was idle in it
        and this agent has changed nothing in Cruise Control since.
        """
        ...

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        """Return the remove_broker tasks, without dry runs, that bear a key; the oldest first.

        Their reason is `key` or begins with `key` + '/'.
        """
        ...

    async def remove_broker(
        self, request: RemoveBroker
    ) -> ExecutionRequested | Busy | Unreachable | Rejected:
        """Request it once; never raises. Unreachable: it may or may not have been accepted."""
        ...

    async def stop(self, reason: str) -> None:
        """Stop the execution (stop_proposal_execution); reassignments of other tools go on.

        `reason` marks the stop as ours.
        """
        ...

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        """Change the concurrency of the running execution from its next progress check on."""
        ...


class SnapshotPort(Protocol):
    """The stored assignment before the start, and positions before each wave.

    Every call may raise PortError.
    """

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        """Store the assignment; saving again replaces it."""
        ...

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        """Return the replicas of each partition in order; None if the snapshot is not complete."""
        ...

    async def save_positions(self, migration_id: str, wave: int, positions: Positions) -> None:
        """Store the positions before a wave; saving again replaces them."""
        ...

    async def load_positions(self, migration_id: str, wave: int) -> Positions | None:
        """Return the stored positions; None if there are none."""
        ...


class DiscoveryPort(Protocol):
    """The service registry in which clients find the brokers.

    Raises PortError when it does not answer or refuses.
    """

    async def endpoints_of(self, broker_ids: Iterable[int]) -> Sequence[Endpoint]:
        """Return the current entries of these brokers; those that have none are left out."""
        ...

    async def register(
        self, broker_ids: Iterable[int], restore: Iterable[Endpoint]
    ) -> Sequence[Reason]:
        """Register these brokers, each as in `restore` if it has an entry there.

        A broker is registered only once its endpoint answers; existing entries stay. Returns why
        some are not registered or not passing; empty when clients can find all of them.
        """
        ...

    async def deregister(self, broker_ids: Iterable[int]) -> Sequence[Reason]:
        """Deregister these brokers; return why some are still registered.

        A broker that is not registered is no error.
        """
        ...


class ClientCensus(Protocol):
    """Counts the connections of clients to brokers, as far as the implementation sees them."""

    async def connections(self, broker_ids: Iterable[int]) -> Mapping[int, int]:
        """Return the connections by broker; unknown ones are left out. Raises PortError."""
        ...


class LeasePort(Protocol):
    """The right to drive one cluster, held by one agent at a time.

    When it is lost, no new effect begins.
    """

    def held(self) -> bool:
        """Whether this agent holds the lease now; checked before every change."""
        ...

    def holder(self) -> str:
        """Return who holds the lease, as a text for people."""
        ...


class KraftKafkaPort(Protocol):
    """What only a migration to KRaft reads: brokers' properties files, and the quorum."""

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        """Return the settings in each broker's properties file.

        Brokers that do not answer are left out. Raises PortError.
        """
        ...

    async def quorum(self, broker_id: int) -> QuorumFacts:
        """Return the controllers' quorum as a broker in KRaft mode knows it. Raises PortError."""
        ...


class KraftZooKeeperPort(Protocol):
    """The znodes by which ZooKeeper and KRaft agree on the controller of the cluster."""

    async def facts(self) -> ZooKeeperFacts:
        """Return the contents of those znodes; never raises: without an answer, not reachable."""
        ...

    async def release(self) -> ZooKeeperReleased:
        """Delete /migration, and /controller if a KRaft controller holds it; may be repeated.

        Raises PortError.
        """
        ...


class ControllerMetricsPort(Protocol):
    """The metrics pages of KRaft controllers."""

    async def facts(self, controllers: Iterable[KraftController]) -> tuple[ControllerFacts, ...]:
        """Return the facts on each page; a controller that does not answer is `reachable=False`."""
        ...


class RestartsPort(Protocol):
    """Restarts nodes with new settings: people, the lab, or a tool behind a webhook.

    A restart is requested once for each attempt; the cluster itself shows whether it has happened.
    """

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Request the restart of a node; it may still be going on at the return.

        Raises PortError when it could not be requested.
        """
        ...

    async def close(self) -> None:
        """Close open connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports that the migration of one cluster needs."""

    kafka: KafkaPort
    cruise_control: CruiseControlPort
    snapshots: SnapshotPort
    lease: LeasePort
    clock: Clock
    discovery: DiscoveryPort | None = None  # None: there is no service registry
    census: ClientCensus | None = None  # None: nobody counts the connections of clients
