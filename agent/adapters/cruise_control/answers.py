"""Interprets Cruise Control's answers: pure functions, used by client.py only.

Tests hold them to recorded answers of Cruise Control 2.5.143 and to the exceptions in its sources.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Executor,
    Rejected,
    TaskStatus,
    Unreachable,
)
from agent.core.model.reasons import Code, Reason, shortened
from agent.performer.ports import CruiseControlState, UserTask

RequestOutcome = ExecutionRequested | Busy | Unreachable | Rejected

WORDS_MAX = 400  # characters of Cruise Control's own text in a reason
# The error of a servlet whose user tasks are all taken; it is sent before anything is begun.
FULL = "active user tasks"
FORGOTTEN = "Unexpected header"  # the error for a poll of a user task that it no longer knows
# Monitor states in which no proposal is made, however many windows are counted: LOADING was
# recorded with 3 windows.
_NOT_MONITORING = ("NOT_STARTED", "LOADING")

# Requests that begin an execution (and may stop another one first), and the one that only stops.
# Each leaves a user task.
STOP_ENDPOINT = "stop_proposal_execution"
EXECUTING_ENDPOINTS = (
    "remove_broker",
    STOP_ENDPOINT,
    "rebalance",
    "add_broker",
    "demote_broker",
    "fix_offline_replicas",
    "topic_configuration",
)
_NOT_STOPPED = (TaskStatus.COMPLETED, TaskStatus.NONE)

_BUSY, _NOT_READY = Code.CRUISE_CONTROL_BUSY, Code.CRUISE_CONTROL_NOT_READY
_NAMED = (
    "every named broker in its model: one that is alive appears within its "
    "metadata.max.age.ms, a wrong id never"
)
# Errors that pass by themselves: part of the text, the reason's code, and what is needed. The first
# match counts. An error that is not listed needs a person.
_PASSING: tuple[tuple[str, Code, str], ...] = (
    (FULL, _BUSY, "a free user task: max.active.user.tasks"),
    ("NotEnoughValidWindows", _NOT_READY, "valid metric windows"),
    ("load monitor is in", _NOT_READY, "its metric samples loaded"),
    (
        "Insufficient number of racks",
        _BUSY,
        "no partition with more replicas than racks, as while it moves",
    ),
    ("empty rack id", _NOT_READY, "no dead broker that holds replicas"),
    ("does not exist", _NOT_READY, _NAMED),
    ("All brokers are dead", _NOT_READY, "live brokers in its model"),
    # These two stand before the next ones: Kafka did not answer, so nothing is known about moves.
    ("failure to retrieve whether", _NOT_READY, "Kafka's answer to it"),
    ("Failed to retrieve if there are", _NOT_READY, "Kafka's answer to it"),
    ("ongoing partition reassignment", Code.ORPHANED_MOVES, "their end"),
    ("ongoing inter-broker partition movements", Code.ORPHANED_MOVES, "their end"),
    ("ongoing intra-broker partition movements", Code.ORPHANED_MOVES, "their end"),
    ("ongoing execution", _BUSY, "an idle executor"),
    ("Cannot generate proposals while the executor is", _BUSY, "an idle executor"),
    ("Unexpected executor state", _BUSY, "an idle executor"),
    ("Attempt to initialize proposal execution", _BUSY, "an idle executor"),
    ("TimeoutException", _NOT_READY, "Kafka's answer to it, in time"),
    ("DisconnectException", _NOT_READY, "Kafka's answer to it"),
    ("Interrupted when getting the optimization proposals", _NOT_READY, "its restart"),
)
_WRAPPED = re.compile(
    r"Error processing \w+ request '[^']*' due to: '(?P<cause>.*?)'?\.?", re.DOTALL
)
_CLASSES = re.compile(r"((?:[a-z_]\w*\.)+[A-Z][\w$]*Exception: )+")


def classify(status: int, headers: Mapping[str, str], body: Any) -> RequestOutcome:
    """Classify an answer to remove_broker by what has to be done next.

    `body` is parsed JSON, or text. Returns ExecutionRequested (accepted), Busy (ask again soon),
    Unreachable (it may have been accepted: look before asking again) or Rejected (a person has to
    look).
    """
    said = words(body)
    if status in (httpx.codes.OK, httpx.codes.ACCEPTED):
        return _accepted(status, headers, body)
    if status == httpx.codes.UNAUTHORIZED:
        seen = f"it does not know this user name and password, or token: it answered 401: {said}"
        return _login_refused(seen, "credentials that it accepts")
    if status == httpx.codes.FORBIDDEN:
        seen = f"it knows this user, who may not make this request: it answered 403: {said}"
        return _login_refused(seen, "credentials of a user with the role ADMIN")
    if status in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return _rejected(
            f"it answered {status}: {said}",
            "its right URL, such as http://HOST:9090/kafkacruisecontrol",
        )
    if httpx.codes.is_redirect(status):
        return _rejected(
            f"it answered {status}, to {headers.get('Location', 'nowhere')}", "its right URL"
        )
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return Busy(
            reason=Reason(
                _BUSY, f"it, or a proxy before it, answered 429: {said}", "fewer requests"
            )
        )
    if status == httpx.codes.INTERNAL_SERVER_ERROR and _is_its_own(headers, body):
        return _failed(status, body)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
        return _unreachable(f"it, or a proxy before it, answered {status}: {said}")
    return _rejected(f"it answered {status}: {said}")


def is_full(status: int, body: Any) -> bool:
    """Whether no user task was free: nothing was begun, so any request may be sent again."""
    return status == httpx.codes.INTERNAL_SERVER_ERROR and FULL in _text(body)


def wants_review(body: Any) -> bool:
    """Whether the request waits for a review (two-step verification) and was not begun."""
    return isinstance(body, dict) and "RequestInfo" in body


def read_state(body: Mapping[str, Any], migration_id: str) -> CruiseControlState:
    """Read an answer to `state`; an execution whose reason begins with `migration_id` is ours.

    Raises KeyError, TypeError, ValueError or AttributeError when `body` has another form.
    """
    executor, monitor = body["ExecutorState"], body["MonitorState"]
    word = str(executor["state"])
    reason = str(executor.get("triggeredTaskReason", ""))
    if word == "NO_TASK_IN_PROGRESS":
        whose = Executor.IDLE
    elif migration_id and reason.startswith(migration_id + "/"):
        whose = Executor.OURS
    else:
        whose = Executor.FOREIGN
    windows = 0 if monitor["state"] in _NOT_MONITORING else int(monitor["numMonitoredWindows"])
    return CruiseControlState(
        executor=whose,
        executor_state=word,
        executor_reason=reason,
        valid_windows=windows,
        self_healing=tuple(
            str(kind) for kind in body["AnomalyDetectorState"]["selfHealingEnabled"]
        ),
    )


def read_user_tasks(body: Mapping[str, Any], key: str) -> Sequence[UserTask]:
    """Return the executions (not dry runs) with this key from an answer to `user_tasks`.

    The oldest comes first. `stopped_by` names a foreign request that stopped the execution: each
    stop is a user task too, with client and reason.

    Raises KeyError, TypeError, ValueError or AttributeError when `body` has another form.
    """
    found: list[tuple[int, UserTask]] = []
    stops: list[_Stop] = []
    for task in body["userTasks"]:
        parts = urlsplit(task["RequestURL"].split(" ", 1)[-1])  # "POST /path?query"
        given = {name.lower(): values[0] for name, values in parse_qs(parts.query).items()}
        reason, endpoint = given.get("reason", ""), parts.path.rpartition("/")[2].lower()
        started_ms = int(task["StartMs"])
        if endpoint == STOP_ENDPOINT or given.get("stop_ongoing_execution", "").lower() == "true":
            stops.append(_Stop(started_ms, endpoint, str(task.get("ClientIdentity", "")), reason))
        is_execution = endpoint == "remove_broker" and given.get("dryrun", "").lower() == "false"
        if is_execution and (reason == key or reason.startswith(key + "/")):
            status = TaskStatus(task["Status"])
            found.append(
                (
                    started_ms,
                    UserTask(user_task_id=task["UserTaskId"], status=status, reason=reason),
                )
            )
    own = key.split("/", 1)[0] + "/"
    return [
        replace(task, stopped_by=_stopped_by(task, started_ms, stops, own))
        for started_ms, task in sorted(found, key=lambda row: row[0])
    ]


@dataclass(frozen=True, slots=True, order=True)
class _Stop:
    """A request that stops any execution, as Cruise Control lists it."""

    at_ms: int
    endpoint: str
    client: str
    reason: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at_ms / 1_000, UTC).strftime("%H:%M:%SZ")
        why = f" for '{shortened(self.reason)}'" if self.reason else ""
        return f"({self.endpoint} of {self.client or 'an unknown client'} at {at}{why})"


def _stopped_by(task: UserTask, started_ms: int, stops: Sequence[_Stop], own: str) -> str:
    """The first stop since the task began, in words; empty when there is none or it is our own.

    Our own stop has ended the task, so later stops concern executions of others.
    """
    if task.status in _NOT_STOPPED:
        return ""
    first = min((s for s in stops if s.at_ms >= started_ms), default=None)
    return "" if first is None or first.reason.startswith(own) else str(first)


def words(body: Any) -> str:
    """Return Cruise Control's error message without stack trace, wrapping and class names.

    At most WORDS_MAX characters long.
    """
    text = _text(body).replace("\n", " ").strip()
    if wrapped := _WRAPPED.fullmatch(text):
        text = wrapped["cause"]
    if classes := _CLASSES.match(text):
        text = text[classes.end() :] or text
    return text if len(text) <= WORDS_MAX else text[: WORDS_MAX - 1] + "…"


def _text(body: Any) -> str:
    if not isinstance(body, dict):
        return str(body)
    if said := body.get("errorMessage") or body.get("message"):
        return str(said)
    return str(body["stackTrace"]).split("\n", 1)[0] if body.get("stackTrace") else str(body)


def _accepted(status: int, headers: Mapping[str, str], body: Any) -> RequestOutcome:
    if wants_review(body):
        seen = "two-step verification is on: each request, and each stop, waits for a review"
        needed = (
            "two.step.verification.enabled=false in its properties: nobody could approve "
            "a stop in time"
        )
        return _rejected(seen, needed)
    user_task_id = headers.get("User-Task-ID", "")
    if user_task_id or (isinstance(body, dict) and ("summary" in body or "progress" in body)):
        return ExecutionRequested(user_task_id=user_task_id)
    return _unreachable(
        f"the server that answered {status} is not Cruise Control: {words(body)}",
        "its right URL",
    )


def _failed(status: int, body: Any) -> RequestOutcome:
    text, said = _text(body), words(body)
    if FORGOTTEN in text:
        return _unreachable(
            "it no longer knows our user task: it was restarted",
            "a check of what it executes now",
        )
    for saying, code, needed in _PASSING:
        if saying in text:
            return Busy(reason=Reason(code, said, needed))
    return _rejected(f"it answered {status}: {said}")


def _is_its_own(headers: Mapping[str, str], body: Any) -> bool:
    """Whether Cruise Control itself reports the error.

    An error of a proxy or of the servlet container does not tell what Cruise Control did.
    """
    return "Cruise-Control-Version" in headers or (
        isinstance(body, dict) and "errorMessage" in body
    )


def _rejected(seen: str, needed: str = "") -> Rejected:
    return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, seen, needed))


def _login_refused(seen: str, needed: str) -> Rejected:
    return Rejected(reason=Reason(Code.CRUISE_CONTROL_LOGIN_REFUSED, seen, needed))


def _unreachable(seen: str, needed: str = "") -> Unreachable:
    return Unreachable(reason=Reason(Code.CRUISE_CONTROL_UNREACHABLE, seen, needed))
