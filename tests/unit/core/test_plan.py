"""From brokers and options to waves."""

from dataclasses import replace

import pytest

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.model.reasons import Code
from agent.core.planning.options import Mode, Options, Pairing
from agent.core.planning.plan import (
    Direction,
    Plan,
    Wave,
    WaveState,
    choose_brokers,
    make_plan,
    pace,
)
from agent.core.planning.policy import Policy
from agent.core.planning.rollback import rollback_waves

RACKS = {11: "b", 12: "a", 13: "a", 31: "b", 32: "a", 33: "a"}
POLICY = Policy(source_broker_ids=(11, 12, 13), destination_broker_ids=(31, 32, 33))


def _facts(racks: dict[int, str | None] | None = None) -> ClusterFacts:
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in (racks or RACKS).items()),
        partitions=(
            Partition("t", 0, leader=11, replicas=(11, 12), isr=(11, 12)),
            Partition("t", 1, leader=12, replicas=(12, 11), isr=(11, 12)),
            Partition("u", 0, leader=13, replicas=(13,), isr=(13,)),
        ),
    )


LOGS = {
    11: BrokerLogs(11, {TopicPartition("t", 0): 100, TopicPartition("t", 1): 200}),
    12: BrokerLogs(12, {TopicPartition("t", 0): 100, TopicPartition("t", 1): 200}),
    13: BrokerLogs(13, {TopicPartition("u", 0): 50}),
}


def _plan(options: Options, facts: ClusterFacts | None = None, policy: Policy = POLICY) -> Plan:
    plan, reasons = make_plan(options, policy, facts or _facts(), LOGS, "p")
    assert plan is not None, reasons
    assert reasons == ()
    return plan


def _pairs(plan: Plan) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(w.az, w.source_broker_ids, w.destination_broker_ids) for w in plan.waves]


def _codes(
    options: Options, facts: ClusterFacts | None = None, policy: Policy = POLICY
) -> list[Code]:
    plan, reasons = make_plan(options, policy, facts or _facts(), LOGS, "p")
    assert plan is None
    return [r.code for r in reasons]


def test_full_mode_goes_az_by_az_with_pairs_by_id() -> None:
    """AZs in their order, within each the brokers by id; waves are numbered from 1."""
    plan = _plan(Options(mode=Mode.FULL))
    assert _pairs(plan) == [("a", (12,), (32,)), ("a", (13,), (33,)), ("b", (11,), (31,))]
    assert [w.number for w in plan.waves] == [1, 2, 3]
    assert all(
        (w.state, w.direction, w.attempt) == (WaveState.PENDING, Direction.FORWARD, 0)
        for w in plan.waves
    )


def test_az_order_puts_the_named_ones_first() -> None:
    """An AZ that is not named follows, and one that does not exist is left out."""
    assert [w.az for w in _plan(Options(az_order=("b", "nowhere"))).waves] == ["b", "a", "a"]


def test_figures_come_from_assignment_and_log_dirs() -> None:
    """Replicas and leaders by assignment, bytes by log dir, totals over all waves."""
    plan = _plan(Options(throttle_bytes_per_second=50))
    assert [(w.replicas, w.leaders, w.size_bytes) for w in plan.waves] == [
        (2, 1, 300),
        (1, 1, 50),
        (2, 1, 300),
    ]
    assert (plan.partitions, plan.replicas, plan.size_bytes) == (3, 5, 650)


def test_zone_pairing_makes_one_wave_of_an_az() -> None:
    """All source brokers of an AZ to all its destinations, also where their numbers differ."""
    assert _pairs(_plan(Options(pairing=Pairing.ZONE))) == [
        ("a", (12, 13), (32, 33)),
        ("b", (11,), (31,)),
    ]
    fewer = replace(POLICY, destination_broker_ids=(31, 32))
    assert _pairs(_plan(Options(pairing=Pairing.ZONE), policy=fewer))[0] == ("a", (12, 13), (32,))


def test_az_mode_takes_only_that_az() -> None:
    """Only the AZ's brokers move; an AZ without both kinds is refused, and the known ones are
    named.
    """
    assert _pairs(_plan(Options(mode=Mode.AZ, az="b"))) == [("b", (11,), (31,))]
    assert _codes(Options(mode=Mode.AZ, az="nowhere")) == [Code.UNKNOWN_AZ]
    assert _codes(Options(mode=Mode.AZ)) == [Code.UNKNOWN_AZ]
    _, reasons = make_plan(Options(mode=Mode.AZ, az="x"), POLICY, _facts(), LOGS, "p")
    assert reasons[0].needed == "one of a, b"


def test_brokers_mode_pairs_as_written() -> None:
    """The operator's order is the pairing and the order of the waves, one pair a wave."""
    options = Options(
        mode=Mode.BROKERS, source_broker_ids=(13, 11), destination_broker_ids=(33, 31)
    )
    assert _pairs(_plan(options)) == [("a", (13,), (33,)), ("b", (11,), (31,))]


