"""The checks that brokers are asked for, on one healthy cluster spoiled in one way at a time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.checks import broker_checks
from agent.core.checks.check_input import BrokerCheckInput, ClusterCheckInput
from agent.core.model.cluster import (
    BrokerLogs,
    LogDir,
    Reassignment,
)
from agent.core.model.reasons import Code
from agent.core.model.throttle import BrokerRate
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.plan import Wave
from agent.core.planning.policy import Limits
from tests.unit.core.check_world import (
    ALIKE,
    FINDINGS,
    P0,
    P1,
    WORLD,
    planned,
    sick,
    throttled,
    with_settings,
)

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
        planned(growth_bytes_per_second=1.0),
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
        planned(growth_bytes_per_second=501.0),
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
        planned(growth_bytes_per_second=1.0),
        replace(FINDINGS, logs={**FINDINGS.logs, 31: BrokerLogs(31, {}, free_bytes=5_000)}),
        Code.ROLLBACK_IMPOSSIBLE,
        "broker 11 has 0 bytes free, and what leaves it will grow by 100 bytes",
    ),
    "more is produced than the throttle lets through": (
        planned(in_flight_growth_bytes_per_second=81.0),
        replace(FINDINGS, rate_bytes_per_second=100),
        Code.THROTTLE_TOO_LOW,
        "81 bytes/s",
    ),
    "another retention": (
        WORLD,
        with_settings(31, log_retention_hours="24"),
        Code.BROKER_SETTINGS_DIFFER,
        "86400000 on 31",
    ),
    "an id that ZooKeeper gave out": (
        WORLD,
        with_settings(31, reserved_broker_max_id="30"),
        Code.BROKER_ID_GENERATED,
        "31 (reserved.broker.max.id 30)",
    ),
    "a reporter that is not heard": (
        WORLD,
        replace(FINDINGS, reporting=frozenset({11, 12, 32})),
        Code.REPORTER_MISSING,
        "31 have the reporter, and Cruise Control's metrics topic has no record of them",
    ),
    "a destination without the reporter": (
        WORLD,
        with_settings(31, metric_reporters=""),
        Code.REPORTER_MISSING,
        "31",
    ),
    "a rate that we never set": (
        WORLD,
        throttled(rates={12: BrokerRate(leader=7, follower=7)}),
        Code.FOREIGN_THROTTLE,
        "brokers 12",
    ),
    "entries of another move": (
        WORLD,
        throttled(followers={"u": frozenset({(0, 13)})}),
        Code.FOREIGN_THROTTLE,
        "u",
    ),
    "every replica of a topic": (
        WORLD,
        throttled(leaders={"v": None}),
        Code.FOREIGN_THROTTLE,
        "v",
    ),
    "a rate in server.properties": (
        WORLD,
        throttled(rates={31: BrokerRate(leader=7, follower=None, is_static=True)}),
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


@pytest.mark.parametrize("name", UNFIT)
def test_what_makes_it_unfit_for_a_start_is_named_by_its_code(name: str) -> None:
    """Each check before a start sees its one fault alone, and the text names what it is about."""
    world, findings, code, words = UNFIT[name]
    red = [v for v in broker_checks.check(world, findings) if not v.ok]
    assert [v.code for v in red] == [code]
    assert words in red[0].seen


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
    assert "elsewhere" in verdict.seen


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
    seen = broker_checks.no_foreign_throttle(world, throttled(leaders=lists, followers=lists)).seen
    assert "1 of them stale" in seen
    assert "as Cruise Control sets them" in seen
    by_tool = throttled(
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
    blocked = broker_checks.blocked_waves_of(sick(P0, isr=(11,)), replace(FINDINGS, logs=logs))
    assert [(b.wave, [r.code for r in b.reasons]) for b in blocked] == [(1, [Code.DISK_HEADROOM])]
