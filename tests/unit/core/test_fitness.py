"""Every check before a start and while moving, red and green: one healthy world, spoiled in one
way at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from agent.core.checks import broker_checks, cluster_checks
from agent.core.checks.broker_checks import BrokerCheckInput
from agent.core.checks.cluster_checks import ClusterCheckInput, CruiseControlFacts
from agent.core.messages import Executor
from agent.core.model.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    LogDir,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.reasons import TEXT_CHARACTERS_MAX, CheckResult, Code, Reason
from agent.core.model.throttle import BrokerRate, ThrottleFacts
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.estimate import Estimate
from agent.core.planning.options import Limits
from agent.core.planning.plan import Wave

OWN_RATE = 5_000
P0 = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
P1 = Partition("u", 0, leader=12, replicas=(12,), isr=(12,))
RACKS: dict[int, str | None] = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b"}
ALIKE = {
    "inter.broker.protocol.version": "3.9-IV0",
    "message.max.bytes": "1048588",
    "log.retention.hours": "168",
    "broker.id.generation.enable": "true",
    "reserved.broker.max.id": "1000",
    "metric.reporters": "com.linkedin.kafka.cruisecontrol.metricsreporter.CruiseControlMetricsReporter",  # noqa: E501
}


def _cluster(racks: Mapping[int, str | None] = RACKS, *partitions: Partition) -> ClusterFacts:
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in racks.items()),
        partitions=partitions or (P0, P1),
        min_isr={"t": 2},
    )


WORLD = ClusterCheckInput(
    cluster=_cluster(),
    waves=(
        Wave(number=1, az="az-a", source_broker_ids=(11,), destination_broker_ids=(31,)),
        Wave(number=2, az="az-b", source_broker_ids=(12,), destination_broker_ids=(32,)),
    ),
    cruise_control=CruiseControlFacts(reachable=True, valid_windows=1),
)
# Our own leftovers: a rate that we have set, entries of a move to one of our destinations.
OWN_THROTTLE = ThrottleFacts(
    rates={11: BrokerRate(leader=OWN_RATE, follower=OWN_RATE)},
    leaders={"t": frozenset({(0, 11), (0, 12)})},
    followers={"t": frozenset({(0, 31)})},
)
FINDINGS = BrokerCheckInput(
    logs={
        11: BrokerLogs(11, {P0.name: 1_000}, free_bytes=0),
        12: BrokerLogs(12, {P0.name: 1_000, P1.name: 500}, free_bytes=0),
        31: BrokerLogs(31, {}, free_bytes=1_100),
        32: BrokerLogs(32, {}),  # it does not tell
    },
    throttle=OWN_THROTTLE,
    throttle_rates_set=(OWN_RATE,),
    settings={11: ALIKE, 12: ALIKE, 31: ALIKE},  # 32 did not answer
)
CHECKED = [*cluster_checks.check(WORLD), *broker_checks.check(WORLD, FINDINGS)]


def _sick(p: Partition, **changes: object) -> ClusterCheckInput:
    return replace(WORLD, cluster=_cluster(RACKS, replace(p, **changes), P1))  # type: ignore[arg-type]


def _cruise_control(**changes: object) -> ClusterCheckInput:
    return replace(WORLD, cruise_control=replace(WORLD.cruise_control, **changes))  # type: ignore[arg-type]


def _without(broker: int) -> Mapping[int, str | None]:
    return {b: rack for b, rack in RACKS.items() if b != broker}


def _flying(*, adding: int, removing: int) -> ClusterCheckInput:
    return replace(
        WORLD, reassignments=(Reassignment("t", 0, (31, 11, 12, 13), (adding,), (removing,)),)
    )


def _tight(min_isr: int, replicas: tuple[int, ...]) -> ClusterCheckInput:
    p = Partition("t", 0, leader=11, replicas=replicas, isr=replicas)
    return replace(WORLD, cluster=replace(_cluster(RACKS, p), min_isr={"t": min_isr}))


SPOILED: dict[str, tuple[ClusterCheckInput, Code, str]] = {
    "a source is down": (replace(WORLD, cluster=_cluster(_without(11))), Code.BROKER_DOWN, "11"),
    "a holder of a replica is down": (
        replace(WORLD, cluster=_cluster(_without(13))),
        Code.BROKER_DOWN,
        "13",
    ),
    "no rack": (replace(WORLD, cluster=_cluster({**RACKS, 31: None})), Code.RACK_UNKNOWN, "31"),
    "another AZ": (
        replace(WORLD, cluster=_cluster({**RACKS, 31: "az-b"})),
        Code.AZ_MISMATCH,
        "31 in az-b",
    ),
    "offline": (_sick(P0, leader=-1), Code.OFFLINE_PARTITION, "t-0"),
    "under min ISR": (_sick(P0, isr=(11,)), Code.UNDER_MIN_ISR, "t-0"),
    "under-replicated": (_sick(P0, isr=(11, 12)), Code.UNDER_REPLICATED, "t-0"),
    "two replicas in one AZ": (
        _sick(P0, replicas=(11, 31, 12), isr=(11, 31, 12)),
        Code.REPLICAS_PER_AZ,
        "1 have two replicas in one AZ: t-0",
    ),
    "a drained source has left": (
        replace(WORLD, rollback_brokers=frozenset({10})),
        Code.ROLLBACK_IMPOSSIBLE,
        "10 have left",
    ),
    "someone moves to elsewhere": (
        _flying(adding=12, removing=11),
        Code.FOREIGN_REASSIGNMENT,
        "t-0",
    ),
    "an earlier move goes on": (_flying(adding=31, removing=11), Code.ORPHANED_MOVES, "t-0"),
    "no Cruise Control": (
        _cruise_control(
            reachable=False, trouble=Reason(Code.CRUISE_CONTROL_UNREACHABLE, "refused")
        ),
        Code.CRUISE_CONTROL_UNREACHABLE,
        "refused",
    ),
    "it works": (
        _cruise_control(
            executor=Executor.FOREIGN, executor_state="STARTING", executor_reason="rebalance"
        ),
        Code.CRUISE_CONTROL_BUSY,
        "rebalance",
    ),
    "no window": (_cruise_control(valid_windows=0), Code.CRUISE_CONTROL_NOT_READY, "0 valid"),
    "it refuses a dry run": (
        _cruise_control(dryrun=Reason(Code.CRUISE_CONTROL_REJECTED, "no goal")),
        Code.CRUISE_CONTROL_REJECTED,
        "no goal",
    ),
    "RF 2, min ISR 2": (_tight(2, (11, 12)), Code.RF_EQUALS_MIN_ISR, "t"),
    "RF 2, min ISR 3": (_tight(3, (11, 12)), Code.RF_EQUALS_MIN_ISR, "t"),
    "it heals": (
        _cruise_control(self_healing=("BROKER_FAILURE",)),
        Code.SELF_HEALING_ON,
        "BROKER_FAILURE",
    ),
}


def _throttled(**changes: object) -> BrokerCheckInput:
    return replace(FINDINGS, throttle=replace(OWN_THROTTLE, **changes))  # type: ignore[arg-type]


def _planned(**changes: object) -> ClusterCheckInput:
    """Wave 1 with an estimate."""
    about = Estimate(
        low_seconds=1.0,
        high_seconds=100.0,
        cross_az_bytes=0,
        largest_partition="",
        largest_partition_bytes=0,
        reasoning="",
    )
    first = replace(WORLD.waves[0], estimate=replace(about, **changes))  # type: ignore[arg-type]
    return replace(WORLD, waves=(first, WORLD.waves[1]))


def _set(broker: int, **changes: str) -> BrokerCheckInput:
    of = {**ALIKE, **{name.replace("_", "."): value for name, value in changes.items()}}
    return replace(FINDINGS, settings={11: ALIKE, broker: of})


CARRIES = BrokerLoad(
    broker_id=31,
    replicas=100,
    replicas_after=400,
    leaders=30,
    leaders_after=130,
    size_bytes=0,
    size_bytes_after=0,
    written_bytes_per_second=0.0,
    written_bytes_per_second_after=500.0,
)
UNFIT: dict[str, tuple[ClusterCheckInput, BrokerCheckInput, Code, str]] = {
    "a byte short of what comes and a tenth": (
        WORLD,
        replace(FINDINGS, logs={**FINDINGS.logs, 31: BrokerLogs(31, {}, free_bytes=1_099)}),
        Code.DISK_HEADROOM,
        "broker 31 has 1,099 bytes free",
    ),
    "no room for what producers add meanwhile": (
        _planned(growth_bytes_per_second=1.0),
        replace(
            FINDINGS, logs={**FINDINGS.logs, 11: BrokerLogs(11, {P0.name: 1_000}, free_bytes=100)}
        ),
        Code.DISK_HEADROOM,
        "broker 31 has 1,100 bytes free in its log dirs, 1,200 may be needed",
    ),
    "room in the other log dir only": (
        WORLD,
        replace(
            FINDINGS,
            logs={
                **FINDINGS.logs,
                31: BrokerLogs(
                    31,
                    {},
                    9_500,
                    (LogDir("/full", 0, 500, 9_000), LogDir("/wide", 7, 9_000, 9_000)),
                ),
            },
        ),
        Code.DISK_HEADROOM,
        "in /full",
    ),
    "more replicas than a destination may have": (
        WORLD,
        replace(
            FINDINGS,
            load={31: CARRIES, 32: replace(CARRIES, broker_id=32)},
            limits=Limits(replicas_max=399),
        ),
        Code.DESTINATION_CAPACITY,
        "broker 31 would have 400 replicas, at most 399; broker 32",
    ),
    "more than a destination's network takes": (
        WORLD,
        replace(
            FINDINGS,
            load={31: CARRIES},
            rate_bytes_per_second=700,
            limits=Limits(replicas_max=400, network_bytes_per_second_max=1_199),
        ),
        Code.DESTINATION_CAPACITY,
        "broker 31 would receive 1,200 bytes/s, the throttle included",
    ),
    "between waves, what producers add by the plan": (
        _planned(growth_bytes_per_second=501.0),
        replace(
            FINDINGS,
            logs={},
            load={31: CARRIES},
            rate_bytes_per_second=700,
            limits=Limits(network_bytes_per_second_max=1_200),
        ),
        Code.DESTINATION_CAPACITY,
        "broker 31 would receive 1,201 bytes/s",
    ),
    "no room on a source for what grew": (
        _planned(growth_bytes_per_second=1.0),
        replace(FINDINGS, logs={**FINDINGS.logs, 31: BrokerLogs(31, {}, free_bytes=5_000)}),
        Code.ROLLBACK_IMPOSSIBLE,
        "broker 11 has 0 bytes free, what it gives away will have grown by 100",
    ),
    "more is produced than the throttle lets through": (
        _planned(in_flight_growth_bytes_per_second=81.0),
        replace(FINDINGS, rate_bytes_per_second=100),
        Code.THROTTLE_TOO_LOW,
        "81 bytes/s",
    ),
    "another retention": (
        WORLD,
        _set(31, log_retention_hours="24"),
        Code.BROKER_SETTINGS_DIFFER,
        "86400000 on 31",
    ),
    "an id that ZooKeeper gave out": (
        WORLD,
        _set(31, reserved_broker_max_id="30"),
        Code.BROKER_ID_GENERATED,
        "31 (reserved.broker.max.id 30)",
    ),
    "a reporter that is not heard": (
        WORLD,
        replace(FINDINGS, reporting=frozenset({11, 12, 32})),
        Code.REPORTER_MISSING,
        "31 have the reporter, and Cruise Control's metrics topic has nothing of them",
    ),
    "a destination without the reporter": (
        WORLD,
        _set(31, metric_reporters=""),
        Code.REPORTER_MISSING,
        "31",
    ),
    "a rate that we never set": (
        WORLD,
        _throttled(rates={12: BrokerRate(leader=7, follower=7)}),
        Code.FOREIGN_THROTTLE,
        "brokers 12",
    ),
    "entries of another move": (
        WORLD,
        _throttled(followers={"u": frozenset({(0, 13)})}),
        Code.FOREIGN_THROTTLE,
        "u",
    ),
    "every replica of a topic": (
        WORLD,
        _throttled(leaders={"v": None}),
        Code.FOREIGN_THROTTLE,
        "v",
    ),
    "a rate in server.properties": (
        WORLD,
        _throttled(rates={31: BrokerRate(leader=7, follower=None, is_static=True)}),
        Code.STATIC_THROTTLE,
        "31",
    ),
    "smaller records on one side": (
        WORLD,
        replace(FINDINGS, settings={11: ALIKE, 31: {**ALIKE, "message.max.bytes": "1000"}}),
        Code.BROKER_SETTINGS_DIFFER,
        "message.max.bytes: 1000 on 31; 1048588 on 11",
    ),
    "another protocol": (
        WORLD,
        replace(
            FINDINGS,
            settings={11: ALIKE, 31: {**ALIKE, "inter.broker.protocol.version": "3.6-IV2"}},
        ),
        Code.BROKER_SETTINGS_DIFFER,
        "3.6-IV2 on 31",
    ),
    "a closed port": (
        WORLD,
        replace(FINDINGS, unreachable={31: "b31:9092: Connection refused"}),
        Code.LISTENER_UNREACHABLE,
        "broker 31 at b31:9092: Connection refused",
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


@pytest.mark.parametrize("name", UNFIT)
def test_what_makes_it_unfit_for_a_start_is_named_by_its_code(name: str) -> None:
    """Each check before a start sees its one fault alone, and the text names what it is about."""
    world, findings, code, words = UNFIT[name]
    red = [v for v in broker_checks.check(world, findings) if not v.ok]
    assert [v.code for v in red] == [code]
    assert words in red[0].seen


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
    gone = replace(WORLD, cluster=_cluster({}, replace(P0, replicas=tuple(range(1_000)))))
    assert all(len(v.seen) <= TEXT_CHARACTERS_MAX for v in cluster_checks.check(gone))


def test_a_throttle_of_our_last_migration_is_ours() -> None:
    """Entries towards the last migration's destinations are not called foreign by the next,
    which goes elsewhere.
    """
    elsewhere = replace(WORLD, waves=(replace(WORLD.waves[0], destination_broker_ids=(32,)),))
    green: Callable[[BrokerCheckInput], bool] = lambda f: (  # noqa: E731
        broker_checks.no_foreign_throttle(elsewhere, f).ok
    )
    assert not green(FINDINGS)
    assert green(replace(FINDINGS, migration_destinations=frozenset({31})))


def test_a_wave_to_several_brokers_shares_its_bytes_among_them() -> None:
    """Pairing by zone: each destination needs room for its share, not for all."""
    wave = Wave(number=1, az="az-a", source_broker_ids=(11,), destination_broker_ids=(31, 33))
    two = BrokerLogs(11, {P0.name: 500, P1.name: 500})
    logs = {11: two, 31: BrokerLogs(31, {}, free_bytes=600), 33: BrokerLogs(33, {}, free_bytes=600)}
    assert broker_checks.disk_headroom(
        replace(WORLD, waves=(wave,)), replace(FINDINGS, logs=logs)
    ).ok


def test_the_same_retention_in_another_unit_is_the_same() -> None:
    """168 hours are 604,800,000 ms."""
    ms = {
        **{k: v for k, v in ALIKE.items() if k != "log.retention.hours"},
        "log.retention.ms": "604800000",
    }
    assert broker_checks.broker_settings_match(
        WORLD, replace(FINDINGS, settings={11: ALIKE, 31: ms})
    ).ok


def test_without_a_reporter_anywhere_none_is_asked_for() -> None:
    """Cruise Control may sample Prometheus."""
    bare = {**ALIKE, "metric.reporters": ""}
    verdict = broker_checks.reporters(WORLD, replace(FINDINGS, settings={11: bare, 31: bare}))
    assert verdict.ok
    assert "another source" in verdict.seen


def test_silence_of_everybody_proves_nothing() -> None:
    """Where not even the sources are heard the topic is another one, or its records are read
    wrongly.
    """
    assert broker_checks.reporters(WORLD, replace(FINDINGS, reporting=frozenset())).ok
    heard = broker_checks.reporters(WORLD, replace(FINDINGS, reporting=frozenset({11, 12, 31, 32})))
    assert heard.ok
    assert "reports to Cruise Control" in heard.seen


def test_lists_of_others_are_told_with_their_state_and_their_way_of_writing() -> None:
    """Stale or in use, and which tool writes so."""
    world = replace(WORLD, reassignments=(Reassignment("used", 0, (13, 11), (13,), (11,)),))
    lists = {"used": frozenset({(0, 13)}), "old": frozenset({(0, 12)})}
    seen = broker_checks.no_foreign_throttle(world, _throttled(leaders=lists, followers=lists)).seen
    assert "1 of them stale" in seen
    assert "as Cruise Control sets them" in seen
    by_tool = _throttled(
        leaders={"old": frozenset({(0, 12), (0, 13)})}, followers={"old": frozenset({(0, 12)})}
    )
    assert (
        "as kafka-reassign-partitions sets them"
        in broker_checks.no_foreign_throttle(world, by_tool).seen
    )


def test_a_blocked_wave_is_named_apart_from_the_others() -> None:
    """What stands in the way of one wave is told with its number; what is wrong with the
    cluster is not repeated.
    """
    logs = {**FINDINGS.logs, 31: BrokerLogs(31, {}, free_bytes=5)}
    blocked = broker_checks.blocked_waves_of(_sick(P0, isr=(11,)), replace(FINDINGS, logs=logs))
    assert [(b.wave, [r.code for r in b.reasons]) for b in blocked] == [(1, [Code.DISK_HEADROOM])]


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
    world = replace(WORLD, cluster=replace(_cluster(RACKS, moving), min_isr={"t": 2}))
    assert not cluster_checks.replicas_above_min_isr(world).ok
    assert TopicPartition("t", 0) == moving.name
