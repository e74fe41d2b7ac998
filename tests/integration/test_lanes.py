"""Lanes on a real cluster: canary, internal topics, giants by Kafka's own reassignment; the
rest by Cruise Control.
"""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient

from agent.client import ControlClient
from deploy.lab import Lab
from deploy.lab.workload.facts import Name, PartitionFacts, look
from tests.integration.waiting import await_event, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

ORDERS = [[11, 12, 13], [12, 13, 11], [13, 11, 12]]
SMALL, LARGE = "lanes-small", "lanes-large"
RECORD_BYTES = 10_000
OPTIONS = {
    "mode": "az",
    "az": "az-a",
    "throttle_bytes_per_second": 20_000_000,
    "canary_partitions": 2,
    "large_partition_bytes": 5_000_000,
    "internal_topics": "first",
    "internal_throttle_bytes_per_second": 5_000_000,
}


@pytest.fixture(scope="module")
def filled(lab: Lab) -> Iterator[Lab]:
    """Twelve small partitions and two large ones on the source brokers; taken away after."""
    servers = lab.status()["bootstrap_servers"]
    admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
    configs = {"min.insync.replicas": "2"}
    admin.create_topics(
        {
            SMALL: {"assignments": {p: ORDERS[p % 3] for p in range(12)}, "configs": configs},
            LARGE: {"assignments": {p: ORDERS[p % 3] for p in range(2)}, "configs": configs},
        }
    )
    asyncio.run(_fill(servers))
    yield lab
    admin.delete_topics([SMALL, LARGE])
    admin.close()


async def _fill(servers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=10, max_batch_size=200_000)
    await producer.start()
    record = os.urandom(RECORD_BYTES)
    for n in range(2_400):
        topic, partition = (LARGE, n % 2) if n % 3 else (SMALL, n // 3 % 12)
        await producer.send(topic, record, partition=partition)
    await producer.stop()


def _replicas(partitions: dict[Name, PartitionFacts]) -> dict[Name, tuple[int, ...]]:
    return {name: p.replicas for name, p in partitions.items()}


async def _executed(lab: Lab, migration_id: str) -> list[int]:
    """The waves for which Cruise Control has executed."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            lab.status()["cruise_control_url"] + "/user_tasks", params={"json": "true"}
        )
    waves = []
    for task in answer.json()["userTasks"]:
        query = httpx.URL(task["RequestURL"].split(" ", 1)[1]).params
        name, _, rest = query.get("reason", "").partition("/")
        if (
            name == migration_id
            and query.get("dryrun") == "false"
            and task["Status"] != "CompletedWithError"
        ):
            waves.append(int(rest.split("/")[0]))
    return waves


async def test_lanes_go_first_and_the_rest_to_cruise_control_and_all_comes_back(
    client: ControlClient, filled: Lab
) -> None:
    """Canary, internal topics, giants, rest, in this order, each verified; a rollback restores
    every replica list.
    """
    made: dict[str, Any] = {}

    async def _is_clear() -> bool:
        made.update(await client.plan({"type": "plan", "cluster": "lab", "options": OPTIONS}))
        return made["type"] == "PlanMade" and not made["data"]["reasons"]

    await eventually(_is_clear, 90.0)
    plan = made["data"]["plan"]
    assert [w["lane"] for w in plan["waves"]] == ["canary", "internal", "large", "rest"]
    assert all(v["ok"] for v in made["data"]["check_results"])
    print(
        next(
            v["seen"]
            for v in made["data"]["check_results"]
            if v["title"] == "Cruise Control's reporter"
        )
    )
    before = look(filled.status()["bootstrap_servers"]).partitions
    started = await client.send_command(
        {"type": "start", "cluster": "lab", "plan_id": plan["plan_id"]}
    )
    assert started["type"] == "CommandAccepted", started["summary"]
    drained = await await_event(client, "MigrationDrained", started["sequence"], seconds=240.0)
    assert drained["data"]["broker_ids"] == [11]
    events = [e for e in await client.past_events("lab") if e["sequence"] > started["sequence"]]
    verified = [e for e in events if e["type"] == "WaveVerified"]
    assert [e["data"]["wave"] for e in verified] == [1, 2, 3, 4]
    assert all(e["data"]["facts"]["order_changed"] == 0 for e in verified)
    by_agent = [
        e["data"]["wave"]
        for e in events
        if e["type"] == "ExecutionStarted" and e["data"]["by_agent"]
    ]
    assert by_agent == [1, 2, 3]
    moved = look(filled.status()["bootstrap_servers"]).partitions
    assert not [n for n, p in moved.items() if 11 in p.replicas]
    assert {
        n: tuple(31 if b == 11 else b for b in p.replicas) for n, p in before.items()
    } == _replicas(moved)
    migration_id = verified[0]["migration_id"]
    assert await _executed(filled, migration_id) == [4]
    rolled = await client.send_command({"type": "rollback", "cluster": "lab"})
    assert rolled["type"] == "CommandAccepted", rolled["summary"]
    done = await await_event(client, "RollbackCompleted", rolled["sequence"], seconds=240.0)
    assert done["data"]["comparison"]["different"] == 0
    assert _replicas(look(filled.status()["bootstrap_servers"]).partitions) == _replicas(before)


async def test_a_canary_is_stopped_in_flight_and_taken_back(
    client: ControlClient, filled: Lab
) -> None:
    """A rollback out of a moving lane cancels what is in flight, and only that; the replica
    lists are those before.
    """
    before = look(filled.status()["bootstrap_servers"]).partitions
    options = {
        **OPTIONS,
        "large_partition_bytes": 5_000_000,
        "canary_partitions": 0,
        "internal_topics": "with_others",
    }
    options["throttle_bytes_per_second"] = 500_000
    started: dict[str, Any] = {}

    async def _starts() -> bool:
        started.update(
            await client.send_command({"type": "start", "cluster": "lab", "options": options})
        )
        return started["type"] == "CommandAccepted"

    await eventually(_starts, 90.0)
    await await_event(client, "ExecutionStarted", started["sequence"])
    rolled = await client.send_command({"type": "rollback", "cluster": "lab"})
    assert rolled["type"] == "CommandAccepted", rolled["summary"]
    done = await await_event(client, "RollbackCompleted", rolled["sequence"], seconds=240.0)
    assert done["data"]["comparison"]["different"] == 0
    after = look(filled.status()["bootstrap_servers"]).partitions
    assert _replicas(after) == _replicas(before)
    assert {name: p.leader for name, p in after.items()} == {
        name: p.leader for name, p in before.items()
    }
