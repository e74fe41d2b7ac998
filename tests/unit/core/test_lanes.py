"""Order and size: canary, giants, internal topics; zone waves of bounded size; the next moves
of a selection.
"""

from dataclasses import replace

import pytest

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.model.reasons import Code
from agent.core.planning.lanes import (
    INTERNAL_AT_ONCE,
    LARGE_AT_ONCE,
    LARGE_PARTITIONS_MAX,
    next_moves,
    split_by_bounds,
)
from agent.core.planning.options import InternalTopics, Options, Pairing
from agent.core.planning.plan import Direction, Plan, Wave, WaveState, make_plan
from agent.core.planning.policy import Policy
from agent.core.planning.rollback import rollback_waves
from agent.core.planning.selection import EVERYTHING, INTERNAL_TOPICS, Lane, Selection

RACKS = {11: "a", 12: "b", 31: "a", 32: "b"}
POLICY = Policy(
    source_broker_ids=(11, 12), destination_broker_ids=(31, 32), slow_bytes_per_second=7
)
SIZES = {
    ("t", 0): 50,
    ("t", 1): 10,
    ("t", 2): 900,
    ("u", 0): 20,
    (INTERNAL_TOPICS[0], 0): 5,
    (INTERNAL_TOPICS[1], 0): 6,
}
NAMES = [TopicPartition(*n) for n in SIZES]
FACTS = ClusterFacts(
    brokers=tuple(Broker(b, rack) for b, rack in RACKS.items()),
    partitions=tuple(Partition(*n, leader=11, replicas=(11, 12), isr=(11, 12)) for n in NAMES),
)
LOGS = {b: BrokerLogs(b, {n: SIZES[n] for n in NAMES}) for b in (11, 12)}


def _plan(**options: object) -> Plan:
    plan, reasons = make_plan(Options(**options), POLICY, FACTS, LOGS, "p")  # type: ignore[arg-type]
    assert plan is not None, reasons
    return plan


def _order(plan: Plan) -> list[tuple[int, Lane, int]]:
    return [(w.source_broker_ids[0], w.lane, w.replicas) for w in plan.waves]


def test_without_lanes_a_wave_is_a_pair() -> None:
    """Everything goes to Cruise Control, as ever."""
    plan = _plan()
    assert _order(plan) == [(11, Lane.REST, 6), (12, Lane.REST, 6)]
    assert all(w.selection is None for w in plan.waves)


def test_the_canary_is_the_smallest_of_the_first_pair() -> None:
    """Neither internal topics nor giants: what hurts least; and the rest of the pair has that
    much less.
    """
    plan = _plan(canary_partitions=2)
    assert _order(plan) == [(11, Lane.CANARY, 2), (11, Lane.REST, 4), (12, Lane.REST, 6)]
    assert plan.waves[0].selection == Selection(partitions=(("t", 1), ("u", 0)))
    assert plan.waves[0].size_bytes == 30
    assert plan.size_bytes == 2 * sum(SIZES.values())
    assert [w.number for w in plan.waves] == [1, 2, 3]


def test_giants_have_a_lane_of_each_pair() -> None:
    """They are named, and few of them move at once; a pair without any has no such wave."""
    plan = _plan(large_partition_bytes=900)
    assert _order(plan) == [
        (11, Lane.LARGE, 1),
        (11, Lane.REST, 5),
        (12, Lane.LARGE, 1),
        (12, Lane.REST, 5),
    ]
    assert plan.waves[0].partition_movements_max == LARGE_AT_ONCE
    assert _order(_plan(large_partition_bytes=901)) == [(11, Lane.REST, 6), (12, Lane.REST, 6)]


