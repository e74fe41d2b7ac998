"""Facts about a cluster."""

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition, TopicPartition

STILL = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
MOVING = Partition(
    "t", 1, leader=11, replicas=(31, 12, 13, 11), isr=(11, 12, 13), adding=(31,), removing=(11,)
)


def test_a_moving_partition_knows_where_it_comes_from_and_goes_to() -> None:
    """The union without the adding ones is the origin, without the removing ones the target,
    order kept.
    """
    assert MOVING.is_moving
    assert MOVING.origin == (12, 13, 11)
    assert MOVING.target == (31, 12, 13)
    assert not STILL.is_moving
    assert STILL.origin == STILL.target == (11, 12, 13)


def test_held_by_counts_what_will_stay() -> None:
    """A replica that is being removed is not held any more, one that is being added is."""
    facts = ClusterFacts(brokers=(Broker(11, "a"),), partitions=(STILL, MOVING))
    assert [p.partition for p in facts.held_by(frozenset({11}))] == [0]
    assert [p.partition for p in facts.held_by(frozenset({31}))] == [1]
    assert [p.partition for p in facts.moving()] == [1]


def test_racks_are_those_of_live_brokers() -> None:
    """A broker that is not there has no AZ."""
    assert ClusterFacts(brokers=(Broker(11, "a"), Broker(12, None)), partitions=()).racks == {
        11: "a",
        12: None,
    }


def test_log_figures_add_up() -> None:
    """Replicas are counted and their bytes summed; unknown free space stays unknown."""
    logs = BrokerLogs(11, {TopicPartition("t", 0): 5, TopicPartition("u", 3): 7})
    assert logs.totals == (2, 12, -1)
    assert str(TopicPartition("a.b", 3)) == "a.b-3"
