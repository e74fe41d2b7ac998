"""KafkaCluster against real brokers: what it reads is so, what it sets is in force, what it
clears is gone.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition as KafkaTopicPartition

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.checks.readiness import ReadinessPolicy, find_unhealthy
from agent.core.model.cluster import Partition, TopicPartition
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
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.cluster.topics import TopicSpec, plan_fill
from deploy.lab.workload.filling import FillSettings, fill_topics
from tests.integration.waiting import eventually

pytestmark = pytest.mark.lab

ALL = (11, 12, 13, 31, 32, 33)
RACKS = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
RATE = 2_000_000
UNLIMITED = 1_000_000_000


@pytest.fixture
async def kafka(lab: Lab) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers, request_timeout_seconds=6)
    )
    yield cluster
    await cluster.close()


class Topics:
    """Makes topics on chosen brokers, and removes them after the test."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._made: list[str] = []

    def make(
        self,
        name: str,
        assignment: Mapping[int, Sequence[int]],
        settings: Mapping[str, str] | None = None,
    ) -> list[TopicPartition]:
        with admin_client(self._lab.config.bootstrap_servers, timeout_seconds=20) as admin:
            spots = {p: list(replicas) for p, replicas in assignment.items()}
            admin.create_topics(
                {name: {"assignments": spots, "configs": dict(settings or {})}},
                wait_for_metadata=True,
            )
        self._made.append(name)
        return [TopicPartition(name, p) for p in assignment]

    def delete(self) -> None:
        if self._made:
            with admin_client(self._lab.config.bootstrap_servers, timeout_seconds=20) as admin:
                admin.delete_topics(self._made, raise_errors=False)


@pytest.fixture
def topics(lab: Lab) -> Iterator[Topics]:
    """And takes back every rate, so that one test that fails does not fail the next."""
    made = Topics(lab)
    yield made
    made.delete()
    for broker in ALL:
        if lab.pid(f"broker-{broker}"):
            alter(
                lab,
                ConfigResourceType.BROKER,
                str(broker),
                {LEADER_RATE: None, FOLLOWER_RATE: None},
            )


def alter(lab: Lab, kind: ConfigResourceType, name: str, changes: Mapping[str, str | None]) -> None:
    """As another tool would.

    Any broker may be the one that is asked: it may not know a new topic yet.
    """
    operations: Any = {
        key: (AlterConfigOp.DELETE if value is None else AlterConfigOp.SET, value)
        for key, value in changes.items()
    }
    deadline = time.monotonic() + 10
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=20) as admin:
        told = ""
        while told != "OK":
            assert time.monotonic() < deadline, told
            resource = ConfigResource(kind, name, operations)
            answer = admin.alter_configs([resource], raise_on_unknown=False, incremental=True)
            told = answer[kind.name.lower()][name]


def reassign(lab: Lab, wanted: Mapping[TopicPartition, Sequence[int] | None]) -> None:
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=20) as admin:
        told = admin.alter_partition_reassignments(
            {KafkaTopicPartition(*n): r for n, r in wanted.items()}
        )
    assert set(told.values()) == {None}


async def test_tells_the_whole_cluster(lab: Lab, kafka: KafkaCluster, topics: Topics) -> None:
    """Brokers with their AZ, partitions in replica order with leader and ISR, min ISR of each
    topic, the controller.
    """
    topics.make("kc.facts", {0: [11, 12, 13], 1: [12, 13, 11]}, {"min.insync.replicas": "2"})
    topics.make("kc.plain", {0: [13]})
    facts = await kafka.cluster()
    assert facts.racks == RACKS
    assert await kafka.alive() == RACKS
    assert facts.controller_id in RACKS
    assert [p for p in facts.partitions if p.topic == "kc.facts"] == [
        Partition("kc.facts", 0, 11, (11, 12, 13), (11, 12, 13)),
        Partition("kc.facts", 1, 12, (12, 13, 11), (12, 13, 11)),
    ]
    assert (facts.min_isr["kc.facts"], facts.min_isr["kc.plain"]) == (2, 1)
    look = await kafka.health()
    assert (look.broker_ids, look.partitions, look.doubtful) == (ALL, len(facts.partitions), ())


