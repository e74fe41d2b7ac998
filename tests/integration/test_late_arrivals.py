"""After "may be shut down": what lands on a drained broker takes the word back; the watch ends
when all have left.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from agent.client import ControlClient
from deploy.lab import Lab, LabConfig, free_base_port
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.demo.story import Event, Story

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

SOURCES, DESTINATIONS = (11, 12), (31, 32)
RECORDS, READ, RECORD_BYTES = 600, 200, 5_000
STEP_SECONDS = 150.0


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of its own: two of its brokers are shut down for good."""
    with Lab(LabConfig(directory=tmp_path / "lab", base_port=free_base_port())).running() as lab:
        yield lab


def _create(lab: Lab, name: str, *replicas: list[int]) -> None:
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=30) as admin:
        admin.create_topics(
            {name: {"assignments": dict(enumerate(replicas))}}, wait_for_metadata=True
        )


async def _fill_and_read(lab: Lab, topic: str) -> None:
    """Some records, and a group that is behind on them."""
    servers = lab.config.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for n in range(RECORDS):
            await producer.send(topic, bytes(RECORD_BYTES), partition=n % 3)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id="reader",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        read = 0
        while read < READ:
            wanted = READ - read
            read += sum(
                map(len, (await consumer.getmany(timeout_ms=500, max_records=wanted)).values())
            )
        # By name: a partition of which nothing was read yet would have no position, and no lag.
        await consumer.commit({tp: await consumer.position(tp) for tp in consumer.assignment()})


async def test_a_refill_takes_the_word_back_until_the_brokers_have_left(
    own_lab: Lab, tmp_path: Path
) -> None:
    """Drained, refilled, drained again when asked, left: each is told, and the proof has all
    its figures.
    """
    _create(own_lab, "orders", [11, 12, 13], [12, 13, 11], [13, 11, 12])
    await _fill_and_read(own_lab, "orders")
    agent = AgentProcess(own_lab, tmp_path / "agent.log")
    agent.start()
    client = ControlClient({"bootstrap_servers": own_lab.status()["control_bootstrap_servers"]})
    story = Story(client, "lab", tmp_path / "events.jsonl")

    async def until(kind: str, since: int = 0, **fields: Any) -> Event:
        def come(e: Event) -> bool:
            return e["type"] == kind and all(
                e["data"].get(name) == value for name, value in fields.items()
            )

        gone = lambda: None if agent.is_running else agent.last_words()  # noqa: E731
        return await story.until(
            come, STEP_SECONDS, what=f"{kind} {fields}", since=since, unless=gone
        )

    try:
        await agent.ready(client)
        async with story.following():
            await _start(client)
            first = await until("WaveVerified", wave=1)
            await until("SourceMayBeShutDown", broker_id=11)
            await until("SourceMayBeShutDown", broker_id=12)
            _create(own_lab, "late", [11, 32])
            await until("SourceRefilled", broker_id=11)
            since = len(story.events)
            answer = await client.send_command({"type": "retry", "cluster": "lab"})
            assert answer["type"] == "CommandAccepted", answer["summary"]
            again = await until("WaveVerified", since, wave=1)
            await until("SourceMayBeShutDown", since, broker_id=11)
            assert not any(
                e["type"] == "SourceMayBeShutDown" and e["data"]["broker_id"] == 12
                for e in story.events[since:]
            )
            for b in SOURCES:
                await asyncio.to_thread(own_lab.stop, f"broker-{b}")
                await until("SourceLeft", broker_id=b)
            await until("MigrationCompleted")
        _is_proof(first["data"]["facts"])
        _is_proof(again["data"]["facts"])
        clients = first["data"]["facts"]["clients"]
        assert clients["partitions_compared"] == clients["partitions"] >= 3
        assert clients["groups"] == 1
        assert clients["lag_records_before"] == clients["lag_records_after"] == RECORDS - READ
    finally:
        agent.stop()


def _is_proof(facts: dict[str, Any]) -> None:
    zero = (
        "replicas_left",
        "bytes_left",
        "leaders_left",
        "reassignments",
        "not_in_sync",
        "not_preferred",
        "throttles_left",
        "order_changed",
    )
    assert {name: facts[name] for name in zero} == dict.fromkeys(zero, 0)
    assert facts["faults"] == []
    assert facts["clients"]["end_offsets_lost"] == 0


async def _start(client: ControlClient) -> None:
    """As soon as Cruise Control has its windows."""
    async with asyncio.timeout(STEP_SECONDS):
        while True:
            options = {
                "mode": "brokers",
                "source_broker_ids": SOURCES,
                "destination_broker_ids": DESTINATIONS,
                "throttle_bytes_per_second": 20_000_000,
            }
            answer = await client.send_command(
                {"type": "start", "cluster": "lab", "options": options}
            )
            if answer["type"] == "CommandAccepted":
                return
            print(answer["summary"])
            await asyncio.sleep(2.0)
