"""Our client against the recorded answers of a real Cruise Control, through httpx's own mock transport."""

import json
from collections.abc import Callable

import httpx
import pytest

from agent.adapters.cruise_control import CruiseControl, CruiseControlConnection, classify
from agent.adapters.ports import PortError, RemoveBroker
from agent.core.messages import Busy, ExecutionAsked, Executor, Rejected, TaskStatus, Unreachable
from agent.core.reasons import Code
from tests.contract.recordings import FOLDER, Recording, recording

NOT_READY, BUSY = Code.CRUISE_CONTROL_NOT_READY, Code.CRUISE_CONTROL_BUSY
REJECTED = Code.CRUISE_CONTROL_REJECTED
# Every recorded failure of remove_broker, and what it means for what to do next.
FAILURES: dict[int, tuple[type, Code]] = {
    5: (Busy, NOT_READY),
    64: (Busy, BUSY),
    65: (Busy, BUSY),
    103: (Busy, BUSY),
    104: (Busy, BUSY),
    105: (Busy, BUSY),
    111: (Rejected, REJECTED),
    112: (Rejected, REJECTED),
    113: (Busy, NOT_READY),
    114: (Busy, NOT_READY),
    115: (Rejected, REJECTED),
    116: (Rejected, REJECTED),
    117: (Rejected, REJECTED),
    119: (Rejected, REJECTED),
    123: (Rejected, REJECTED),
    125: (Rejected, REJECTED),
    129: (Rejected, REJECTED),
    131: (Busy, BUSY),
    144: (Busy, BUSY),
    153: (Busy, NOT_READY),
    154: (Busy, NOT_READY),
    163: (Busy, NOT_READY),
    165: (Busy, NOT_READY),
    168: (Busy, NOT_READY),
    180: (Rejected, REJECTED),
    181: (Rejected, REJECTED),
    344: (Busy, BUSY),
}
ACCEPTED = (29, 59, 60, 86, 92, 109, 151, 155, 169)
REQUEST = RemoveBroker(
    source_broker_ids=(11,),
    destination_broker_ids=(31,),
    reason="lab-1a2b3c4d/1/1",
    partition_movements_per_broker=100,
    progress_check_interval_ms=5_000,
)


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> CruiseControl:
    connection = CruiseControlConnection(url="http://cruise-control:9090")
    return CruiseControl(connection, httpx.MockTransport(answer))


def _replay(r: Recording) -> Callable[[httpx.Request], httpx.Response]:
    body = r.body if isinstance(r.body, str) else json.dumps(r.body)
    return lambda _request: httpx.Response(r.status, headers=_plain(r), content=body)


def _plain(r: Recording) -> dict[str, str]:
    return {k: v for k, v in r.headers.items() if k.lower() not in ("content-length", "content-encoding")}


@pytest.mark.parametrize("number", FAILURES)
def test_each_recorded_failure_is_sorted(number: int) -> None:
    """A failure is told apart by what to do next: wait, or call a human; and keeps Cruise Control's own words."""
    r = recording(number)
    kind, code = FAILURES[number]
    answer = classify(r.status, r.headers, r.body)
    assert isinstance(answer, kind), answer
    assert not isinstance(answer, ExecutionAsked)
    assert answer.reason.code is code
    assert answer.reason.seen


@pytest.mark.parametrize("number", ACCEPTED)
async def test_an_accepted_request_gives_its_user_task(number: int) -> None:
    """200 means accepted, and the user task is in the header."""
    client = _client(_replay(recording(number)))
    answer = await client.remove_broker(REQUEST)
    assert isinstance(answer, ExecutionAsked)
    assert len(answer.user_task_id) == 36
    await client.close()


def test_no_recorded_failure_is_forgotten() -> None:
    """Every recorded execution or dry run that failed is in the table above."""
    failed = set()
    for path in sorted(FOLDER.glob("*.json")):
        data = json.loads(path.read_text())
        is_ours = data["request"]["method"] == "POST" and "/remove_broker?" in data["request"]["url"]
        polled = "User-Task-ID" in data["request"]["headers"]
        if is_ours and not polled and data["response"]["status"] not in (200, 202, None):
            failed.add(int(path.name[:3]))
    reviews, others = set(range(183, 206)), set(range(300, 344)) | {139, 140, 143, 170, 172, 216, 101}
    assert failed - reviews - others <= set(FAILURES)


