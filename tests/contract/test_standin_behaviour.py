"""What recordings of single answers cannot show: the stand-in's pace, its memory, what it does to Kafka."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from deploy.lab.standin.cluster import TopicPartition
from deploy.lab.standin.executor import ExecutorState, MoveState
from deploy.lab.standin.service import CruiseControl
from deploy.lab.standin.settings import Settings
from tests.contract.standin_situations import ARTICLE, HARD, PAIR, WARM, Lab, lab

HARD_PAIR = f"{PAIR}&goals={HARD}"


async def _status(standin: Lab, task_id: str) -> str:
    answered = await standin.get(f"user_tasks?user_task_ids={task_id}&json=true")
    return str(answered.body["userTasks"][0]["Status"])


class TestPace:
    async def test_it_moves_at_the_pace_of_its_checks(self) -> None:
        """91 moves at 25 are four batches, whatever the bytes: 25 to 30 s at an interval of 5 s, leaders included."""
        async with lab() as standin:
            started = standin.clock.now()
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            await standin.until(ExecutorState.MOVING_LEADERS)
            assert standin.cluster.replicas_on(11) == 0
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            assert 25 <= standin.clock.now() - started <= 30

    async def test_a_batch_of_all_empties_the_source_at_once(self) -> None:
        """With 100 moves at 5 s the source is empty within 16 s and the executor idle within 23 s, as recorded."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 8.0
            started = standin.clock.now()
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.clock.advance_until(lambda: standin.cluster.replicas_on(11) == 0)
            assert standin.clock.now() - started <= 16
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            assert standin.clock.now() - started <= 23

    async def test_its_own_throttle_is_slow(self) -> None:
        """The article's call takes many times as long with Cruise Control's throttle, because of the configs alone."""
        async with lab() as standin:
            started = standin.clock.now()
            await standin.execute(ARTICLE)
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            assert 200 <= standin.clock.now() - started <= 450

    async def test_a_broker_never_takes_more_than_its_share(self) -> None:
        """No more moves are in flight than the concurrency allows, at any moment."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=7")
            while standin.executor_state() is not ExecutorState.NO_TASK_IN_PROGRESS:
                assert len(await standin.cluster.reassignments()) <= 7
                await standin.clock.advance(1)
            assert standin.cluster.replicas_on(31) == 91

    async def test_the_cluster_wide_limit_holds_too(self) -> None:
        """max_partition_movements_in_cluster caps what is in flight."""
        async with lab() as standin:
            query = f"{PAIR}&concurrent_partition_movements_per_broker=25&max_partition_movements_in_cluster=4"
            await standin.execute(query)
            assert len(await standin.cluster.reassignments()) == 4

    async def test_concurrency_changes_at_the_next_check(self) -> None:
        """`admin` raises the number of moves in flight without a new execution."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=5")
            await standin.post("admin?concurrent_partition_movements_per_broker=25&json=true")
            assert len(await standin.cluster.reassignments()) == 5
            await standin.clock.advance(5.5)
            assert len(await standin.cluster.reassignments()) == 25


class TestStop:
    async def test_stop_cancels_what_is_in_flight_and_keeps_what_is_done(self) -> None:
        """Finished moves stay, moves in flight are cancelled, and the same request again is only the rest."""
        async with lab() as standin:
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            await standin.clock.advance(4)
            standin.cluster.copy_seconds = 600
            await standin.clock.advance(5)
            await standin.post("stop_proposal_execution?json=true")
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 25
            assert not await standin.cluster.reassignments()
            assert await _status(standin, answered.task_id) == "CompletedWithError"
            again = await standin.post("remove_broker?brokerid=11&destination_broker_ids=31&json=true")
            assert again.body["summary"]["numReplicaMovements"] == 66

    async def test_a_cancelled_move_leaves_another_order(self) -> None:
        """Kafka's cancel does not restore the order: [11, 12, 13] comes back as [12, 13, 11], still led by 11."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            tp = TopicPartition("topic-00", 0)
            assert standin.cluster.partition(tp).replicas == (11, 12, 13)
            await standin.execute(f"{HARD_PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.post("stop_proposal_execution?json=true")
            await standin.until_idle()
            assert standin.cluster.partition(tp).replicas == (12, 13, 11)
            assert standin.cluster.partition(tp).leader == 11

    async def test_stopping_ones_own_run_for_a_new_one_fails(self) -> None:
        """stop_ongoing_execution stops the first, then finds four replicas in metadata that are still old."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=10")
            await standin.clock.advance(7)
            first = standin.task_id

            async def second() -> tuple[int, str]:
                answered = await standin.post(f"{PAIR}&stop_ongoing_execution=true")
                return answered.status, answered.body["errorMessage"]

            asked = asyncio.create_task(second())
            while not asked.done():
                await standin.clock.advance(0.5)
                await asyncio.sleep(0.01)
            status, message = await asked
            assert status == 500
            assert "Insufficient number of racks" in message
            assert await _status(standin, first) == "CompletedWithError"


