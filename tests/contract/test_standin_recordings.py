"""The stand-in answers as the recorded Cruise Control did, in the situation the recording was
made in.
"""

import json
from dataclasses import replace

import pytest

from tests.contract.recordings import (
    COMPARED_HEADERS,
    EXACT_HEADERS,
    Recording,
    differences,
    recording,
)
from tests.contract.standin_situations import SITUATIONS, Lab, lab

IN_SITUATION: dict[str, list[int]] = {
    "cold": [1, 2, 3, 4, 5],
    "partial windows": [6],
    "loading": [98],
    "warm": [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 60,
             85, 146, 147, 148, 149, 150, 151, 155, 169, *range(301, 334), 335],
    "some tasks": [20],
    "executing": [30, 31, 32],
    "between batches, stale": [63],
    "between batches": [61, 62, 64, 65, 66, 67, 68, 69, 70, 71, 72, 87],
    "in flight": [73, 74, 75, 76, 77, 88, 89, 96, 156, 157, 207],
    "in flight, throttled": [93, 94],
    "moving leaders": [44, 45, 338, 339],
    "just sent": [337],
    "stopping": [342, 343],
    "generating": [336],
    "servlet full": [344],
    "other task": [334],
    "review": [183],
    "review pending": [184, 185],
    "reviewed": [186, 187, 188, 189, 192, 193],
    "review discarded": [190, 191, 198, 199, 200, 201, 202, 203, 204, 205],
    "review, slow": [197],
    "moved": [46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 81, 84, 92, 95, 109, 110, 111, 112, 113,
              114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130,
              139, 145, 158, 159, 340, 341],
    "moved and dropped": [57, 58, 59],
    "stopped": [82, 83, 86],
    "restarted": [99, 100, 101, 102],
    "external": [103, 104, 105, 106, 107, 108],
    "external after moves": [131, 132, 133, 134, 135, 136],
    "external after two": [137, 138, 140, 141, 142, 143, 144],
    "windows lost": [153, 154],
    "destination killed": [160, 161, 162, 163, 164, 165, 166, 168],
    "away": [174],
    "in flight, away": [208, 211],
    "empty broker dead": [212, 213, 219, 220, 221],
    "source dead": [216, 217, 218],
    "auth": [175, 176, 177, 178, 180, 181, 182],
    "auth, viewer asked": [179],
    "slow": [194, 195],
}  # fmt: skip


_CASES = [
    pytest.param(situation, number, id=recording(number).name)
    for situation, numbers in IN_SITUATION.items()
    for number in numbers
]


def _request(recorded: Recording, prepared: Lab) -> Recording:
    """The recorded request, polling this lab's task where it polled its own."""
    if "User-Task-ID" not in recorded.request_headers or not prepared.task_id:
        return recorded
    headers = {**recorded.request_headers, "User-Task-ID": prepared.task_id}
    return replace(
        recorded, request_headers=headers, path_and_query=prepared.polled or recorded.path_and_query
    )


def _with_task(path_and_query: str, task_id: str) -> str:
    """Filters by the recorded task become filters by this lab's."""
    if "user_task_ids=" not in path_and_query or not task_id:
        return path_and_query
    before, _, after = path_and_query.partition("user_task_ids=")
    return f"{before}user_task_ids={task_id}&{after.partition('&')[2]}"


@pytest.mark.parametrize(("situation", "number"), _CASES)
async def test_answers_as_recorded(situation: str, number: int) -> None:
    """Status, headers, keys and types of the body and the text of an error are those of the
    real one.
    """
    prepared = SITUATIONS[situation]
    async with lab(prepared.settings, answer_seconds=prepared.answer_seconds) as standin:
        await prepared.prepare(standin)
        recorded = _request(recording(number), standin)
        path = _with_task(recorded.path_and_query, standin.task_id)
        answered = await standin.call(recorded.method, path, recorded.request_headers)

    problems = [f"status {answered.status}"] if answered.status != recorded.status else []
    problems += [
        (
            f"header {name}: recorded {recorded.headers.get(name)}, answered "
            f"{answered.headers.get(name)}"
        )
        for name in COMPARED_HEADERS
        if (name in answered.headers) != (name in recorded.headers)
        or (name in EXACT_HEADERS and recorded.headers.get(name) != answered.headers.get(name))
    ]
    if isinstance(recorded.body, dict):
        problems += differences(recorded.body, answered.body)
    assert not problems, "\n".join([recorded.name, *problems, json.dumps(answered.body)[:600]])
