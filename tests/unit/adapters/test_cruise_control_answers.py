"""What Cruise Control's answers mean, where no recording could be made: its sources' exceptions,
proxies, odd bodies.

The recorded answers are held in tests/contract/test_cruise_control_client.py.
"""

from typing import Any

import pytest

from agent.adapters.cruise_control.answers import (
    RequestOutcome,
    classify,
    is_full,
    read_state,
    read_user_tasks,
    words,
)
from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Executor,
    Rejected,
    TaskStatus,
    Unreachable,
)
from agent.core.model.reasons import Code
from tests.contract.recordings import recording

OURS = {"Cruise-Control-Version": "2.5.143"}
BUSY, NOT_READY, ORPHANED = (
    Code.CRUISE_CONTROL_BUSY,
    Code.CRUISE_CONTROL_NOT_READY,
    Code.ORPHANED_MOVES,
)
# Thrown by Cruise Control 2.5.143 on the way to an execution, and not among the recordings.
THROWN: dict[Code, list[str]] = {
    ORPHANED: [
        (
            "Cannot execute new proposals while there are ongoing partition reassignments "
            "initiated by external agent: []"
        ),
        (
            "There are ongoing inter-broker partition movements: "
            "{topic-1-0=PartitionReassignment(replicas=[1, 2])}"
        ),
        "There are ongoing intra-broker partition movements.",
    ],
    BUSY: [
        "Cannot execute new proposals while there is an ongoing execution.",
        "Cannot generate proposals while the executor is in STARTING_EXECUTION state.",
        (
            "Unexpected executor state NO_TASK_IN_PROGRESS. Initializing proposal execution "
            "requires generating "
            "proposals for execution."
        ),
        (
            "Attempt to initialize proposal execution with a UUID a that differs from the UUID "
            "used for generating "
            "proposals for execution b."
        ),
    ],
    NOT_READY: [
        (
            "Cannot execute new proposals due to failure to retrieve whether the Kafka cluster "
            "has an already ongoing "
            "partition reassignment."
        ),
        "Failed to retrieve if there are already ongoing partition reassignments.",
        "Unable to generate proposal since load monitor is in LOADING state.",
        "All brokers are dead in the cluster.",
        "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment.",
        "org.apache.kafka.common.errors.DisconnectException",
        "Interrupted when getting the optimization proposals",
    ],
}
FOR_A_HUMAN = [
    (
        "[DiskCapacityGoal] Insufficient capacity for disk (Utilization 900.00, Allowed Capacity "
        "800.00)."
    ),
    "[RackAwareGoal] All alive brokers are excluded from replica moves.",
    "Cannot invoke X.y() because z is null",
]


def _error(said: str) -> RequestOutcome:
    cause = f"com.linkedin.kafka.cruisecontrol.exception.KafkaCruiseControlException: {said}"
    text = f"Error processing POST request '/remove_broker' due to: '{cause}'."
    return classify(
        500,
        OURS,
        {"version": 1, "stackTrace": f"{cause}\n\tat a.B.c(B.java:1)", "errorMessage": text},
    )


