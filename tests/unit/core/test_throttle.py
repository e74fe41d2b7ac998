"""KIP-73's throttle as values: what to set, what is in force, what is ours to clear."""

import pytest

from agent.core.model.cluster import Partition
from agent.core.model.reasons import Code
from agent.core.model.throttle import (
    BrokerRate,
    ThrottleChange,
    ThrottleFacts,
    foreign_rates,
    foreign_replica_lists,
    own_throttle,
    parse_replicas,
    rates_seen,
    render_replicas,
    wave_throttle,
)

RATE = 5_000
P0 = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
P1 = Partition("t", 1, leader=12, replicas=(12, 13, 21), isr=(12, 13, 21))  # nothing on broker 11
MOVING = Partition(
    "u", 0, leader=11, replicas=(31, 12, 11), isr=(11, 12), adding=(31,), removing=(11,)
)


def _facts(order: ThrottleChange) -> ThrottleFacts:
    return ThrottleFacts(
        rates={b: BrokerRate(leader=r, follower=r) for b, r in order.rates.items()},
        leaders=order.leaders,
        followers=order.followers,
    )


def test_leaders_are_the_replicas_as_they_are_and_followers_only_the_adding_ones() -> None:
    """An in-sync replica that falls behind must recover at full speed: it is no throttled
    follower.
    """
    order = wave_throttle([P0, P1], {11: (31,)}, (11, 12, 31), RATE)
    assert order.leaders == {"t": frozenset({(0, 11), (0, 12), (0, 13)})}
    assert order.followers == {"t": frozenset({(0, 31)})}
    assert order.rates == {11: RATE, 12: RATE, 31: RATE}


def test_a_partition_in_flight_is_throttled_by_what_it_was() -> None:
    """Set again while moving, the throttle names the same replicas as before."""
    order = wave_throttle([MOVING], {11: (31,)}, (11, 31), RATE)
    assert order.leaders == {"u": frozenset({(0, 12), (0, 11)})}
    assert order.followers == {"u": frozenset({(0, 31)})}


def test_entries_counts_every_setting() -> None:
    """Rates and list entries, so that `none left` means none."""
    assert wave_throttle([P0], {11: (31,)}, (11, 31), RATE).entries == 2 + 3 + 1
    assert ThrottleChange().entries == 0


def test_what_was_set_is_found_as_ours() -> None:
    """All of an order, and nothing else, is what a clear removes."""
    order = wave_throttle([P0], {11: (31,)}, (11, 12, 31), RATE)
    assert own_throttle(_facts(order), (31,), (RATE,)) == order


def test_another_s_throttle_is_never_ours() -> None:
    """Another rate, a static rate, a `*` list and the lists of partitions that we do not move
    stay.
    """
    facts = ThrottleFacts(
        rates={
            11: BrokerRate(leader=777, follower=777),
            12: BrokerRate(leader=RATE, follower=RATE, is_static=True),
            31: BrokerRate(leader=RATE, follower=RATE),
        },
        leaders={"t": frozenset({(0, 11), (5, 12)}), "all": None},
        followers={"t": frozenset({(0, 31), (5, 21)}), "all": None},
    )
    found = own_throttle(facts, (31,), (RATE,))
    assert found.rates == {31: RATE}
    assert found.leaders == {"t": frozenset({(0, 11)})}
    assert found.followers == {"t": frozenset({(0, 31)})}


def test_half_a_throttle_is_still_ours() -> None:
    """A crash between two requests leaves a leader rate alone, or a follower rate alone: both
    are cleared.
    """
    facts = ThrottleFacts(
        rates={1: BrokerRate(leader=RATE, follower=None), 2: BrokerRate(leader=None, follower=RATE)}
    )
    assert set(own_throttle(facts, (), (RATE,)).rates) == {1, 2}
    torn = ThrottleFacts(rates={1: BrokerRate(leader=777, follower=RATE)})
    assert own_throttle(torn, (), (RATE,)).rates == {}, "one side is another's: not ours to remove"


@pytest.mark.parametrize("text", ["0:11", "0:11,0:12,3:31", ""])
def test_lists_are_read_and_written_in_kafka_s_form(text: str) -> None:
    """Reading what was written gives the same."""
    replicas = parse_replicas(text)
    assert replicas is not None
    assert render_replicas(replicas) == text


def test_a_star_is_every_replica_and_nonsense_is_an_error() -> None:
    """`*` is told apart from an empty list; what is neither is not guessed at."""
    assert parse_replicas("*") is None
    assert parse_replicas("") == frozenset()
    with pytest.raises(ValueError, match="invalid literal"):
        parse_replicas("0:x")


def test_rates_in_force_are_told_once_each_with_some_of_their_brokers() -> None:
    """A hundred brokers at one rate are one line; a broker with another rate in one direction
    shows in both.
    """
    rates = {b: BrokerRate(leader=9_000, follower=9_000) for b in range(100)}
    rates[7] = BrokerRate(leader=9_000, follower=1_000)
    rates[8] = BrokerRate(leader=None, follower=9_000)
    seen = rates_seen(ThrottleFacts(rates=rates))
    assert [(r.bytes_per_second, r.brokers, r.broker_ids) for r in seen] == [
        (9_000, 100, (0, 1, 2, 3, 4)),
        (1_000, 1, (7,)),
    ]
    assert foreign_rates(seen, (9_000, 1_000)) == ()
    (reason,) = foreign_rates(seen, (1_000,))
    assert reason.seen.endswith("9,000 bytes/s on brokers 0, 1, 2, 3, 4 and 95 more")


def test_a_list_is_someone_else_s_by_what_it_names() -> None:
    """`*`, or a replica that goes elsewhere; entries of a move to our destination are ours, as
    Cruise Control's are.
    """
    ours_listed = {"t": frozenset({(0, 31)})}
    both = ThrottleFacts(
        leaders={"t": frozenset({(0, 11), (0, 12), (0, 31)})}, followers=ours_listed
    )
    assert foreign_replica_lists(both, (31,)) == ()
    (reason,) = foreign_replica_lists(
        ThrottleFacts(leaders={"u": None}, followers=ours_listed), (31,)
    )
    assert (reason.code, reason.seen.rsplit(" ", 1)[-1]) == (Code.FOREIGN_THROTTLE, "u")
    (reason,) = foreign_replica_lists(
        ThrottleFacts(followers={"t": frozenset({(0, 31), (4, 99)})}), (31,)
    )
    assert reason.seen.endswith(" t")
