"""Our client against the recorded answers of a real Cruise Control, through httpx's own mock
transport.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import certifi
import httpx
import pytest

from agent.adapters.cruise_control.answers import classify
from agent.adapters.cruise_control.client import HARD_GOALS, CruiseControl, CruiseControlConnection
from agent.adapters.cruise_control.request_budget import Questions
from agent.core.messages import Busy, ExecutionRequested, Executor, Rejected, Unreachable
from agent.core.model.reasons import Code
from agent.performer.ports import PortError, RemoveBroker
from deploy.lab.standin.parameters import find_endpoint, parse
from tests.contract.recordings import FOLDER, Recording, recording

# Every recorded answer to remove_broker, by what it means for what to do next.
MEANINGS: dict[tuple[type, Code | None], str] = {
    (ExecutionRequested, None): """
        027-remove_broker-dryrun-article 028-remove_broker-dryrun-article-verbose 029-remove_broker-execute-article
        031-remove_broker-execute-article-poll-INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS
        044-remove_broker-execute-article-poll-LEADER_MOVEMENT_TASK_IN_PROGRESS
        046-remove_broker-execute-article-poll-NO_TASK_IN_PROGRESS 048-remove_broker-execute-article-final
        053-rollback-dryrun-11-recently-removed 054-rollback-dryrun-11-recently-removed-exclude-true
        055-rollback-dryrun-11-recently-removed-exclude-false 058-rollback-dryrun-after-drop
        059-rollback-execute-31-11 060-inflight-remove-11-31-conc5 063-inflight-second-dryrun
        082-stop-user-task-poll-after 086-resume-after-stop-execute 092-throttled-5MBps-execute
        095-kill9-execute-throttled 109-resume-to-completion 110-err-empty-source-11-again
        118-missing-destination-12 120-err-concurrency-5000 121-err-interval-1000 122-err-throttle-0
        124-dryrun-goals-rackaware-only 126-dryrun-goals-hard-only 127-dryrun-dryRun-camelcase
        128-no-dryrun-param-get_response_schema 132-external-remove-13-33-execute-noRack 146-three-brokers-dryrun
        147-three-brokers-dryrun-hardgoals 148-three-brokers-dryrun-rackonly 149-one-broker-dryrun-stock
        150-one-broker-dryrun-hardgoals 151-three-brokers-execute 152-three-brokers-rollback-execute
        155-destkill-execute 166-destkill-dryrun-remove-dead-31 169-own-ongoing-first 174-zkdown-dryrun
        197-review-14-submit-with-only-review_id 198-review-15-poll 206-zkkill-execute
        212-deadempty33-dryrun-11-31 214-deadsource11-dryrun-11-31 215-deadsource11-dryrun-12-32
        217-dead11-confirmed-dryrun-11-31 219-dead33-confirmed-dryrun-12-32 220-dead33-confirmed-dryrun-11-31
        330-strategy-unknown-dryrun 331-reason-empty 332-excluded-topics-dryrun 333-brokerid-twice
        340-execute-nothing-left""",  # noqa: E501
    # an execution runs; more replicas than racks while it moves
    (Busy, Code.CRUISE_CONTROL_BUSY): """
        064-inflight-second-execute-other 065-inflight-same-request-again 103-kill9-external-ongoing-dryrun
        104-kill9-external-ongoing-execute 105-kill9-external-ongoing-execute-stop_ongoing
        131-external-remove-13-33-execute 140-external-stop_ongoing_execution-2 143-extonly-dryrun
        144-extonly-execute-autostop 170-own-ongoing-stop_ongoing_execution 172-own-ongoing-retry""",  # noqa: E501
    # no windows; a broker not in its metadata; a dead broker elsewhere
    (Busy, Code.CRUISE_CONTROL_NOT_READY): """
        005-remove_broker-fresh-start-dryrun 113-err-unknown-broker-99 114-err-unknown-destination-98
        153-one-broker-hardgoals-execute 154-one-broker-hardgoals-rollback 163-destkill-dryrun-12-32
        165-destkill-dryrun-11-31-dest-dead 168-destkill-execute-12-32-while-31-dead
        216-dead11-confirmed-dryrun-12-32""",  # noqa: E501
    # the poll of a user task that died with the process
    (Unreachable, Code.CRUISE_CONTROL_UNREACHABLE): "101-kill9-restarted-poll-old-tid",
    # a role too low
    (Rejected, Code.CRUISE_CONTROL_LOGIN_REFUSED): (
        "180-auth-user-remove_broker 181-auth-viewer-remove_broker"
    ),
    # the wrong rack; parameters; two-step verification
    (Rejected, Code.CRUISE_CONTROL_REJECTED): """
        111-err-dest-wrong-rack-12-to-31 112-err-dest-wrong-rack-12-to-33 129-err-exec-dest-wrong-rack-12-to-31
        115-err-missing-brokerid 116-err-bad-brokerid-abc 117-err-dest-same-as-source 119-err-concurrency-0
        123-err-throttle-neg 125-err-goals-without-hard 139-external-stop_ongoing_execution-1
        183-review-1-submit-dryrun
        186-review-4-submit-with-review_id 188-review-8-submit-unapproved 190-review-10-submit-discarded
        191-review-11-reuse-submitted 199-review-16-resubmit-same-review_id 200-review-17-submit-discarded
        201-review-18-submit-pending 203-review-20-unknown-id 307-err-goal-unknown
        308-err-goal-unknown-beside-hard 309-err-exec-interval-1000 327-err-brokerid-empty
        328-err-max-in-cluster-0 329-err-use-ready-goals-and-goals""",  # noqa: E501
}
MEANING = {name: meaning for meaning, names in MEANINGS.items() for name in names.split()}
REQUEST = RemoveBroker(
    source_broker_ids=(11,),
    destination_broker_ids=(31,),
    reason="lab-1a2b3c4d/1/1",
    partition_movements_per_broker=100,
    progress_check_interval_ms=5_000,
)
Answering = Callable[[httpx.Request], httpx.Response]


def _client(answer: Answering, **connection: str | float) -> CruiseControl:
    given = {"url": "http://cruise-control:9090", **connection}
    connected = CruiseControlConnection(**given)  # type: ignore[arg-type]
    return CruiseControl(connected, httpx.MockTransport(answer), Questions(questions_max=1_000))


def _replay(r: Recording) -> Answering:
    body = r.body if isinstance(r.body, str) else json.dumps(r.body)
    headers = {
        k: v
        for k, v in r.headers.items()
        if k.lower() not in ("content-length", "content-encoding")
    }
    return lambda _request: httpx.Response(r.status, headers=headers, content=body)


class Script:
    """Answers one after the other, the last for ever; an exception is raised.

    Keeps what it was asked.
    """

    def __init__(self, *answers: Recording | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return _replay(answer)(request)


def _remove_broker_recordings() -> list[str]:
    return [
        path.stem
        for path in sorted(FOLDER.glob("*.json"))
        for request in [json.loads(path.read_text())["request"]]
        if request["method"] == "POST" and "/remove_broker?" in request["url"]
    ]


class TestMeanings:
    @pytest.mark.parametrize("name", _remove_broker_recordings())
    def test_each_recorded_answer_is_told_apart_by_what_to_do_next(self, name: str) -> None:
        """Accepted, wait, look first, or call a human: each of the recorded answers has its one
        meaning.
        """
        r = recording(int(name[:3]))
        answer = classify(r.status, r.headers, r.body)
        kind, code = MEANING[name]
        assert type(answer) is kind, answer
        if isinstance(answer, ExecutionRequested):
            assert len(answer.user_task_id) == 36
        else:
            assert answer.reason.code is code
            assert answer.reason.seen

    def test_the_table_names_recordings_that_exist(self) -> None:
        """A meaning without its recording would hold nothing."""
        assert MEANING.keys() == set(_remove_broker_recordings())

    async def test_the_client_returns_what_the_answer_means(self) -> None:
        """What the table says is what the caller of remove_broker gets."""
        for number, kind in (
            (29, ExecutionRequested),
            (64, Busy),
            (101, Unreachable),
            (111, Rejected),
        ):
            assert type(await _client(_replay(recording(number))).remove_broker(REQUEST)) is kind

    async def test_a_dry_run_tells_what_stands_against_the_request(self) -> None:
        """Nothing, or the reason; whatever was asked for, `ready` never executes."""
        script = Script(recording(150), recording(5))
        client = _client(script)
        assert await client.ready(REQUEST) is None
        refusal = await client.ready(REQUEST)
        assert isinstance(refusal, Busy)
        assert refusal.reason.code is Code.CRUISE_CONTROL_NOT_READY
        assert [r.url.params["dryrun"] for r in script.asked] == ["true", "true"]


class TestRequests:
    async def test_the_request_says_what_the_design_asks(self) -> None:
        """Hard goals only, our key as reason, the pair, nothing left to a default that differs,
        and no throttle.
        """
        script = Script(recording(29))
        await _client(script).remove_broker(REQUEST)
        (asked,) = script.asked
        assert (asked.method, asked.url.path) == ("POST", "/kafkacruisecontrol/remove_broker")
        assert dict(asked.url.params) == {
            "brokerid": "11",
            "destination_broker_ids": "31",
            "dryrun": "false",
            "goals": recording(126).path_and_query.split("goals=")[1].split("&")[0],
            "concurrent_partition_movements_per_broker": "100",
            "execution_progress_check_interval_ms": "5000",
            "exclude_recently_removed_brokers": "false",
            "allow_capacity_estimation": "true",
            "stop_ongoing_execution": "false",
            "reason": "lab-1a2b3c4d/1/1",
            "json": "true",
        }
        assert asked.url.params["goals"].split(",") == list(HARD_GOALS)

    async def test_the_throttle_is_sent_where_cruise_control_shall_set_it(self) -> None:
        """The article's call, to the letter: so many bytes per second."""
        script = Script(recording(29))
        await _client(script).remove_broker(replace(REQUEST, throttle_bytes_per_second=100_000_000))
        assert script.asked[0].url.params["replication_throttle"] == "100000000"

    async def test_what_is_sent_is_what_cruise_control_takes(self) -> None:
        """An unknown parameter is answered with 400: the stand-in's parser, held to recordings,
        knows ours.
        """
        script = Script(recording(29), recording(76), recording(66), recording(8), recording(20))
        client = _client(script)
        await client.remove_broker(replace(REQUEST, throttle_bytes_per_second=1))
        await client.stop("lab-1/1/1")
        await client.set_concurrency(25)
        await client.state("lab-1")
        await client.user_tasks("lab-1")
        for asked in script.asked:
            parse(
                find_endpoint(asked.method, asked.url.path.rsplit("/", 1)[-1]),
                asked.url.params.multi_items(),
            )

    async def test_a_stop_leaves_other_tools_alone(self) -> None:
        """Unless told otherwise, Cruise Control cancels everyone's reassignments."""
        script = Script(recording(76))
        await _client(script).stop("lab-1/1/1")
        assert script.asked[0].url.path.endswith("/stop_proposal_execution")
        sent = dict(script.asked[0].url.params)
        assert sent == {"stop_external_agent": "false", "reason": "lab-1/1/1", "json": "true"}

    async def test_a_reason_too_long_is_never_sent(self) -> None:
        """A key that nobody could read in a log is a bug, and is not sent."""
        script = Script(recording(29))
        answer = await _client(script).remove_broker(replace(REQUEST, reason="x" * 51))
        assert isinstance(answer, Rejected)
        assert "51 characters" in answer.reason.seen
        assert script.asked == []

    @pytest.mark.parametrize(
        "url", ["http://cc:9090", "http://cc:9090/", "http://cc:9090/kafkacruisecontrol/"]
    )
    async def test_the_path_may_be_left_out_of_the_url(self, url: str) -> None:
        """With or without /kafkacruisecontrol, and whatever slash stands at its end."""
        script = Script(recording(8))
        await _client(script, url=url).state("lab-1")
        assert script.asked[0].url.path == "/kafkacruisecontrol/state"

    @pytest.mark.parametrize(
        "url",
        ["cc:9090", "ftp://cc", "http://", "http://cc:port", "http://u:hush@cc", "http://cc?x=1"],
    )
    def test_a_url_that_is_none_is_refused_at_once(self, url: str) -> None:
        """The refusal shows what one looks like."""
        with pytest.raises(
            ValueError, match="such as http://HOST:9090/kafkacruisecontrol"
        ) as caught:
            _client(Script(recording(8)), url=url)
        assert "hush" not in str(caught.value)


