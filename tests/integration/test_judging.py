"""Samples through a real worker: judged by the cluster's owner, wherever they were sent; they
pause and resume.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.lab import free_base_port
from tests.benchmarks.control_stage import PARTITIONS, Stage
from tests.benchmarks.recorder import Recorder, Told
from tests.benchmarks.samples import batch

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]
SECONDS_MAX = 60.0
BAD, CALM = 900.0, 50.0
CLUSTER = "c00"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A control Kafka, and a worker before a cluster that never gets on."""
    folder: Path = tmp_path_factory.mktemp("judging")
    stage = Stage(folder, free_base_port(), [CLUSTER])
    stage.write_clusters(action="pause", resume_delay_seconds=1, flaps_max=20)
    with stage.lab.running():
        stage.ensure_topics({})
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(stage: Stage) -> AsyncIterator[Told]:
    """What its Cruise Control is told; a wave is asked for already."""
    recorder = Recorder([CLUSTER])
    await recorder.start(stage.recorder_port)
    with stage.worker("judging") as worker:
        await asyncio.to_thread(stage.await_ready, worker)
        told = recorder.told[CLUSTER]
        start = {
            "type": "start",
            "command_id": uuid.uuid4().hex,
            "cluster": CLUSTER,
            "options": {"mode": "full"},
        }
        await _send(stage, stage.names.commands, json.dumps(start).encode())
        async with asyncio.timeout(SECONDS_MAX):
            await told.started.wait()
        await asyncio.sleep(1.0)
        yield told
    await recorder.close()


async def _send(stage: Stage, topic: str, value: bytes, partition: int | None = None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap_servers) as producer:
        await producer.send_and_wait(topic, value, CLUSTER.encode(), partition=partition)


async def _paused(stage: Stage, told: Told, partition: int | None = None) -> None:
    told.stopped.clear()
    told.started.clear()
    await _send(stage, stage.names.metrics, batch(CLUSTER, 11, time.time(), BAD), partition)
    async with asyncio.timeout(SECONDS_MAX):
        await told.stopped.wait()


async def _resumed(stage: Stage, told: Told) -> None:
    """Calm samples until the wave is asked for again."""
    async with asyncio.timeout(SECONDS_MAX):
        while not told.started.is_set():
            await _send(stage, stage.names.metrics, batch(CLUSTER, 11, time.time(), CALM))
            await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)


async def _read(stage: Stage, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=stage.bootstrap_servers, auto_offset_reset="earliest"
    )
    async with consumer:
        found = await consumer.getmany(timeout_ms=5_000)
        return [m for several in found.values() for m in several]


async def test_bad_samples_stop_what_moves_and_calm_ones_let_it_go_on(
    stage: Stage, told: Told
) -> None:
    """No command and no alert: the rule alone, and each judgement is an event with its values."""
    await _paused(stage, told)
    await _resumed(stage, told)
    events = [json.loads(m.value) for m in await _read(stage, stage.names.events)]
    judged = [e["data"] for e in events if e["type"] == "RuleStateChanged"]
    assert [(j["rule"], j["level"]) for j in judged] == [
        ("latency", "firing"),
        ("latency", "clear"),
    ]
    assert (judged[0]["value"], judged[0]["threshold"], judged[0]["broker"]) == (BAD, 500.0, 11)


async def test_samples_in_any_partition_reach_the_cluster_s_owner(stage: Stage, told: Told) -> None:
    """Producers of other kinds hash keys in another way: what is in the wrong partition is sent
    on to the right one.
    """
    for partition in range(PARTITIONS):
        await _paused(stage, told, partition)
        await _resumed(stage, told)


async def test_samples_that_cannot_be_read_are_rejected_and_harm_nothing(
    stage: Stage, told: Told
) -> None:
    """The original bytes, and why, go to the rejected topic; what comes after is judged."""
    broken = batch(CLUSTER, 11, time.time(), BAD).replace(b'"value"', b'"valve"')
    await _send(stage, stage.names.metrics, broken)
    await _paused(stage, told)
    await _resumed(stage, told)
    rejected = await _read(stage, stage.names.rejected)
    assert [m.value for m in rejected] == [broken]
    assert b"value" in dict(rejected[0].headers)["km_reason"]
