"""What single recordings cannot show: the stand-in's pace, its stops, its throttle, what it
does to Kafka.
"""

import asyncio
from dataclasses import replace

import pytest

from deploy.lab.standin.cluster import TopicPartition
from deploy.lab.standin.execution import ExecutorState, MoveState
from deploy.lab.standin.service import CruiseControl
from tests.contract.standin_situations import ARTICLE, HARD_PAIR, PAIR, WARM, lab, task_status


class TestPace:
    async def test_it_moves_at_the_pace_of_its_checks(self) -> None:
        """91 moves at 25 are four batches, whatever the bytes: 25 to 30 s at an interval of 5
        s, leaders included.
        """
        async with lab() as standin:
            started = standin.clock.now()
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            await standin.until(ExecutorState.MOVING_LEADERS)
            assert standin.cluster.replicas_on(11) == 0
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            assert 25 <= standin.clock.now() - started <= 30

    async def test_a_batch_of_all_empties_the_source_at_once(self) -> None:
        """With 100 moves at 5 s the source is empty within 16 s and the executor idle within 23
        s, as recorded.
        """
        async with lab() as standin:
            standin.cluster.copy_seconds = 8.0
            started = standin.clock.now()
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=100")
            await standin.clock.advance_until(lambda: standin.cluster.replicas_on(11) == 0)
            assert standin.clock.now() - started <= 16
            await standin.until(ExecutorState.NO_TASK_IN_PROGRESS)
            assert standin.clock.now() - started <= 23

    async def test_its_own_throttle_is_slow(self) -> None:
        """The article's call takes many times as long with Cruise Control's throttle, because
        of the configs alone.
        """
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
            limits = (
                "concurrent_partition_movements_per_broker=25&max_partition_movements_in_cluster=4"
            )
            await standin.execute(f"{PAIR}&{limits}")
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
        """Finished moves stay, moves in flight are cancelled, and the same request again is
        only the rest.
        """
        async with lab() as standin:
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=25")
            await standin.clock.advance(4)
            standin.cluster.copy_seconds = 600
            await standin.clock.advance(5)
            await standin.post("stop_proposal_execution?json=true")
            await standin.until_idle()
            assert standin.cluster.replicas_on(31) == 25
            assert not await standin.cluster.reassignments()
            assert await task_status(standin, answered.task_id) == "CompletedWithError"
            again = await standin.post(
                "remove_broker?brokerid=11&destination_broker_ids=31&json=true"
            )
            assert again.body["summary"]["numReplicaMovements"] == 66

    async def test_a_cancelled_move_leaves_another_order(self) -> None:
        """Kafka's cancel does not restore the order: [11, 12, 13] comes back as [12, 13, 11],
        still led by 11.
        """
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
        """stop_ongoing_execution stops the first, then finds four replicas in metadata that are
        still old.
        """
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
            assert await task_status(standin, first) == "CompletedWithError"


class TestOtherTools:
    async def test_a_real_request_cancels_their_reassignments(self) -> None:
        """auto.stop.external.agent: any real remove_broker does, even one that then fails; a
        dryrun does not.
        """
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.cluster.reassign({TopicPartition("topic-00", 0): (31, 12, 13)})
            await standin.post(
                "remove_broker?dryrun=true&brokerid=11&destination_broker_ids=31&json=true"
            )
            assert await standin.cluster.reassignments()
            failed = await standin.post("remove_broker?dryrun=false&brokerid=99&json=true")
            assert failed.status == 500
            assert not await standin.cluster.reassignments()

    @pytest.mark.parametrize(
        ("query", "left"), [("json=true", 0), ("stop_external_agent=false&json=true", 1)]
    )
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

    async def test_an_order_that_someone_changed_is_put_back_at_every_check(self) -> None:
        """As long as another hand sets another order, it sets its own again and does not end;
        left alone it ends.
        """
        async with lab() as standin:
            standin.cluster.copy_seconds = 1.0
            tp = TopicPartition("topic-00", 0)
            await standin.execute(f"{HARD_PAIR}&concurrent_partition_movements_per_broker=100")
            for _ in range(6):
                await standin.clock.advance(4.0)
                asked_for = standin.cluster.partition(tp).replicas
                await standin.cluster.reassign({tp: asked_for[::-1]})
                await standin.clock.advance(1.0)
                assert standin.cluster.partition(tp).replicas == asked_for
                assert standin.executor_state() is ExecutorState.MOVING_REPLICAS
            await standin.until_idle()
            assert standin.cluster.partition(tp).replicas == asked_for