class TestSecrets:
    async def test_they_are_sent_and_never_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        """Passwords and tokens are in no repr, no log and no error."""
        caplog.set_level(logging.DEBUG)
        for connection in (
            CruiseControlConnection(url="http://cc:9090", username="u", password="hush"),
            CruiseControlConnection(url="http://cc:9090", token="hush"),
        ):
            script = Script(httpx.ConnectError("refused"))
            client = CruiseControl(connection, httpx.MockTransport(script))
            with pytest.raises(PortError) as caught:
                await client.state("lab-1")
            assert script.asked[0].headers["Authorization"] in ("Basic dTpodXNo", "Bearer hush")
            assert "hush" not in f"{caught.value}{client!r}{connection!r}"
        assert "hush" not in caplog.text

    async def test_no_cookie_is_kept(self) -> None:
        """A session that asks the same URL again gets its first answer, for ever."""
        script = Script(recording(8))
        client = _client(script)
        assert "Set-Cookie" in recording(8).headers
        await client.state("lab-1")
        await client.state("lab-1")
        assert "Cookie" not in script.asked[1].headers


def test_a_ca_file_is_read_at_once(tmp_path: Path) -> None:
    """A file that is not there, or holds no certificate, is told when the agent starts, and not
    in the first wave.
    """
    CruiseControl(CruiseControlConnection(url="https://cc:9090", ca_file=certifi.where()))
    (tmp_path / "empty.pem").touch()
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(OSError):  # noqa: PT011 — ssl.SSLError and FileNotFoundError share no narrower base
            CruiseControl(
                CruiseControlConnection(url="https://cc:9090", ca_file=str(tmp_path / name))
            )


