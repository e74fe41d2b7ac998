"""The stand-in's memory of what was asked for, as a client meets it, and the faults that tests
inject into it.
"""

from dataclasses import replace

import aiohttp
import pytest

from agent.adapters.cruise_control.client import CruiseControl as CruiseControlClient
from agent.adapters.cruise_control.client import CruiseControlConnection
from agent.core.messages import Executor
from deploy.lab.standin.execution import ExecutorState
from deploy.lab.standin.settings import Settings
from tests.contract.standin_situations import PAIR, WARM, Lab, lab, task_status


class TestMemory:
    async def test_polling_returns_the_same_body_for_ever(self) -> None:
        """200 does not mean moved: the answer of a task is that of the plan, also after a stop."""
        async with lab() as standin:
            first = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            poll = {"User-Task-ID": first.task_id}
            assert (await standin.call("POST", standin.polled, poll)).body == first.body
            await standin.post("stop_proposal_execution?json=true")
            await standin.until_idle()
            assert (await standin.call("POST", standin.polled, poll)).body == first.body

    async def test_a_task_is_asked_for_with_its_own_url(self) -> None:
        """Another URL with its id is an unexpected header."""
        async with lab() as standin:
            first = await standin.get("load?json=true")
            answered = await standin.call(
                "GET", "/kafkacruisecontrol/state?json=true", {"User-Task-ID": first.task_id}
            )
            assert answered.status == 500
            assert "Unexpected header" in answered.body["errorMessage"]

    async def test_a_session_gets_the_same_answer_for_ever(self) -> None:
        """With cookies kept, the same URL is the same task: a client polls a state that never
        changes.
        """
        async with lab() as standin:
            url = "/kafkacruisecontrol/state?substates=executor&json=true"
            ids = []
            for wait in (0, 1, 20, 59, 61):
                await standin.clock.advance(wait)
                async with standin.client.get(url) as response:
                    ids.append(response.headers["User-Task-ID"])
            assert len(set(ids[:4])) == 1
            assert ids[4] != ids[3], "a session that was silent for a minute is forgotten"

    async def test_a_session_does_not_start_twice(self) -> None:
        """The same real request in the same session is the same task, not a second execution."""
        async with lab() as standin:
            ids = []
            for _ in range(2):
                async with standin.client.post(f"/kafkacruisecontrol/{PAIR}") as response:
                    ids.append((response.status, response.headers["User-Task-ID"]))
            assert ids[0] == ids[1]
            assert ids[0][0] == 200

    @pytest.mark.parametrize("query", ["user_tasks?json=true", "kafka_cluster_state?json=true"])
    async def test_synchronous_endpoints_are_always_asked_anew(self, query: str) -> None:
        """They remember no session."""
        async with lab() as standin:
            ids = []
            for _ in range(2):
                async with standin.client.get(f"/kafkacruisecontrol/{query}") as response:
                    ids.append(response.headers["User-Task-ID"])
            assert ids[0] != ids[1]

    async def test_every_get_is_a_user_task(self) -> None:
        """At the limit the next request is refused until finished tasks have been scanned out."""
        async with lab(replace(WARM, max_active_user_tasks=5)) as standin:
            for _ in range(5):
                assert (await standin.get("state?json=true")).status == 200
            refused = await standin.get("state?json=true")
            assert refused.status == 500
            assert refused.body["errorMessage"] == (
                "Error processing GET request '/state' due to: 'There are already 5 active user "
                "tasks, which has reached the servlet capacity.'."
            )
            await standin.clock.advance(6)
            assert (await standin.get("state?json=true")).status == 200

    async def test_old_completed_tasks_are_forgotten(self) -> None:
        """Only so many are kept per kind of endpoint."""
        async with lab(replace(WARM, max_cached_completed_user_tasks=3)) as standin:
            first = await standin.get("load?json=true")
            for _ in range(3):
                await standin.get("load?json=true")
            await standin.clock.advance(6)
            poll = {"User-Task-ID": first.task_id}
            answered = await standin.call("GET", "/kafkacruisecontrol/load?json=true", poll)
            assert answered.status == 500

    async def test_the_reason_is_shown_all_the_while(self) -> None:
        """It stands in the URL of the user task and in the executor's state: a client finds its
        own request by it.
        """
        async with lab() as standin:
            await standin.execute(f"{PAIR}&reason=mig-7/2/1")
            state = await standin.get("state?substates=executor&json=true")
            assert state.body["ExecutorState"]["triggeredTaskReason"].startswith(
                "mig-7/2/1 (Client: "
            )
            tasks = await standin.get("user_tasks?types=inexecution&json=true")
            (row,) = tasks.body["userTasks"]
            assert row["UserTaskId"] == standin.task_id
            assert "reason=mig-7/2/1" in row["RequestURL"]


