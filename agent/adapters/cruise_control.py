"""Cruise Control's REST API through httpx: implements CruiseControlPort. Never retries a POST; retries a GET once.

What its answers mean is in `classify`, held to recorded answers of a real one (tests/contract).
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from agent.adapters.ports import CruiseControlState, PortError, RemoveBroker, UserTask
from agent.core.messages import Busy, ExecutionAsked, Executor, Rejected, TaskStatus, Unreachable
from agent.core.reasons import Code, Reason

DEFAULT_PATH = "/kafkacruisecontrol"
# A real 2.5.143 takes 70 and gives them back whole; ours are 40 at most, and a longer one would be a bug.
REASON_CHARACTERS_MAX = 50
# Stock goals reshuffle replica order and leaders, so that a rollback would not be exact; these six do not (recorded).
HARD_GOALS = (
    "RackAwareGoal",
    "ReplicaCapacityGoal",
    "DiskCapacityGoal",
    "NetworkInboundCapacityGoal",
    "NetworkOutboundCapacityGoal",
    "CpuCapacityGoal",
)
# A proposal for a large cluster takes a while: it is polled this long, then followed as a user task.
COMPUTING_SECONDS_MAX = 20.0
POLL_SECONDS = 0.5
GET_RETRY_SECONDS = 0.3
REFUSED_MAX = 200
WORDS_MAX = 400  # of Cruise Control's own text in a reason

Answer = ExecutionAsked | Busy | Unreachable | Rejected

# What a 500 says, and what follows. The first that matches counts.
_BUSY: tuple[tuple[str, Code, str], ...] = (
    ("ongoing execution", Code.CRUISE_CONTROL_BUSY, "an idle executor"),
    ("active user tasks", Code.CRUISE_CONTROL_BUSY, "a free user task"),
    ("NotEnoughValidWindows", Code.CRUISE_CONTROL_NOT_READY, "valid metric windows"),
    ("Insufficient number of racks", Code.CRUISE_CONTROL_BUSY, "no partition with more replicas than racks"),
    ("ongoing partition reassignment", Code.ORPHANED_MOVES, "their end"),
    ("external agent", Code.ORPHANED_MOVES, "their end"),
    ("empty rack id", Code.CRUISE_CONTROL_NOT_READY, "no dead broker that holds replicas"),
    ("does not exist", Code.CRUISE_CONTROL_NOT_READY, "every named broker in its model"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlConnection:
    """Where Cruise Control is and who we are there."""

    url: str  # with or without /kafkacruisecontrol
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0
    ca_file: str | None = None


class CruiseControl:
    """One Cruise Control."""

    def __init__(self, connection: CruiseControlConnection, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = _base_url(connection.url)
        auth = None
        if connection.username is not None:
            auth = httpx.BasicAuth(connection.username, connection.password or "")
        headers = {"Accept": "application/json"}
        if connection.token is not None:
            headers["Authorization"] = f"Bearer {connection.token}"
        self._client = httpx.AsyncClient(
            auth=auth,
            headers=headers,
            timeout=connection.timeout_seconds,
            transport=transport,
            verify=connection.ca_file or True,
        )
        # a session that asks the same URL again gets its first answer, for ever: no cookie is kept
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

        # A request that was answered with an error leaves a user task that reads Active for some seconds (recorded):
        # whoever looks for his key must not take it for an execution. After a restart of ours it is waited for instead.
        self._refused: deque[str] = deque(maxlen=REFUSED_MAX)

    async def close(self) -> None:
        await self._client.aclose()

    async def state(self, migration_id: str) -> CruiseControlState:
        """Executor, monitor and anomaly detector."""
        body = await self._get("state", substates="executor,monitor,anomaly_detector")
        executor = body.get("ExecutorState", {})
        word = executor.get("state", "")
        reason = executor.get("triggeredTaskReason", "")
        if word == "NO_TASK_IN_PROGRESS":
            whose = Executor.IDLE
        elif migration_id and reason.startswith(migration_id + "/"):
            whose = Executor.OURS
        else:
            whose = Executor.FOREIGN
        return CruiseControlState(
            executor=whose,
            executor_state=word,
            executor_reason=reason,
            valid_windows=int(body.get("MonitorState", {}).get("numMonitoredWindows", 0)),
            self_healing=tuple(body.get("AnomalyDetectorState", {}).get("selfHealingEnabled", ())),
        )

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        """Executions (not dry runs) asked for with this reason, oldest first."""
        body = await self._get("user_tasks", endpoints="remove_broker")
        found: list[tuple[int, UserTask]] = []
        for task in body.get("userTasks", ()):
            query = parse_qs(urlsplit(task["RequestURL"].split(" ", 1)[-1]).query)
            reason = query.get("reason", [""])[0]
            is_dry = query.get("dryrun", ["true"])[0].lower() == "true"
            if is_dry or task["UserTaskId"] in self._refused or not (reason == key or reason.startswith(key + "/")):
                continue
            status = TaskStatus(task["Status"])
            found.append(
                (int(task["StartMs"]), UserTask(user_task_id=task["UserTaskId"], status=status, reason=reason))
            )
        return [task for _, task in sorted(found, key=lambda row: row[0])]

    async def remove_broker(self, request: RemoveBroker) -> Answer:
        """Ask once, and wait a while for the proposals: their failure comes late on a large cluster."""
        if len(request.reason) > REASON_CHARACTERS_MAX:
            seen = f"the reason '{request.reason}' has {len(request.reason)} characters"
            return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, seen, f"at most {REASON_CHARACTERS_MAX}"))
        parameters = _parameters(request)
        try:
            response = await self._client.post(f"{self._url}/remove_broker", params=parameters)
            waited = 0.0
            while response.status_code == httpx.codes.ACCEPTED and waited < COMPUTING_SECONDS_MAX:
                await asyncio.sleep(POLL_SECONDS)
                waited += POLL_SECONDS
                task_id = response.headers.get("User-Task-ID", "")
                response = await self._client.post(
                    f"{self._url}/remove_broker", params=parameters, headers={"User-Task-ID": task_id}
                )
        except httpx.HTTPError as error:
            return Unreachable(reason=Reason(Code.CRUISE_CONTROL_UNREACHABLE, self._says("remove_broker", error)))
        answer = classify(response.status_code, response.headers, _body(response))
        if isinstance(answer, (Busy, Rejected)) and (task_id := response.headers.get("User-Task-ID")):
            self._refused.append(task_id)
        return answer

    async def stop(self) -> None:
        """Stop the execution; reassignments of other tools are left alone."""
        await self._post("stop_proposal_execution", stop_external_agent="false")

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        """Felt at the next progress check."""
        await self._post("admin", concurrent_partition_movements_per_broker=str(partition_movements_per_broker))

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _get(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        try:
            return await self._ask("GET", endpoint, parameters)
        except PortError:
            await asyncio.sleep(GET_RETRY_SECONDS)  # a full servlet is free again in a moment
            return await self._ask("GET", endpoint, parameters)

    async def _post(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        return await self._ask("POST", endpoint, parameters)

    async def _ask(self, method: str, endpoint: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            response = await self._client.request(
                method, f"{self._url}/{endpoint}", params={**parameters, "json": "true"}
            )
        except httpx.HTTPError as error:
            raise PortError(self._says(endpoint, error), Code.CRUISE_CONTROL_UNREACHABLE) from error
        body = _body(response)
        if response.status_code != httpx.codes.OK or not isinstance(body, dict):
            says = f"Cruise Control at {self._url} answered {endpoint} with {response.status_code}: {_words(body)}"
            raise PortError(says, Code.CRUISE_CONTROL_UNREACHABLE)
        return body

    def _says(self, endpoint: str, error: httpx.HTTPError) -> str:
        return f"Cruise Control at {self._url} did not answer {endpoint}: {type(error).__name__} {error}".rstrip()


def classify(status: int, headers: Mapping[str, str], body: Any) -> Answer:
    """What an answer to remove_broker means for what to do next.

    In: status, headers, body (parsed JSON, or text). Out: accepted; busy (ask again soon); unreachable (it may have
    been accepted); rejected (a human has to look).
    """
    words = _words(body)
    if status in (httpx.codes.OK, httpx.codes.ACCEPTED):
        if isinstance(body, dict) and "RequestInfo" in body:
            seen = "two-step verification is on: it wants a review of each request, and of each stop"
            return Rejected(
                reason=Reason(
                    Code.CRUISE_CONTROL_REJECTED, seen, "two.step.verification.enabled=false, or approve by hand"
                )
            )
        return ExecutionAsked(user_task_id=headers.get("User-Task-ID", ""))
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        seen = f"it answered {status} {words}"
        return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, seen, "credentials with the role ADMIN"))
    if status == httpx.codes.NOT_FOUND:
        return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, f"it answered 404 {words}", "its right URL"))
    if status in (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT):
        return Unreachable(reason=Reason(Code.CRUISE_CONTROL_UNREACHABLE, f"a proxy answered {status} for it"))
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, words, "a free place"))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        for text, code, needed in _BUSY:
            if text in words:
                return Busy(reason=Reason(code, words, needed))
    return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, f"it answered {status}: {words}"))


def _parameters(request: RemoveBroker) -> dict[str, str]:
    given = {
        "brokerid": ",".join(map(str, request.source_broker_ids)),
        "destination_broker_ids": ",".join(map(str, request.destination_broker_ids)),
        "dryrun": str(request.dryrun).lower(),
        "goals": ",".join(HARD_GOALS),
        "concurrent_partition_movements_per_broker": str(request.partition_movements_per_broker),
        "execution_progress_check_interval_ms": str(request.progress_check_interval_ms),
        "exclude_recently_removed_brokers": "false",  # true in code: would hinder a rollback
        "reason": request.reason,
        "json": "true",
    }
    if request.throttle_bytes_per_second is not None:
        given["replication_throttle"] = str(request.throttle_bytes_per_second)
    return given


def _base_url(url: str) -> str:
    trimmed = url.rstrip("/")
    return trimmed if urlsplit(trimmed).path else trimmed + DEFAULT_PATH


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _words(body: Any) -> str:
    """Cruise Control's own words: its error message without the stack trace and the class names before it."""
    if isinstance(body, dict):
        text = str(body.get("errorMessage") or body.get("message") or body)
        if not body.get("errorMessage") and "stackTrace" in body:
            text = str(body["stackTrace"]).split("\n", 1)[0]
    else:
        text = str(body)
    return text.replace("\n", " ").strip()[:WORDS_MAX]
