"""Throttles on real brokers: set, counted, cleared, and other hands' left alone."""

import asyncio
import time

import pytest
from kafka.admin import ConfigResourceType

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.checks.readiness import ReadinessPolicy, find_unhealthy
from agent.core.model.throttle import (
    FOLLOWER_RATE,
    LEADER_RATE,
    LEADER_REPLICAS,
    BrokerRate,
    ThrottleChange,
    wave_throttle,
)
from agent.performer.ports import PortError
from deploy.lab import Lab
from deploy.lab.cluster.topics import TopicSpec, plan_fill
from deploy.lab.workload.filling import FillSettings, fill_topics
from tests.integration.kafka_topics import (
    ALL,
    RACKS,
    RATE,
    Topics,
    alter,
    is_now,
    reassign,
    replicas_of,
    target_of,
)
from tests.integration.waiting import eventually

pytestmark = pytest.mark.lab


UNLIMITED = 1_000_000_000


async def test_throttle_holds_a_real_move(lab: Lab, kafka: KafkaCluster, topics: Topics) -> None:
    """A throttled move shows as adding and removing, is not sick, runs at about the rate, and
    can be sped up.
    """
    (name,) = topics.make("kc.moved", {0: [11, 12, 13]})
    size = 40_000_000
    fills = plan_fill([TopicSpec("kc.moved", 1)], size, 4096)
    await fill_topics(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers),
        fills,
        FillSettings(),
        lambda _done, _total: None,
    )
    before = await kafka.describe([name])
    order = wave_throttle(before, {11: (31,)}, await kafka.alive(), RATE)
    await kafka.set_throttle(order)
    found = await kafka.throttle(ALL, ["kc.moved"])
    assert {
        b: (r.leader, r.follower, r.is_static) for b, r in found.rates.items()
    } == dict.fromkeys(ALL, (RATE, RATE, False))
    assert found.leaders == {"kc.moved": {(0, 11), (0, 12), (0, 13)}}
    assert found.followers == {"kc.moved": {(0, 31)}}

    reassign(lab, {name: [31, 12, 13]})
    (flying,) = await kafka.reassignments()
    assert (flying.adding, flying.removing) == ((31,), (11,))
    # Brokers learn of it one after the other.
    await eventually(lambda: is_now(lambda: target_of(kafka, name), (31, 12, 13)))
    (moving,) = await kafka.describe([name])
    # Kafka orders them: first the target, then what is removed.
    assert set(moving.origin) == {11, 12, 13}
    assert not moving.is_under_replicated
    look = await kafka.health()
    assert (look.reassigning, find_unhealthy(look, ReadinessPolicy()).total) == (1, 0)

    async def copied() -> int:
        return (await kafka.logs([31]))[31].size_bytes.get(name, 0)

    began = time.monotonic()
    await asyncio.sleep(10)
    rate = await copied() / (time.monotonic() - began)
    print(f"throttled to {RATE:,} bytes a second, measured {rate:,.0f}")
    assert 0.5 * RATE < rate < 1.6 * RATE  # what one fetch brings is lumpy at such a low rate
    assert await kafka.reassignments()

    await kafka.set_throttle(wave_throttle(before, {11: (31,)}, await kafka.alive(), UNLIMITED))
    await eventually(lambda: is_now(kafka.reassignments, []))
    await eventually(lambda: is_now(lambda: replicas_of(kafka, name), (31, 12, 13)))
    await kafka.clear_throttle(order)
    assert (await kafka.throttle(ALL, None)).is_empty


