"""Our client and the stand-in, which is held to the recordings: the agent's whole talk with it,
in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from agent.adapters.cruise_control.client import CruiseControl, CruiseControlConnection
from agent.adapters.cruise_control.request_budget import Questions
from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Executor,
    Rejected,
    TaskStatus,
    Unreachable,
)
from agent.core.model.reasons import Code
from agent.performer.ports import PortError, RemoveBroker
from deploy.lab.standin.settings import Settings
from tests.contract.recordings import refusal_of
from tests.contract.standin_situations import ACCOUNTS, WARM, Lab, lab

T = TypeVar("T")
KEY = "lab-1a2b/1/1"
REQUEST = RemoveBroker(
    source_broker_ids=(11,),
    destination_broker_ids=(31,),
    reason=KEY,
    partition_movements_per_broker=25,
    progress_check_interval_ms=5_000,
)


class Listening(httpx.AsyncHTTPTransport):
    """The real transport, which remembers what was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.statuses.append(response.status_code)
        return response


@asynccontextmanager
async def _talk(
    settings: Settings = WARM,
    *,
    username: str | None = None,
    password: str | None = None,
    password_file: Path | None = None,
) -> AsyncIterator[tuple[CruiseControl, Lab]]:
    async with lab(settings) as standin:
        url = f"{standin.client.make_url('/')}"
        connection = CruiseControlConnection(
            url=url, username=username, password=password, password_file=password_file
        )
        client = CruiseControl(connection, questions=Questions(questions_max=1_000))
        yield client, standin
        await client.close()


async def _while_time_passes(standin: Lab, asking: Awaitable[T]) -> T:
    """The client lives on our time and the stand-in on its own, which goes on while we wait."""
    asked = asyncio.ensure_future(asking)
    while not asked.done():
        await standin.clock.advance(0.5)
        await asyncio.sleep(0.02)
    return await asked


async def _inject(standin: Lab, fault: str) -> None:
    async with standin.client.post("/lab/faults", json={"fault": fault}) as response:
        assert response.status == 200


async def test_a_wave_from_the_question_to_its_end() -> None:
    """Ready, asked, ours, busy for a second one, tuned, completed, and found by its key all the
    while.
    """
    async with _talk() as (client, standin):
        assert await refusal_of(client, REQUEST) is None
        asked = await client.remove_broker(REQUEST)
        assert isinstance(asked, ExecutionRequested)
        await standin.clock.advance(6)
        state = await client.state("lab-1a2b")
        assert state.executor is Executor.OURS
        assert state.executor_reason.startswith(f"{KEY} (Client: ")
        assert (await client.state("lab-ffff")).executor is Executor.FOREIGN
        (task,) = await client.user_tasks(KEY)
        assert (task.user_task_id, task.status) == (asked.user_task_id, TaskStatus.IN_EXECUTION)
        second = await client.remove_broker(replace(REQUEST, reason="lab-1a2b/1/2"))
        assert isinstance(second, Busy)
        assert second.reason.code is Code.CRUISE_CONTROL_BUSY
        assert await client.user_tasks("lab-1a2b/1/2") == []
        await client.set_concurrency(50)
        await standin.until_idle()
        assert (await client.state("lab-1a2b")).executor is Executor.IDLE
        (task,) = await client.user_tasks("lab-1a2b")
        assert task.status is TaskStatus.COMPLETED


async def test_a_stopped_wave_reads_as_ended_with_an_error() -> None:
    """A stop is answered at once and done later; the task keeps our key."""
    async with _talk() as (client, standin):
        standin.cluster.copy_seconds = 600.0
        await client.remove_broker(REQUEST)
        await standin.clock.advance(6)
        await client.stop(KEY)
        await standin.until_idle()
        assert (await client.state("lab-1a2b")).executor is Executor.IDLE
        (task,) = await client.user_tasks(KEY)
        assert (task.status, task.stopped_by) == (TaskStatus.COMPLETED_WITH_ERROR, "")


async def test_a_stop_by_another_hand_is_told_with_who_asked() -> None:
    """The task reads as after our own stop, or as after a failure; the stop is a user task, and
    names its client.
    """
    async with _talk() as (client, standin):
        standin.cluster.copy_seconds = 600.0
        await client.remove_broker(REQUEST)
        await standin.clock.advance(6)
        await standin.post("stop_proposal_execution?json=true&reason=night+shift")
        await standin.until_idle()
        (task,) = await client.user_tasks(KEY)
        assert task.status is TaskStatus.COMPLETED_WITH_ERROR
        assert task.stopped_by.startswith("(stop_proposal_execution of 127.0.0.1 at ")
        assert "for 'night shift'" in task.stopped_by


async def test_an_execution_that_failed_is_not_told_as_stopped() -> None:
    """A destination that died: `CompletedWithError` as well, and nobody asked for it."""
    async with _talk() as (client, standin):
        standin.cluster.copy_seconds = 600.0
        await client.remove_broker(REQUEST)
        await standin.clock.advance(1)
        standin.cluster.kill(31)
        await standin.until_idle()
        (task,) = await client.user_tasks(KEY)
        assert (task.status, task.stopped_by) == (TaskStatus.COMPLETED_WITH_ERROR, "")


async def test_an_answer_lost_on_its_way_is_found_by_the_key() -> None:
    """The connection drops after the request was accepted: unreachable, and user_tasks tells
    that it runs.
    """
    async with _talk() as (client, standin):
        await _inject(standin, "accept_then_drop")
        assert isinstance(await client.remove_broker(REQUEST), Unreachable)
        assert [task.reason for task in await client.user_tasks(KEY)] == [KEY]


