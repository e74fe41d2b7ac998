"""KafkaCluster against real brokers: what it reads is so, what it sets is in force, what it
clears is gone.
"""

import threading
import time

import pytest

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.model.cluster import Partition, TopicPartition
from agent.core.model.throttle import (
    ThrottleChange,
)
from agent.performer.ports import PortError
from deploy.lab import Lab
from tests.integration.kafka_topics import (
    ALL,
    RACKS,
    RATE,
    Topics,
    is_now,
    replicas_of,
)
from tests.integration.waiting import eventually

pytestmark = pytest.mark.lab


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


async def test_replica_order_and_preferred_leader(kafka: KafkaCluster, topics: Topics) -> None:
    """Replicas are reordered without copying, and the first one is elected; a needless election
    is no error.
    """
    (name,) = topics.make("kc.order", {0: [11, 12, 13]})
    await kafka.elect_preferred([name])
    await kafka.reorder_replicas({name: [12, 13, 11]})
    await eventually(lambda: is_now(lambda: replicas_of(kafka, name), (12, 13, 11)))
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
    await eventually(lambda: is_now(kafka.alive, RACKS))
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
        await eventually(lambda: is_now(lambda: _answering(kafka), set(ALL)), 60)
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
        with pytest.raises(PortError, match="the request for fortune failed: no answer within"):
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
