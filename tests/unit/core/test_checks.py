"""Every check on one healthy cluster, spoiled in one way at a time; what holds for all of them."""

from dataclasses import replace

import pytest

from agent.core.checks import broker_checks, cluster_checks
from agent.core.checks.check_input import ClusterCheckInput
from agent.core.messages import Executor
from agent.core.model.cluster import (
    Partition,
    TopicPartition,
)
from agent.core.model.reasons import TEXT_CHARACTERS_MAX, CheckResult, Code, Reason
from tests.unit.core.check_world import (
    FINDINGS,
    P0,
    RACKS,
    WORLD,
    cluster_of,
    cruise_control,
    in_flight,
    sick,
    tight,
    without,
)
from tests.unit.core.test_broker_checks import UNFIT

CHECKED = [*cluster_checks.check(WORLD), *broker_checks.check(WORLD, FINDINGS)]

SPOILED: dict[str, tuple[ClusterCheckInput, Code, str]] = {
    "a source is down": (replace(WORLD, cluster=cluster_of(without(11))), Code.BROKER_DOWN, "11"),
    "a holder of a replica is down": (
        replace(WORLD, cluster=cluster_of(without(13))),
        Code.BROKER_DOWN,
        "13",
    ),
    "no rack": (replace(WORLD, cluster=cluster_of({**RACKS, 31: None})), Code.RACK_UNKNOWN, "31"),
    "another AZ": (
        replace(WORLD, cluster=cluster_of({**RACKS, 31: "az-b"})),
        Code.AZ_MISMATCH,
        "31 in az-b",
    ),
    "offline": (sick(P0, leader=-1), Code.OFFLINE_PARTITION, "t-0"),
    "under min ISR": (sick(P0, isr=(11,)), Code.UNDER_MIN_ISR, "t-0"),
    "under-replicated": (sick(P0, isr=(11, 12)), Code.UNDER_REPLICATED, "t-0"),
    "two replicas in one AZ": (
        sick(P0, replicas=(11, 31, 12), isr=(11, 31, 12)),
        Code.REPLICAS_PER_AZ,
        "1 have two replicas in one AZ: t-0",
    ),
    "a drained source has left": (
        replace(WORLD, rollback_brokers=frozenset({10})),
        Code.ROLLBACK_IMPOSSIBLE,
        "10 have left",
    ),
    "someone moves to elsewhere": (
        in_flight(adding=12, removing=11),
        Code.FOREIGN_REASSIGNMENT,
        "t-0",
    ),
    "an earlier move goes on": (in_flight(adding=31, removing=11), Code.ORPHANED_MOVES, "t-0"),
    "no Cruise Control": (
        cruise_control(reachable=False, trouble=Reason(Code.CRUISE_CONTROL_UNREACHABLE, "refused")),
        Code.CRUISE_CONTROL_UNREACHABLE,
        "refused",
    ),
    "it works": (
        cruise_control(
            executor=Executor.FOREIGN, executor_state="STARTING", executor_reason="rebalance"
        ),
        Code.CRUISE_CONTROL_BUSY,
        "rebalance",
    ),
    "no window": (cruise_control(valid_windows=0), Code.CRUISE_CONTROL_NOT_READY, "0 valid"),
    "it refuses a dry run": (
        cruise_control(dryrun=Reason(Code.CRUISE_CONTROL_REJECTED, "no goal")),
        Code.CRUISE_CONTROL_REJECTED,
        "no goal",
    ),
    "RF 2, min ISR 2": (tight(2, (11, 12)), Code.RF_EQUALS_MIN_ISR, "t"),
    "RF 2, min ISR 3": (tight(3, (11, 12)), Code.RF_EQUALS_MIN_ISR, "t"),
    "it heals": (
        cruise_control(self_healing=("BROKER_FAILURE",)),
        Code.SELF_HEALING_ON,
        "BROKER_FAILURE",
    ),
}


@pytest.mark.parametrize("verdict", CHECKED, ids=lambda v: v.title)
def test_a_fit_world_is_green_everywhere(verdict: CheckResult) -> None:
    """No check finds fault with a healthy cluster, with our own leftover throttle in it; each
    says what it saw.
    """
    assert verdict.ok
    assert verdict.seen


def _red(check_results: tuple[CheckResult, ...], code: Code) -> list[CheckResult]:
    return [v for v in check_results if not v.ok and v.code is code]


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_spoiled_is_named_by_its_code(name: str) -> None:
    """Each check of a wave sees its one fault, and the text names what it is about."""
    world, code, words = SPOILED[name]
    found = _red(cluster_checks.check(world), code)
    assert len(found) == 1
    assert words in found[0].seen


def test_no_check_goes_untested() -> None:
    """Every code that a check can give is met by a spoiled world above."""
    met = {code for _, code, _ in SPOILED.values()} | {code for _, _, code, _ in UNFIT.values()}
    assert {v.code for v in CHECKED} <= met


def test_titles_tell_checks_apart() -> None:
    """Each verdict bears a title of its own."""
    titles = [v.title for v in CHECKED]
    assert all(titles)
    assert len(set(titles)) == len(titles)


def test_verdicts_are_bounded() -> None:
    """However much is wrong, a verdict's text stays short enough to travel in an event."""
    gone = replace(WORLD, cluster=cluster_of({}, replace(P0, replicas=tuple(range(1_000)))))
    assert all(len(v.seen) <= TEXT_CHARACTERS_MAX for v in cluster_checks.check(gone))


def test_one_replica_is_its_owners_choice() -> None:
    """A topic of one replica is counted, not refused."""
    verdict = cluster_checks.replicas_above_min_isr(WORLD)
    assert verdict.ok
    assert "1 partitions with only one" in verdict.seen


def test_a_moving_partition_is_counted_by_its_replicas_before_the_move() -> None:
    """The union of old and new replicas makes no topic safer."""
    moving = Partition(
        "t", 0, leader=11, replicas=(31, 11, 12), isr=(11, 12), adding=(31,), removing=(11,)
    )
    world = replace(WORLD, cluster=replace(cluster_of(RACKS, moving), min_isr={"t": 2}))
    assert not cluster_checks.replicas_above_min_isr(world).ok
    assert TopicPartition("t", 0) == moving.name
