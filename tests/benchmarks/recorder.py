"""A Cruise Control that moves nothing and writes down when it was told what. Used by reaction.py.

Speaks just what the agent's client calls, one instance of it a cluster: http://HOST:PORT/CLUSTER/kafkacruisecontrol.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Told:
    """What one cluster's side was told, and when it was told last."""

    key: str = ""  # the reason of the execution that runs; empty: none
    tasks: list[dict[str, Any]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    throttled: asyncio.Event = field(default_factory=asyncio.Event)
    at: float = 0.0
    rate: int = 0


class Recorder:
    """All clusters' Cruise Controls, and where a cluster's Kafka tells of its throttle."""

    def __init__(self, clusters: list[str]) -> None:
        self.told = {name: Told() for name in clusters}
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        app = web.Application()
        app.router.add_route("*", "/{cluster}/kafkacruisecontrol/{endpoint}", self._answer)
        app.router.add_post("/{cluster}/throttle/{rate}", self._throttled)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _throttled(self, request: web.Request) -> web.Response:
        at, told = time.time(), self.told[request.match_info["cluster"]]
        told.at, told.rate = at, int(request.match_info["rate"])
        told.throttled.set()
        return web.Response()

    async def _answer(self, request: web.Request) -> web.Response:
        at, told = time.time(), self.told[request.match_info["cluster"]]
        endpoint = request.match_info["endpoint"]
        headers = {"Cruise-Control-Version": "2.5.143"}
        if endpoint == "stop_proposal_execution":
            if told.key:
                told.key, told.at = "", at
                told.tasks[-1]["Status"] = "Completed"
                told.stopped.set()
            return web.json_response(
                {"message": "Proposal execution stopped.", "version": 1}, headers=headers
            )
        if endpoint == "user_tasks":
            return web.json_response({"userTasks": told.tasks[-5:], "version": 1}, headers=headers)
        if endpoint == "remove_broker":
            task_id = f"{request.match_info['cluster']}-{len(told.tasks)}"
            if request.query["dryrun"] == "false":
                told.key = request.query["reason"]
                task = {
                    "UserTaskId": task_id,
                    "RequestURL": f"POST {request.path_qs}",
                    "Status": "InExecution",
                    "StartMs": str(int(at * 1_000)),
                }
                told.tasks.append(task)
                told.started.set()
            body = {"summary": {}, "version": 1}
            return web.json_response(body, headers=headers | {"User-Task-ID": task_id})
        executor = {"state": "NO_TASK_IN_PROGRESS"}
        if told.key:
            moving = "INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS"
            executor = {"state": moving, "triggeredTaskReason": f"{told.key} (Client: bench)"}
        body = {
            "ExecutorState": executor,
            "MonitorState": {"state": "RUNNING", "numMonitoredWindows": 1},
            "AnomalyDetectorState": {"selfHealingEnabled": []},
            "version": 1,
        }
        return web.json_response(body, headers=headers)
