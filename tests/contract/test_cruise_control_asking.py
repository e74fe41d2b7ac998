"""How our client asks: seldom, in turn, and with the secret that its file holds now."""

import asyncio
from pathlib import Path

import httpx
import pytest

from agent.adapters.cruise_control.client import CruiseControl, CruiseControlConnection
from agent.adapters.cruise_control.request_budget import Questions
from agent.core.messages import ExecutionRequested
from agent.core.model.reasons import Code
from agent.performer.ports import PortError
from tests.contract.recordings import recording
from tests.contract.test_cruise_control_client import REQUEST, Script


def _client(script: Script) -> CruiseControl:
    return CruiseControl(
        CruiseControlConnection(url="http://cc:9090"),
        httpx.MockTransport(script),
        Questions(questions_max=1_000),
    )


async def test_few_are_asked_in_any_5_s_and_orders_do_not_wait() -> None:
    """Four questions at once: three are asked, the fourth waits until one counts no more; a
    stop passes it by.
    """
    script, now = Script(recording(8)), asyncio.get_running_loop().time
    given = CruiseControlConnection(url="http://cc:9090")
    client = CruiseControl(given, httpx.MockTransport(script))
    began = now()
    questions = [asyncio.ensure_future(client.state("lab-1")) for _ in range(4)]
    await asyncio.sleep(0.3)
    assert len(script.asked) == 3
    assert not client.can_spare_a_question()
    await client.stop("lab-1/1/1")
    assert (len(script.asked), script.asked[-1].method) == (4, "POST")
    await asyncio.gather(*questions)
    assert len(script.asked) == 5
    assert 4.5 < now() - began < 8.0


async def test_an_answer_serves_whoever_may_have_an_older_one() -> None:
    """A look of a moment ago is told again where it will do, never after an order of ours, and
    never unasked.
    """
    script = Script(recording(8))
    client = _client(script)
    await client.state("lab-1")
    await client.state("lab-1", age_seconds_max=5.0)
    assert len(script.asked) == 1
    await client.state("lab-1")
    assert len(script.asked) == 2
    await client.stop("lab-1/1/1")
    await client.state("lab-1", age_seconds_max=5.0)
    assert [r.method for r in script.asked] == ["GET", "GET", "POST", "GET"]


async def test_a_changed_file_counts_with_the_next_request(tmp_path: Path) -> None:
    """Passwords and tokens are changed without a restart; a file that is being written keeps
    the last one.
    """
    file = tmp_path / "secret"
    for given, words in (
        (
            {"username": "u", "password": "old", "password_file": file},
            ("Basic dTpvbGQ=", "Basic dTpuZXc="),
        ),
        ({"token": "old", "token_file": file}, ("Bearer old", "Bearer new")),
    ):
        script = Script(recording(8))
        client = CruiseControl(
            CruiseControlConnection(url="http://cc:9090", **given),  # type: ignore[arg-type]
            httpx.MockTransport(script),
        )
        for text in ("old\n", "new\n", ""):
            file.write_text(text)
            await client.state("lab-1")
        sent = [r.headers["Authorization"] for r in script.asked]
        assert sent == [*words, words[0]]


async def test_a_full_servlet_is_waited_for() -> None:
    """Refused before it was begun: whatever it was is asked again soon, a remove_broker too,
    and loses no 5 s.
    """
    full, now = recording(344), asyncio.get_running_loop().time
    state, stop, request = (Script(full, full, recording(n)) for n in (8, 76, 29))
    began = now()
    await asyncio.gather(_client(state).state("lab-1"), _client(stop).stop("lab-1/1/1"))
    assert isinstance(await _client(request).remove_broker(REQUEST), ExecutionRequested)
    assert [len(s.asked) for s in (state, stop, request)] == [3, 3, 3]
    assert now() - began < 4.0


async def test_a_servlet_that_stays_full_is_told() -> None:
    """It empties every 5 s; one that does not is somebody's trouble."""
    with pytest.raises(PortError, match=r"max\.active\.user\.tasks") as caught:
        await _client(Script(recording(344))).state("lab-1")
    assert caught.value.code is Code.CRUISE_CONTROL_BUSY