class TestFaults:
    async def _inject(self, standin: Lab, **fault: object) -> None:
        async with standin.client.post("/lab/faults", json=fault) as response:
            assert response.status == 200, await response.text()

    async def test_an_error_and_a_full_servlet_are_answered_once(self) -> None:
        """Each injected fault hits one request, and nothing is started by it."""
        async with lab() as standin:
            for fault in ("error", "capacity"):
                await self._inject(standin, fault=fault)
                assert (await standin.post(PAIR)).status == 500
            assert standin.executor_state() is ExecutorState.NO_TASK_IN_PROGRESS
            assert (await standin.post(PAIR)).status == 200

    @pytest.mark.parametrize(("fault", "started"), [("hang", False), ("accept_then_hang", True)])
    async def test_a_request_can_hang_before_or_after_it_is_accepted(
        self, fault: str, started: bool
    ) -> None:
        """The client's timeout tells nothing about which."""
        async with lab() as standin:
            await self._inject(standin, fault=fault)
            with pytest.raises(TimeoutError):
                await standin.client.post(
                    f"/kafkacruisecontrol/{PAIR}", timeout=aiohttp.ClientTimeout(total=0.3)
                )
            assert (standin.executor_state() is not ExecutorState.NO_TASK_IN_PROGRESS) is started

    async def test_a_connection_can_drop_after_it_is_accepted(self) -> None:
        """The execution runs, the client knows nothing of it."""
        async with lab() as standin:
            await self._inject(standin, fault="accept_then_drop")
            with pytest.raises(aiohttp.ClientError):
                await standin.client.post(f"/kafkacruisecontrol/{PAIR}")
            assert standin.executor_state() is ExecutorState.MOVING_REPLICAS

    @pytest.mark.parametrize(
        ("fault", "amount", "left"), [("zero_moves", 0, 91), ("partial_moves", 85, 6)]
    )
    async def test_an_execution_can_complete_with_too_few_moves(
        self, fault: str, amount: int, left: int
    ) -> None:
        """As recorded from stale metadata: Completed with 0, then with 85 of 91."""
        async with lab() as standin:
            await self._inject(standin, fault=fault, amount=amount)
            answered = await standin.execute(
                f"{PAIR}&concurrent_partition_movements_per_broker=100"
            )
            await standin.until_idle()
            assert await task_status(standin, answered.task_id) == "Completed"
            assert standin.cluster.replicas_on(11) == left

    async def test_a_throttle_can_be_left_behind(self) -> None:
        """The execution ends well and its rates stay."""
        async with lab() as standin:
            await self._inject(standin, fault="leak_throttle")
            await standin.execute(
                f"{PAIR}&replication_throttle=1000000&concurrent_partition_movements_per_broker=100"
            )
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 91
            assert any(standin.cluster.configs.values())

    async def test_progress_can_stall(self) -> None:
        """No check sees anything for the given time, then it goes on."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=5")
            await self._inject(standin, fault="stall", amount=60)
            await standin.clock.advance(50)
            assert standin.cluster.replicas_on(31) == 5
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 91

    async def test_a_wrong_fault_is_refused(self) -> None:
        """The refusal names the field and what may stand there."""
        async with (
            lab() as standin,
            standin.client.post("/lab/faults", json={"fault": "nonsense"}) as response,
        ):
            assert response.status == 400
            assert "nonsense" in (await response.json())["error"]

    async def test_faults_can_be_switched_off(self) -> None:
        """Then the path does not exist, as in the real one."""
        settings: Settings = replace(WARM, faults_enabled=False)
        async with lab(settings) as standin, standin.client.get("/lab/faults") as response:
            assert response.status == 404


class TestOurClient:
    async def test_it_keeps_no_session(self) -> None:
        """The agent's client asks anew each time: it sees an execution begin and end."""
        async with lab() as standin:
            url = f"{standin.client.make_url('/')}kafkacruisecontrol"
            client = CruiseControlClient(CruiseControlConnection(url=url))
            assert (await client.state("mig-1")).executor is Executor.IDLE
            await standin.execute(f"{PAIR}&reason=mig-1/1/1")
            assert (await client.state("mig-1")).executor is Executor.OURS
            await client.stop("lab-1/1/1")
            await standin.until_idle()
            assert (await client.state("mig-1")).executor is Executor.IDLE
            await client.close()