class TestSelfHealing:
    @pytest.mark.parametrize("notifier", [True, False])
    async def test_it_heals_only_with_the_notifier_that_heals(self, notifier: bool) -> None:
        """Both say that it is on; the stock notifier never moves anything."""
        async with lab(replace(WARM, self_healing_notifier=notifier)) as standin:
            await standin.post("admin?enable_self_healing_for=goal_violation&json=true")
            state = (await standin.get("state?json=true")).body
            assert state["AnomalyDetectorState"]["selfHealingEnabled"] == ["GOAL_VIOLATION"]
            await standin.clock.advance(20.0)
            executor = (await standin.get("state?json=true")).body["ExecutorState"]
            assert executor.get("triggeredTaskReason", "").startswith("Self healing") is notifier
            assert (standin.cluster.replicas_on(31) > 0) is notifier

    async def test_an_execution_holds_it_off_and_a_stop_sets_it_loose(self) -> None:
        """Nothing is healed while something runs; within seconds of a stop it is."""
        async with lab(replace(WARM, self_healing_notifier=True)) as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(f"{HARD_PAIR}&concurrent_partition_movements_per_broker=5")
            await standin.post("admin?enable_self_healing_for=goal_violation&json=true")
            await standin.clock.advance(60.0)
            suppressed = standin.service.executor.execution
            assert suppressed is not None
            assert not suppressed.healing
            await standin.post("stop_proposal_execution?json=true")
            await standin.clock.advance(5.0)
            assert standin.executor_state() is ExecutorState.NO_TASK_IN_PROGRESS
            await standin.clock.advance(10.0)
            loose = standin.service.executor.execution
            assert loose is not None
            assert loose.healing


class TestThrottle:
    async def test_it_is_set_per_batch_and_cleared_after(self) -> None:
        """Rates on all brokers of the batch, old and new replicas on both lists, nothing left
        at the end.
        """
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(
                f"{PAIR}&replication_throttle=5000000&concurrent_partition_movements_per_broker=1"
            )
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
        """The process dies in a move: rates and lists stay, and its successor neither knows nor
        clears them.
        """
        async with lab() as standin:
            standin.cluster.copy_seconds = 600
            await standin.execute(
                f"{PAIR}&replication_throttle=5000000&concurrent_partition_movements_per_broker=10"
            )
            await standin.clock.advance(60)
            await standin.service.close()
            successor = CruiseControl(standin.cluster, WARM, standin.clock)
            assert successor.executor.recently_removed() == []
            assert successor.tasks.get(standin.task_id) is None
            assert await standin.cluster.reassignments()
            assert any(standin.cluster.configs.values())


class TestTruth:
    async def test_completed_does_not_mean_drained(self) -> None:
        """Planned from metadata that are older than a topic, the execution completes and leaves
        it on the source.
        """
        async with lab() as standin:
            standin.cluster.add_topic("late", [(11, 12, 13)])
            answered = await standin.execute(
                f"{PAIR}&concurrent_partition_movements_per_broker=100"
            )
            await standin.until_idle()
            assert await task_status(standin, answered.task_id) == "Completed"
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
            assert await task_status(standin, answered.task_id) == "CompletedWithError"

    async def test_a_destination_that_dies_late_ends_it_too(self) -> None:
        """Moves that ended stay, leaders that cannot come are given up: idle within 25 s, as
        recorded.
        """
        async with lab() as standin:
            answered = await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=8")
            await standin.clock.advance(5.5)
            standin.cluster.kill(31)
            await standin.clock.advance(25)
            assert standin.executor_state() is ExecutorState.NO_TASK_IN_PROGRESS
            assert standin.cluster.replicas_on(31) == 8
            assert await task_status(standin, answered.task_id) == "CompletedWithError"

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
            assert await task_status(standin, answered.task_id) == "Completed"

    async def test_windows_are_missing_after_moves(self) -> None:
        """For a while after an execution nothing can be planned; a dryrun that answers 200 is
        the readiness test.
        """
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
            assert (
                "Attempt to set execution progress check interval [1000ms]"
                in refused.body["errorMessage"]
            )
            assert standin.executor_state() is ExecutorState.NO_TASK_IN_PROGRESS

    async def test_any_concurrency_is_taken_by_an_execution(self) -> None:
        """5000 a broker is refused by `admin` only."""
        async with lab() as standin:
            await standin.execute(f"{PAIR}&concurrent_partition_movements_per_broker=5000")
            refused = await standin.post(
                "admin?concurrent_partition_movements_per_broker=5000&json=true"
            )
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