class TestOtherTools:
    async def test_a_real_request_cancels_their_reassignments(self) -> None:
        """auto.stop.external.agent: any real remove_broker does, even one that then fails; a dryrun does not."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.cluster.reassign({TopicPartition("topic-00", 0): (31, 12, 13)})
            await standin.post("remove_broker?dryrun=true&brokerid=11&destination_broker_ids=31&json=true")
            assert await standin.cluster.reassignments()
            failed = await standin.post("remove_broker?dryrun=false&brokerid=99&json=true")
            assert failed.status == 500
            assert not await standin.cluster.reassignments()

    @pytest.mark.parametrize(("query", "left"), [("json=true", 0), ("stop_external_agent=false&json=true", 1)])
    async def test_stop_cancels_theirs_by_default(self, query: str, left: int) -> None:
        """stop_external_agent defaults to true."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.cluster.reassign({TopicPartition("topic-00", 0): (31, 12, 13)})
            await standin.post(f"stop_proposal_execution?{query}")
            assert len(await standin.cluster.reassignments()) == left

    async def test_a_move_that_someone_cancelled_is_asked_for_again(self) -> None:
        """The execution ends with all moved."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 7
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.clock.advance(1)
            await standin.cluster.reassign({TopicPartition("topic-00", 0): None})
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 91


class TestThrottle:
    async def test_it_is_set_per_batch_and_cleared_after(self) -> None:
        """Rates on all brokers of the batch, old and new replicas on both lists, nothing left at the end."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(f"{PAIR}&replication_throttle=5000000&concurrent_partition_movements_per_broker=1")
            await standin.clock.advance(32)
            ((tp, _),) = (await standin.cluster.reassignments()).items()
            listed = await standin.cluster.topic_configs(tp.topic)
            for side in ("leader", "follower"):
                assert listed[f"{side}.replication.throttled.replicas"].split(",") == [
                    f"{tp.partition}:{broker}" for broker in (11, 12, 13, 31)
                ]
                rates = await standin.cluster.broker_configs(31)
                assert rates[f"{side}.replication.throttled.rate"] == "5000000"
            standin.cluster.copy_seconds = 0
            await standin.post("stop_proposal_execution?json=true")
            await standin.until_idle()
            assert not any(standin.cluster.configs.values())

    async def test_a_crash_leaves_it_behind(self) -> None:
        """The process dies in a move: rates and lists stay, and its successor neither knows nor clears them."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(f"{PAIR}&replication_throttle=5000000&concurrent_partition_movements_per_broker=10")
            await standin.clock.advance(60)
            await standin.service.close()
            successor = CruiseControl(standin.cluster, WARM, standin.clock)
            assert successor.executor.recently_removed() == []
            assert successor.tasks.get(standin.task_id) is None
            assert await standin.cluster.reassignments()
            assert any(standin.cluster.configs.values())


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
            answered = await standin.call("GET", "/kafkacruisecontrol/state?json=true", {"User-Task-ID": first.task_id})
            assert answered.status == 500
            assert "Unexpected header" in answered.body["errorMessage"]

    async def test_a_session_gets_the_same_answer_for_ever(self) -> None:
        """With cookies kept, the same URL is the same task: a client polls a state that never changes."""
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
                "Error processing GET request '/state' due to: 'There are already 5 active user tasks, which has "
                "reached the servlet capacity.'."
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
        """It stands in the URL of the user task and in the executor's state: a client finds its own request by it."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&reason=mig-7/2/1")
            state = await standin.get("state?substates=executor&json=true")
            assert state.body["ExecutorState"]["triggeredTaskReason"].startswith("mig-7/2/1 (Client: ")
            tasks = await standin.get("user_tasks?types=inexecution&json=true")
            (row,) = tasks.body["userTasks"]
            assert row["UserTaskId"] == standin.task_id
            assert "reason=mig-7/2/1" in row["RequestURL"]


