"""Our client and the lab's Cruise Control on real brokers: the real one where
CRUISE_CONTROL_CLASSPATH names it.

Run with `pytest -m lab`.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from agent.adapters.cruise_control.client import CruiseControl, CruiseControlConnection
from agent.core.messages import Busy, ExecutionRequested, Executor, Rejected, TaskStatus
from agent.core.model.reasons import Code
from agent.performer.ports import RemoveBroker
from deploy.lab import CruiseControlKind, Lab, LabConfig, free_base_port
from tests.contract.recordings import refusal_of

pytestmark = pytest.mark.lab

PARTITIONS = 12
MIGRATION = "lab-1a2b"
TOO_LONG_SECONDS = 180.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A lab with one topic on the source brokers; the URL of its Cruise Control."""
    config = LabConfig(
        directory=tmp_path_factory.mktemp("lab"),
        base_port=free_base_port(),
        cruise_control=CruiseControlKind.AUTO,
    )
    with Lab(config).running():
        admin = KafkaAdminClient(bootstrap_servers=config.bootstrap_servers)
        orders = ((11, 12, 13), (12, 13, 11), (13, 11, 12))
        admin.create_topics(
            {"moved": {"assignments": {p: list(orders[p % 3]) for p in range(PARTITIONS)}}}
        )
        admin.close()
        producer = KafkaProducer(bootstrap_servers=config.bootstrap_servers, acks=1)
        for partition in range(PARTITIONS):
            producer.send("moved", os.urandom(900_000), partition=partition)
        producer.flush(60)
        producer.close()
        assert config.cruise_control_url
        yield config.cruise_control_url


def _wave(source: int, destination: int, number: int) -> RemoveBroker:
    return RemoveBroker(
        source_broker_ids=(source,),
        destination_broker_ids=(destination,),
        reason=f"{MIGRATION}/{number}/1",
        partition_movements_per_broker=100,
        progress_check_interval_ms=5_000,
    )


async def _until(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + TOO_LONG_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"{what} did not come within {TOO_LONG_SECONDS} s"
        await asyncio.sleep(1)


async def test_a_wave_is_asked_found_and_ended(url: str) -> None:
    """Ready, asked once, found by its key in user_tasks and executor, refused while busy,
    completed.
    """
    client = CruiseControl(CruiseControlConnection(url=url))
    wave = _wave(11, 31, 1)

    async def ready() -> bool:
        refusal = await refusal_of(client, wave)
        assert refusal is None or isinstance(refusal, Busy), refusal
        return refusal is None

    async def idle() -> bool:
        return (await client.state(MIGRATION)).executor is Executor.IDLE

    await _until("readiness", ready)
    state = await client.state(MIGRATION)
    assert state.executor is Executor.IDLE
    assert state.valid_windows > 0
    assert state.self_healing == ()
    assert isinstance(await refusal_of(client, _wave(11, 32, 1)), Rejected)
    asked = await client.remove_broker(wave)
    assert isinstance(asked, ExecutionRequested)
    running = await client.state(MIGRATION)
    assert running.executor is Executor.OURS, running
    assert running.executor_reason.startswith(f"{wave.reason} (Client: ")
    (task,) = await client.user_tasks(wave.reason)
    assert (task.user_task_id, task.reason) == (asked.user_task_id, wave.reason)
    second = await client.remove_broker(_wave(12, 32, 2))
    assert isinstance(second, Busy)
    assert second.reason.code is Code.CRUISE_CONTROL_BUSY
    assert await client.user_tasks(f"{MIGRATION}/2") == []
    await client.set_concurrency(50)
    await _until("the end", idle)
    assert [t.status for t in await client.user_tasks(MIGRATION)] == [TaskStatus.COMPLETED]
    await client.close()


async def test_a_stop_ends_what_runs(url: str) -> None:
    """One partition at a time, so that something is left to stop: the task ends with an error,
    and is idle.
    """
    client = CruiseControl(CruiseControlConnection(url=url))
    wave = replace(_wave(13, 33, 3), partition_movements_per_broker=1)

    async def accepted() -> bool:
        answer = await client.remove_broker(wave)
        assert isinstance(answer, (ExecutionRequested, Busy)), answer
        return isinstance(answer, ExecutionRequested)

    async def idle() -> bool:
        return (await client.state(MIGRATION)).executor is Executor.IDLE

    await _until("acceptance", accepted)
    assert not await idle()
    await client.stop("lab-1/1/1")
    await _until("the stop", idle)
    assert [t.status for t in await client.user_tasks(wave.reason)] == [
        TaskStatus.COMPLETED_WITH_ERROR
    ]
    await client.close()