class TestTrouble:
    async def test_a_lost_request_is_looked_for_and_never_sent_again(self) -> None:
        """No answer to remove_broker: it may have been accepted, so the client leaves it at one."""
        for error in (
            httpx.ReadTimeout("slow"),
            httpx.ConnectError("refused"),
            httpx.RemoteProtocolError("gone"),
        ):
            script = Script(error)
            answer = await _client(script).remove_broker(REQUEST)
            assert isinstance(answer, Unreachable)
            assert answer.reason.code is Code.CRUISE_CONTROL_UNREACHABLE
            assert (
                "http://cruise-control:9090/kafkacruisecontrol did not answer remove_broker"
                in answer.reason.seen
            )
            assert len(script.asked) == 1

    async def test_a_question_is_asked_once_more_when_the_connection_fails(self) -> None:
        """A connection closed meanwhile is no trouble; a second failure is, and so is silence,
        which was waited for.
        """
        again = Script(httpx.RemoteProtocolError("Server disconnected"), recording(8))
        assert (await _client(again).state("lab-1")).executor is Executor.IDLE
        for error, times in ((httpx.ConnectError("refused"), 2), (httpx.ReadTimeout("slow"), 1)):
            script = Script(error)
            with pytest.raises(
                PortError, match=f"did not answer state: {type(error).__name__}"
            ) as caught:
                await _client(script).state("lab-1")
            assert caught.value.code is Code.CRUISE_CONTROL_UNREACHABLE
            assert len(script.asked) == times

    @pytest.mark.parametrize(
        ("number", "says", "code"),
        [
            (
                175,
                "does not know this user name.* 401.*credentials",
                Code.CRUISE_CONTROL_LOGIN_REFUSED,
            ),
            (177, "does not allow him.* 403.*role ADMIN", Code.CRUISE_CONTROL_LOGIN_REFUSED),
            (23, "its right URL", Code.CRUISE_CONTROL_REJECTED),
        ],
    )
    async def test_a_refused_question_says_what_is_wrong(
        self, number: int, says: str, code: Code
    ) -> None:
        """401, 403 and 404 are for a human, who is told what to mend; asking again would not
        help.
        """
        script = Script(recording(number))
        with pytest.raises(PortError, match=says) as caught:
            await _client(script).state("lab-1")
        assert caught.value.code is code
        assert len(script.asked) == 1

    async def test_a_stop_that_waits_for_a_review_has_not_stopped(self) -> None:
        """Two-step verification answers 200 to a stop, and does nothing: that is an error, not
        a success.
        """
        for number, ask in (
            (192, lambda client: client.stop("k/1/1")),
            (193, lambda client: client.set_concurrency(7)),
        ):
            with pytest.raises(PortError, match="two-step verification") as caught:
                await ask(_client(_replay(recording(number))))
            assert caught.value.code is Code.CRUISE_CONTROL_REJECTED

    async def test_what_is_not_understood_is_trouble_and_no_bug(self) -> None:
        """A page instead of JSON, or JSON of another shape, is the world's fault:

        PortError, never an exception.
        """
        for page in (
            httpx.Response(200, text="<html>"),
            httpx.Response(200, json={}),
            httpx.Response(200, json=[]),
        ):
            client = _client(lambda _request, page=page: page)  # type: ignore[misc]
            with pytest.raises(PortError):
                await client.state("lab-1")
            with pytest.raises(PortError):
                await client.user_tasks("lab-1")
            assert isinstance(await client.remove_broker(REQUEST), Unreachable)

    async def test_an_answer_that_never_ends_is_left(self) -> None:
        """A limit on each read is none on their sum: a server that sends a byte now and then is
        left in time.
        """

        async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await asyncio.sleep(0.05)

        async with await asyncio.start_server(trickle, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = CruiseControl(CruiseControlConnection(url=url, timeout_seconds=0.2))
            with pytest.raises(
                PortError, match=("did not answer stop_proposal_execution: TimeoutError")
            ):
                async with asyncio.timeout(5):
                    await client.stop("lab-1/1/1")
            await client.close()


class TestComputing:
    async def test_proposals_that_take_long_are_polled_by_their_user_task(self) -> None:
        """202, then the answer: each poll names the user task, so that it cannot begin a second
        one.
        """
        script = Script(recording(197), recording(197), recording(153))
        answer = await _client(script).remove_broker(REQUEST)
        assert isinstance(answer, Busy)
        task_id = recording(197).headers["User-Task-ID"]
        assert [r.headers.get("User-Task-ID") for r in script.asked] == [None, task_id, task_id]
        assert len({r.url for r in script.asked}) == 1

    async def test_without_a_user_task_there_is_no_poll(self) -> None:
        """A poll without its id would be a second request."""
        script = Script(replace(recording(197), headers={}))
        assert await _client(script).remove_broker(REQUEST) == ExecutionRequested(user_task_id="")
        assert len(script.asked) == 1

    async def test_a_dry_run_without_an_end_is_no_yes(self) -> None:
        """Only its end tells whether the request can be met; an execution is followed as a user
        task instead.
        """
        script = Script(replace(recording(197), headers={}))
        refusal = await _client(script).ready(REQUEST)
        assert isinstance(refusal, Busy)
        assert "still computing" in refusal.reason.seen

    async def test_a_request_forgotten_while_it_computes_is_looked_for(self) -> None:
        """Cruise Control was restarted in between: neither accepted nor refused."""
        script = Script(recording(197), recording(101))
        assert isinstance(await _client(script).remove_broker(REQUEST), Unreachable)

    async def test_we_listen_for_longer_than_it_is_silent(self) -> None:
        """It holds a request for 10 s before it answers 202: a time-out of 10 s would never
        hear that.
        """
        script = Script(recording(8), recording(29), recording(76))
        client = _client(script, timeout_seconds=3.0)
        await client.state("lab-1")
        await client.remove_broker(REQUEST)
        await client.stop("lab-1/1/1")
        waits = [r.extensions["timeout"] for r in script.asked]
        assert [w["read"] for w in waits] == [13.0, 13.0, 3.0]
        assert {w["connect"] for w in waits} == {3.0}


async def test_a_refused_request_is_not_taken_for_an_execution() -> None:
    """A 500 leaves a user task that reads Active for a while: it is left out when our key is
    looked for.
    """
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
    assert len(await client.user_tasks(REQUEST.reason)) == 1
    assert isinstance(await client.remove_broker(REQUEST), Busy)
    assert await client.user_tasks(REQUEST.reason) == []
