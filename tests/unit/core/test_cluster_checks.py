"""Each check against a cluster that is well but for one thing."""

from dataclasses import replace
from typing import Any

import pytest

from agent.core.checks.check_input import ClusterCheckInput, CruiseControlFacts
from agent.core.checks.cluster_checks import (
    WHILE_MOVING,
    blocking_and_passing,
    check,
    is_own_reassignment,
    no_foreign_reassignment,
    reasons_to_pause,
)
from agent.core.messages import Executor
from agent.core.model.cluster import Broker, ClusterFacts, Partition, Reassignment
from agent.core.model.reasons import Code, Reason
from agent.core.planning.plan import Wave

RACKS: dict[int, str | None] = {11: "a", 12: "b", 13: "c", 31: "a", 32: "b"}
P = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
WAVE = Wave(number=1, az="a", source_broker_ids=(11,), destination_broker_ids=(31,))
AWAY = CruiseControlFacts(
    reachable=False, trouble=Reason(Code.CRUISE_CONTROL_UNREACHABLE, "refused")
)
OURS = Reassignment("t", 0, (31, 12, 11), (31,), (11,))
FOREIGN = Reassignment("t", 0, (32, 11, 12), (32,), (12,))


def _world(
    *partitions: Partition, racks: dict[int, str | None] | None = None, **changes: Any
) -> ClusterCheckInput:
    facts = ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in (racks or RACKS).items()),
        partitions=partitions or (P,),
        min_isr={"t": 2},
    )
    well = ClusterCheckInput(
        cluster=facts,
        waves=(WAVE,),
        cruise_control=CruiseControlFacts(reachable=True, valid_windows=3),
    )
    return replace(well, **changes)


def _red(world: ClusterCheckInput) -> set[Code]:
    return {v.code for v in check(world) if not v.ok}


def _without(broker: int) -> dict[int, str | None]:
    return {b: rack for b, rack in RACKS.items() if b != broker}


SICK: dict[str, tuple[ClusterCheckInput, set[Code]]] = {
    "a source is down": (_world(racks=_without(11)), {Code.BROKER_DOWN}),
    "an empty destination is down": (_world(racks=_without(31)), {Code.BROKER_DOWN}),
    "a broker that only holds replicas is down": (_world(racks=_without(12)), {Code.BROKER_DOWN}),
    "a broker of a later wave is down": (
        _world(racks=_without(32), needed_later=frozenset({32})),
        {Code.BROKER_DOWN},
    ),
    "a pair crosses AZs": (_world(racks={**RACKS, 31: "b"}), {Code.AZ_MISMATCH}),
    "a broker has no rack": (
        _world(racks={**RACKS, 31: None}),
        {Code.RACK_UNKNOWN, Code.AZ_MISMATCH},
    ),
    "a partition is offline": (
        _world(replace(P, leader=-1, isr=(12,))),
        {Code.OFFLINE_PARTITION, Code.UNDER_REPLICATED, Code.UNDER_MIN_ISR},
    ),
    "a follower is out of sync": (
        _world(replace(P, isr=(11, 12))),
        {Code.UNDER_REPLICATED},
    ),
    "another tool moves": (_world(reassignments=(FOREIGN,)), {Code.FOREIGN_REASSIGNMENT}),
    "our own moves are left over": (_world(reassignments=(OURS,)), {Code.ORPHANED_MOVES}),
    "Cruise Control is away": (
        _world(cruise_control=AWAY),
        {
            Code.CRUISE_CONTROL_UNREACHABLE,
            Code.CRUISE_CONTROL_BUSY,
            Code.CRUISE_CONTROL_NOT_READY,
            Code.SELF_HEALING_ON,
        },
    ),
    "Cruise Control refuses our login": (
        _world(
            cruise_control=replace(
                AWAY, trouble=Reason(Code.CRUISE_CONTROL_LOGIN_REFUSED, "it answered 401")
            )
        ),
        {
            Code.CRUISE_CONTROL_LOGIN_REFUSED,
            Code.CRUISE_CONTROL_BUSY,
            Code.CRUISE_CONTROL_NOT_READY,
            Code.SELF_HEALING_ON,
        },
    ),
    "Cruise Control works for another": (
        _world(
            cruise_control=CruiseControlFacts(
                reachable=True, executor=Executor.FOREIGN, valid_windows=1
            )
        ),
        {Code.CRUISE_CONTROL_BUSY},
    ),
    "Cruise Control has no windows": (
        _world(cruise_control=CruiseControlFacts(reachable=True, valid_windows=0)),
        {Code.CRUISE_CONTROL_NOT_READY},
    ),
    "its dry run is rejected": (
        _world(
            cruise_control=CruiseControlFacts(
                reachable=True, valid_windows=3, dryrun=Reason(Code.CRUISE_CONTROL_REJECTED, "no")
            )
        ),
        {Code.CRUISE_CONTROL_REJECTED},
    ),
}


def test_a_well_cluster_passes_every_check() -> None:
    """Nothing stands in the way where nothing is wrong, and each verdict still says what was
    seen.
    """
    check_results = check(_world())
    assert all(v.ok for v in check_results), [v for v in check_results if not v.ok]
    assert all(v.seen and v.title for v in check_results)


@pytest.mark.parametrize("what", SICK)
def test_each_trouble_is_seen_by_its_check_alone(what: str) -> None:
    """One thing wrong turns just its own checks red."""
    world, codes = SICK[what]
    assert _red(world) == codes


