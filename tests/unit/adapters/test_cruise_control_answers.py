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
    words,
)
from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Rejected,
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
            "requires generating proposals for execution."
        ),
        (
            "Attempt to initialize proposal execution with a UUID a that differs from the UUID "
            "used for generating proposals for execution b."
        ),
    ],
    NOT_READY: [
        (
            "Cannot execute new proposals due to failure to retrieve whether the Kafka cluster has "
            "an already ongoing partition reassignment."
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