def test_internal_topics_first_go_slowly_before_the_rest_of_their_pair() -> None:
    """By the agent, at a tenth of the throttle; Cruise Control takes the rest."""
    plan = _plan(internal_topics=InternalTopics.FIRST, throttle_bytes_per_second=500)
    assert _order(plan) == [
        (11, Lane.INTERNAL, 2),
        (11, Lane.REST, 4),
        (12, Lane.INTERNAL, 2),
        (12, Lane.REST, 4),
    ]
    slow = plan.waves[0]
    assert (slow.throttle_bytes_per_second_max, slow.partition_movements_max) == (
        50,
        INTERNAL_AT_ONCE,
    )
    assert plan.waves[1].throttle_bytes_per_second_max is None


def test_internal_topics_last_are_what_the_agent_leaves_to_cruise_control() -> None:
    """All others of all pairs first, by the agent; then what is left on each source, slowly, so
    that it ends empty.
    """
    plan = _plan(internal_topics=InternalTopics.LAST, canary_partitions=1)
    assert _order(plan) == [
        (11, Lane.CANARY, 1),
        (11, Lane.OTHERS, 3),
        (12, Lane.OTHERS, 4),
        (11, Lane.REST, 2),
        (12, Lane.REST, 2),
    ]
    assert [w.selection is None for w in plan.waves] == [False, False, False, True, True]
    assert [w.throttle_bytes_per_second_max for w in plan.waves] == [None, None, None, 7, 7]


def test_internal_topics_may_have_a_throttle_of_their_own() -> None:
    """What is asked for counts, whatever the migration's own is."""
    plan = _plan(internal_topics=InternalTopics.FIRST, internal_throttle_bytes_per_second=33)
    assert plan.waves[0].throttle_bytes_per_second_max == 33


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(pairing=Pairing.ZONE, canary_partitions=1), Code.LANES_NEED_PAIRS),
        (Options(pairing=Pairing.ZONE, internal_topics=InternalTopics.LAST), Code.LANES_NEED_PAIRS),
        (Options(wave_brokers_max=1), Code.WAVE_BOUNDS_NEED_ZONE),
        (Options(wave_bytes_max=1), Code.WAVE_BOUNDS_NEED_ZONE),
    ],
)
def test_what_does_not_go_together_is_refused(options: Options, code: Code) -> None:
    """An option that could not be kept is never left out in silence."""
    plan, reasons = make_plan(options, POLICY, FACTS, LOGS, "p")
    assert (plan, [r.code for r in reasons]) == (None, [code])


def test_too_many_giants_are_refused() -> None:
    """They are named one by one in the state, which has a limit."""
    many = [TopicPartition("m", n) for n in range(LARGE_PARTITIONS_MAX + 1)]
    facts = replace(
        FACTS, partitions=tuple(Partition(*n, leader=11, replicas=(11,), isr=(11,)) for n in many)
    )
    plan, reasons = make_plan(
        Options(large_partition_bytes=1),
        POLICY,
        facts,
        {11: BrokerLogs(11, dict.fromkeys(many, 1))},
        "p",
    )
    assert (plan, [r.code for r in reasons]) == (None, [Code.WAVE_TOO_LARGE_FOR_STATE])


def test_the_way_back_of_a_selection_takes_the_same_selection() -> None:
    """Exactly what went; the rest goes back at full speed, whatever held it on the way."""
    plan = _plan(internal_topics=InternalTopics.LAST, canary_partitions=1)
    back = rollback_waves([replace(w, attempt=1) for w in plan.waves])
    assert [(w.source_broker_ids, w.lane) for w in back] == [
        ((32,), Lane.REST),
        ((31,), Lane.REST),
        ((32,), Lane.OTHERS),
        ((31,), Lane.OTHERS),
        ((31,), Lane.CANARY),
    ]
    assert back[-1].selection == plan.waves[0].selection
    assert all(
        w.throttle_bytes_per_second_max is None and w.direction is Direction.BACK for w in back
    )


