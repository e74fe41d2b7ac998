"""How long a wave takes and what it costs, with the reasoning."""

from dataclasses import replace

import pytest

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition
from agent.core.planning.estimate import (
    BURST_SECONDS,
    OVERHEAD_HIGH_SECONDS,
    OVERHEAD_LOW_SECONDS,
    SLACK,
    Estimate,
    estimate,
    growth_between,
    total_estimate,
    undo_costs,
)
from agent.core.planning.options import Options
from agent.core.planning.plan import make_plan
from agent.core.planning.policy import Policy

RACKS = {11: "az-a", 12: "az-b", 31: "az-a", 32: "az-b"}
P0 = Partition("t", 0, leader=11, replicas=(11, 12), isr=(11, 12))
P1 = Partition("t", 1, leader=12, replicas=(12, 11), isr=(11, 12))
NEW = Partition("new", 0, leader=11, replicas=(11, 12), isr=(11, 12))
FACTS = ClusterFacts(
    brokers=tuple(Broker(b, rack) for b, rack in RACKS.items()), partitions=(P0, P1)
)
LOGS = {b: BrokerLogs(b, {P0.name: 600_000_000, P1.name: 400_000_000}) for b in (11, 12)}


def _apart(moved: list[tuple[Partition, int]]) -> tuple[list[Partition], list[int]]:
    return [p for p, _ in moved], [size for _, size in moved]


def _wave(
    rate: int | None = 10_000_000,
    concurrency: int = 10,
    moved: list[tuple[Partition, int]] | None = None,
) -> Estimate:
    sizes = moved if moved is not None else [(p, LOGS[11].size_bytes[p.name]) for p in (P0, P1)]
    return estimate(*_apart(sizes), (11,), FACTS, "az-a", rate, concurrency, 5_000)


def test_with_a_throttle_it_takes_size_over_rate_and_some_slack() -> None:
    """1 GB at 10 MB/s is 100 s less the first burst at best, and at worst near what KIP-73's
    own test allows.
    """
    found = _wave()
    assert found.low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS + 100.0 - BURST_SECONDS)
    assert found.high_seconds == pytest.approx(OVERHEAD_HIGH_SECONDS + 100.0 * SLACK)
    assert "the throttle" in found.reasoning


def test_without_a_throttle_the_interval_is_wide() -> None:
    """Nobody knows what network and disks will give, and the estimate says so."""
    found = _wave(rate=None)
    assert found.high_seconds > 3 * found.low_seconds
    assert "no throttle is set" in found.reasoning


def test_many_small_replicas_are_bound_by_cruise_controls_polling() -> None:
    """One replica at a time and 5 s between two polls: bytes do not count."""
    small = [(Partition("s", n, leader=11, replicas=(11,), isr=(11,)), 1) for n in range(100)]
    found = _wave(concurrency=1, moved=small)
    assert found.low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS + 99 * 5.0)
    assert "polling" in found.reasoning


def test_what_goes_all_at_once_waits_for_no_poll() -> None:
    """A hundred small replicas go in one batch, and Kafka shows when they have moved.

    The next look of Cruise Control does not matter then.
    """
    small = [(Partition("s", n, leader=11, replicas=(11,), isr=(11,)), 1) for n in range(100)]
    assert _wave(concurrency=100, moved=small).low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS)


def test_a_throttles_first_burst_is_not_faster_than_the_network() -> None:
    """What fits into the burst takes as long as without a throttle."""
    fits = _wave(rate=900_000_000)
    assert fits.low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS + 1_000 / 350)


def test_what_is_led_from_another_az_crosses_it() -> None:
    """A copy comes from the leader: only partition 1 is led from az-b, and clouds bill that."""
    assert _wave().cross_az_bytes == 400_000_000


def test_the_largest_partition_is_named() -> None:
    """It alone can hold up a wave."""
    found = _wave()
    assert (found.largest_partition, found.largest_partition_bytes) == ("t-0", 600_000_000)
    assert "60% of it in one partition" in found.reasoning


def test_an_empty_source_costs_only_the_overhead() -> None:
    """No division by nothing, no partition named."""
    found = _wave(moved=[])
    assert found.low_seconds == OVERHEAD_LOW_SECONDS
    assert (found.largest_partition, found.cross_az_bytes) == ("", 0)


def test_waves_follow_one_another_with_their_rest_between() -> None:
    """Seconds and bytes add up; the rest comes once less than there are waves; the longest wave
    is named.
    """
    short, long = _wave(rate=100_000_000), _wave()
    both = total_estimate([short, long], soak_seconds=60.0)
    assert both is not None
    assert both.low_seconds == pytest.approx(short.low_seconds + long.low_seconds + 60.0)
    assert both.cross_az_bytes == 800_000_000
    assert "the longest is wave 2" in both.reasoning
    assert total_estimate([], 0.0) is None


