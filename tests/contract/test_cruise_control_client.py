"""Our client against the recorded answers of a real Cruise Control, through httpx's own mock
transport.
"""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import certifi
import httpx
import pytest

from agent.adapters.cruise_control.client import HARD_GOALS, CruiseControl, CruiseControlConnection
from agent.core.messages import Busy, ExecutionRequested, Executor, Rejected, Unreachable
from agent.core.model.reasons import Code
from agent.performer.ports import PortError
from deploy.lab.standin.parameters import find_endpoint, parse
from tests.contract.recordings import recording, refusal_of
from tests.contract.scripted import REQUEST, Script, client_of, replay


class TestRequests:
    async def test_the_request_says_what_the_design_asks(self) -> None:
        """Hard goals only, our key as reason, the pair, nothing left to a default that differs,
        and no throttle.
        """
        script = Script(recording(29))
        await client_of(script).remove_broker(REQUEST)
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
        await client_of(script).remove_broker(
            replace(REQUEST, throttle_bytes_per_second=100_000_000)
        )
        assert script.asked[0].url.params["replication_throttle"] == "100000000"

    async def test_what_is_sent_is_what_cruise_control_takes(self) -> None:
        """An unknown parameter is answered with 400: the stand-in's parser, held to recordings,
        knows ours.
        """
        script = Script(recording(29), recording(76), recording(66), recording(8), recording(20))
        client = client_of(script)
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
        await client_of(script).stop("lab-1/1/1")
        assert script.asked[0].url.path.endswith("/stop_proposal_execution")
        sent = dict(script.asked[0].url.params)
        assert sent == {"stop_external_agent": "false", "reason": "lab-1/1/1", "json": "true"}

    async def test_a_reason_too_long_is_never_sent(self) -> None:
        """A key that nobody could read in a log is a bug, and is not sent."""
        script = Script(recording(29))
        answer = await client_of(script).remove_broker(replace(REQUEST, reason="x" * 51))
        assert isinstance(answer, Rejected)
        assert "51 characters" in answer.reason.seen
        assert script.asked == []

    @pytest.mark.parametrize(
        "url", ["http://cc:9090", "http://cc:9090/", "http://cc:9090/kafkacruisecontrol/"]
    )
    async def test_the_path_may_be_left_out_of_the_url(self, url: str) -> None:
        """With or without /kafkacruisecontrol, and whatever slash stands at its end."""
        script = Script(recording(8))
        await client_of(script, url=url).state("lab-1")
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
            client_of(Script(recording(8)), url=url)
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
        client = client_of(script)
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
            answer = await client_of(script).remove_broker(REQUEST)
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
        assert (await client_of(again).state("lab-1")).executor is Executor.IDLE
        for error, times in ((httpx.ConnectError("refused"), 2), (httpx.ReadTimeout("slow"), 1)):
            script = Script(error)
            with pytest.raises(
                PortError, match=f"did not answer state: {type(error).__name__}"
            ) as caught:
                await client_of(script).state("lab-1")
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
            (177, "may not make this request.* 403.*role ADMIN", Code.CRUISE_CONTROL_LOGIN_REFUSED),
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
            await client_of(script).state("lab-1")
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
                await ask(client_of(replay(recording(number))))
            assert caught.value.code is Code.CRUISE_CONTROL_REJECTED

    async def test_what_is_not_understood_is_trouble_and_no_bug(self) -> None:
        """A page instead of JSON, or JSON of another shape, becomes a PortError."""
        for page in (
            httpx.Response(200, text="<html>"),
            httpx.Response(200, json={}),
            httpx.Response(200, json=[]),
        ):
            client = client_of(lambda _request, page=page: page)  # type: ignore[misc]
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
                PortError, match="did not answer stop_proposal_execution: TimeoutError"
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
        answer = await client_of(script).remove_broker(REQUEST)
        assert isinstance(answer, Busy)
        task_id = recording(197).headers["User-Task-ID"]
        assert [r.headers.get("User-Task-ID") for r in script.asked] == [None, task_id, task_id]
        assert len({r.url for r in script.asked}) == 1

    async def test_without_a_user_task_there_is_no_poll(self) -> None:
        """A poll without its id would be a second request."""
        script = Script(replace(recording(197), headers={}))
        assert await client_of(script).remove_broker(REQUEST) == ExecutionRequested(user_task_id="")
        assert len(script.asked) == 1

    async def test_a_dry_run_without_an_end_is_no_yes(self) -> None:
        """Only its end tells whether the request can be met; an execution is followed as a user
        task instead.
        """
        script = Script(replace(recording(197), headers={}))
        refusal = await refusal_of(client_of(script), REQUEST)
        assert isinstance(refusal, Busy)
        assert "still computing" in refusal.reason.seen

    async def test_a_request_forgotten_while_it_computes_is_looked_for(self) -> None:
        """Cruise Control was restarted in between: neither accepted nor refused."""
        script = Script(recording(197), recording(101))
        assert isinstance(await client_of(script).remove_broker(REQUEST), Unreachable)

    async def test_we_listen_for_longer_than_it_is_silent(self) -> None:
        """It holds a request for 10 s before it answers 202: a time-out of 10 s would never
        hear that.
        """
        script = Script(recording(8), recording(29), recording(76))
        client = client_of(script, timeout_seconds=3.0)
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
            return replay(refused)(request)
        task = {
            "UserTaskId": refused.headers["User-Task-ID"],
            "Status": "Active",
            "StartMs": "1",
            "RequestURL": "POST /x/remove_broker?dryrun=false&reason=lab-1a2b3c4d/1/1",
        }
        return httpx.Response(200, json={"userTasks": [task]})

    client = client_of(answer)
    assert len(await client.user_tasks(REQUEST.reason)) == 1
    assert isinstance(await client.remove_broker(REQUEST), Busy)
    assert await client.user_tasks(REQUEST.reason) == []