async def test_describes_only_what_is_asked(kafka: KafkaCluster, topics: Topics) -> None:
    """Unknown topics and partitions are left out of an answer, and asking for them does not
    make them.
    """
    (name,) = topics.make("kc.described", {0: [11]})
    asked = [name, TopicPartition("kc.described", 7), TopicPartition("kc.never-made", 0)]
    assert [p.name for p in await kafka.describe(asked)] == [name]
    assert "kc.never-made" not in {p.topic for p in (await kafka.cluster()).partitions}


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
    # brokers hear of it one after the other
    await eventually(lambda: _is(lambda: _target(kafka, name), (31, 12, 13)))
    (moving,) = await kafka.describe([name])
    # their order is Kafka's: the target, then what is removed
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
    await eventually(lambda: _is(kafka.reassignments, []))
    await eventually(lambda: _is(lambda: _replicas(kafka, name), (31, 12, 13)))
    await kafka.clear_throttle(order)
    assert (await kafka.throttle(ALL, None)).is_empty


async def _is(ask: Callable[[], Any], wanted: Any) -> bool:
    return bool(await ask() == wanted)


async def _target(kafka: KafkaCluster, name: TopicPartition) -> tuple[int, ...]:
    (p,) = await kafka.describe([name])
    return p.target


async def _replicas(kafka: KafkaCluster, name: TopicPartition) -> tuple[int, ...]:
    (p,) = await kafka.describe([name])
    return p.replicas


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


async def test_replica_order_and_preferred_leader(kafka: KafkaCluster, topics: Topics) -> None:
    """Replicas are reordered without copying, and the first one is elected; a needless election
    is no error.
    """
    (name,) = topics.make("kc.order", {0: [11, 12, 13]})
    await kafka.elect_preferred([name])
    await kafka.reorder_replicas({name: [12, 13, 11]})
    await eventually(lambda: _is(lambda: _replicas(kafka, name), (12, 13, 11)))
    await kafka.elect_preferred([name, TopicPartition("kc.gone", 0)])

    async def is_led() -> bool:
        (p,) = await kafka.describe([name])
        return p.leader == 12

    await eventually(is_led)


async def test_lost_broker_disappears(lab: Lab, kafka: KafkaCluster, topics: Topics) -> None:
    """A killed broker leaves alive() and logs(), keeps no other broker from its throttle, and
    comes back.
    """
    (name,) = topics.make("kc.lost", {0: [33, 11]})
    await eventually(lambda: _is_on_disk(kafka, 33, name))
    lab.kill("broker-33")
    try:

        async def is_gone() -> bool:
            try:
                return 33 not in await kafka.alive()
            except PortError:
                return False  # it was the one that was asked

        await eventually(is_gone)
        logs = await kafka.logs(ALL)
        assert set(logs) == set(ALL) - {33}
        assert all(log.free_bytes > 0 for log in logs.values())
        (p,) = await kafka.describe([name])
        assert (p.replicas, p.isr, p.leader) == ((33, 11), (11,), 11)
        assert p.is_under_replicated
        order = ThrottleChange(rates={33: RATE, 32: RATE})
        await kafka.set_throttle(order)
        assert set((await kafka.throttle(ALL, [])).rates) == {32}
        await kafka.clear_throttle(order)
        assert (await kafka.throttle(ALL, [])).is_empty
    finally:
        lab.start("broker-33")
    await eventually(lambda: _is(kafka.alive, RACKS))
    await eventually(lambda: _is_on_disk(kafka, 33, name))


async def _is_on_disk(kafka: KafkaCluster, broker_id: int, name: TopicPartition) -> bool:
    return name in (await kafka.logs([broker_id]))[broker_id].size_bytes


