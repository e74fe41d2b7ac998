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
"""Goals that are accepted and change nothing here."""

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
"""Goals that need the replicas only and no metrics: they are ready without a monitored partition."""  # noqa: E501

NOT_ALL_TOPICS_GOALS = frozenset({"PotentialNwOutGoal", "NetworkInboundUsageDistributionGoal",
                                  "NetworkOutboundUsageDistributionGoal", "CpuUsageDistributionGoal",  # noqa: E501
                                  "LeaderBytesInDistributionGoal"})  # fmt: skip

_PRIORITY_WEIGHT = 1.1
_STRICTNESS_WEIGHT = 1.5


def simple_name(goal: str) -> str:
    """Goals may be given with their Java package."""
    return goal.rsplit(".", 1)[-1]


def balancedness(goals: tuple[str, ...], violated: frozenset[str]) -> float:
    """100 less the cost of each violated goal; an earlier goal costs 1.1 times the next, a hard
    one 1.5 times more.
    """
    weights: dict[str, float] = {}
    weight = 1.0
    for goal in reversed(goals):
        weight *= _PRIORITY_WEIGHT
        weights[goal] = weight * (_STRICTNESS_WEIGHT if goal in HARD_GOALS else 1.0)
    total = sum(weights.values())
    return 100.0 - sum(100.0 * weights[goal] / total for goal in goals if goal in violated)
