"""A client of Cruise Control whose answers a test writes, through httpx's own mock transport."""

import json
from collections.abc import Callable

import httpx

from agent.adapters.cruise_control.client import CruiseControl, CruiseControlConnection
from agent.adapters.cruise_control.request_budget import Questions
from agent.performer.ports import RemoveBroker
from tests.contract.recordings import Recording

REQUEST = RemoveBroker(
    source_broker_ids=(11,),
    destination_broker_ids=(31,),
    reason="lab-1a2b3c4d/1/1",
    partition_movements_per_broker=100,
    progress_check_interval_ms=5_000,
)
Answering = Callable[[httpx.Request], httpx.Response]


def client_of(answer: Answering, **connection: str | float) -> CruiseControl:
    given = {"url": "http://cruise-control:9090", **connection}
    connected = CruiseControlConnection(**given)  # type: ignore[arg-type]
    return CruiseControl(connected, httpx.MockTransport(answer), Questions(questions_max=1_000))


def replay(r: Recording) -> Answering:
    body = r.body if isinstance(r.body, str) else json.dumps(r.body)
    headers = {
        k: v
        for k, v in r.headers.items()
        if k.lower() not in ("content-length", "content-encoding")
    }
    return lambda _request: httpx.Response(r.status, headers=headers, content=body)


class Script:
    """Answers one after the other, the last for ever; an exception is raised.

    Keeps what it was asked.
    """

    def __init__(self, *answers: Recording | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return replay(answer)(request)
