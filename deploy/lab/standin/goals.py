"""Names, order and cost of Cruise Control's goals. Pure."""

HARD_GOALS = (
    "RackAwareGoal",
    "ReplicaCapacityGoal",
    "DiskCapacityGoal",
    "NetworkInboundCapacityGoal",
    "NetworkOutboundCapacityGoal",
    "CpuCapacityGoal",
)
STOCK_GOALS = (
    *HARD_GOALS,
    "ReplicaDistributionGoal",
    "PotentialNwOutGoal",
    "DiskUsageDistributionGoal",
    "NetworkInboundUsageDistributionGoal",
    "NetworkOutboundUsageDistributionGoal",
    "CpuUsageDistributionGoal",
    "TopicReplicaDistributionGoal",
    "LeaderReplicaDistributionGoal",
    "LeaderBytesInDistributionGoal",
)
OTHER_GOALS = (
    "BrokerSetAwareGoal",
    "IntraBrokerDiskCapacityGoal",
    "IntraBrokerDiskUsageDistributionGoal",
    "KafkaAssignerDiskUsageDistributionGoal",
    "KafkaAssignerEvenRackAwareGoal",
    "MinTopicLeadersPerBrokerGoal",
    "PreferredLeaderElectionGoal",
    "RackAwareDistributionGoal",
)
"""Goals that the stand-in accepts and ignores."""

SUPPORTED_GOALS = tuple(sorted((*STOCK_GOALS, *OTHER_GOALS)))
RACK_AWARE = "RackAwareGoal"
MODEL_BASED_GOALS = frozenset(
    {
        "RackAwareGoal",
        "ReplicaCapacityGoal",
        "ReplicaDistributionGoal",
        "TopicReplicaDistributionGoal",
        "LeaderReplicaDistributionGoal",
    }
)
"""Goals that need no metrics, only the replicas: they are ready before any partition is
monitored."""

NOT_ALL_TOPICS_GOALS = frozenset(
    {
        "PotentialNwOutGoal",
        "NetworkInboundUsageDistributionGoal",
        "NetworkOutboundUsageDistributionGoal",
        "CpuUsageDistributionGoal",
        "LeaderBytesInDistributionGoal",
    }
)

_PRIORITY_WEIGHT = 1.1
_STRICTNESS_WEIGHT = 1.5


def simple_name(goal: str) -> str:
    """The name of a goal without its Java package, which a request may give."""
    return goal.rsplit(".", 1)[-1]


def balancedness(goals: tuple[str, ...], violated: frozenset[str]) -> float:
    """The balancedness score: 100 less the cost of each violated goal.

    Each goal costs 1.1 times as much as the next one, and a hard goal 1.5 times that.
    """
    weights: dict[str, float] = {}
    weight = 1.0
    for goal in reversed(goals):
        weight *= _PRIORITY_WEIGHT
        weights[goal] = weight * (_STRICTNESS_WEIGHT if goal in HARD_GOALS else 1.0)
    total = sum(weights.values())
    return 100.0 - sum(100.0 * weights[goal] / total for goal in goals if goal in violated)