def test_two_step_verification_is_named() -> None:
    """A Cruise Control that wants reviews is not mistaken for one that has accepted."""
    r = recording(183)
    answer = classify(r.status, r.headers, r.body)
    assert isinstance(answer, Rejected)
    assert "two-step" in answer.reason.seen


def test_a_proxy_that_fails_is_no_refusal() -> None:
    """502 to 504 come from what stands between: the request may have been met."""
    for status in (502, 503, 504):
        assert isinstance(classify(status, {}, "bad gateway"), Unreachable)


async def test_executor_state_tells_whose_execution_it_is() -> None:
    """Ours when the reason begins with our migration's id; Cruise Control adds who asked and when."""
    moving = recording(61)
    body = dict(moving.body)
    body["ExecutorState"] = {
        **body["ExecutorState"],
        "triggeredTaskReason": "lab-1a2b3c4d/1/1 (Client: 10.0.0.1, Date: x)",
    }
    client = _client(lambda _request: httpx.Response(200, json=body))
    assert (await client.state("lab-1a2b3c4d")).executor is Executor.OURS
    assert (await client.state("lab-ffffffff")).executor is Executor.FOREIGN
    idle = _client(_replay(recording(52)))
    assert (await idle.state("lab-1a2b3c4d")).executor is Executor.IDLE


async def test_user_tasks_are_found_by_their_key() -> None:
    """Our task is found by the reason in its URL; dry runs and longer keys of others do not count."""
    urls = {
        "a": "reason=lab-1/1/1&dryrun=false",
        "b": "reason=lab-1/1/1&dryrun=true",
        "c": "reason=lab-1/1/10&dryrun=false",
        "d": "dryrun=false&reason=lab-1%2F1%2F1",
    }
    tasks = [
        {"UserTaskId": k, "Status": "InExecution", "StartMs": str(n), "RequestURL": f"POST /x/remove_broker?{u}"}
        for n, (k, u) in enumerate(urls.items())
    ]
    client = _client(lambda _request: httpx.Response(200, json={"userTasks": tasks}))
    found = await client.user_tasks("lab-1/1/1")
    assert [t.user_task_id for t in found] == ["a", "d"]
    assert found[0].status is TaskStatus.IN_EXECUTION


async def test_a_refused_request_is_not_taken_for_an_execution() -> None:
    """A 500 leaves a user task that reads Active for a while: it is left out when our key is looked for."""
    refused = recording(64)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return _replay(refused)(request)
        task = {
            "UserTaskId": refused.headers["User-Task-ID"],
            "Status": "Active",
            "StartMs": "1",
            "RequestURL": "POST /x/remove_broker?dryrun=false&reason=lab-1a2b3c4d/1/1",
        }
        return httpx.Response(200, json={"userTasks": [task]})

    client = _client(answer)
    assert isinstance(await client.remove_broker(REQUEST), Busy)
    assert await client.user_tasks(REQUEST.reason) == []


async def test_the_request_says_what_the_design_asks() -> None:
    """Hard goals only, our key as reason, the pair, and no throttle unless Cruise Control shall set it."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return _replay(recording(29))(request)

    await _client(answer).remove_broker(REQUEST)
    query = seen[0].url.params
    assert seen[0].url.path == "/kafkacruisecontrol/remove_broker"
    assert query["reason"] == "lab-1a2b3c4d/1/1"
    assert (query["brokerid"], query["destination_broker_ids"], query["dryrun"]) == ("11", "31", "false")
    assert query["goals"].split(",")[0] == "RackAwareGoal"
    assert "replication_throttle" not in query


async def test_a_reason_too_long_is_never_sent() -> None:
    """A key that nobody could read in a log is a bug, and is not sent."""
    client = _client(_replay(recording(29)))
    long = RemoveBroker(**{**{f: getattr(REQUEST, f) for f in REQUEST.__dataclass_fields__}, "reason": "x" * 51})
    assert isinstance(await client.remove_broker(long), Rejected)


async def test_what_is_not_reachable_is_told_as_such() -> None:
    """No connection: PortError for questions, Unreachable for a request, which may have been met."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    client = _client(broken)
    with pytest.raises(PortError, match="did not answer state: ReadTimeout"):
        await client.state("lab-1")
    answer = await client.remove_broker(REQUEST)
    assert isinstance(answer, Unreachable)
    assert answer.reason.code is Code.CRUISE_CONTROL_UNREACHABLE


def test_secrets_never_show() -> None:
    """Passwords and tokens are in no repr."""
    connection = CruiseControlConnection(url="http://x", username="u", password="hush", token="hush")
    assert "hush" not in repr(connection)
