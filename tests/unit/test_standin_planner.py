"""The stand-in's planner: where replicas go, in which order, and when it refuses."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.lab.standin.cluster import Broker, ClusterView, Partition, TopicPartition
from deploy.lab.standin.errors import OperationError
from deploy.lab.standin.goals import HARD_GOALS, STOCK_GOALS
from deploy.lab.standin.model import BYTES_PER_MB, ClusterModel
from deploy.lab.standin.plan import Limits, Plan, Removal
from deploy.lab.standin.planner import plan_rebalance, plan_removal
from deploy.lab.standin.render import java_hash

RACKS = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
ORDERS = [(11, 12, 13), (12, 13, 11), (13, 11, 12), (11, 13, 12), (12, 11, 13), (13, 12, 11)]


def model(
    assignments: list[tuple[int, ...]], dead: frozenset[int] = frozenset(), size_mb: int = 10
) -> ClusterModel:
    """A topic with these replicas, each led by its first."""
    partitions = {
        TopicPartition("topic", number): Partition(
            TopicPartition("topic", number),
            replicas[0],
            replicas,
            tuple(b for b in replicas if b not in dead),
        )
        for number, replicas in enumerate(assignments)
    }
    brokers = {
        broker: Broker(broker, "127.0.0.1", rack)
        for broker, rack in RACKS.items()
        if broker not in dead
    }
    view = ClusterView(brokers, 11, partitions)
    return ClusterModel(view, dict.fromkeys(partitions, size_mb * BYTES_PER_MB))


def ninety_one() -> ClusterModel:
    return model([ORDERS[number % 6] for number in range(91)])


def reordered(plan: Plan, pairs: dict[int, int]) -> list[TopicPartition]:
    """Partitions whose new replicas are not the old ones with each source replaced by its
    destination.
    """
    return [
        proposal.tp
        for proposal in plan.proposals
        if tuple(pairs.get(broker, broker) for broker in proposal.old_replicas)
        != proposal.new_replicas
    ]


def refusal(given_model: ClusterModel, request: Removal) -> str:
    with pytest.raises(OperationError) as raised:
        plan_removal(given_model, request)
    return str(raised.value)


def test_hard_goals_keep_order_and_leaders() -> None:
    """With the six hard goals alone the destination stands exactly where the source stood."""
    plan = plan_removal(ninety_one(), Removal((11,), (31,), HARD_GOALS))
    assert len(plan.proposals) == 91
    assert reordered(plan, {11: 31}) == []


def test_stock_goals_reorder_a_few() -> None:
    """Stock goals hand a few leaders, and with them the first place, to another replica: 2 to 3
    of 91 as recorded.
    """
    plan = plan_removal(ninety_one(), Removal((11,), (31,), STOCK_GOALS))
    assert 2 <= len(reordered(plan, {11: 31})) <= 3
    assert plan.replica_movements == 91


def test_plans_are_deterministic() -> None:
    """The same cluster and request give the same plan."""
    request = Removal((11,), (31,), STOCK_GOALS)
    assert (
        plan_removal(ninety_one(), request).proposals
        == plan_removal(ninety_one(), request).proposals
    )


def test_the_leader_stands_first() -> None:
    """A partition not led by its first replica is reordered even under hard goals, as recorded
    after a stop.
    """
    skewed = model([(12, 13, 11)])
    tp = TopicPartition("topic", 0)
    skewed = replace(
        skewed,
        view=replace(skewed.view, partitions={tp: replace(skewed.view.partitions[tp], leader=11)}),
    )
    (proposal,) = plan_removal(skewed, Removal((11,), (31,), HARD_GOALS)).proposals
    assert proposal.new_replicas == (31, 13, 12)


def test_three_brokers_stay_in_their_zones() -> None:
    """Several brokers with one destination per rack each keep their rack."""
    plan = plan_removal(ninety_one(), Removal((11, 12, 13), (31, 32, 33), HARD_GOALS))
    assert reordered(plan, {11: 31, 12: 32, 13: 33}) == []
    assert plan.data_to_move_mb == 91 * 3 * 10


def test_an_empty_source_moves_nothing() -> None:
    """A broker without replicas is a plan without proposals, not an error."""
    assert plan_removal(model([(12, 13, 31)]), Removal((11,), (31,), HARD_GOALS)).proposals == ()


def test_wrong_rack_is_refused() -> None:
    """A destination in another rack cannot take the replica, and the refusal names the broker
    that could.
    """
    message = refusal(ninety_one(), Removal((12,), (31,), HARD_GOALS))
    assert "[RackAwareGoal] Cannot move Replica[" in message
    assert "to [Broker[id=32,rack=az-b,state=ALIVE,replicaCount=0,logdirs=[]]]" in message
    assert "The destination brokers are limited to [31]" in message


def test_without_rack_awareness_any_broker_will_do() -> None:
    """Leaving the goal out leaves the check out."""
    plan = plan_removal(model([(11, 12, 13)]), Removal((12,), (31,), ("ReplicaCapacityGoal",)))
    assert plan.proposals[0].new_replicas == (11, 31, 13)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Removal((99,), (31,)), "Broker 99 does not exist."),
        (Removal((11,), (98,)), "Broker [98] does not exist."),
    ],
)
def test_unknown_brokers_are_refused(request_: Removal, message: str) -> None:
    """A broker that is neither alive nor holds replicas does not exist."""
    assert message in refusal(ninety_one(), request_)


def test_four_replicas_need_four_racks() -> None:
    """While a partition has an extra replica nothing can be planned under rack awareness."""
    message = refusal(model([(31, 12, 13, 11)]), Removal((12,), (32,), HARD_GOALS))
    assert (
        "Insufficient number of racks to distribute each replica (Current: 3, Needed: 4)" in message
    )


def test_a_dead_broker_with_replicas_stops_the_others() -> None:
    """Only its own removal is planned while it is dead."""
    cluster = model([(11, 12, 13)], dead=frozenset({11}))
    assert "Excluded rack ids cannot contain an empty rack id." in refusal(
        cluster, Removal((12,), (32,), HARD_GOALS)
    )
    assert plan_removal(cluster, Removal((11,), (31,), HARD_GOALS)).proposals[0].new_replicas == (
        31,
        12,
        13,
    )


def test_a_dead_empty_broker_is_harmless() -> None:
    """It is simply not known."""
    cluster = model([(11, 12, 13)], dead=frozenset({33}))
    assert plan_removal(cluster, Removal((11,), (31,), HARD_GOALS)).replica_movements == 1


def test_a_dead_destination_does_not_exist() -> None:
    """Even when it holds replicas."""
    cluster = model([(11, 12, 13), (31, 12, 13)], dead=frozenset({31}))
    assert "Broker [31] does not exist." in refusal(cluster, Removal((11,), (31,), HARD_GOALS))


def test_recently_removed_brokers_take_nothing() -> None:
    """Unless they are the destination that was asked for."""
    excluded = frozenset({11})
    cluster = model([(31, 12, 13)])
    message = refusal(cluster, Removal((31,), (), HARD_GOALS, excluded))
    assert "The following brokers are excluded from replica moves [11]." in message
    assert plan_removal(cluster, Removal((31,), (11,), HARD_GOALS)).proposals[0].new_replicas == (
        11,
        12,
        13,
    )


def test_a_full_disk_is_refused() -> None:
    """The hard goals guard the disk of the destination."""
    message = refusal(ninety_one(), Removal((11,), (31,), HARD_GOALS, limits=Limits(disk_mb=100.0)))
    assert "[DiskCapacityGoal]" in message


def test_balancedness_is_that_of_the_recordings() -> None:
    """With hard goals alone the score rises from 79.13 to 100 when rack awareness was what had
    to be fixed.
    """
    plan = plan_removal(ninety_one(), Removal((11,), (31,), HARD_GOALS))
    assert plan.balancedness_before == pytest.approx(79.12660178521205)
    assert plan.balancedness_after == pytest.approx(100.0)


def test_rebalance_levels_within_racks() -> None:
    """`proposals` with stock goals evens out replicas and leaves the racks as they are."""
    plan = plan_rebalance(ninety_one(), STOCK_GOALS, frozenset(), ())
    loads = {row.broker: row.replicas for row in plan.after.loads()}
    assert loads[11] - loads[31] <= 1
    assert all(
        [RACKS[b] for b in p.old_replicas] == [RACKS[b] for b in p.new_replicas]
        for p in plan.proposals
        if p.old_leader == p.old_replicas[0]
    )


def test_hash_is_javas() -> None:
    """`hash` is hashCode() of Kafka's TopicPartition: the recorded number for topic-03-5."""
    assert java_hash(TopicPartition("topic-03", 5)) == -957340739


@given(
    assignments=st.lists(st.sampled_from(ORDERS), min_size=1, max_size=30),
    removed=st.sets(st.sampled_from([11, 12, 13]), min_size=1),
    goals=st.sampled_from([HARD_GOALS, STOCK_GOALS]),
)
def test_plans_keep_what_must_be_kept(
    assignments: list[tuple[int, ...]], removed: set[int], goals: tuple[str, ...]
) -> None:
    """Replication factor, one replica a rack, and no replica left on a removed broker."""
    plan = plan_removal(model(assignments), Removal(tuple(sorted(removed)), (31, 32, 33), goals))
    for partition in plan.after.view.partitions.values():
        assert len(set(partition.replicas)) == 3
        assert len({RACKS[broker] for broker in partition.replicas}) == 3
        assert not removed & set(partition.replicas)
