"""Cruise Control's REST API through httpx: implements CruiseControlPort.

This module waits, polls and repeats requests, but never sends a remove_broker twice once Cruise
Control may have begun it. What the answers mean is in answers.py.

A "question" is a request that changes nothing; an "order" changes something in Cruise Control.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx

from agent.adapters.cruise_control import answers
from agent.adapters.cruise_control.answers import RequestOutcome
from agent.adapters.cruise_control.request_budget import Questions
from agent.adapters.http_client import HttpConnection
from agent.core.messages import Busy, ExecutionRequested, Executor, Rejected, Unreachable
from agent.core.model.reasons import Code, Reason
from agent.performer.ports import CruiseControlState, PortError, RemoveBroker, UserTask

DEFAULT_PATH = "/kafkacruisecontrol"
# The URL appears in errors and events, so it must not hold a password.
URL_NEEDED = (
    f"such as http://HOST:9090{DEFAULT_PATH}, with user name and password in settings of their own"
)
# The limit in Cruise Control's sources. 2.5.143 checks the length of the wrong string, so that 70
# characters were seen to pass. Our reasons have at most 40; a longer one would be a bug.
REASON_CHARACTERS_MAX = 50
# The default goals also change replica order and leaders, so that a rollback would not be exact.
# These six do not (recorded).
HARD_GOALS = (
    "RackAwareGoal",
    "ReplicaCapacityGoal",
    "DiskCapacityGoal",
    "NetworkInboundCapacityGoal",
    "NetworkOutboundCapacityGoal",
    "CpuCapacityGoal",
)
# Endpoints that hold a request up to this time before they answer 202
# (webserver.request.maxBlockTimeMs): the read time-out has to be longer.
HELD = ("state", "remove_broker")
HELD_SECONDS = 10.0
# A proposal for a large cluster takes a while. An execution is polled this long, then followed as a
# user task. A dry run is polled longer, because only its end tells whether the move can be done.
COMPUTING_SECONDS_MAX = 20.0
DRYRUN_SECONDS_MAX = 60.0
POLL_SECONDS = 0.5
RETRY_SECONDS = 0.3
# Finished user tasks count as active until a scan, which runs every 5 s. Until then a full Cruise
# Control refuses requests, which costs nothing.
FULL_SECONDS_MAX = 6.0
FULL_RETRY_SECONDS = 0.25
TURN_LOOK_SECONDS = 0.1
REFUSED_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlConnection(HttpConnection):
    """Cruise Control's URL, with or without /kafkacruisecontrol, and our credentials there."""


class _AskError(PortError):
    """A request that failed.

    `full`: it was refused before it was begun. `lost`: the connection failed, and asking once more
    may help.
    """

    def __init__(self, message: str, code: Code, *, full: bool = False, lost: bool = False) -> None:
        super().__init__(message, code)
        self.full, self.lost = full, lost


