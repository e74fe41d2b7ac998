"""The request to the planner and its result: a removal, and a plan of proposals."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deploy.lab.standin.cluster import ClusterView, TopicPartition
from deploy.lab.standin.goals import STOCK_GOALS
from deploy.lab.standin.model import BYTES_PER_MB, ClusterModel


@dataclass(frozen=True)
class Proposal:
    """The change of one partition."""

    tp: TopicPartition
    old_leader: int
    old_replicas: tuple[int, ...]
    new_replicas: tuple[int, ...]
    size_bytes: int

    @property
    def adding(self) -> frozenset[int]:
        return frozenset(self.new_replicas) - frozenset(self.old_replicas)

    @property
    def removing(self) -> frozenset[int]:
        return frozenset(self.old_replicas) - frozenset(self.new_replicas)

    @property
    def moves_replicas(self) -> bool:
        return self.new_replicas != self.old_replicas

    @property
    def moves_leader(self) -> bool:
        return self.new_replicas[0] != self.old_leader

    @property
    def data_to_move_mb(self) -> int:
        return len(self.adding) * (self.size_bytes // BYTES_PER_MB)


@dataclass(frozen=True)
class Limits:
    """The capacity of each broker."""

    replicas: int = 10_000
    disk_mb: float = 80_000.0


@dataclass(frozen=True)
class Removal:
    """Without `destinations`, every broker may take replicas.

    `excluded` are brokers that were removed recently.
    """

    brokers: tuple[int, ...]
    destinations: tuple[int, ...] = ()
    goals: tuple[str, ...] = STOCK_GOALS
    excluded: frozenset[int] = frozenset()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Plan:
    before: ClusterModel
    after: ClusterModel
    proposals: tuple[Proposal, ...]
    goals: tuple[str, ...]
    goal_status: Mapping[str, str]
    balancedness_before: float
    balancedness_after: float

    @property
    def replica_movements(self) -> int:
        return sum(1 for proposal in self.proposals if proposal.adding)

    @property
    def leader_movements(self) -> int:
        return sum(
            1 for proposal in self.proposals if not proposal.adding and proposal.moves_leader
        )

    @property
    def data_to_move_mb(self) -> int:
        return sum(proposal.data_to_move_mb for proposal in self.proposals)


def apply(view: ClusterView, proposals: list[Proposal]) -> ClusterView:
    """The cluster after everything has moved."""
    partitions = dict(view.partitions)
    for proposal in proposals:
        partition = partitions[proposal.tp]
        partitions[proposal.tp] = replace(
            partition,
            leader=proposal.new_replicas[0],
            replicas=proposal.new_replicas,
            in_sync=proposal.new_replicas,
            offline=(),
        )
    return replace(view, partitions=partitions)
