"""The console: who may look, who may order, and what a page is shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer, unused_port

from agent.client import ClientError
from agent.config.errors import SettingsError
from agent.services.console.access import TRIES_MAX, Access, Role, TooManyTriesError
from agent.services.console.feed import EVENTS_MAX, Feed
from agent.services.console.server import Console
from agent.services.console.settings import ConsoleSettings
from tests.fakes.control_topics import ControlTopicsInMemory

OPERATOR, VIEWER = "the-operators-word", "the-viewers-word"
PAUSE = {"type": "pause", "cluster": "lab"}
STATUS = {"cluster": "lab", "phase": "moving", "sequence": 3}


def event(number: int, kind: str = "WaveBegun") -> dict[str, Any]:
    return {
        "id": f"m/{number}", "type": kind, "time": "2026-11-24T10:00:00Z", "cluster": "lab",
        "phase": "moving", "stage": 2, "summary": "a sentence", "data": {"secret_of_the_core": 1},
    }  # fmt: skip


class Page:
    """A browser's side: a cookie jar, and the header that only our own page knows."""

    def __init__(self, client: TestClient[Any, Any], topics: ControlTopicsInMemory) -> None:
        self.client = client
        self.topics = topics
        self.csrf = ""

    async def log_in(self, token: str) -> int:
        answer = await self.client.post("/api/login", json={"token": token, "name": "Ada"})
        if answer.status == 200:
            self.csrf = (await answer.json())["csrf"]
        return answer.status

    async def order(self, command: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        answer = await self.client.post(
            "/api/commands", json=command, headers={"X-CSRF-Token": self.csrf} | headers
        )
        return answer.status, await answer.json()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    settings = ConsoleSettings(port=unused_port())
    topics = ControlTopicsInMemory()
    access = Access(OPERATOR, VIEWER, 3_600, lambda: 1e10)
    server = TestServer(
        Console(settings, access, topics, Feed(topics)).app(),
        host=settings.host,
        port=settings.port,
    )
    async with TestClient(server) as client:
        yield Page(client, topics)


# ── who is there ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ["/api/me", "/api/state", "/api/stream"])
async def test_nothing_is_shown_to_strangers(page: Page, path: str) -> None:
    """Without a login or a token nothing of a cluster is shown."""
    assert (await page.client.get(path)).status == 401


async def test_wrong_token_is_refused(page: Page) -> None:
    """A wrong token opens no session."""
    assert await page.log_in("guess") == 401
    assert (await page.client.get("/api/state")).status == 401


async def test_the_page_itself_is_open_and_locked_down(page: Page) -> None:
    """The page may be had by anyone, runs only its own scripts, and cannot be framed."""
    answer = await page.client.get("/")
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(page: Page) -> None:
    """The session's cookie is HttpOnly and SameSite=Strict."""
    answer = await page.client.post("/api/login", json={"token": OPERATOR, "name": "Ada"})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_a_stranger_host_name_is_misdirected(page: Page) -> None:
    """A name that somebody else lets point at this machine gets nothing (DNS rebinding)."""
    answer = await page.client.get("/", headers={"Host": "evil.example"})
    assert answer.status == 421


async def test_logged_out_is_out(page: Page) -> None:
    """After a logout the cookie is worth nothing."""
    await page.log_in(VIEWER)
    cookies = page.client.session.cookie_jar.filter_cookies(page.client.make_url("/"))
    await page.client.post("/api/logout", json={}, headers={"X-CSRF-Token": page.csrf})
    page.client.session.cookie_jar.update_cookies(cookies)
    assert (await page.client.get("/api/me")).status == 401


def test_too_many_wrong_tokens_shut_the_door_for_a_while() -> None:
    """After ten wrong tokens in a minute even the right one waits, and later it does not."""
    now = [0.0]
    access = Access(OPERATOR, None, 60, lambda: now[0])
    for _ in range(TRIES_MAX):
        assert access.role_of("guess") is None
    with pytest.raises(TooManyTriesError):
        access.role_of(OPERATOR)
    now[0] = 61.0
    assert access.role_of(OPERATOR) is Role.OPERATOR


def test_a_session_ends() -> None:
    """A session is good for its time and no longer."""
    now = [0.0]
    access = Access(OPERATOR, None, 60, lambda: now[0])
    login = access.log_in(OPERATOR, "Ada")
    assert login is not None
    assert access.session(login[0]) == login[1]
    now[0] = 60.0
    assert access.session(login[0]) is None


def test_another_address_than_loopback_needs_a_token() -> None:
    """Whoever opens the console to the network must say who may order."""
    with pytest.raises(SettingsError, match="token_file"):
        ConsoleSettings.read(host="0.0.0.0")
    assert ConsoleSettings.read(host="0.0.0.0", token="word").tokens() == ("word", None)


# ── orders ────────────────────────────────────────────────────────────────────────────────────────
async def test_an_order_becomes_a_command_with_its_name(page: Page) -> None:
    """What an operator orders is published with an id and who gave it; the answer comes back."""
    await page.log_in(OPERATOR)
    status, answer = await page.order(PAUSE | {"reason": "lunch"})
    assert (status, answer["type"]) == (200, "CommandAccepted")
    (command,) = page.topics.ordered
    assert (command["type"], command["issued_by"], command["reason"]) == (
        "pause",
        "console/Ada",
        "lunch",
    )
    assert command["command_id"].startswith("console-")


async def test_nobody_orders_in_anothers_name(page: Page) -> None:
    """`issued_by` is the session's, whatever the body says."""
    await page.log_in(OPERATOR)
    await page.order(PAUSE | {"issued_by": "somebody else"})
    assert page.topics.ordered[0]["issued_by"] == "console/Ada"


async def test_a_viewer_may_look_and_not_order(page: Page) -> None:
    """The viewers' token shows everything and orders nothing."""
    await page.log_in(VIEWER)
    assert (await page.client.get("/api/state")).status == 200
    status, answer = await page.order(PAUSE)
    assert status == 403
    assert "operators' token" in answer["error"]
    assert page.topics.ordered == []


@pytest.mark.parametrize("headers", [{"X-CSRF-Token": "guess"}, {"Origin": "https://evil.example"}])
async def test_another_site_cannot_order(page: Page, headers: dict[str, str]) -> None:
    """A cookie alone orders nothing: the page's own header and origin must be there."""
    await page.log_in(OPERATOR)
    status, _ = await page.order(PAUSE, **headers)
    assert status == 403
    assert page.topics.ordered == []


async def test_a_program_orders_with_a_bearer_token(page: Page) -> None:
    """The operators' token as a bearer token is enough for a program."""
    status, _ = await page.order(PAUSE, Authorization=f"Bearer {OPERATOR}")
    assert status == 200
    assert page.topics.ordered[0]["issued_by"] == "console/api"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{", "JSON"),
        (b"[]", "JSON object"),
        (orjson.dumps({"type": "jump", "cluster": "lab"}), "type"),
        (
            orjson.dumps({"type": "tune", "cluster": "lab", "throttle_bytes_per_second": 5}),
            "throttle_bytes_per_second",
        ),
        (orjson.dumps({"type": "pause", "cluster": "lab", "fast": True}), "fast"),
    ],
)
async def test_a_bad_order_names_its_field(page: Page, body: bytes, names: str) -> None:
    """What cannot be an order is refused with the field, and nothing is published."""
    await page.log_in(OPERATOR)
    headers = {"X-CSRF-Token": page.csrf, "Content-Type": "application/json"}
    answer = await page.client.post("/api/commands", data=body, headers=headers)
    assert answer.status in {400, 422}
    assert names in (await answer.json())["error"]
    assert page.topics.ordered == []


