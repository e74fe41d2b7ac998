"""What Kafka shows after a wave or a rollback, against the assignment before the start."""

from dataclasses import replace

from agent.core.checks.verification import (
    compare_with_snapshot,
    inspect_wave,
    left_on,
    misordered,
    not_on_preferred_leader,
    orphaned_copy_bytes,
)
from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.model.reasons import Code
from agent.core.planning.plan import Direction, Wave
from agent.core.planning.rollback import rollback_waves
from agent.core.planning.selection import Selection

RACKS = {11: "a", 12: "b", 13: "c", 31: "a", 32: "b", 33: "c"}
WAVE = Wave(number=1, az="a", source_broker_ids=(11,), destination_broker_ids=(31,), attempt=1)
OTHER = Wave(number=2, az="b", source_broker_ids=(12,), destination_broker_ids=(32,))
T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)
BEFORE = {T0: (11, 12, 13), T1: (12, 11, 13)}
MOVED = (
    Partition("t", 0, leader=31, replicas=(31, 12, 13), isr=(12, 13, 31)),
    Partition("t", 1, leader=12, replicas=(12, 31, 13), isr=(12, 13, 31)),
)


def _facts(*partitions: Partition) -> ClusterFacts:
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in RACKS.items()), partitions=partitions
    )


def _look(*partitions: Partition, bytes_left: int = 0):  # type: ignore[no-untyped-def]  # noqa: ANN202
    logs = {11: BrokerLogs(11, {T0: bytes_left} if bytes_left else {})}
    return inspect_wave(_facts(*partitions), WAVE, (WAVE, OTHER), BEFORE, logs, 0)


def test_a_clean_wave_shows_only_zeros() -> None:
    """Every replica moved, in sync, led by its preferred one, in its place: nothing is left to
    complain of.
    """
    f = _look(*MOVED)
    assert (f.replicas_left, f.bytes_left, f.leaders_left, f.reassignments) == (0, 0, 0, 0)
    assert (f.not_in_sync, f.not_preferred, f.throttles_left, f.order_changed, f.faults) == (
        0,
        0,
        0,
        0,
        (),
    )
    assert f.partitions == 2


def test_what_a_stop_has_left_is_what_assignments_name_on_the_source() -> None:
    """Strays and what the wave does not take count nothing; a silent source tells no bytes, its
    replicas are known.
    """
    moved, other = MOVED
    here = replace(other, replicas=(12, 11, 13), isr=(11, 12, 13))
    facts = _facts(moved, here, Partition("u", 0, leader=11, replicas=(11,), isr=(11,)))
    logs = {11: BrokerLogs(11, {T0: 5, T1: 7, TopicPartition("u", 0): 9})}
    sources = frozenset({11})
    assert left_on(facts, sources, lambda _: True, logs) == (2, 16)
    assert left_on(facts, sources, lambda name: name[0] == "t", logs) == (1, 7)
    assert left_on(facts, sources, lambda _: True, {}) == (2, None)


def test_each_figure_counts_what_it_says() -> None:
    """One thing wrong shows in its own figure."""
    moved, other = MOVED
    assert _look(moved, replace(other, replicas=(12, 11, 13), isr=(11, 12, 13))).replicas_left == 1
    assert _look(*MOVED, bytes_left=7).bytes_left == 7
    assert _look(moved, replace(other, isr=(12, 13))).not_in_sync == 1
    assert _look(moved, replace(other, leader=13)).not_preferred == 1
    flying = replace(other, replicas=(12, 31, 13, 11), adding=(31,), removing=(11,))
    assert _look(moved, flying).reassignments == 1
    assert _look(moved, replace(other, replicas=(31, 12, 13), leader=31)).order_changed == 1
    assert _look(moved, Partition("u", 0, leader=11, replicas=(11,), isr=(11,))).leaders_left == 1


def test_what_a_stop_has_cut_off_is_counted_where_it_is_not_at_home() -> None:
    """Copies at home and of strangers do not count; a broker that still tells of the move does
    not make a home.
    """
    stopped = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
    logs = {31: BrokerLogs(31, {T0: 40, T1: 900, TopicPartition("new", 0): 7})}
    assert orphaned_copy_bytes([stopped, MOVED[1]], BEFORE, logs) == 40
    late = replace(stopped, replicas=(11, 12, 13, 31))
    assert orphaned_copy_bytes([late, MOVED[1]], BEFORE, logs) == 40
    assert orphaned_copy_bytes([replace(late, adding=(31,))], BEFORE, logs) == 40
    assert orphaned_copy_bytes(MOVED, BEFORE, logs) == 0
    assert orphaned_copy_bytes([stopped], BEFORE, {31: BrokerLogs(31, {})}) == 0


def test_a_changed_replication_factor_or_az_spread_is_a_fault() -> None:
    """What must never change is a fault with its own code, not a figure to wait for."""
    moved, other = MOVED
    fewer = _look(moved, replace(other, replicas=(12, 31), isr=(12, 31)))
    assert [r.code for r in fewer.faults] == [Code.REPLICATION_FACTOR_CHANGED]
    crossed = _look(moved, replace(other, replicas=(12, 31, 32), isr=(12, 31, 32)))
    assert [r.code for r in crossed.faults] == [Code.AZ_SPREAD_CHANGED]