async def test_entries_of_others_survive(lab: Lab, kafka: KafkaCluster, topics: Topics) -> None:
    """Setting and clearing touches only our own entries; a list that is then empty is deleted."""
    topics.make("kc.shared", {0: [11, 12, 13], 1: [11, 12, 13]})
    alter(lab, ConfigResourceType.TOPIC, "kc.shared", {LEADER_REPLICAS: "1:12"})
    ours = frozenset({(0, 11), (0, 12)})
    order = ThrottleChange(
        rates={31: RATE}, leaders={"kc.shared": ours}, followers={"kc.shared": frozenset({(0, 31)})}
    )
    await kafka.set_throttle(order)
    assert (await kafka.throttle([], ["kc.shared"])).leaders == {"kc.shared": ours | {(1, 12)}}
    await kafka.set_throttle(order)  # a repeat changes nothing
    assert (await kafka.throttle([], ["kc.shared"])).leaders == {"kc.shared": ours | {(1, 12)}}
    await kafka.clear_throttle(order)
    left = await kafka.throttle(ALL, ["kc.shared"])
    assert left.leaders == {"kc.shared": {(1, 12)}}
    assert not left.followers
    assert not left.rates


async def test_star_of_others_is_left_alone(lab: Lab, kafka: KafkaCluster, topics: Topics) -> None:
    """Where another tool throttles every replica, ours need not be listed, and clearing does
    not end its throttle.
    """
    topics.make("kc.star", {0: [11, 12, 13]})
    topics.make("kc.other", {0: [11, 12, 13]})
    alter(lab, ConfigResourceType.TOPIC, "kc.star", {LEADER_REPLICAS: "*"})
    both = {"kc.star": frozenset({(0, 11)}), "kc.other": frozenset({(0, 11)})}
    order = ThrottleChange(leaders=both, followers={"kc.star": frozenset({(0, 31)})})
    await kafka.set_throttle(order)
    found = await kafka.throttle([], ["kc.star", "kc.other"])
    assert found.leaders == {"kc.star": None, "kc.other": {(0, 11)}}
    assert found.followers == {"kc.star": {(0, 31)}}
    await kafka.clear_throttle(order)
    left = await kafka.throttle([], ["kc.star", "kc.other"])
    assert (left.leaders, left.followers) == ({"kc.star": None}, {})


async def test_clearing_nothing_is_no_error(kafka: KafkaCluster, topics: Topics) -> None:
    """What is not there, be it entry, rate or topic, needs no clearing; a throttle for a topic
    that is gone is none.
    """
    topics.make("kc.bare", {0: [11]})
    replicas = frozenset({(0, 11)})
    order = ThrottleChange(rates={32: RATE}, leaders={"kc.bare": replicas, "kc.gone": replicas})
    await kafka.clear_throttle(order)
    await kafka.set_throttle(order)
    assert (await kafka.throttle([32], None)).leaders == {"kc.bare": replicas}
    await kafka.clear_throttle(order)
    assert (await kafka.throttle([32], None)).is_empty


async def test_refused_throttle_is_told(kafka: KafkaCluster) -> None:
    """A setting that a broker refuses is an error that names the setting: it must not pass for
    a throttle in force.
    """
    with pytest.raises(PortError, match="31"):
        await kafka.set_throttle(ThrottleChange(rates={31: -5}))


async def test_static_throttle_is_recognised(lab: Lab, kafka: KafkaCluster) -> None:
    """A rate in server.properties is told from one that a request has set, for no request can
    take it away.
    """
    lab.restart("broker-33", {LEADER_RATE: "7000000"})
    try:
        await eventually(lambda: is_now(kafka.alive, RACKS))
        found = await kafka.throttle([33], [])
        assert found.rates[33].is_static
        assert found.rates[33].leader == 7_000_000
    finally:
        lab.restart("broker-33", {})
    await eventually(lambda: is_now(kafka.alive, RACKS))
    alter(lab, ConfigResourceType.BROKER, "33", {FOLLOWER_RATE: "9000000"})
    dynamic = BrokerRate(leader=None, follower=9_000_000, is_static=False)
    await eventually(lambda: is_now(lambda: _rates(kafka), {33: dynamic}))
    alter(lab, ConfigResourceType.BROKER, "33", {FOLLOWER_RATE: None})
    await eventually(lambda: is_now(lambda: _rates(kafka), {}))


async def _rates(kafka: KafkaCluster) -> dict[int, BrokerRate]:
    return dict((await kafka.throttle([33], [])).rates)
