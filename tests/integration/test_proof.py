"""What a verified wave tells of clients, and what is told while it moves: on a real cluster,
with real metrics.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient
from kafka.structs import OffsetAndMetadata, TopicPartition

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.client import ControlClient
from agent.core.model.throttle import ThrottleChange
from agent.performer.ports import PortError
from deploy.lab import Lab, LabConfig, Metrics, free_base_port
from deploy.lab.cluster.environment import lab_environment
from deploy.lab.demo.agent_process import AgentProcess
from tests.integration.waiting import await_event, eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

TOPIC, GROUP = "proved", "reader"
ORDERS = [[11, 12, 13], [12, 13, 11], [13, 11, 12]]
RECORDS, RECORD_BYTES = 3_000, 10_000
RATE, THEIRS = 1_000_000, 700_000
OPTIONS = {"mode": "az", "az": "az-a", "throttle_bytes_per_second": RATE}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose brokers show metrics, with thirty megabytes on each source broker."""
    folder = tmp_path_factory.mktemp("proof-lab")
    config = LabConfig(directory=folder, base_port=free_base_port(), metrics=Metrics.EXPORTERS)
    with Lab(config).running(progress=lambda step: print(f"lab: {step}")) as lab:
        servers = lab.status()["bootstrap_servers"]
        admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
        admin.create_topics(
            {
                TOPIC: {
                    "assignments": {p: ORDERS[p % 3] for p in range(12)},
                    "configs": {"min.insync.replicas": "2"},
                }
            }
        )
        asyncio.run(_produce(servers, RECORDS, 0.0))
        # A group that has read half of it, and reads no more.
        half = {
            TopicPartition(TOPIC, p): OffsetAndMetadata(RECORDS // 24, "", -1) for p in range(12)
        }
        admin.alter_group_offsets(GROUP, half)
        admin.close()
        yield lab


@pytest.fixture(scope="module")
def collector(
    filled: Lab, agent: AgentProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """`kafka-migration collector`, which reads the exporters and publishes samples."""
    assert agent.is_running
    environment = {**os.environ, **lab_environment(filled.status(), filled.folders.root)}
    with (tmp_path_factory.mktemp("collector") / "collector.log").open("wb") as log:
        command = [sys.executable, "-m", "agent.cli", "collector"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        yield
        process.terminate()
        process.wait(30)


async def _produce(servers: str, records: int, pause_seconds: float) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, linger_ms=5, max_batch_size=200_000, acks="all"
    )
    await producer.start()
    record = os.urandom(RECORD_BYTES)
    try:
        for n in range(records):
            await producer.send(TOPIC, record, partition=n % 12)
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
    finally:
        await producer.stop()


def _foreign(data: dict[str, Any]) -> bool:
    return any(r["code"] == "FOREIGN_THROTTLE" for r in data["reasons"])


async def test_a_stranger_s_throttle_is_told_while_the_wave_moves_and_latency_with_its_proof(
    client: ControlClient, filled: Lab, collector: None
) -> None:
    """Another rate on the destination is told and left, its removal mended; producers' waiting
    stands in the proof.
    """
    servers = filled.status()["bootstrap_servers"]
    started: dict[str, Any] = {}

    async def _starts() -> bool:
        started.update(
            await client.send_command({"type": "start", "cluster": "lab", "options": OPTIONS})
        )
        return bool(started["type"] == "CommandAccepted")

    producing = asyncio.create_task(_produce(servers, 1_000_000, 0.05))
    kafka = KafkaCluster(KafkaConnection(bootstrap_servers=servers))
    try:
        await eventually(_starts, 90.0)
        moving = await await_event(client, "ExecutionStarted", started["sequence"])
        await kafka.set_throttle(ThrottleChange(rates={31: THEIRS}))
        seen = await await_event(client, "HealthChanged", moving["sequence"], _foreign)
        assert f"{THEIRS:,} bytes/s on brokers 31" in seen["summary"]
        assert (await kafka.throttle([31], ())).rates[31].follower == THEIRS
        await kafka.clear_throttle(ThrottleChange(rates={31: THEIRS}))
        well = await await_event(
            client, "HealthChanged", seen["sequence"], lambda data: not _foreign(data)
        )
        verified = await await_event(client, "WaveVerified", started["sequence"])
        assert verified["sequence"] > well["sequence"]
    finally:
        producing.cancel()
        await kafka.close()
    events = await client.past_events("lab")
    assert not [e for e in events if e["type"] in {"PauseCauseAdded", "MigrationPaused"}]
    facts = verified["data"]["facts"]
    print(verified["summary"])
    waited = {one["metric"]: one for one in facts["produce_latency"]}
    assert set(waited) == {"produce_latency_p99_ms", "produce_latency_mean_ms"}
    for one in waited.values():
        assert one["samples"] >= one["brokers"] >= 3
        assert 0 <= one["median_ms"] <= one["p99_ms"] <= one["max_ms"]
        assert one["until"] >= one["since"] >= moving["data"].get("at", 0)
    assert waited["produce_latency_p99_ms"]["max_ms"] > 0
    assert facts["clients"]["end_offsets_lost"] == 0
    assert facts["clients"]["records_written"] > 0
    assert facts["clients"]["groups"] == 1
    assert (
        RECORDS // 2
        <= facts["clients"]["lag_records_before"]
        <= facts["clients"]["lag_records_after"]
    )
    assert facts["coordinators_loading"] == 0


async def test_a_broker_that_loads_a_coordinator_is_seen(filled: Lab) -> None:
    """A group with much to read is loaded anew by whoever leads its partition next: seen while
    it lasts, then gone.
    """
    servers = filled.status()["bootstrap_servers"]
    admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
    for n in range(1_500):  # in one partition of __consumer_offsets
        admin.alter_group_offsets(
            GROUP,
            {TopicPartition(TOPIC, p): OffsetAndMetadata(n, "x" * 1_000, -1) for p in range(12)},
        )
    admin.close()
    kafka = KafkaCluster(KafkaConnection(bootstrap_servers=servers))
    brokers = (12, 13, 31)
    assert not await kafka.loading_coordinators(brokers)
    restarts = asyncio.create_task(asyncio.to_thread(_restart, filled, brokers))
    seen: set[str] = set()
    while not restarts.done():
        with contextlib.suppress(PortError):
            seen |= set((await kafka.loading_coordinators(brokers)).values())
        await asyncio.sleep(0.01)
    await restarts
    assert any("groups loading" in what for what in seen), seen
    await eventually(lambda: _has_loaded(kafka, brokers), 30.0)
    await kafka.close()


def _restart(lab: Lab, brokers: tuple[int, ...]) -> None:
    for b in brokers:
        lab.restart(f"broker-{b}")


async def _has_loaded(kafka: KafkaCluster, brokers: tuple[int, ...]) -> bool:
    return not await kafka.loading_coordinators(brokers)