def test_a_younger_topic_has_no_before() -> None:
    """A topic that was created since the start is looked at for sync and leader, not for its
    place.
    """
    young = Partition("new", 0, leader=31, replicas=(31,), isr=(31,))
    assert _look(*MOVED, young).faults == ()


def test_a_broker_that_has_left_counts_by_the_az_of_its_heirs() -> None:
    """After the source was shut down nobody names its AZ any more: its destination does."""
    facts = ClusterFacts(
        brokers=tuple(Broker(b, r) for b, r in RACKS.items() if b != 11), partitions=MOVED
    )
    assert inspect_wave(facts, WAVE, (WAVE, OTHER), BEFORE, {}, 0).faults == ()


def test_order_left_by_a_cancelled_move_is_found_with_the_right_one() -> None:
    """[11,12,13] cancelled on its way to 31 is [12,13,11] in Kafka; and moved so, it is
    [12,13,31].
    """
    cancelled = Partition("t", 0, leader=11, replicas=(12, 13, 11), isr=(11, 12, 13))
    assert misordered([cancelled], (WAVE, OTHER), BEFORE) == {T0: (11, 12, 13)}
    carried = Partition("t", 0, leader=12, replicas=(12, 13, 31), isr=(12, 13, 31))
    assert misordered([carried], (WAVE, OTHER), BEFORE) == {T0: (31, 12, 13)}
    assert misordered(MOVED, (WAVE, OTHER), BEFORE) == {}


def test_what_is_moving_or_elsewhere_or_younger_is_not_reordered() -> None:
    """A reorder onto other brokers would be a move: it is never asked for."""
    moving = Partition(
        "t", 0, leader=11, replicas=(31, 12, 13, 11), isr=(11, 12, 13), adding=(31,), removing=(11,)
    )
    elsewhere = Partition("t", 0, leader=33, replicas=(33, 12, 11), isr=(11, 12, 33))
    young = Partition("new", 0, leader=12, replicas=(12, 11), isr=(11, 12))
    assert misordered([moving, elsewhere, young], (WAVE, OTHER), BEFORE) == {}


def test_a_partition_is_badly_led_only_when_nothing_moves_it() -> None:
    """An election in the middle of a move would be undone by its end."""
    bad = replace(MOVED[1], leader=13)
    assert not_on_preferred_leader([*MOVED, bad]) == [bad]
    assert not_on_preferred_leader([replace(bad, adding=(33,))]) == []


def test_a_rollback_is_compared_order_included() -> None:
    """The same brokers in another order are a difference; deleted and younger topics are none."""
    back = (
        Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13)),
        Partition("new", 0, leader=11, replicas=(11,), isr=(11,)),
    )
    same = compare_with_snapshot(_facts(*back), BEFORE)
    assert (same.partitions, same.different, same.not_preferred) == (1, 0, 0)
    turned = compare_with_snapshot(_facts(replace(back[0], replicas=(12, 11, 13))), BEFORE)
    assert (turned.different, turned.not_preferred) == (1, 1)
    assert "t-0" in turned.examples[0]


def test_the_way_back_is_proven_against_the_same_start() -> None:
    """On the way back the source stands in its own place again, and no order has changed."""
    back = rollback_waves((replace(WAVE, attempt=1),))[0]
    assert back.direction is Direction.BACK
    home = tuple(
        replace(
            p, leader=BEFORE[p.name][0], replicas=BEFORE[p.name], isr=tuple(sorted(BEFORE[p.name]))
        )
        for p in MOVED
    )
    f = inspect_wave(_facts(*home), back, (WAVE, OTHER, back), BEFORE, {31: BrokerLogs(31, {})}, 0)
    assert (f.replicas_left, f.order_changed, f.faults) == (0, 0, ())


def test_a_selection_is_judged_by_what_it_takes() -> None:
    """Replicas, bytes and leaders that the wave leaves on its source are no fault of it."""
    other = TopicPartition("left", 0)
    staying = Partition("left", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
    moved = Partition("t", 0, leader=31, replicas=(31, 12, 13), isr=(31, 12, 13))
    wave = replace(WAVE, selection=Selection(partitions=(("t", 0),)))
    logs = {11: BrokerLogs(11, {other: 50})}
    f = inspect_wave(
        _facts(moved, staying), wave, (wave,), {**BEFORE, other: (11, 12, 13)}, logs, 0
    )
    assert (f.replicas_left, f.bytes_left, f.leaders_left, f.stray_bytes, f.partitions) == (
        0,
        0,
        0,
        0,
        1,
    )
    whole = inspect_wave(
        _facts(moved, staying), WAVE, (WAVE,), {**BEFORE, other: (11, 12, 13)}, logs, 0
    )
    assert (whole.replicas_left, whole.bytes_left, whole.leaders_left) == (1, 50, 1)