class TestFailures:
    @pytest.mark.parametrize(
        ("said", "code"), [(said, code) for code, all_said in THROWN.items() for said in all_said]
    )
    def test_what_passes_by_itself_is_waited_for(self, said: str, code: Code) -> None:
        """Each exception that another try may not meet is Busy, under the code whose runbook
        paragraph fits.
        """
        answer = _error(said)
        assert isinstance(answer, Busy)
        assert answer.reason.code is code
        assert answer.reason.needed

    @pytest.mark.parametrize("said", FOR_A_HUMAN)
    def test_what_does_not_pass_wants_a_human(self, said: str) -> None:
        """No room, no broker to move to, a bug of its own: asking again would not help."""
        answer = _error(said)
        assert isinstance(answer, Rejected)
        assert answer.reason.seen == f"it answered 500: {said}"

    def test_a_text_is_matched_beyond_what_is_shown(self) -> None:
        """The words are cut for the reader, and not for the rule."""
        answer = _error(f"{'x' * 900} NotEnoughValidWindowsException")
        assert isinstance(answer, Busy)
        assert len(answer.reason.seen) == 400

    def test_only_a_failure_is_waited_for(self) -> None:
        """A 400 that happens to speak of an ongoing execution is a wrong request all the same."""
        body = {"errorMessage": "stop_ongoing_execution: no ongoing execution"}
        assert isinstance(classify(400, OURS, body), Rejected)

    @pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520])
    def test_what_stands_between_tells_nothing_about_the_request(self, status: int) -> None:
        """A proxy's or a servlet container's error: the request may have been met, so one looks
        before asking again.
        """
        for body in (
            "<html>bad gateway</html>",
            {"servlet": "x", "message": "Server Error", "status": str(status)},
        ):
            answer = classify(status, {"Server": "nginx"}, body)
            assert isinstance(answer, Unreachable)
            assert str(status) in answer.reason.seen

    def test_too_many_requests_is_busy(self) -> None:
        """A proxy that limits the rate has not let the request pass."""
        assert isinstance(classify(429, {}, "slow down"), Busy)

    @pytest.mark.parametrize(
        ("status", "headers", "needed"),
        [
            (401, {}, "credentials"),
            (403, {}, "credentials"),
            (404, {}, "its right URL"),
            (405, {}, "its right URL"),
            (302, {"Location": "https://login.example"}, "its right URL"),
        ],
    )
    def test_a_wrong_address_or_name_says_what_to_mend(
        self, status: int, headers: dict[str, str], needed: str
    ) -> None:
        """Who we are, or where it is: both are in the agent's own settings."""
        answer = classify(status, headers, "no")
        assert isinstance(answer, Rejected)
        assert needed in answer.reason.needed
        assert headers.get("Location", "") in answer.reason.seen


class TestAcceptance:
    def test_two_step_verification_is_not_acceptance(self) -> None:
        """200 with a review is a request that nobody has begun; the reason names the setting."""
        answer = classify(
            200, OURS, {"RequestInfo": [{"Id": 0, "Status": "PENDING_REVIEW"}], "version": 1}
        )
        assert isinstance(answer, Rejected)
        assert "two.step.verification.enabled=false" in answer.reason.needed

    @pytest.mark.parametrize("body", ["<html>Sign in</html>", "", [], {"login": "please"}])
    def test_a_page_that_is_not_cruise_controls_is_not_acceptance(self, body: Any) -> None:
        """A login page answers 200 too."""
        answer = classify(200, {"Content-Type": "text/html"}, body)
        assert isinstance(answer, Unreachable)
        assert answer.reason.needed == "its right URL"

    def test_a_proxy_may_hide_the_user_task(self) -> None:
        """Its id is a help and no need: the task is found by our key."""
        assert classify(200, {}, {"summary": {}}) == ExecutionRequested(user_task_id="")
        assert classify(202, {}, {"progress": []}) == ExecutionRequested(user_task_id="")

    def test_a_full_servlet_is_known_by_its_words(self) -> None:
        """The one refusal after which anything may be sent again."""
        assert is_full(500, recording(344).body)
        assert not is_full(500, recording(64).body)
        assert not is_full(400, recording(344).body)


class TestWords:
    def test_they_are_its_own_without_the_wrapping(self) -> None:
        """An operator reads the cause at night, not the names of classes."""
        body = recording(113).body
        assert "IllegalArgumentException" in body["errorMessage"]
        assert words(body) == "Broker 99 does not exist."

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            ("a\nb ", "a b"),
            ({"message": "!role", "status": "403"}, "!role"),
            (
                {"errorMessage": "", "stackTrace": "java.lang.OutOfMemoryError: heap\n\tat x"},
                "java.lang.OutOfMemoryError: heap",
            ),
            ({"errorMessage": "java.lang.NullPointerException"}, "java.lang.NullPointerException"),
            ({"odd": 1}, "{'odd': 1}"),
        ],
    )
    def test_something_is_always_said(self, body: Any, shown: str) -> None:
        """Whatever the form of the answer, a reason is never empty."""
        assert words(body) == shown


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
    request: str = ("POST /kafkacruisecontrol/remove_broker"),
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
                ("POST /cc/kafkacruisecontrol/remove_broker"),
            ),
            _task(
                "another request",
                "reason=lab-1/1/1&dryrun=false",
                20,
                ("POST /kafkacruisecontrol/add_broker"),
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
