"""The HTTP server: paths, headers, sessions, user tasks and status codes of Cruise Control.

It also serves /lab/faults. __main__ and the contract tests build it. It decides nothing about
brokers.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from deploy.lab.standin import SERVER_NAME, SPOKEN_VERSION, auth, errors, render, text
from deploy.lab.standin.cluster import ClusterUnavailableError
from deploy.lab.standin.faults import AT_ONCE, Fault, Injected
from deploy.lab.standin.parameters import Endpoint, find_endpoint, parse
from deploy.lab.standin.review import Purgatory
from deploy.lab.standin.service import Body, CruiseControl, Values
from deploy.lab.standin.settings import Account
from deploy.lab.standin.tasks import Answer, UserTask

log = logging.getLogger(__name__)

PREFIX = "/kafkacruisecontrol"
_SESSION_COOKIE = "JSESSIONID"
_TASK_HEADER = "User-Task-ID"
_OK, _ACCEPTED, _BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _ERROR = 200, 202, 400, 403, 404, 500
_REVIEW_ENDPOINTS = frozenset({"review", "review_board"})
_TWO_STEP_OFF = (
    "Attempt to access {endpoint} endpoint without enabling 'two.step.verification.enabled' config."
)
_HANG_SECONDS = 3600.0
_VERSION_HEADERS = {
    "Expires": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Cruise-Control-Version": SPOKEN_VERSION,
    "Cruise-Control-Commit_Id": SPOKEN_VERSION,
}
_SERVICE = web.AppKey("service", CruiseControl)


class _DropConnectionError(Exception):
    """An injected fault closes the connection to the client."""


def build_app(service: CruiseControl) -> web.Application:
    """The application, which starts and ends the background work of the service."""
    app = web.Application()
    app[_SERVICE] = service
    app.on_response_prepare.append(_name_server)
    app.on_startup.append(_start)
    app.on_cleanup.append(_close)
    handler = Handler(service)
    app.router.add_get(PREFIX + "/{endpoint}", handler.handle)
    app.router.add_post(PREFIX + "/{endpoint}", handler.handle)
    if service.settings.faults_enabled:
        app.router.add_get("/lab/faults", handler.list_faults)
        app.router.add_post("/lab/faults", handler.inject_fault)
        app.router.add_delete("/lab/faults", handler.clear_faults)
    return app


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME


async def _start(app: web.Application) -> None:
    app[_SERVICE].start()


async def _close(app: web.Application) -> None:
    await app[_SERVICE].close()


class Handler:
    def __init__(self, service: CruiseControl) -> None:
        self._service = service
        self._settings = service.settings
        self._purgatory = Purgatory()
        self._operations: dict[str, Callable[[Values, UserTask], Awaitable[Body]]] = {
            "state": service.state,
            "kafka_cluster_state": service.kafka_cluster_state,
            "load": service.load,
            "partition_load": service.partition_load,
            "proposals": service.proposals,
            "user_tasks": service.user_tasks,
            "remove_broker": service.remove_broker,
            "stop_proposal_execution": service.stop_proposal_execution,
            "admin": service.admin,
            "review": self._review_endpoints,
            "review_board": self._review_endpoints,
        }

    async def handle(self, request: web.Request) -> web.Response:
        try:
            return await self._authenticated(request)
        except _DropConnectionError:
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=_ERROR)

    async def _authenticated(self, request: web.Request) -> web.Response:
        account = auth.account_of(self._settings, request.headers.get("Authorization"))
        if self._settings.accounts and account is None:
            return auth.unauthorized(request.path)
        reply = Reply(request)
        name = request.match_info["endpoint"]
        try:
            endpoint = find_endpoint(request.method, name)
            if account is not None and not auth.may(account, endpoint.role):
                return auth.forbidden(request.path)
            values: Values = parse(endpoint, list(request.query.items()))
            reviewed = self._review(request, reply, endpoint, values)
            if isinstance(reviewed, web.Response):
                return reviewed
            return await self._answer(request, reply, endpoint, reviewed, account)
        except errors.NotEnabledError as off:
            trace = _stack_trace(f"com.linkedin.cruisecontrol.common.config.ConfigException: {off}")
            return reply.error(
                _FORBIDDEN,
                f"Cannot process {request.method} request '/{name}' due to: '{off}'.",
                trace,
            )
        except errors.UnknownEndpointError as unknown:
            return reply.error(_NOT_FOUND, str(unknown), "")
        except errors.UserRequestError as wrong:
            trace = _stack_trace(f"{wrong.java_name}: {wrong}") if wrong.with_stack_trace else ""
            return reply.error(_BAD_REQUEST, str(wrong), trace)
        except errors.ServletError as refused:
            trace = _stack_trace(f"{refused.java_name}: {refused}")
            return reply.error(_ERROR, _processing_error(request.method, name, str(refused)), trace)

    def _review(
        self, request: web.Request, reply: "Reply", endpoint: Endpoint, values: Values
    ) -> web.Response | Values:
        """The values to work with.

        With two-step verification it may instead be the answer that the request waits for review.
        """
        if not self._settings.two_step_verification:
            if endpoint.name in _REVIEW_ENDPOINTS:
                raise errors.NotEnabledError(_TWO_STEP_OFF.format(endpoint=endpoint.name.upper()))
            return values
        if endpoint.method != "POST" or endpoint.name == "review":
            return values
        query = list(request.query.items())
        if "review_id" not in values:
            held = self._purgatory.add(
                endpoint, query, values, request.remote or "", self._service.clock.now()
            )
            return reply.json(_OK, render.versioned({"RequestInfo": [held.rendered()]}))
        if _TASK_HEADER in request.headers:
            values = self._purgatory.find(endpoint, values["review_id"]).values
        else:
            values = self._purgatory.submit(endpoint, query, values["review_id"])
        reply.wants_json = bool(values.get("json"))
        return values

    async def _review_endpoints(self, values: Values, task: UserTask) -> Body:
        if task.endpoint == "review":
            return render.versioned(
                {
                    "RequestInfo": self._purgatory.judge(
                        values, task.client, self._service.clock.now()
                    )
                }
            )
        return render.versioned({"RequestInfo": self._purgatory.board()})

    async def _answer(
        self,
        request: web.Request,
        reply: "Reply",
        endpoint: Endpoint,
        values: Values,
        account: Account | None,
    ) -> web.Response:
        tasks = self._service.tasks
        fault = self._service.faults.take(endpoint.name, planning=False)
        if fault is not None:
            refused = await _fault_before(fault.fault)
            if refused is not None:
                return refused
        line = f"{request.method} {request.raw_path}"
        task = tasks.find(
            request.headers.get(_TASK_HEADER), request.cookies.get(_SESSION_COOKIE), line
        )
        if task is None:
            work = self._work(endpoint, values, account)
            task = tasks.start(
                endpoint.name, endpoint.kind, line, request.remote or "", work, endpoint.operation
            )
        if task.work is not None and not task.work.done():
            await asyncio.wait({task.work}, timeout=self._settings.request_max_block_ms / 1000)
        if fault is not None:
            await _fault_after(fault.fault)
        if endpoint.asynchronous:
            tasks.remember_session(reply.session, task)
        if task.answer is None:
            return reply.body(
                _ACCEPTED,
                endpoint,
                render.progress(task.progress, self._service.clock.now()),
                task.id,
                values,
            )
        if task.answer.status == _OK:
            return reply.body(_OK, endpoint, task.answer.body, task.id, values)
        if isinstance(task.answer.error, errors.ServletError):
            raise task.answer.error
        if isinstance(task.answer.error, errors.UserRequestError):
            message = (
                f"Bad {request.method} request '/{endpoint.name}' due to '{task.answer.body}'."
            )
            trace = _stack_trace(f"{task.answer.error.java_name}: {task.answer.body}")
            return reply.error(task.answer.status, message, trace, task.id)
        message = _processing_error(request.method, endpoint.name, task.answer.body)
        trace = _stack_trace(f"java.util.concurrent.ExecutionException: {task.answer.body}")
        return reply.error(task.answer.status, message, trace, task.id)

    def _work(
        self, endpoint: Endpoint, values: Values, account: Account | None
    ) -> Callable[[UserTask], Awaitable[Answer]]:
        """The operation as the work of a user task. Whatever fails in it becomes its answer."""
        if endpoint.name == "permissions":
            return _permissions(account)
        operation = self._operations[endpoint.name]

        async def work(task: UserTask) -> Answer:
            try:
                return Answer(_OK, await operation(values, task))
            except (errors.OperationError, errors.ServletError) as error:
                return Answer(_ERROR, str(error), error)
            except ClusterUnavailableError as unavailable:
                return Answer(
                    _ERROR, f"java.util.concurrent.TimeoutException: {unavailable}", unavailable
                )
            except Exception as bug:
                log.exception("A fault of the stand-in itself in %s", endpoint.name)
                return Answer(_ERROR, f"java.lang.RuntimeException: {bug!r}", bug)

        return work

    # ---- faults

    async def list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response({"faults": self._service.faults.listed()})

    async def inject_fault(self, request: web.Request) -> web.Response:
        try:
            fault = Injected.parse(await request.json())
        except ValueError as wrong:
            return web.json_response({"error": str(wrong)}, status=_BAD_REQUEST)
        if fault.fault not in AT_ONCE:
            self._service.faults.inject(fault)
        elif fault.fault is Fault.STALL:
            self._service.executor.stalled_until = self._service.clock.now() + fault.amount
        else:
            self._service.monitor.lose_windows(fault.amount)
        return await self.list_faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._service.faults.clear()
        self._service.executor.stalled_until = 0.0
        return await self.list_faults(request)


class Reply:
    """How the answer to one request is written.

    It is JSON or text, with the version headers and a session.
    """

    def __init__(self, request: web.Request) -> None:
        self.wants_json = any(
            key.lower() == "json" and value.lower() == "true"
            for key, value in request.query.items()
        )
        self._has_session = _SESSION_COOKIE in request.cookies
        self.session = request.cookies.get(_SESSION_COOKIE) or f"node0{secrets.token_hex(12)}.node0"

    def body(
        self, status: int, endpoint: Endpoint, body: Any, task_id: str, values: Values
    ) -> web.Response:
        headers = {_TASK_HEADER: task_id}
        if values.get("get_response_schema"):
            headers["Cruise-Control-JSON-Schema"] = text.schema(body)
        if self.wants_json or status == _ACCEPTED:
            return self._write(status, json.dumps(body, separators=(",", ":")), headers)
        return self._write(status, text.plain(endpoint.name, body), headers)

    def json(self, status: int, body: Any) -> web.Response:
        return self._write(status, json.dumps(body, separators=(",", ":")), {})

    def error(
        self, status: int, message: str, stack_trace: str, task_id: str | None = None
    ) -> web.Response:
        headers = {_TASK_HEADER: task_id} if task_id else {}
        if not self.wants_json:
            return self._write(status, message, headers)
        body = render.versioned({"errorMessage": message, "stackTrace": stack_trace})
        return self._write(status, json.dumps(body, separators=(",", ":")), headers)

    def _write(self, status: int, content: str, headers: dict[str, str]) -> web.Response:
        kind = "application/json" if self.wants_json else "text/plain"
        headers = {**_VERSION_HEADERS, **headers, "Content-Type": f"{kind};charset=utf-8"}
        response = web.Response(status=status, body=content.encode(), headers=headers)
        if not self._has_session:
            response.headers["Set-Cookie"] = f"{_SESSION_COOKIE}={self.session}; Path=/"
        return response


def _permissions(account: Account | None) -> Callable[[UserTask], Awaitable[Answer]]:
    async def work(_task: UserTask) -> Answer:
        if account is None:
            error = errors.UserRequestError(
                "Unable to retrieve privilege information for an unsecure connection."
            )
            return Answer(_BAD_REQUEST, str(error), error)
        return Answer(_OK, render.versioned({"roles": [account.role.value]}))

    return work


async def _fault_before(fault: Fault) -> web.Response | None:
    """Carry out faults that take the place of the work."""
    if fault is Fault.ERROR:
        raise errors.ServletError("Injected by the lab.", "java.lang.RuntimeException")
    if fault is Fault.CAPACITY:
        raise errors.ServletError(
            "There are already 5 active user tasks, which has reached the servlet capacity.",
            "java.lang.RuntimeException",
        )
    if fault is Fault.HANG:
        await asyncio.sleep(_HANG_SECONDS)
    if fault is Fault.GARBAGE:
        return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
    return None


async def _fault_after(fault: Fault) -> None:
    """Carry out faults that take the place of the answer."""
    if fault is Fault.ACCEPT_THEN_HANG:
        await asyncio.sleep(_HANG_SECONDS)
    if fault is Fault.ACCEPT_THEN_DROP:
        raise _DropConnectionError


def _processing_error(method: str, endpoint: str, exception: str) -> str:
    return f"Error processing {method} request '/{endpoint}' due to: '{exception}'."


def _stack_trace(first_line: str) -> str:
    return f"{first_line}\n\tat {SERVER_NAME}"
