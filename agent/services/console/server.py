"""The console's HTTP server: the page, the data that it shows, and the commands that it sends.

Built by `kafka-migration console`. The console decides nothing: it publishes each command on the
control topic, as every other sender does.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from pydantic import ValidationError

from agent.cancellation import end
from agent.client import ClientError
from agent.core.handlers.answers import COMMAND_NAMES
from agent.core.handlers.commands import VALID_IN
from agent.core.migration import RESTING, Phase
from agent.services.console.access import COOKIE, Access, Role, Session, TooManyTriesError, is_same
from agent.services.console.feed import ControlTopics, Feed, Json
from agent.services.console.settings import ConsoleSettings
from agent.services.pages import json_response, status_page
from schemas.commands import COMMANDS

log = logging.getLogger("kafka_migration.console")

STATIC = Path(__file__).parent / "static"
BODY_BYTES_MAX = 65_536
ANSWER_SECONDS = 60.0
HEARTBEAT_SECONDS = 10.0
NAME_MAX = 60
SESSION = web.RequestKey("session", Session)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PAGE = {
    "/": "index.html",
    "/console.css": "console.css",
    "/console.js": "console.js",
    "/draw.js": "draw.js",
}
# These paths need no session, since they show nothing about any cluster.
_OPEN = frozenset({*_PAGE, "/api/login", "/live", "/ready"})


class RefusedError(Exception):
    """A request is refused: with which HTTP status, and a sentence that says why."""

    def __init__(self, status: HTTPStatus, says: str) -> None:
        super().__init__(says)
        self.status = status


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Console:
    """The routes of the console."""

    def __init__(
        self, settings: ConsoleSettings, access: Access, client: ControlTopics, feed: Feed
    ) -> None:
        self._settings = settings
        self._access = access
        self._client = client
        self._feed = feed

    def app(self) -> web.Application:
        """Returns the application with all routes; the feed runs as long as it does."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        app.router.add_routes(
            [
                *(web.get(path, self._file) for path in _PAGE),
                web.get("/live", status_page(lambda: {"live": True}, "live")),
                web.get("/ready", status_page(lambda: {"ready": not self._feed.trouble})),
                web.post("/api/login", self._log_in),
                web.post("/api/logout", self._log_out),
                web.get("/api/me", self._me),
                web.get("/api/state", self._state),
                web.get("/api/stream", self._stream),
                web.post("/api/commands", self._command),
            ]
        )
        app.cleanup_ctx.append(self._feeding)
        return app

    async def _feeding(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._feed.run(), name="feed")
        yield
        await end(task)

    # ── who sends a request ───────────────────────────────────────────────────────────────────────
    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            response = await handler(request)
        except RefusedError as refusal:
            response = json_response({"error": str(refusal)}, status=refusal.status)
        except web.HTTPException as refusal:  # raised by the router: there is no such page
            refusal.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _admit(self, request: web.Request) -> None:
        """Admits requests to open paths, and those with a session or a bearer token.

        Raises RefusedError for every other request.
        """
        own = urlsplit(self._settings.origin)
        # Against DNS rebinding: a foreign page whose name is made to resolve to this machine sends
        # its own name as the host.
        if (
            request.path not in ("/live", "/ready")
            and request.host != own.netloc
            and not self._is_local(request.host)
        ):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this is {own.netloc}, not {request.host}: set public_origin",
            )
        if request.path in _OPEN:
            self._same_origin(request)
            return
        header = request.headers.get("Authorization", "")
        # A browser never adds this header by itself, so a foreign page cannot forge such a request.
        if header.startswith("Bearer "):
            role = self._role(header.removeprefix("Bearer ").strip())
            if role is None:
                raise RefusedError(
                    HTTPStatus.UNAUTHORIZED, "the bearer token is not one of this console's"
                )
            request[SESSION] = Session("api", role, "", 0.0)
            return
        session = self._access.session(request.cookies.get(COOKIE, ""))
        if session is None:
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "sign in first: there is no session, or it has ended"
            )
        if request.method != "GET":
            self._same_origin(request)
            if not is_same(request.headers.get("X-CSRF-Token"), session.csrf):
                raise RefusedError(
                    HTTPStatus.FORBIDDEN, "X-CSRF-Token is missing or wrong: load the page again"
                )
        request[SESSION] = session

    def _same_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if request.method != "GET" and origin not in (
            None,
            self._settings.origin,
            f"http://{request.host}",
        ):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"a request from {origin} is not accepted; this is {self._settings.origin}",
            )

    def _is_local(self, host: str) -> bool:
        return host in (f"localhost:{self._settings.port}", f"127.0.0.1:{self._settings.port}")

    def _role(self, token: str) -> Role | None:
        try:
            return self._access.role_of(token)
        except TooManyTriesError as error:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from None

    async def _log_in(self, request: web.Request) -> web.Response:
        body = await _body(request)
        token, name = body.get("token"), body.get("name", "")
        if not isinstance(token, str) or not isinstance(name, str) or len(name) > NAME_MAX:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST,
                f"the body needs the texts `token` and `name` ({NAME_MAX} characters at most)",
            )
        try:
            found = self._access.log_in(token, name.strip() or "somebody")
        except TooManyTriesError as error:
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from None
        if found is None:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the token is not one of this console's")
        session_id, session = found
        log.info("%s signs in as %s", session.name, session.role)
        response = json_response(_about(session))
        response.set_cookie(
            COOKIE,
            session_id,
            httponly=True,
            samesite="Strict",
            secure=self._settings.origin.startswith("https"),
            max_age=int(session.ends_at - time.time()),
        )
        return response

    async def _log_out(self, request: web.Request) -> web.Response:
        self._access.log_out(request.cookies.get(COOKIE, ""))
        response = json_response({})
        response.del_cookie(COOKIE)
        return response

    async def _me(self, request: web.Request) -> web.Response:
        return json_response(_about(request[SESSION]))

    # ── what is shown ─────────────────────────────────────────────────────────────────────────────
    async def _file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / _PAGE[request.path])

    async def _state(self, _request: web.Request) -> web.Response:
        return json_response(self._feed.everything())

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: all data, then each change. A heartbeat keeps the connection open."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
        await response.prepare(request)
        changes = self._feed.changes()
        # Subscribe before sending the data, so that no change is lost in between.
        coming = asyncio.ensure_future(anext(changes, None))
        await asyncio.sleep(0)
        try:
            await _send(response, "everything", self._feed.everything())
            while True:
                done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
                if not done:
                    await response.write(b": still here\n\n")
                    continue
                if (change := coming.result()) is None:
                    break
                await _send(response, *change)
                coming = asyncio.ensure_future(anext(changes, None))
        except ConnectionResetError:
            pass  # the browser has closed the connection
        finally:
            await end(coming)
            await changes.aclose()
        return response

    # ── commands ──────────────────────────────────────────────────────────────────────────────────
    async def _command(self, request: web.Request) -> web.Response:
        """Publishes a command after filling in its id and its sender's name.

        The response is the event with which the agent answers the command.
        """
        session: Session = request[SESSION]
        if session.role is not Role.OPERATOR:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                "this token is for viewers; a command needs the operators' token",
            )
        body = await _body(request)
        given = {
            "command_id": f"console-{time.time_ns()}",
            **body,
            "issued_by": f"console/{session.name}",
        }
        try:
            command = COMMANDS.validate_python(given)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'][1:])) or 'type'}: {e['msg']}" for e in error.errors()
            )
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, wrong) from None
        wire = command.model_dump(mode="json", exclude_none=True)
        try:
            answer = await (
                self._client.plan if command.type == "plan" else self._client.send_command
            )(wire, ANSWER_SECONDS)
        except ClientError as error:
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, str(error)) from None
        log.info("%s: %s by %s: %s", command.cluster, command.type, session.name, answer["type"])
        return json_response(answer)


def _about(session: Session) -> Json:
    """Returns what the page must know: its user, and which commands are valid in which phase."""
    valid = {COMMAND_NAMES[kind]: sorted(phases) for kind, phases in VALID_IN.items()}
    return {
        "name": session.name,
        "role": session.role,
        "csrf": session.csrf,
        "valid_in": {"plan": sorted(Phase), "start": sorted(RESTING), **valid},
    }


async def _body(request: web.Request) -> Json:
    if request.content_type != "application/json":
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json"
        )
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return body


async def _send(response: web.StreamResponse, kind: str, content: Json) -> None:
    await response.write(f"event: {kind}\ndata: ".encode() + orjson.dumps(content) + b"\n\n")