def test_a_whole_wave_takes_back_what_the_lanes_of_its_pair_have_moved() -> None:
    """It takes all that is on its destination: their replicas are counted once, and a lane
    without one by itself.
    """
    lane = Wave(
        number=1, az="a", source_broker_ids=(11,), destination_broker_ids=(31,), replicas=3,
        size_bytes=30, attempt=1, state=WaveState.DONE, lane=Lane.CANARY,
        selection=Selection(topics=("u",)),
    )  # fmt: skip
    half = replace(
        lane,
        number=2,
        state=WaveState.ACTIVE,
        selection=None,
        replicas=10,
        size_bytes=100,
        replicas_left=4,
        bytes_left=40,
    )
    other = replace(lane, number=3, source_broker_ids=(12,), destination_broker_ids=(32,))
    assert [(w.replicas, w.size_bytes) for w in rollback_waves((lane, half, other))] == [
        (3, 30),
        (9, 90),
        (0, 0),
    ]


def test_a_selection_takes_what_it_names_and_nothing_else() -> None:
    """Topics, all topics but some, or partitions by name; none at all takes everything."""
    assert [n for n in NAMES if Selection(topics=("u",)).contains(n)] == [("u", 0)]
    assert [n for n in NAMES if Selection(excluded_topics=INTERNAL_TOPICS).contains(n)] == NAMES[:4]
    assert [n for n in NAMES if Selection(partitions=(("t", 2),)).contains(n)] == [("t", 2)]
    assert all(EVERYTHING.contains(n) for n in NAMES)


def _sized(**sizes: int) -> dict[int, BrokerLogs]:
    return {
        int(b[1:]): BrokerLogs(int(b[1:]), {TopicPartition("t", 0): size})
        for b, size in sizes.items()
    }


def test_a_zone_is_cut_by_brokers_or_by_bytes() -> None:
    """K sources to K destinations; a broker larger than the bound stands alone; uneven sets
    cannot be cut.
    """
    logs = _sized(b1=5, b2=5, b3=50, b4=1)
    sources, destinations = (1, 2, 3, 4), (5, 6, 7, 8)
    by_two = split_by_bounds(sources, destinations, Options(wave_brokers_max=2), logs)
    assert by_two == [((1, 2), (5, 6)), ((3, 4), (7, 8))]
    by_bytes = split_by_bounds(sources, destinations, Options(wave_bytes_max=10), logs)
    assert by_bytes == [((1, 2), (5, 6)), ((3,), (7,)), ((4,), (8,))]
    assert split_by_bounds(sources, destinations, Options(), logs) == [(sources, destinations)]
    assert split_by_bounds(sources, (5,), Options(wave_brokers_max=2), logs) is None


def test_a_bounded_zone_is_planned_so() -> None:
    """A wave each where one broker is the bound."""
    plan = _plan(pairing=Pairing.ZONE, wave_brokers_max=1)
    assert [(w.source_broker_ids, w.destination_broker_ids) for w in plan.waves] == [
        ((11,), (31,)),
        ((12,), (32,)),
    ]


def test_the_next_moves_put_the_destination_in_the_very_place() -> None:
    """Exact order, smallest first or largest first; what moves, has moved or is there already
    is left alone.
    """
    waiting = [Partition("t", n, leader=11, replicas=(12, 11), isr=(11, 12)) for n in range(3)]
    moving = Partition(
        "t", 3, leader=11, replicas=(31, 11, 12), isr=(11, 12), adding=(31,), removing=(11,)
    )
    there = Partition("t", 4, leader=11, replicas=(11, 31), isr=(11, 31))
    sizes = {p.name: 10 * (n + 1) for n, p in enumerate(waiting)}
    moves = next_moves([*waiting, moving, there], sizes, 11, 31, 2, largest_first=False)
    assert moves == {("t", 0): (12, 31), ("t", 1): (12, 31)}
    assert list(next_moves(waiting, sizes, 11, 31, 1, largest_first=True)) == [("t", 2)]
    assert next_moves(waiting, sizes, 11, 31, -1, largest_first=False) == {}