class CruiseControl:
    """The client of one Cruise Control.

    The constructor raises ValueError for a wrong URL, and OSError or ssl.SSLError for a TLS file
    that cannot be read.
    """

    def __init__(
        self,
        connection: CruiseControlConnection,
        transport: httpx.AsyncBaseTransport | None = None,
        questions: Questions | None = None,
    ) -> None:
        self._url = _base_url(connection.url)
        self._timeout_seconds = connection.timeout_seconds
        self._questions = questions or Questions()
        # the last idle state, and when it was asked for
        self._idle: tuple[float, CruiseControlState] | None = None
        self._client = connection.client(transport, {"Accept": "application/json"})
        # Cruise Control gives a session its first answer for a URL again and again, so no session
        # cookie is kept.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

        # A request that was answered with an error leaves a user task that reads Active for some
        # seconds (recorded). It must not be taken for an execution with the same key. After a
        # restart of this process the list is empty, and such a task is waited for instead.
        self._refused: deque[str] = deque(maxlen=REFUSED_MAX)

    async def close(self) -> None:
        """Close the connections to Cruise Control."""
        await self._client.aclose()

    def can_spare_a_question(self) -> bool:
        """Whether the request budget leaves room for a question of a standing watch."""
        return self._questions.can_spare_one(_now())

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        """Return the state of executor, monitor and anomaly detector. Raises PortError.

        An earlier answer up to `age_seconds_max` old is returned again if the executor was idle in
        it and this client has sent no order since.
        """
        asked_at = _now()
        if self._idle is not None and asked_at - self._idle[0] < age_seconds_max:
            return self._idle[1]
        body = await self._ask("GET", "state", substates="executor,monitor,anomaly_detector")
        try:
            state = answers.read_state(body, migration_id)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable("state", error) from error
        self._idle = (asked_at, state) if state.executor is Executor.IDLE else None
        return state

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        """Return the executions (not dry runs) requested with this reason, oldest first.

        Includes running and ended ones. Raises PortError.
        """
        body = await self._ask("GET", "user_tasks", endpoints=",".join(answers.EXECUTING_ENDPOINTS))
        try:
            found = answers.read_user_tasks(body, key)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable("user_tasks", error) from error
        return [task for task in found if task.user_task_id not in self._refused]

    async def remove_broker(self, request: RemoveBroker) -> RequestOutcome:
        """Request an execution, or a dry run, once; never raises PortError.

        Waits for the proposals for some seconds, because on a large cluster their failure is
        reported late. A dry run that is still being computed then is returned as Busy.
        """
        if len(request.reason) > REASON_CHARACTERS_MAX:
            seen = f"the reason '{request.reason}' has {len(request.reason)} characters"
            return Rejected(
                reason=Reason(
                    Code.CRUISE_CONTROL_REJECTED, seen, f"at most {REASON_CHARACTERS_MAX}"
                )
            )
        seconds_max = DRYRUN_SECONDS_MAX if request.dryrun else COMPUTING_SECONDS_MAX
        if not request.dryrun:
            self._idle = None
        try:
            response = await self._begun(
                _parameters(request), seconds_max, is_question=request.dryrun
            )
        except PortError as trouble:
            return Unreachable(reason=Reason(trouble.code, str(trouble)))
        answer = answers.classify(response.status_code, response.headers, _body(response))
        if isinstance(answer, (Busy, Rejected)) and (
            task_id := response.headers.get("User-Task-ID")
        ):
            self._refused.append(task_id)
        if (
            request.dryrun
            and isinstance(answer, ExecutionRequested)
            and response.status_code == httpx.codes.ACCEPTED
        ):
            seen = f"it is still computing a dry run after {seconds_max:.0f} s"
            return Busy(reason=Reason(Code.CRUISE_CONTROL_NOT_READY, seen, "its answer"))
        return answer

    async def stop(self, reason: str) -> None:
        """Stop the current execution; reassignments of other tools go on. Raises PortError.

        `reason` distinguishes this stop from those of others in the list of user tasks.
        """
        await self._ask(
            "POST", "stop_proposal_execution", stop_external_agent="false", reason=reason
        )

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        """Set how many partitions each broker moves at once. Raises PortError.

        The executor uses the new number from its next progress check on.
        """
        await self._ask(
            "POST",
            "admin",
            concurrent_partition_movements_per_broker=str(partition_movements_per_broker),
        )

    # ── requests ──────────────────────────────────────────────────────────────────────────────────
    async def _ask(self, method: str, endpoint: str, **parameters: str) -> dict[str, Any]:
        """Send a question, or an order that may be sent twice, and return the answer's JSON.

        Repeats it once when the connection fails, and for FULL_SECONDS_MAX while no user task is
        free.
        """
        is_question = method == "GET"
        if not is_question:
            self._idle = None
        full_until, was_lost = _now() + FULL_SECONDS_MAX, False
        while True:
            try:
                response = await self._one(
                    method, endpoint, parameters, COMPUTING_SECONDS_MAX, is_question=is_question
                )
                return self._good(endpoint, response)
            except _AskError as trouble:
                if trouble.full and _now() < full_until:
                    pause = FULL_RETRY_SECONDS
                elif trouble.lost and not was_lost:
                    pause, was_lost = RETRY_SECONDS, True
                else:
                    raise
            await asyncio.sleep(pause)

    async def _begun(
        self, parameters: Mapping[str, str], seconds_max: float, *, is_question: bool
    ) -> httpx.Response:
        """Return the answer to remove_broker; repeat it only if it was refused before it began."""
        full_until = _now() + FULL_SECONDS_MAX
        while True:
            response = await self._one(
                "POST", "remove_broker", parameters, seconds_max, is_question=is_question
            )
            if not answers.is_full(response.status_code, _body(response)) or _now() >= full_until:
                return response
            await asyncio.sleep(FULL_RETRY_SECONDS)

    async def _one(
        self,
        method: str,
        endpoint: str,
        parameters: Mapping[str, str],
        seconds_max: float,
        *,
        is_question: bool,
    ) -> httpx.Response:
        """Send one request, which makes one user task; a question waits for its turn first."""
        if not is_question:
            self._questions.order(_now())
            return await self._settled(method, endpoint, parameters, seconds_max)
        await self._turn(before_an_order=endpoint == "user_tasks")
        was_begun = True
        self._questions.begin()
        try:
            response = await self._settled(method, endpoint, parameters, seconds_max)
            was_begun = not answers.is_full(response.status_code, _body(response))
            return response
        finally:
            self._questions.end(_now(), counts=was_begun)

    async def _turn(self, *, before_an_order: bool) -> None:
        while True:
            seconds = self._questions.seconds_to_wait(_now(), before_an_order=before_an_order)
            if seconds <= 0.0:
                return
            await asyncio.sleep(min(seconds, TURN_LOOK_SECONDS))

    def _good(self, endpoint: str, response: httpx.Response) -> dict[str, Any]:
        status, body = response.status_code, _body(response)
        if status == httpx.codes.OK and isinstance(body, dict) and not answers.wants_review(body):
            return body
        answer = answers.classify(status, response.headers, body)
        says = f"Cruise Control at {self._url} answered {endpoint} with {status}"
        if isinstance(answer, ExecutionRequested):  # 202: it is still computing the answer
            raise _AskError(f"{says}, and has not finished", Code.CRUISE_CONTROL_UNREACHABLE)
        needed = f" (needed: {answer.reason.needed})" if answer.reason.needed else ""
        raise _AskError(
            f"{says}: {answer.reason.seen}{needed}",
            answer.reason.code,
            full=answers.is_full(status, body),
            lost=isinstance(answer, Unreachable),
        )

    async def _settled(
        self, method: str, endpoint: str, parameters: Mapping[str, str], seconds_max: float
    ) -> httpx.Response:
        """Send a request and poll for at most `seconds_max` while the answer is 202.

        A poll names the user task, so that it cannot begin another one.
        """
        until = _now() + seconds_max
        response = await self._send(method, endpoint, parameters, {})
        while response.status_code == httpx.codes.ACCEPTED and _now() < until:
            task_id = response.headers.get("User-Task-ID")
            if not task_id:
                break
            await asyncio.sleep(POLL_SECONDS)
            response = await self._send(method, endpoint, parameters, {"User-Task-ID": task_id})
        return response

    async def _send(
        self, method: str, endpoint: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        seconds = self._timeout_seconds + (HELD_SECONDS if endpoint in HELD else 0.0)
        try:
            # httpx limits each read, not their sum
            async with asyncio.timeout(seconds + self._timeout_seconds):
                return await self._client.request(
                    method,
                    f"{self._url}/{endpoint}",
                    params={**parameters, "json": "true"},
                    headers=headers,
                    timeout=httpx.Timeout(self._timeout_seconds, read=seconds),
                )
        except (httpx.HTTPError, TimeoutError) as error:
            says = (
                f"Cruise Control at {self._url} did not answer {endpoint}: "
                f"{type(error).__name__} {error}"
            ).rstrip()
            lost = not isinstance(error, (httpx.TimeoutException, TimeoutError))
            raise _AskError(says, Code.CRUISE_CONTROL_UNREACHABLE, lost=lost) from error

    def _unreadable(self, endpoint: str, error: Exception) -> PortError:
        says = f"Cruise Control at {self._url} answered {endpoint} in an unknown form: {error!r}"
        return PortError(says, Code.CRUISE_CONTROL_UNREACHABLE)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _parameters(request: RemoveBroker) -> dict[str, str]:
    given = {
        "brokerid": ",".join(map(str, request.source_broker_ids)),
        "destination_broker_ids": ",".join(map(str, request.destination_broker_ids)),
        "dryrun": str(request.dryrun).lower(),
        "goals": ",".join(HARD_GOALS),
        "concurrent_partition_movements_per_broker": str(request.partition_movements_per_broker),
        "execution_progress_check_interval_ms": str(request.progress_check_interval_ms),
        # Explicit, because the defaults in code and documentation differ.
        "exclude_recently_removed_brokers": "false",  # true would hinder a rollback
        "allow_capacity_estimation": "true",
        "stop_ongoing_execution": "false",  # the agent never discards a running execution
        "reason": request.reason,
    }
    if request.throttle_bytes_per_second is not None:
        given["replication_throttle"] = str(request.throttle_bytes_per_second)
    return given


def _base_url(given: str) -> str:
    """Check a URL and add Cruise Control's default path where it has none.

    Raises ValueError, whose text does not repeat the URL, because that may hold a password.
    """
    try:
        url = httpx.URL(given.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"Cruise Control's url is not valid ({error}): {URL_NEEDED}") from None
    if (
        url.scheme not in ("http", "https")
        or not url.host
        or url.userinfo
        or url.query
        or url.fragment
    ):
        raise ValueError(f"Cruise Control's url lacks a part or has one too many: {URL_NEEDED}")
    return str(url.copy_with(path=url.path.rstrip("/") or DEFAULT_PATH))


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text