class TestTruth:
    async def test_completed_does_not_mean_drained(self) -> None:
        """Planned from metadata that are older than a topic, the execution completes and leaves it on the source."""
        async with lab() as standin:
            standin.cluster.add_topic("late", [(11, 12, 13)])
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.until_idle()
            assert await _status(standin, answered.task_id) == "Completed"
            assert standin.cluster.replicas_on(11) == 1

    async def test_a_dead_destination_ends_the_execution_with_error(self) -> None:
        """Tasks to it are DEAD, which counts as finished."""
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            execution = standin.service.executor.execution
            assert execution is not None
            standin.cluster.kill(31)
            await standin.until_idle()
            assert {move.state for move in execution.moves} == {MoveState.DEAD}
            assert await _status(standin, answered.task_id) == "CompletedWithError"

    async def test_an_absent_cluster_freezes_progress(self) -> None:
        """ZooKeeper or the controller away for a while: nothing is counted, then it completes."""
        async with lab() as standin:
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            await standin.clock.advance(1)
            standin.cluster.unavailable = True
            await standin.clock.advance(20)
            standin.cluster.unavailable = False
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 91
            assert await _status(standin, answered.task_id) == "Completed"

    async def test_windows_are_missing_after_moves(self) -> None:
        """For a while after an execution nothing can be planned; a dryrun that answers 200 is the readiness test."""
        async with lab(replace(WARM, window_refill_seconds=10.0)) as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            dryrun = "remove_broker?brokerid=12&destination_broker_ids=32&json=true"
            assert "NotEnoughValidWindows" in (await standin.post(dryrun)).body["errorMessage"]
            await standin.clock.advance(11)
            assert (await standin.post(dryrun)).status == 200

    async def test_a_short_interval_is_noticed_when_executed(self) -> None:
        """A dryrun passes with it, an execution is refused."""
        async with lab() as standin:
            pair = "remove_broker?brokerid=11&destination_broker_ids=31"
            query = f"{pair}&execution_progress_check_interval_ms=1000&json=true"
            assert (await standin.post(query)).status == 200
            refused = await standin.post(f"{query}&dryrun=false")
            assert refused.status == 500
            assert "Attempt to set execution progress check interval [1000ms]" in refused.body["errorMessage"]
            assert standin.executor_state() is ExecutorState.NO_TASK_IN_PROGRESS

    async def test_any_concurrency_is_taken_by_an_execution(self) -> None:
        """5000 a broker is refused by `admin` only."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=5000")
            refused = await standin.post("admin?concurrent_partition_movements_per_broker=5000&json=true")
            assert refused.status == 500
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 91

    async def test_a_round_trip_under_hard_goals_is_exact(self) -> None:
        """31 to 11 undoes 11 to 31, replica order and leaders included."""
        async with lab() as standin:
            before = await standin.cluster.describe()
            await standin.execute(f"{HARD_PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.until_idle()
            back = HARD_PAIR.replace("brokerid=11", "brokerid=31").replace("_ids=31", "_ids=11")
            await standin.execute(f"{back}&concurrent_partition_movements_per_broker=100")
            await standin.until_idle()
            after = await standin.cluster.describe()
            assert {tp: (p.replicas, p.leader) for tp, p in after.partitions.items()} == {
                tp: (p.replicas, p.leader) for tp, p in before.partitions.items()
            }


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
    async def test_a_request_can_hang_before_or_after_it_is_accepted(self, fault: str, started: bool) -> None:
        """The client's timeout tells nothing about which."""
        async with lab() as standin:
            await self._inject(standin, fault=fault)
            with pytest.raises(TimeoutError):
                await standin.client.post(f"/kafkacruisecontrol/{PAIR}", timeout=aiohttp.ClientTimeout(total=0.3))
            assert (standin.executor_state() is not ExecutorState.NO_TASK_IN_PROGRESS) is started

    async def test_a_connection_can_drop_after_it_is_accepted(self) -> None:
        """The execution runs, the client knows nothing of it."""
        async with lab() as standin:
            await self._inject(standin, fault="accept_then_drop")
            with pytest.raises(aiohttp.ClientError):
                await standin.client.post(f"/kafkacruisecontrol/{PAIR}")
            assert standin.executor_state() is ExecutorState.MOVING_REPLICAS

    @pytest.mark.parametrize(("fault", "amount", "left"), [("zero_moves", 0, 91), ("partial_moves", 85, 6)])
    async def test_an_execution_can_complete_with_too_few_moves(self, fault: str, amount: int, left: int) -> None:
        """As recorded from stale metadata: Completed with 0, then with 85 of 91."""
        async with lab() as standin:
            await self._inject(standin, fault=fault, amount=amount)
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.until_idle()
            assert await _status(standin, answered.task_id) == "Completed"
            assert standin.cluster.replicas_on(11) == left

    async def test_a_throttle_can_be_left_behind(self) -> None:
        """The execution ends well and its rates stay."""
        async with lab() as standin:
            await self._inject(standin, fault="leak_throttle")
            await standin.execute(f"{PAIR}&replication_throttle=1000000&concurrent_partition_movements_per_broker=100")
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
        async with lab() as standin, standin.client.post("/lab/faults", json={"fault": "nonsense"}) as response:
            assert response.status == 400
            assert "nonsense" in (await response.json())["error"]

    async def test_faults_can_be_switched_off(self) -> None:
        """Then the path does not exist, as in the real one."""
        settings: Settings = replace(WARM, faults_enabled=False)
        async with lab(settings) as standin, standin.client.get("/lab/faults") as response:
            assert response.status == 404
