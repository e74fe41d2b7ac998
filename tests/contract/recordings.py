"""The recorded exchanges of a real Cruise Control, and how an answer is compared with one: status,
headers, shape.

Shape: the same keys all the way down, the same JSON types. Numbers, ids and times may differ; error
texts may not.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.adapters.cruise_control.client import CruiseControl
from agent.core.messages import Busy, ExecutionRequested, Rejected, Unreachable
from agent.performer.ports import RemoveBroker

FOLDER = Path(__file__).parent / "transcripts"
COMPARED_HEADERS = (
    "User-Task-ID",
    "Content-Type",
    "Set-Cookie",
    "Cruise-Control-Version",
    "Cruise-Control-Commit_Id",
    "Cruise-Control-JSON-Schema",
    "WWW-Authenticate",
    "Cache-Control",
)
EXACT_HEADERS = ("Cruise-Control-Version", "WWW-Authenticate", "Cache-Control")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PARTITION = re.compile(r"TopicPartition=[\w-]+")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_LIST = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True)
class Recording:
    name: str
    method: str
    path_and_query: str
    request_headers: dict[str, str]
    status: int
    headers: dict[str, str]
    body: Any


def recording(number: int) -> Recording:
    """The exchange whose file name begins with this number."""
    (path,) = FOLDER.glob(f"{number:03}-*.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    request, response = data["request"], data["response"]
    return Recording(
        name=path.stem,
        method=request["method"],
        path_and_query=request["url"].split("19190", 1)[1],
        request_headers={
            name: value for name, value in request["headers"].items() if name != "Accept"
        },
        status=response["status"],
        headers=response["headers"] or {},
        body=response["body"],
    )


def differences(recorded: Any, answered: Any, path: str = "$") -> list[str]:
    """Where the shapes differ, as sentences; empty: the same shape."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        return _dict_differences(recorded, answered, path)
    if isinstance(recorded, list) and isinstance(answered, list):
        if not recorded or not answered:
            return []
        return differences(_merged(recorded), _merged(answered), f"{path}[]")
    if type(recorded) is not type(answered):
        return [
            (
                f"{path}: recorded a {type(recorded).__name__} ({recorded!r:.60}), answered "
                f"{answered!r:.60}"
            )
        ]
    if path.endswith((".errorMessage", ".message")) and normalised(recorded) != normalised(
        answered
    ):
        return [f"{path}: recorded {normalised(recorded)!r}, answered {normalised(answered)!r}"]
    return []


def _dict_differences(recorded: dict[str, Any], answered: dict[str, Any], path: str) -> list[str]:
    if _keyed_by_id(recorded) or _keyed_by_id(answered):
        if not recorded or not answered:
            return []
        return differences(
            _merged(list(recorded.values())), _merged(list(answered.values())), f"{path}.<id>"
        )
    found = [f"{path}.{key}: not answered" for key in recorded.keys() - answered.keys()]
    found += [f"{path}.{key}: not recorded" for key in answered.keys() - recorded.keys()]
    for key in recorded.keys() & answered.keys():
        found += differences(recorded[key], answered[key], f"{path}.{key}")
    return found


def _keyed_by_id(value: dict[str, Any]) -> bool:
    return bool(value) and all(key.isdigit() for key in value)


def _merged(values: list[Any]) -> Any:
    """One value with all keys that any of them has."""
    if all(isinstance(value, dict) for value in values):
        merged: dict[str, Any] = {}
        for value in values:
            for key, item in value.items():
                if key not in merged or merged[key] == []:
                    merged[key] = item
        return merged
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    return values[0]


def normalised(text: str) -> str:
    """A message without what differs from run to run: ids, numbers, which partition, the order
    inside a list.
    """
    text = _UUID.sub("<uuid>", text)
    text = _PARTITION.sub("TopicPartition=<tp>", text)
    text = _LIST.sub(lambda found: "[" + ", ".join(sorted(found[1].split(", "))) + "]", text)
    return _NUMBER.sub("<n>", text)


async def refusal_of(
    client: CruiseControl, request: RemoveBroker
) -> Busy | Rejected | Unreachable | None:
    """What stands against a request now, by a dry run; None: nothing."""
    answer = await client.remove_broker(replace(request, dryrun=True))
    return None if isinstance(answer, ExecutionRequested) else answer