async def test_hanging_broker_costs_its_own_timeout_only(lab: Lab, topics: Topics) -> None:
    """A broker that accepts connections and answers nothing is left out after the time of one
    request.
    """
    kafka = KafkaCluster(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers, request_timeout_seconds=3)
    )
    topics.make("kc.hung", {0: [11, 12]})
    try:
        controller_id = (await kafka.cluster()).controller_id
        hanging = 33 if controller_id == 32 else 32
        lab.pause(f"broker-{hanging}")
        try:
            began = time.monotonic()
            logs = await kafka.logs(ALL)
            took = time.monotonic() - began
            print(f"logs() with one hanging broker: {took:.1f} s")
            assert set(logs) == set(ALL) - {hanging}
            assert took < 3 * 2
        finally:
            lab.unpause(f"broker-{hanging}")
        await eventually(lambda: _is(lambda: _answering(kafka), set(ALL)), 60)
    finally:
        await kafka.close()


async def test_a_call_that_never_comes_back_costs_itself_only(lab: Lab) -> None:
    """The library has been seen to wait for ever: that question fails in time, and the next one
    is answered.
    """
    kafka = KafkaCluster(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers, request_timeout_seconds=2)
    )
    for_ever = threading.Event()
    try:
        assert set(await kafka.alive()) == set(ALL)
        with pytest.raises(PortError, match="did not tell its fortune: no answer within"):
            await kafka._call("fortune", lambda _admin: for_ever.wait(), -11.0)
        assert set(await kafka.alive()) == set(ALL)
    finally:
        for_ever.set()
        await kafka.close()


async def _answering(kafka: KafkaCluster) -> set[int]:
    try:
        return set(await kafka.logs(await kafka.alive()))
    except PortError:
        return set()


async def test_settings_and_addresses_of_brokers(lab: Lab, kafka: KafkaCluster) -> None:
    """Settings in force by name, of those that answer; every broker of the lab takes a
    connection where it says.
    """
    found = await kafka.broker_settings([11, 31, 99])
    assert {b: settings["broker.rack"] for b, settings in found.items()} == {11: "az-a", 31: "az-a"}
    assert await kafka.unreachable(ALL) == {}


async def test_static_throttle_is_recognised(lab: Lab, kafka: KafkaCluster) -> None:
    """A rate in server.properties is told from one that a request has set, for no request can
    take it away.
    """
    lab.restart("broker-33", {LEADER_RATE: "7000000"})
    try:
        await eventually(lambda: _is(kafka.alive, RACKS))
        found = await kafka.throttle([33], [])
        assert found.rates[33].is_static
        assert found.rates[33].leader == 7_000_000
    finally:
        lab.restart("broker-33", {})
    await eventually(lambda: _is(kafka.alive, RACKS))
    alter(lab, ConfigResourceType.BROKER, "33", {FOLLOWER_RATE: "9000000"})
    dynamic = BrokerRate(leader=None, follower=9_000_000, is_static=False)
    await eventually(lambda: _is(lambda: _rates(kafka), {33: dynamic}))
    alter(lab, ConfigResourceType.BROKER, "33", {FOLLOWER_RATE: None})
    await eventually(lambda: _is(lambda: _rates(kafka), {}))


async def _rates(kafka: KafkaCluster) -> dict[int, BrokerRate]:
    return dict((await kafka.throttle([33], [])).rates)


async def test_unreachable_cluster_is_said_and_leaves_no_thread() -> None:
    """When no broker answers, PortError says who was asked, in bounded time; repeated failures
    pile nothing up.
    """
    kafka = KafkaCluster(
        KafkaConnection(bootstrap_servers="127.0.0.1:9", request_timeout_seconds=0.3)
    )
    with pytest.raises(PortError, match=r"127\.0\.0\.1:9"):
        await kafka.alive()
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(PortError):
            await kafka.alive()
    assert threading.active_count() == threads
    await kafka.close()
