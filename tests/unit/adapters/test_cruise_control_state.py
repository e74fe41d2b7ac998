"""What Cruise Control says of its executor and of its user tasks, beyond the recorded answers."""

from typing import Any

import pytest

from agent.adapters.cruise_control.answers import (
    read_state,
    read_user_tasks,
)
from agent.core.messages import (
    Executor,
    TaskStatus,
)
from tests.contract.recordings import recording


def _state(
    reason: str = "", word: str = "INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS"
) -> dict[str, Any]:
    executor = {**recording(61).body["ExecutorState"], "state": word, "triggeredTaskReason": reason}
    return {**recording(8).body, "ExecutorState": executor}


class TestState:
    def test_whose_execution_it_is(self) -> None:
        """Ours when the reason begins with our migration's id; Cruise Control adds who asked
        and when.
        """
        body = _state("lab-1a2b/1/1 (Client: 10.0.0.1, Date: 2026-11-24T06:53:24Z)")
        assert read_state(body, "lab-1a2b").executor is Executor.OURS
        assert read_state(body, "lab-1a2").executor is Executor.FOREIGN
        assert read_state(body, "").executor is Executor.FOREIGN
        assert (
            read_state(_state("No reason provided (Client: x)"), "lab-1a2b").executor
            is Executor.FOREIGN
        )

    @pytest.mark.parametrize("number", [30, 61, 67, 77, 87, 93, 96, 156, 207, 336, 337, 338, 342])
    def test_each_recorded_state_of_work_is_somebodys(self, number: int) -> None:
        """Computing, moving, electing, stopping: none is idle, and its own word is kept."""
        executor = recording(number).body["ExecutorState"]
        found = read_state({**recording(8).body, "ExecutorState": executor}, "lab-1")
        assert found.executor is Executor.FOREIGN
        assert found.executor_state == executor["state"]
        assert found.executor_reason == executor["triggeredTaskReason"]

    @pytest.mark.parametrize("number", [8, 12, 52, 84, 99, 341])
    def test_an_idle_executor_is_idle(self, number: int) -> None:
        """Whoever asks, and whatever was removed before."""
        found = read_state({**recording(8).body, **recording(number).body}, "lab-1")
        assert (found.executor, found.executor_reason) == (Executor.IDLE, "")

    def test_windows_count_only_where_proposals_are_made(self) -> None:
        """While it loads samples it counts windows and makes no proposal (recorded after a
        restart).
        """
        assert read_state(recording(8).body, "lab-1").valid_windows == 3
        assert recording(98).body["MonitorState"]["numMonitoredWindows"] == 3
        assert read_state(recording(98).body, "lab-1").valid_windows == 0

    def test_self_healing_is_told_by_kind(self) -> None:
        """Those that are on, by Cruise Control's names."""
        body = recording(8).body
        detector = {
            **body["AnomalyDetectorState"],
            "selfHealingEnabled": ["BROKER_FAILURE", "GOAL_VIOLATION"],
        }
        assert read_state(body, "lab-1").self_healing == ()
        on = read_state({**body, "AnomalyDetectorState": detector}, "lab-1").self_healing
        assert on == ("BROKER_FAILURE", "GOAL_VIOLATION")

    def test_an_answer_without_its_parts_is_none(self) -> None:
        """A missing part is never read as idle, nor as anyone's execution."""
        for part in ("ExecutorState", "MonitorState", "AnomalyDetectorState"):
            body = {name: value for name, value in recording(8).body.items() if name != part}
            with pytest.raises(KeyError):
                read_state(body, "lab-1")


def _task(
    task_id: str,
    query: str,
    started: int,
    request: str = "POST /kafkacruisecontrol/remove_broker",
) -> Any:
    url = f"{request}?{query}"
    return {
        "UserTaskId": task_id,
        "Status": "InExecution",
        "StartMs": str(started),
        "RequestURL": url,
    }