async def test_nobody_answers(page: Page) -> None:
    """Where no agent answers in time the page is told so, with what to look at."""
    page.topics.answer = ClientError("no answer: is an agent running?")
    await page.log_in(OPERATOR)
    status, answer = await page.order(PAUSE)
    assert (status, answer["error"]) == (504, "no answer: is an agent running?")


# ── what is shown ─────────────────────────────────────────────────────────────────────────────────
async def read(stream: Any) -> tuple[str, Any]:
    """The next message of a stream."""
    kind = data = ""
    async with asyncio.timeout(10):
        while line := (await stream.readline()).decode().rstrip("\n"):
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
    return kind, orjson.loads(data)


async def test_a_page_gets_everything_and_then_each_change(page: Page) -> None:
    """A stream begins with all there is; each status and event follows as it comes."""
    page.topics.tell("status", STATUS)
    await page.log_in(VIEWER)
    answer = await page.client.get("/api/stream")
    kind, everything = await read(answer.content)
    assert kind == "everything"
    if not everything["statuses"]:  # it may come just after
        assert await read(answer.content) == ("status", STATUS)
    page.topics.tell("events", event(1))
    while (change := await read(answer.content))[0] == "link":
        pass
    assert change[0] == "event"
    assert change[1]["summary"] == "a sentence"
    answer.close()


def test_events_are_bounded_and_told_once() -> None:
    """The page's memory has an upper limit, knows a repeated event by its id, and leaves out
    what is for machines.
    """
    feed = Feed(ControlTopicsInMemory())
    for number in range(EVENTS_MAX + 10):
        feed.take_event(event(number))
    feed.take_event(event(EVENTS_MAX))
    feed.take_event(event(9_999, "WaveProgressed"))
    shown = feed.everything()["events"]["lab"]
    assert [e["id"] for e in shown] == [f"m/{n}" for n in range(10, EVENTS_MAX + 10)]
    assert "data" not in shown[0]
