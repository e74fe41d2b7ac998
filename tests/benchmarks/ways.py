"""The ways to move broker 11 to 31, and the two clocks they are timed by. Called by move.py.

Moves and puts back; knows nothing of figures. The clocks read Kafka's metadata and Cruise Control
only.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeVar

import httpx
from kafka import KafkaAdminClient, TopicPartition

from deploy.lab.workload.tools import LabInfo, command

SOURCE, DESTINATION = 11, 31
NEXT_SOURCE, NEXT_DESTINATION = 12, 32  # what a next wave would move
POLL_SECONDS = 0.15
DRY_RUN_POLL_SECONDS = 0.5
TOOL_HEAP_MEGABYTES = 128
CALL_SECONDS = 30.0
ATTEMPTS_MAX = 3
REQUESTS_MAX, WINDOWS_SECONDS = 20, 5.0
MOVE_SECONDS_MAX = 3600.0
ARTICLE = {"concurrent_partition_movements_per_broker": "25", "replication_throttle": "100000000"}
Assignment = Mapping[TopicPartition, list[int]]

T = TypeVar("T")


class MoveError(RuntimeError):
    """A move did not begin, or did not end; the text says why."""


class Cluster:
    """Kafka and its Cruise Control, seen from outside. `close` it."""

    def __init__(self, description: Mapping[str, Any], folder: Path) -> None:
        self.info = LabInfo.of(description)
        self._url = str(description["cruise_control_url"])
        self._folder = folder.resolve()
        self._connect()
        self._http = httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False)
        # A session that asks the same URL again is given its first answer, for ever: no cookie is
        # kept.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    async def close(self) -> None:
        await self._http.aclose()
        await self._ask(self._admin.close)
        self._thread.shutdown(wait=False)

    def _connect(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bench-admin")
        milliseconds = int(CALL_SECONDS * 1000)
        servers = self.info.bootstrap_servers.split(",")
        self._admin = KafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=milliseconds)

    async def _ask(self, question: Callable[[], T]) -> T:
        """Ask Kafka in the admin client's one thread; a call that never comes back costs its
        client, not the run.
        """
        for attempt in range(ATTEMPTS_MAX):
            work = asyncio.get_running_loop().run_in_executor(self._thread, question)
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    return await work
            except TimeoutError:
                print(
                    (
                        f"      Kafka's admin client did not come back (attempt {attempt + 1}): "
                        "a new one"
                    ),
                    flush=True,
                )
                self._thread.shutdown(wait=False)
                self._connect()
        raise MoveError(f"Kafka gave no answer in {ATTEMPTS_MAX} x {CALL_SECONDS:.0f} s")

    # ---- clocks

    async def until_empty(
        self, began: float, unless: Callable[[], str | None] = lambda: None
    ) -> float:
        """Seconds from `began` until Kafka's metadata names no replica on the source."""
        while True:
            names = await self._ask(self._on_source)
            now = time.monotonic() - began
            if not names:
                return now
            if reason := unless():
                raise MoveError(reason)
            if now > MOVE_SECONDS_MAX:
                raise MoveError(
                    f"{len(names)} partitions are still on broker {SOURCE} after {now:.0f} s"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def until_next(self, began: float) -> float:
        """Seconds from `began` until a next wave could start: no reassignment, Cruise Control
        idle, a dry run 200.
        """
        said = ""
        while time.monotonic() - began < MOVE_SECONDS_MAX:
            flying = await self._ask(self._flying)
            said = f"{flying} reassignments" if flying else await self._not_ready()
            if not said:
                return time.monotonic() - began
            await asyncio.sleep(DRY_RUN_POLL_SECONDS)
        raise MoveError(f"the next wave could not start: {said}")

    async def _not_ready(self) -> str:
        try:
            answer = await self._http.get(
                f"{self._url}/state", params={"substates": "executor", "json": "true"}
            )
            word = (
                answer.json().get("ExecutorState", {}).get("state", "")
                if answer.is_success
                else answer.text[:200]
            )
            if word != "NO_TASK_IN_PROGRESS":
                return f"Cruise Control: {word}"
            dry = {
                "brokerid": str(NEXT_SOURCE),
                "destination_broker_ids": str(NEXT_DESTINATION),
                "dryrun": "true",
            }
            answer = await self._post(dry)
        except httpx.HTTPError as error:
            return f"Cruise Control: {error!r}"
        return (
            ""
            if answer.status_code == httpx.codes.OK
            else f"dry run: {answer.status_code} {answer.text[-300:]}"
        )

    async def _post(self, parameters: Mapping[str, str]) -> httpx.Response:
        """remove_broker, followed until it is no longer computing."""
        headers: dict[str, str] = {}
        while True:
            url, asked = f"{self._url}/remove_broker", {**parameters, "json": "true"}
            answer = await self._http.post(url, params=asked, headers=headers)
            if answer.status_code != httpx.codes.ACCEPTED:
                return answer
            headers = {"User-Task-ID": answer.headers["User-Task-ID"]}
            await asyncio.sleep(POLL_SECONDS)

    # ---- ways

    async def by_kafka(self) -> None:
        """Kafka's own tool, everything at once."""
        file = self._folder / "reassignment.json"
        await asyncio.to_thread(
            file.write_text, json.dumps(await self._ask(self._everything_at_once))
        )
        options = (
            "--bootstrap-server",
            self.info.bootstrap_servers,
            "--reassignment-json-file",
            str(file),
            "--execute",
        )
        tool = "reassign.ReassignPartitionsCommand"
        argv = command(
            self.info, tool, TOOL_HEAP_MEGABYTES, self._folder / "reassign.log", *options
        )
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *argv, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        printed, _ = await process.communicate()
        if process.returncode:
            raise MoveError(f"ReassignPartitionsCommand: {printed.decode(errors='replace')[-500:]}")

    async def by_cruise_control(self, more: Mapping[str, str]) -> float:
        """One request by hand.

        `more`: beyond brokers and dryrun; nothing stands for all its defaults.

        Returns when it was sent (monotonic): one that was refused for want of metric windows is
        sent again, and is no part of the move.
        """
        wanted = {
            "brokerid": str(SOURCE),
            "destination_broker_ids": str(DESTINATION),
            "dryrun": "false",
            **more,
        }
        for _ in range(REQUESTS_MAX):
            sent = time.monotonic()
            answer = await self._post(wanted)
            if answer.status_code == httpx.codes.OK:
                return sent
            if "NotEnoughValidWindows" not in answer.text:
                break
            await asyncio.sleep(WINDOWS_SECONDS)
        raise MoveError(f"remove_broker: {answer.status_code} {answer.text[-500:]}")

    # ---- before and after

    async def assignment(self) -> Assignment:
        return await self._ask(self._assignment)

    async def bytes_on_source(self) -> int:
        def ask() -> int:
            names: dict[str, list[int]] = {}
            for name in self._on_source():
                names.setdefault(name.topic, []).append(name.partition)
            answers = self._admin.describe_log_dirs(names, [SOURCE])
            topics = [
                t for answer in answers for folder in answer["log_dirs"] for t in folder["topics"]
            ]
            return sum(int(p["partition_size"]) for t in topics for p in t["partitions"])

        return await self._ask(ask)

    async def put_back(self, wanted: Assignment) -> None:
        """By Kafka's own reassignment; returns when all is in sync, led as before, and Cruise
        Control is ready.
        """
        began = time.monotonic()
        while time.monotonic() - began < MOVE_SECONDS_MAX:
            if await self._ask(lambda: self._is_back(wanted)):
                await self.until_next(time.monotonic())
                return
            await asyncio.sleep(1.0)
        raise MoveError("the partitions could not be put back")

    def _is_back(self, wanted: Assignment) -> bool:
        """One step of the way back; True when there is nothing more to do."""
        if self._admin.list_partition_reassignments():
            return False
        now = self._assignment()
        if moved := {
            name: replicas for name, replicas in wanted.items() if now.get(name) != replicas
        }:
            self._admin.alter_partition_reassignments(moved)
            return False
        parts = [p for topic in self._admin.describe_topics() for p in topic["partitions"]]
        if any(set(p["replica_nodes"]) != set(p["isr_nodes"]) for p in parts):
            return False
        if any(p["leader_id"] != p["replica_nodes"][0] for p in parts):
            self._admin.elect_leaders(0, None, int(CALL_SECONDS * 1000), raise_errors=False)
            return False
        return True

    def _assignment(self) -> dict[TopicPartition, list[int]]:
        return {
            TopicPartition(topic["name"], p["partition_index"]): list(p["replica_nodes"])
            for topic in self._admin.describe_topics()
            for p in topic["partitions"]
        }

    def _flying(self) -> int:
        return len(self._admin.list_partition_reassignments())

    def _on_source(self) -> list[TopicPartition]:
        return [name for name, replicas in self._assignment().items() if SOURCE in replicas]

    def _everything_at_once(self) -> dict[str, Any]:
        rows = [
            {
                "topic": n.topic,
                "partition": n.partition,
                "replicas": [DESTINATION if r == SOURCE else r for r in held],
            }
            for n, held in self._assignment().items()
            if SOURCE in held
        ]
        return {"version": 1, "partitions": rows}