async def test_a_request_that_never_arrived_is_not_found() -> None:
    """A page from something in between: unreachable as well, and user_tasks tells that nothing
    runs.
    """
    async with _talk() as (client, standin):
        await _inject(standin, "garbage")
        assert isinstance(await client.remove_broker(REQUEST), Unreachable)
        assert await client.user_tasks(KEY) == []


async def test_the_stock_limit_of_user_tasks_is_lived_with() -> None:
    """Five questions fill a stock servlet for 5 s: whatever is asked is answered as soon as it
    has room.
    """
    async with _talk(replace(WARM, max_active_user_tasks=5)) as (client, standin):
        for ask in (
            lambda: client.state("lab-1a2b"),
            lambda: client.stop(KEY),
            lambda: client.remove_broker(REQUEST),
        ):
            while (await standin.get("state?json=true")).status == 200:
                pass
            answer = await _while_time_passes(standin, ask())  # type: ignore[arg-type]
        assert isinstance(answer, ExecutionRequested)


async def test_a_password_that_changes_in_mid_move_is_named_and_read_anew(tmp_path: Path) -> None:
    """The execution goes on, the next look says that the login is refused, and the new file
    ends that by itself.
    """
    file = tmp_path / "password"
    file.write_text("adminpw")
    accounts = dict(ACCOUNTS)
    settings = replace(WARM, accounts=accounts)
    async with _talk(settings, username="admin", password="adminpw", password_file=file) as (
        client,
        standin,
    ):
        standin.cluster.copy_seconds = 600.0
        assert isinstance(await client.remove_broker(REQUEST), ExecutionRequested)
        await standin.clock.advance(6)
        accounts["admin"] = replace(accounts["admin"], password="other")
        for ask in (client.state("lab-1a2b"), client.user_tasks(KEY), client.stop(KEY)):
            with pytest.raises(PortError, match="401") as caught:
                await ask  # type: ignore[misc]
            assert caught.value.code is Code.CRUISE_CONTROL_LOGIN_REFUSED
        file.write_text("other\n")
        assert (await client.state("lab-1a2b")).executor is Executor.OURS
        await client.stop(KEY)


async def test_proposals_that_take_long_are_one_request() -> None:
    """Answered 202, polled by its user task: accepted in the end, once."""
    async with _talk(replace(WARM, request_max_block_ms=1)) as (_, standin):
        heard = Listening()
        client = CruiseControl(
            CruiseControlConnection(url=f"{standin.client.make_url('/')}"), heard
        )
        await standin.clock.advance(8)
        standin.cluster.answer_seconds = 14.0
        asked = await _while_time_passes(standin, client.remove_broker(REQUEST))
        assert heard.statuses[0] == 202
        assert heard.statuses[-1] == 200
        (task,) = await client.user_tasks(KEY)
        assert asked == ExecutionRequested(user_task_id=task.user_task_id)
        await client.close()


async def test_a_broker_it_does_not_know_is_waited_for() -> None:
    """Its metadata may be older than the broker; the reason says so, since the number may be
    wrong as well.
    """
    async with _talk() as (client, _standin):
        refusal = await refusal_of(client, replace(REQUEST, destination_broker_ids=(98,)))
        assert isinstance(refusal, Busy)
        assert refusal.reason.seen == "Broker [98] does not exist."
        assert "a wrong id never" in refusal.reason.needed


async def test_a_wrong_az_is_refused() -> None:
    """No waiting moves a broker to another rack."""
    async with _talk() as (client, _standin):
        refusal = await refusal_of(client, replace(REQUEST, destination_broker_ids=(32,)))
        assert isinstance(refusal, Rejected)
        assert "[RackAwareGoal] Cannot move Replica" in refusal.reason.seen


@pytest.mark.parametrize(("username", "may"), [("admin", True), ("viewer", False), (None, False)])
async def test_credentials_decide(username: str | None, may: bool) -> None:
    """With a role too low, or none, every refusal speaks of credentials."""
    settings = replace(WARM, accounts=ACCOUNTS)
    password = f"{username}pw" if username else None
    async with _talk(settings, username=username, password=password) as (client, _standin):
        if may:
            assert (await client.state("lab-1a2b")).executor is Executor.IDLE
            assert await refusal_of(client, REQUEST) is None
            return
        with pytest.raises(PortError, match="credentials"):
            await client.state("lab-1a2b")
        refusal = await refusal_of(client, REQUEST)
        assert isinstance(refusal, Rejected)
        assert "credentials" in refusal.reason.needed


async def test_two_step_verification_is_refused() -> None:
    """Neither a request nor a stop may seem to have worked."""
    settings = replace(WARM, two_step_verification=True)
    async with _talk(settings) as (client, _standin):
        answer = await client.remove_broker(REQUEST)
        assert isinstance(answer, Rejected)
        assert "two-step verification" in answer.reason.seen
        with pytest.raises(PortError, match="two-step verification"):
            await client.stop(KEY)


async def test_none_that_listens_is_unreachable() -> None:
    """A real refused connection, and not a mock's."""
    async with _talk() as (client, standin):
        await standin.client.close()
        assert isinstance(await client.remove_broker(REQUEST), Unreachable)
        with pytest.raises(PortError, match=httpx.ConnectError.__name__):
            await client.state("lab-1a2b")