def test_brokers_mode_with_zone_pairing_stays_within_azs() -> None:
    """A wave never crosses an AZ, whatever is named."""
    options = Options(
        mode=Mode.BROKERS,
        pairing=Pairing.ZONE,
        source_broker_ids=(13, 11, 12),
        destination_broker_ids=(33, 31),
    )
    assert _pairs(_plan(options)) == [("a", (12, 13), (33,)), ("b", (11,), (31,))]


def test_uneven_pairs_are_refused_az_by_az() -> None:
    """One to one needs as many destinations as sources in each AZ; each AZ that has not is
    named.
    """
    fewer = replace(POLICY, destination_broker_ids=(32,))
    assert _codes(Options(), policy=fewer) == [Code.PAIRS_UNEVEN, Code.PAIRS_UNEVEN]
    uneven = Options(mode=Mode.BROKERS, source_broker_ids=(11,), destination_broker_ids=(31, 32))
    assert _codes(uneven) == [Code.PAIRS_UNEVEN]
    nowhere = replace(POLICY, destination_broker_ids=(32, 33))
    assert _codes(Options(pairing=Pairing.ZONE), policy=nowhere) == [Code.PAIRS_UNEVEN]


def test_overlap_and_missing_sets_are_refused() -> None:
    """A broker is source or destination; no set may be empty."""
    assert Code.BROKER_SETS_OVERLAP in _codes(
        Options(source_broker_ids=(11,), destination_broker_ids=(11,))
    )
    assert _codes(Options(), policy=Policy()) == [Code.UNKNOWN_BROKER]
    assert _codes(Options(source_broker_ids=(11,)), policy=Policy()) == [Code.UNKNOWN_BROKER]


def test_a_broker_named_twice_is_refused() -> None:
    """Twice the same source would be two waves for one broker."""
    twice = Options(mode=Mode.BROKERS, source_broker_ids=(12, 12), destination_broker_ids=(32, 33))
    assert _codes(twice) == [Code.BROKER_SETS_OVERLAP]
    to_one = Options(mode=Mode.BROKERS, source_broker_ids=(12, 13), destination_broker_ids=(32, 32))
    assert _codes(to_one) == [Code.BROKER_SETS_OVERLAP]


def test_options_name_brokers_before_the_policy_does() -> None:
    """What the command names wins over the cluster's standing sets."""
    named = Options(source_broker_ids=(11,), destination_broker_ids=(31,))
    assert choose_brokers(named, POLICY, _facts()) == ((11,), (31,))


def test_the_way_back_undoes_what_began_last_wave_first() -> None:
    """Every wave that was begun, done or not, goes back with its sides changed; what never
    began is left out.
    """
    waves = (
        Wave(
            number=1,
            az="a",
            source_broker_ids=(1,),
            destination_broker_ids=(4,),
            state=WaveState.DONE,
            attempt=2,
        ),
        Wave(
            number=2,
            az="b",
            source_broker_ids=(2,),
            destination_broker_ids=(5,),
            state=WaveState.ACTIVE,
            attempt=1,
        ),
        Wave(number=3, az="c", source_broker_ids=(3,), destination_broker_ids=(6,)),
    )
    back = rollback_waves(waves)
    assert [(w.number, w.source_broker_ids, w.destination_broker_ids) for w in back] == [
        (4, (5,), (2,)),
        (5, (4,), (1,)),
    ]
    assert all(
        (w.direction, w.state, w.attempt) == (Direction.BACK, WaveState.PENDING, 0) for w in back
    )
    assert rollback_waves(()) == ()


def test_the_way_back_of_a_way_back_is_the_same() -> None:
    """Waves that went back already are not undone: only forward ones are."""
    done = Wave(
        number=1,
        az="a",
        source_broker_ids=(1,),
        destination_broker_ids=(4,),
        state=WaveState.DONE,
        attempt=1,
    )
    back = rollback_waves((done,))
    assert [
        w.source_broker_ids for w in rollback_waves((done, *(replace(w, attempt=1) for w in back)))
    ] == [(4,)]


@pytest.mark.parametrize(
    ("replicas", "size_bytes", "rate"),
    [(0, 0, None), (1, 0, 1), (1, 10**15, 1), (10**6, 10**15, 10**8), (91, 10**9, None)],
)
def test_the_pace_stays_within_what_cruise_control_takes(
    replicas: int, size_bytes: int, rate: int | None
) -> None:
    """Concurrency between 10 and 300 (it takes 1,250); its progress check never below the 5 s
    that it executes with.
    """
    concurrency, interval_ms = pace(replicas, size_bytes, rate)
    assert 10 <= concurrency <= 300
    assert interval_ms >= 5_000


def test_small_replicas_move_many_at_once_and_large_ones_few() -> None:
    """A poll should find as many free slots as moves end within it; small replicas go all at
    once.
    """
    assert pace(1_000, 1_000 * 1_000_000, 100_000_000)[0] == 300
    assert pace(168, 10**9, None)[0] > 168
    assert pace(168, 4 * 10**9, None)[0] > 168
    assert pace(1_000, 1_000 * 20_000_000, 100_000_000)[0] == 100
    assert pace(1_000, 1_000 * 50_000_000_000, 100_000_000)[0] == 10