def test_a_plan_carries_the_estimate_of_each_wave_and_of_all() -> None:
    """What `plan` shows is what the waves will be given."""
    policy = Policy(source_broker_ids=(11, 12), destination_broker_ids=(31, 32))
    plan, reasons = make_plan(
        Options(throttle_bytes_per_second=10_000_000), policy, FACTS, LOGS, "p"
    )
    assert plan is not None, reasons
    each = [w.estimate for w in plan.waves]
    assert all(isinstance(e, Estimate) for e in each)
    assert plan.estimate is not None
    assert plan.estimate.low_seconds == pytest.approx(sum(e.low_seconds for e in each if e))
    assert plan.estimate.cross_az_bytes == 1_000_000_000


def test_what_producers_add_makes_it_longer() -> None:
    """A copy gains on its leader only by what the throttle lets through beyond what is written:
    at best, half of it.
    """
    sizes = [(p, LOGS[11].size_bytes[p.name]) for p in (P0, P1)]
    found = estimate(
        *_apart(sizes),
        (11,),
        FACTS,
        "az-a",
        10_000_000,
        1,
        0,
        {P0.name: 2_000_000.0, P1.name: 2_000_000.0},
    )
    assert (found.growth_bytes_per_second, found.in_flight_growth_bytes_per_second) == (
        4_000_000,
        2_000_000,
    )
    assert found.low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS + 1_000 / 9 - BURST_SECONDS)
    assert found.high_seconds == pytest.approx(OVERHEAD_HIGH_SECONDS + 1_000 / 6 * SLACK)
    assert "producers add 4000000 bytes/s" in found.reasoning


def test_producers_above_the_throttle_give_no_endless_estimate() -> None:
    """However much is written, the figures stay finite; a check of its own says that it would
    never end.
    """
    sizes = [(P0, 600_000_000)]
    found = estimate(
        *_apart(sizes), (11,), FACTS, "az-a", 10_000_000, 10, 0, {P0.name: 20_000_000.0}
    )
    assert found.high_seconds < 10_000


def test_a_broker_that_leads_most_of_it_binds() -> None:
    """KIP-73 limits what a leader sends as well: two receivers of one leader share its rate."""
    led = [
        (Partition("l", n, leader=12, replicas=(11, 12), isr=(11, 12)), 500_000_000)
        for n in range(2)
    ]
    found = estimate(*_apart(led), (11, 13), FACTS, "az-a", 10_000_000, 10, 0)
    assert found.low_seconds == pytest.approx(OVERHEAD_LOW_SECONDS + 100.0 - BURST_SECONDS)
    assert "broker 12" in found.reasoning


def test_growth_is_the_difference_of_two_looks() -> None:
    """Only what grew counts: retention's deletions are no negative, and a new partition has no
    rate yet.
    """
    before = {11: BrokerLogs(11, {P0.name: 100, P1.name: 900})}
    after = {11: BrokerLogs(11, {P0.name: 300, P1.name: 100, NEW.name: 50})}
    assert growth_between((P0, P1, NEW), before, after, 2.0) == {P0.name: 100.0}
    assert growth_between((P0, P1, NEW), before, after, 0.0) == {}


@pytest.mark.parametrize("copied", [{"adding": (31,), "isr": (11, 31)}, {"isr": (11,)}])
def test_what_a_copy_grows_by_is_not_what_producers_write(
    copied: dict[str, tuple[int, ...]],
) -> None:
    """A replica that is added, or catches up after a restart, grows much faster than is
    produced.
    """
    before = {11: BrokerLogs(11, {P0.name: 1_000}), 31: BrokerLogs(31, {P0.name: 0})}
    after = {11: BrokerLogs(11, {P0.name: 1_002}), 31: BrokerLogs(31, {P0.name: 900})}
    assert growth_between((replace(P0, replicas=(11, 31), **copied),), before, after, 2.0) == {
        P0.name: 1.0
    }


def test_a_rollback_costs_what_all_waves_before_it_moved() -> None:
    """It adds up wave by wave, with what producers added meanwhile."""
    one = _wave()
    first, second = undo_costs([(1_000_000_000, one), (1_000_000_000, one)])
    assert (first.size_bytes, first.cross_az_bytes) == (1_000_000_000, 400_000_000)
    assert (second.size_bytes, second.low_seconds) == (2_000_000_000, 2 * one.low_seconds)