class TestUserTasks:
    def test_they_are_found_by_their_key(self) -> None:
        """The reason in the URL, however it is written; dry runs, longer keys of others and
        other requests are left.
        """
        tasks = [
            _task("newest", "dryrun=false&reason=lab-1%2F1%2F1", 30),
            _task("oldest", "reason=lab-1/1/1&dryrun=false", 10),
            _task("dry", "reason=lab-1/1/1&dryrun=true", 20),
            _task("dry by default", "reason=lab-1/1/1", 20),
            _task("the tenth attempt", "reason=lab-1/1/10&dryrun=false", 20),
            _task("another migration", "reason=lab-11/1/1&dryrun=false", 20),
            _task("no reason", "dryrun=false", 20),
            _task(
                "behind a proxy",
                "DryRun=False&Reason=lab-1/1/1",
                40,
                "POST /cc/kafkacruisecontrol/remove_broker",
            ),
            _task(
                "another request",
                "reason=lab-1/1/1&dryrun=false",
                20,
                "POST /kafkacruisecontrol/add_broker",
            ),
        ]
        found = read_user_tasks({"userTasks": tasks}, "lab-1/1/1")
        assert [t.user_task_id for t in found] == ["oldest", "newest", "behind a proxy"]
        assert {t.status for t in found} == {TaskStatus.IN_EXECUTION}

    @pytest.mark.parametrize(
        ("status", "started", "request_line", "query", "by"),
        [
            (
                "CompletedWithError",
                30,
                "POST /cc/stop_proposal_execution",
                "json=true",
                "stop_proposal_execution of 10.0.0.9",
            ),
            (
                "InExecution",
                30,
                "POST /cc/stop_proposal_execution",
                "json=true",
                "stop_proposal_execution of 10.0.0.9",
            ),
            (
                "CompletedWithError",
                30,
                "POST /cc/rebalance",
                "dryrun=false&stop_ongoing_execution=true",
                "rebalance of",
            ),
            ("CompletedWithError", 30, "POST /cc/rebalance", "dryrun=false", ""),
            ("CompletedWithError", 30, "POST /cc/stop_proposal_execution", "reason=lab-1/1/1", ""),
            ("CompletedWithError", 5, "POST /cc/stop_proposal_execution", "json=true", ""),
            ("Completed", 30, "POST /cc/stop_proposal_execution", "json=true", ""),
        ],
    )
    def test_who_stopped_an_execution_is_read(
        self, status: str, started: int, request_line: str, query: str, by: str
    ) -> None:
        """A stop since it began that does not bear our name; one before it, ours, or after its
        end is none.
        """
        ours = {**_task("ours", "dryrun=false&reason=lab-1/1/1", 10), "Status": status}
        stop = {
            **_task("stop", query, started, request_line),
            "Status": "Completed",
            "ClientIdentity": "10.0.0.9",
        }
        (found,) = read_user_tasks({"userTasks": [stop, ours]}, "lab-1/1/1")
        assert by in found.stopped_by
        assert bool(found.stopped_by) is bool(by)

    def test_what_is_stopped_after_our_own_stop_is_not_ours(self) -> None:
        """The first stop ended our execution: what others stop later was somebody else's."""
        ours = {
            **_task("ours", "dryrun=false&reason=lab-1/1/1", 10),
            "Status": "CompletedWithError",
        }
        stops = [
            _task("theirs", "json=true", 40, "POST /cc/stop_proposal_execution"),
            _task("our own", "reason=lab-1%2F1%2F1", 20, "POST /cc/stop_proposal_execution"),
        ]
        assert [
            t.stopped_by for t in read_user_tasks({"userTasks": [*stops, ours]}, "lab-1/1/1")
        ] == [""]

    def test_a_migrations_id_finds_all_its_tasks(self) -> None:
        """A key is a whole part of the reason or the whole of it."""
        tasks = [
            _task(key, f"reason={key}&dryrun=false", 1)
            for key in ("lab-1/1/1", "lab-1/2/1", "lab-12/1/1")
        ]
        found = read_user_tasks({"userTasks": tasks}, "lab-1")
        assert [t.reason for t in found] == ["lab-1/1/1", "lab-1/2/1"]

    @pytest.mark.parametrize("number", [20, 32, 45, 47, 49, 51, 72, 83, 138, 164, 205, 211])
    def test_recorded_tasks_are_read(self, number: int) -> None:
        """Every recorded list is read, with each status in it; none of them bears a key of ours."""
        body = recording(number).body
        assert read_user_tasks(body, "lab-1/1/1") == []
        for task in body["userTasks"]:
            if "dryrun=false" in task["RequestURL"]:
                named = {**task, "RequestURL": f"{task['RequestURL']}&reason=lab-1/1/1"}
                (found,) = read_user_tasks({"userTasks": [named]}, "lab-1/1/1")
                assert found.status == task["Status"]

    def test_a_status_that_is_not_known_is_not_guessed(self) -> None:
        """A wrong guess would start a second execution, or wait for ever."""
        with pytest.raises(ValueError, match="Resting"):
            read_user_tasks(
                {"userTasks": [{**_task("a", "reason=k&dryrun=false", 1), "Status": "Resting"}]},
                "k",
            )
