"""The real agent on a real cluster, spoken to through Kafka only.

One lab, one agent; the tests build on each other.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import KafkaAdminClient

from agent.client import ControlClient
from deploy.lab import Lab
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.workload.facts import look
from tests.integration.waiting import await_event, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

TOPICS, PARTITIONS, RECORDS, RECORD_BYTES = 6, 5, 3_000, 10_000


@pytest.fixture(scope="module")
def filled(lab: Lab) -> Lab:
    """Some topics on the source brokers, with data."""
    servers = lab.status()["bootstrap_servers"]
    orders = [[11, 12, 13], [12, 13, 11], [13, 11, 12], [11, 13, 12], [13, 12, 11]]
    admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
    admin.create_topics(
        {
            f"agent-{n}": {
                "assignments": {p: orders[p % len(orders)] for p in range(PARTITIONS)},
                "configs": {"min.insync.replicas": "2"},
            }
            for n in range(TOPICS)
        }
    )
    admin.close()
    asyncio.run(_fill(servers))
    return lab


async def _fill(servers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=10, max_batch_size=200_000)
    await producer.start()
    record = os.urandom(RECORD_BYTES)
    for n in range(RECORDS):
        await producer.send(f"agent-{n % TOPICS}", record, partition=n // TOPICS % PARTITIONS)
    await producer.stop()


async def _raw(lab: Lab, value: bytes | None) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=lab.status()["control_bootstrap_servers"], max_request_size=2_000_000
    )
    await producer.start()
    await producer.send_and_wait("kafka-migration.commands", value=value, key=b"lab")
    await producer.stop()


async def _rejected(lab: Lab) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        "kafka-migration.rejected",
        bootstrap_servers=lab.status()["control_bootstrap_servers"],
        auto_offset_reset="earliest",
        group_id=None,
        consumer_timeout_ms=3_000,
    )
    await consumer.start()
    await consumer.seek_to_beginning()
    try:
        for _ in range(20):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


BAD = {
    "not JSON": b'{"type": "start"',
    "empty": b"",
    "null value": None,
    "not UTF-8": b"\xff\xfe\x00",
    "wrong enum": (
        b'{"type": "start", "command_id": "bad-enum", "cluster": "lab", "options": {"mode": "all"}}'
    ),
    "unknown field": (
        b'{"type": "pause", "command_id": "bad-field", "cluster": "lab", "slowly": true}'
    ),
    "deep": b"[" * 100_000,
    "600 KB": b'{"type": "pause", "cluster": "lab", "command_id": "big", "reason": "'
    + b"x" * 600_000
    + b'"}',
}


async def test_bad_input_is_rejected_and_stops_nothing(client: ControlClient, filled: Lab) -> None:
    """What cannot be read goes to `rejected` with its bytes and its reason; the agent lives on."""
    for value in BAD.values():
        await _raw(filled, value)
    found: dict[bytes, str] = {}
    async for record in _rejected(filled):
        found[record.value] = dict(record.headers)["km_reason"].decode()
        if all((v or b"") in found for v in BAD.values()):
            break
    assert "options.mode" in found[BAD["wrong enum"]]
    assert "slowly" in found[BAD["unknown field"]]
    assert "reason" in found[BAD["600 KB"]]
    answer = await client.send_command({"type": "resume", "cluster": "lab"})
    assert [r["code"] for r in answer["data"]["reasons"]] == ["NO_MIGRATION"]


async def test_a_readable_sender_is_answered(client: ControlClient) -> None:
    """A command that is wrong in a field, and has a command_id, is refused by an event that
    bears it.
    """
    refused = await await_event(
        client, "CommandRefused", fits=lambda data: data["command_id"] == "bad-enum", seconds=20.0
    )
    assert "options.mode" in refused["summary"]


async def test_unknown_cluster_and_broker_are_refused(client: ControlClient) -> None:
    """Names that mean nothing are refused, each with its code."""
    stranger = await client.send_command({"type": "start", "cluster": "elsewhere"})
    assert [r["code"] for r in stranger["data"]["reasons"]] == ["UNKNOWN_CLUSTER"]
    options = {"mode": "brokers", "source_broker_ids": [11], "destination_broker_ids": [99]}
    unknown = await client.send_command({"type": "start", "cluster": "lab", "options": options})
    assert [r["code"] for r in unknown["data"]["reasons"]] == ["UNKNOWN_BROKER"]
    crossing = {"mode": "brokers", "source_broker_ids": [11], "destination_broker_ids": [32]}
    refused = await client.send_command({"type": "start", "cluster": "lab", "options": crossing})
    assert "AZ_MISMATCH" in [r["code"] for r in refused["data"]["reasons"]]


async def test_a_migration_survives_kill_9_with_one_execution_a_wave(
    client: ControlClient, filled: Lab, agent: AgentProcess
) -> None:
    """kill -9 in the middle of a wave: the same wave goes on, nothing is asked twice, and the
    sources end empty.
    """
    await eventually(lambda: _plan_is_clear(client), 60.0)
    command = {
        "type": "start",
        "cluster": "lab",
        "command_id": "it-start",
        "options": {"throttle_bytes_per_second": 8_000_000},
    }
    started = await client.send_command(command)
    assert started["type"] == "CommandAccepted", started["summary"]
    second = await client.send_command({"type": "start", "cluster": "lab"})
    assert "ALREADY_RUNNING" in [r["code"] for r in second["data"]["reasons"]]
    again = await client.send_command(command)
    assert again["data"]["repeat"] is True
    await await_event(client, "WaveProgressed", fits=lambda data: bool(data["moving"]))
    agent.kill()
    agent.start()
    await await_event(
        client, "SourceMayBeShutDown", fits=lambda data: data["broker_id"] == 13, seconds=240.0
    )
    left = {
        b
        for p in look(filled.status()["bootstrap_servers"]).partitions.values()
        for b in (*p.replicas, p.leader)
    }
    assert not left & {11, 12, 13}
    assert await _executions(filled) == {1: 1, 2: 1, 3: 1}


async def _plan_is_clear(client: ControlClient) -> bool:
    made = await client.plan({"type": "plan", "cluster": "lab"})
    return made["type"] == "PlanMade" and not made["data"]["reasons"]


async def _executions(lab: Lab) -> Counter[int]:
    """How often Cruise Control executed for each wave; refused requests leave tasks that ended
    with an error.
    """
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            lab.status()["cruise_control_url"] + "/user_tasks", params={"json": "true"}
        )
    executed: Counter[int] = Counter()
    for task in answer.json()["userTasks"]:
        query = httpx.URL(task["RequestURL"].split(" ", 1)[1]).params
        if query.get("dryrun") == "false" and task["Status"] != "CompletedWithError":
            executed[int(query["reason"].split("/")[1])] += 1
    return executed


async def test_rollback_restores_the_assignment_exactly(client: ControlClient, filled: Lab) -> None:
    """After a rollback one to one, replicas, their order and the leaders are those before the
    start.
    """
    events = await client.past_events("lab")
    started = next(e for e in events if e["type"] == "MigrationStarted")
    assert started["data"]["snapshot_partitions"] >= TOPICS * PARTITIONS
    answer = await client.send_command({"type": "rollback", "cluster": "lab"})
    assert answer["type"] == "CommandAccepted", answer["summary"]
    done = await await_event(client, "RollbackCompleted", seconds=240.0)
    assert done["data"]["comparison"]["different"] == 0
    orders = [[11, 12, 13], [12, 13, 11], [13, 11, 12], [11, 13, 12], [13, 12, 11]]
    now = look(filled.status()["bootstrap_servers"]).partitions
    for n in range(TOPICS):
        for p in range(PARTITIONS):
            found, order = now[(f"agent-{n}", p)], orders[p % len(orders)]
            assert (found.replicas, found.leader) == (tuple(order), order[0])


async def test_events_are_a_story_without_gaps(client: ControlClient) -> None:
    """Sequences follow each other, an id never means two things, and headers are CloudEvents."""
    seen: dict[str, str] = {}
    events = await client.past_events("lab")
    numbers = [e["sequence"] for e in events if not e["id"].startswith("refused/")]
    for e in events:
        text = json.dumps(e["data"], sort_keys=True)
        assert seen.setdefault(e["id"], text) == text
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))


def test_log_names_no_bug(agent: AgentProcess) -> None:
    """No traceback in the agent's log: the world's trouble is told in sentences."""
    assert "Traceback" not in Path(agent.log).read_text()
