"""How long a wave takes and what it costs, with the reasoning."""

import pytest

from agent.core.cluster import Broker, BrokerLogs, ClusterFacts, Partition
from agent.core.estimate import OVERHEAD_SECONDS, SLACK, Estimate, estimate, in_all, moved_by
from agent.core.options import Options, Policy
from agent.core.plan import make_plan

RACKS = {11: "az-a", 12: "az-b", 31: "az-a", 32: "az-b"}
P0 = Partition("t", 0, leader=11, replicas=(11, 12), isr=(11, 12))
P1 = Partition("t", 1, leader=12, replicas=(12, 11), isr=(11, 12))
FACTS = ClusterFacts(brokers=tuple(Broker(b, rack) for b, rack in RACKS.items()), partitions=(P0, P1))
LOGS = {b: BrokerLogs(b, {P0.name: 600_000_000, P1.name: 400_000_000}) for b in (11, 12)}


def _wave(
    rate: int | None = 10_000_000, concurrency: int = 10, moved: list[tuple[Partition, int]] | None = None
) -> Estimate:
    sizes = moved if moved is not None else moved_by(FACTS, (11,), LOGS)
    return estimate(sizes, (11,), FACTS, "az-a", rate, concurrency, 5_000)


def test_with_a_throttle_it_takes_size_over_rate_and_some_slack() -> None:
    """1 GB at 10 MB/s is 100 s at best, and at worst as much more as KIP-73's own test allows."""
    found = _wave()
    assert found.low_seconds == pytest.approx(OVERHEAD_SECONDS + 100.0)
    assert found.high_seconds == pytest.approx((OVERHEAD_SECONDS + 100.0) * SLACK)
    assert "the throttle" in found.reasoning


def test_without_a_throttle_the_interval_is_wide() -> None:
    """Nobody knows what network and disks will give, and the estimate says so."""
    found = _wave(rate=None)
    assert found.high_seconds > 4 * found.low_seconds
    assert "no throttle is set" in found.reasoning


def test_many_small_replicas_are_bound_by_cruise_controls_polling() -> None:
    """One replica at a time and 5 s between two polls: bytes do not count."""
    small = [(Partition("s", n, leader=11, replicas=(11,), isr=(11,)), 1) for n in range(100)]
    found = _wave(concurrency=1, moved=small)
    assert found.low_seconds == pytest.approx(OVERHEAD_SECONDS + 500.0)
    assert "polling" in found.reasoning


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
    assert found.low_seconds == OVERHEAD_SECONDS
    assert (found.largest_partition, found.cross_az_bytes) == ("", 0)


def test_waves_follow_one_another_with_their_rest_between() -> None:
    """Seconds and bytes add up; the rest comes once less than there are waves; the longest wave is named."""
    short, long = _wave(rate=100_000_000), _wave()
    both = in_all([short, long], soak_seconds=60.0)
    assert both is not None
    assert both.low_seconds == pytest.approx(short.low_seconds + long.low_seconds + 60.0)
    assert both.cross_az_bytes == 800_000_000
    assert "the longest is wave 2" in both.reasoning
    assert in_all([], 0.0) is None


def test_a_plan_carries_the_estimate_of_each_wave_and_of_all() -> None:
    """What `plan` shows is what the waves will be given."""
    policy = Policy(source_broker_ids=(11, 12), destination_broker_ids=(31, 32))
    plan, reasons = make_plan(Options(throttle_bytes_per_second=10_000_000), policy, FACTS, LOGS, "p")
    assert plan is not None, reasons
    each = [w.estimate for w in plan.waves]
    assert all(isinstance(e, Estimate) for e in each)
    assert plan.estimate is not None
    assert plan.estimate.low_seconds == pytest.approx(sum(e.low_seconds for e in each if e))
    assert plan.estimate.cross_az_bytes == 1_000_000_000