def test_a_dry_run_that_answers_is_better_than_a_window() -> None:
    """Between waves windows refill while the request can be had already: the dry run has the
    last word, both ways.
    """
    answers = CruiseControlFacts(reachable=True, valid_windows=0, dryrun_answers=True)
    assert not _red(_world(cruise_control=answers))
    refuses = replace(
        answers, dryrun_answers=False, dryrun=Reason(Code.CRUISE_CONTROL_NOT_READY, "NotEnough")
    )
    assert _red(_world(cruise_control=refuses)) == {Code.CRUISE_CONTROL_NOT_READY}


def test_who_moves_is_told_as_far_as_anyone_can_tell() -> None:
    """Kafka keeps no name with a reassignment; Cruise Control's executor has a reason, or is
    seen to be idle.
    """
    busy = CruiseControlFacts(
        reachable=True,
        executor=Executor.FOREIGN,
        executor_state="MOVING",
        executor_reason="rebalance by sre",
    )
    idle = CruiseControlFacts(reachable=True, executor_state="NO_TASK_IN_PROGRESS")
    told = [
        no_foreign_reassignment(_world(reassignments=(FOREIGN,), cruise_control=cc))
        for cc in (busy, idle)
    ]
    assert "someone else (Cruise Control moves, for 'rebalance by sre'): " in told[0].seen
    assert "someone else (not Cruise Control, whose executor is idle): " in told[1].seen
    silent = CruiseControlFacts(reachable=False)
    assert (
        "someone else: "
        in no_foreign_reassignment(_world(reassignments=(FOREIGN,), cruise_control=silent)).seen
    )


def test_what_cannot_be_asked_is_not_green_and_no_reason_of_its_own() -> None:
    """Nobody knows whether a silent Cruise Control is idle, ready or heals: not ok, and one
    reason for all of them.
    """
    check_results = check(_world(cruise_control=AWAY))
    unknown = [v for v in check_results if v.unknown]
    assert [v.title for v in unknown] == [
        "Cruise Control idle",
        "Cruise Control ready",
        "Cruise Control self-healing",
    ]
    assert not any(v.ok for v in unknown)
    assert all(v.seen.startswith("not known: ") for v in unknown)
    assert blocking_and_passing(check_results) == (
        (),
        (Reason(Code.CRUISE_CONTROL_UNREACHABLE, "refused", "an answer"),),
    )
    assert reasons_to_pause(_world(cruise_control=AWAY)) == ()


def test_a_moving_partition_is_not_sick() -> None:
    """Replicas that are being added count neither for nor against (KIP-352)."""
    moving = replace(P, replicas=(31, 12, 11), isr=(11, 12), adding=(31,), removing=(11,))
    assert not _red(_world(moving)) & {Code.UNDER_REPLICATED, Code.UNDER_MIN_ISR}
    sick = replace(moving, isr=(11,))
    assert {Code.UNDER_REPLICATED, Code.UNDER_MIN_ISR} <= _red(_world(sick))


def test_min_isr_is_asked_for_no_more_than_there_are_replicas() -> None:
    """A topic with one replica and min.insync.replicas 2 is badly configured, but not under min
    ISR by a move.
    """
    assert _red(_world(Partition("t", 0, leader=12, replicas=(12,), isr=(12,)))) == set()


def test_what_passes_by_itself_is_told_apart() -> None:
    """Busy, unreachable and leftover moves are waited for; the rest needs a change in the world."""
    _, passing = blocking_and_passing(check(SICK["Cruise Control works for another"][0]))
    assert [r.code for r in passing] == [Code.CRUISE_CONTROL_BUSY]
    lasting, passing = blocking_and_passing(check(SICK["its dry run is rejected"][0]))
    assert ([r.code for r in lasting], passing) == ([Code.CRUISE_CONTROL_REJECTED], ())
    lasting, passing = blocking_and_passing(check(SICK["our own moves are left over"][0]))
    assert (lasting, [r.code for r in passing]) == ((), [Code.ORPHANED_MOVES])


def test_while_moving_our_own_moves_and_cruise_control_are_no_reasons() -> None:
    """What is expected while it moves does not stop it; a lost broker or another's move does."""
    assert (
        reasons_to_pause(
            _world(reassignments=(OURS,), cruise_control=CruiseControlFacts(reachable=False))
        )
        == ()
    )
    assert [r.code for r in reasons_to_pause(_world(reassignments=(FOREIGN,)))] == [
        Code.FOREIGN_REASSIGNMENT
    ]
    assert [r.code for r in reasons_to_pause(_world(racks=_without(12)))] == [Code.BROKER_DOWN]
    assert len(WHILE_MOVING) >= 5


@pytest.mark.parametrize(
    ("adding", "removing", "ours"),
    [
        ((31,), (11,), True),
        ((31,), (), True),  # cancelled or ended a moment ago: one side only
        ((), (11,), True),
        ((), (), False),
        ((32,), (11,), False),
        ((31,), (12,), False),
        ((31, 32), (11, 12), False),
    ],
)
def test_a_move_is_ours_when_it_adds_only_destinations_and_removes_only_sources(
    adding: tuple[int, ...], removing: tuple[int, ...], ours: bool
) -> None:
    """Anything else belongs to somebody else."""
    move = Reassignment("t", 0, (11, 12), adding, removing)
    assert is_own_reassignment(move, frozenset({11}), frozenset({31})) is ours


def test_long_lists_are_cut() -> None:
    """A reason names a few examples and says how many more there are: it must fit an event."""
    many = [replace(P, partition=n, isr=(11,)) for n in range(5_000)]
    world = _world(*many)
    red = [v for v in check(world) if not v.ok]
    assert red
    assert all(len(v.seen) < 1_000 for v in red)
    assert any("and 4995 more" in v.seen for v in red)
