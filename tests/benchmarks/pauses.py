"""One whole migration in the lab that is paused again and again by alerts: until nothing moves.

Called by reaction.py.

The clocks are Kafka's list of reassignments (in this lab they are all ours) and the time at which
Cruise Control was asked to stop. The agent's own events only say when a round is over.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient

from agent.client import ControlClient
from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.topics import TopicKind, default_topics
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.demo.story import Event, Story
from deploy.lab.workload.workload import Workload, WorkloadConfig

CLUSTER, METRICS = "lab", "kafka-migration.metrics"
SOURCE, DESTINATION = 11, 31
# A stop drops what is half copied: with partitions of 9 MB at 100 kB/s none is copied whole between
# two pauses.
TOPICS, FILL_BYTES, THROTTLE_BYTES_PER_SECOND = 4, 300_000_000, 100_000
# Cruise Control obeys a stop at its next look at its execution: every 5 s, the least that it allows
# by default.
CHECK_SECONDS = 5.0
STILL_P50_MS, STILL_P99_MS = (CHECK_SECONDS / 2 + 1) * 1_000, (CHECK_SECONDS + 1) * 1_000
ASKED_P99_MS = 1_000.0  # on two cores beside nine JVMs; on an idle machine 100 ms (reaction.py)
AGAIN_P99_MS = 6_000.0
POLL_SECONDS = 0.02
WAIT_SECONDS_MAX = 120.0
CALM_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Round:
    """One pause and the resume after it, in milliseconds since the alert was published, or
    since it was resolved.
    """

    asked: float  # Cruise Control was asked to stop
    still: float  # Kafka shows no reassignment any more
    told: float  # MigrationPaused: the agent has proved it
    again: float  # since the alert was resolved: Kafka shows reassignments
    in_flight: int  # reassignments when the alert was published
    load: float  # of the machine at its end: a busy one makes every figure longer


class Pauses:
    """All rounds of one migration on one lab."""

    def __init__(self, lab: Lab, folder: Path, rounds: int) -> None:
        self.rounds: list[Round] = []
        self.seconds = 0.0
        self._lab, self._folder, self._count = lab, folder, rounds
        self._description = lab.status()
        self._control = str(self._description["control_bootstrap_servers"])
        self._client = ControlClient({"bootstrap_servers": self._control})
        self._story = Story(self._client, CLUSTER, folder / "events.jsonl")
        self._rng = random.Random(1)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bench-admin")
        self._admin = KafkaAdminClient(
            bootstrap_servers=str(self._description["bootstrap_servers"]).split(",")
        )

    async def run(self, agent: AgentProcess) -> None:
        """From the start to drained, with all pauses in between."""
        self._gone = lambda: (
            None if agent.is_running else f"the agent has ended: {agent.last_words()}"
        )
        await agent.ready(self._client)
        await asyncio.to_thread(self._fill)
        producer = AIOKafkaProducer(bootstrap_servers=self._control, acks="all")
        async with (
            self._story.following(),
            producer as self._producer,
            httpx.AsyncClient(trust_env=False) as self._http,
        ):
            await self._ready()
            began = time.monotonic()
            await self._command("start", options=self._options())
            for number in range(1, self._count + 1):
                self.rounds.append(await self._round(number))
                self._write(number)
            await self._command("tune", throttle_bytes_per_second=0)
            await self._until("MigrationDrained", 0, CALM_SECONDS_MAX)
            self.seconds = time.monotonic() - began
        self._admin.close()
        self._thread.shutdown(wait=False)

    def _fill(self) -> None:
        topics = tuple(t for t in default_topics() if t.kind is TopicKind.PLAIN)[:TOPICS]
        config = WorkloadConfig(topics=topics, fill_bytes=FILL_BYTES)
        with Workload(self._description, self._folder / "clients", config) as workload:
            workload.create_topics()
            workload.fill()

    async def _ready(self) -> None:
        """Cruise Control has its windows, and nothing else stands in the way."""
        async with asyncio.timeout(CALM_SECONDS_MAX):
            while True:
                made = await self._client.plan(
                    {"type": "plan", "cluster": CLUSTER, "options": self._options()}
                )
                if not made["data"]["reasons"]:
                    return
                await asyncio.sleep(1.0)

    def _options(self) -> dict[str, Any]:
        return {
            "mode": "brokers",
            "source_broker_ids": [SOURCE],
            "destination_broker_ids": [DESTINATION],
            "throttle_bytes_per_second": THROTTLE_BYTES_PER_SECOND,
        }

    async def _command(self, word: str, **fields: Any) -> None:
        answer = await self._client.send_command({"type": word, "cluster": CLUSTER, **fields})
        if answer["type"] != "CommandAccepted":
            raise RuntimeError(f"{word} was refused: {answer['summary']}")

    # ── one round ─────────────────────────────────────────────────────────────────────────────────
    async def _round(self, number: int) -> Round:
        """Waits at random before the alert, so that Cruise Control's looks come at any time
        after it.
        """
        if number == 1:
            await self._await_flying(lambda in_flight: in_flight > 0)
        await asyncio.sleep(self._rng.uniform(0.0, CHECK_SECONDS))
        in_flight, since = await self._count_in_flight(), len(self._story.events)
        if not in_flight:
            raise RuntimeError(
                f"nothing moved before pause {number}: the migration is too short for so many"
            )
        published = await self._alert(number, "firing")
        still = await self._await_flying(lambda in_flight: in_flight == 0)
        paused = await self._until("MigrationPaused", since, WAIT_SECONDS_MAX)
        if left := await self._count_in_flight():
            raise RuntimeError(f"{left} reassignments are in flight though pause {number} was told")
        asked = await self._asked_to_stop(published)
        resolved = await self._alert(number, "resolved")
        again = await self._await_flying(lambda in_flight: in_flight > 0)
        return Round(
            asked=asked - published,
            still=still - published,
            told=datetime.fromisoformat(paused["time"]).timestamp() * 1_000 - published,
            again=again - resolved,
            in_flight=in_flight,
            load=os.getloadavg()[0],
        )

    async def _alert(self, number: int, state: str) -> float:
        """Publish; when, in milliseconds since the epoch."""
        body = {
            "type": "alert",
            "cluster": CLUSTER,
            "name": f"bench-{number}",
            "state": state,
            "action": "pause",
            "summary": "bench",
            "time": datetime.now(UTC).isoformat(),
        }
        published = time.time() * 1_000
        await self._producer.send_and_wait(METRICS, json.dumps(body).encode(), CLUSTER.encode())
        return published

    async def _count_in_flight(self) -> int:
        look = asyncio.get_running_loop().run_in_executor(
            self._thread, self._admin.list_partition_reassignments
        )
        return len(await look)

    async def _await_flying(self, holds: Callable[[int], bool]) -> float:
        """When the first look at Kafka that shows it has ended, in milliseconds since the epoch."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not holds(await self._count_in_flight()):
                if gone := self._gone():
                    raise RuntimeError(gone)
                await asyncio.sleep(POLL_SECONDS)
        return time.time() * 1_000

    async def _asked_to_stop(self, published: float) -> float:
        """When Cruise Control took the first stop since then, by its own list of tasks."""
        url = f"{self._description['cruise_control_url']}/user_tasks"
        answer = await self._http.get(
            url, params={"json": "true", "endpoints": "stop_proposal_execution"}
        )
        times = [float(task["StartMs"]) for task in answer.raise_for_status().json()["userTasks"]]
        return min(at for at in times if at >= int(published))

    async def _until(self, kind: str, since: int, seconds_max: float) -> Event:
        def come(event: Event) -> bool:
            return bool(event["type"] == kind)

        return await self._story.until(come, seconds_max, what=kind, since=since, unless=self._gone)

    def _write(self, number: int) -> None:
        r = self.rounds[-1]
        print(
            f"pause {number:3}: asked after {r.asked:6.0f} ms, nothing moves after "
            f"{r.still:6.0f} ms, told after"
            f" {r.told:6.0f} ms; moves again {r.again:6.0f} ms after the alert has gone "
            f"({r.in_flight} moved)",
            flush=True,
        )
        rows = [asdict(r) for r in self.rounds]
        write_atomically(self._folder / "rounds.json", json.dumps(rows, indent=2) + "\n")

    _gone: Callable[[], str | None]
    _producer: AIOKafkaProducer
    _http: httpx.AsyncClient


def totals(rounds: Sequence[Round], seconds: float, where: str) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}; `where`: the lab and the machine."""
    if not rounds:
        return []
    name = "a whole migration"
    rows = [
        _row(f"{name}: pauses and resumes", len(rounds), "rounds"),
        _row(f"{name}: from start to drained", round(seconds, 1), "s"),
    ]
    for words, took, p50_max, p99_max in (
        (
            "alert until Cruise Control is asked to stop",
            [r.asked for r in rounds],
            None,
            ASKED_P99_MS,
        ),
        (
            "alert until nothing moves in Kafka",
            [r.still for r in rounds],
            STILL_P50_MS,
            STILL_P99_MS,
        ),
        ("alert until the agent has proved it", [r.told for r in rounds], None, None),
        ("alert resolved until Kafka moves again", [r.again for r in rounds], None, AGAIN_P99_MS),
    ):
        cuts = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
        for part, value, most in (("p50", cuts[49], p50_max), ("p99", cuts[98], p99_max)):
            held = None if most is None else value <= most
            target = None if most is None else f"<= {most:g}"
            rows.append(_row(f"{name}: {words}: {part}", round(value, 1), "ms", target, held=held))
        rows.append(_row(f"{name}: {words}: longest", round(max(took), 1), "ms"))
    loads = [r.load for r in rounds]
    settings = f"{where}; load {min(loads):.1f} to {max(loads):.1f} meanwhile"
    rows.append(_row(f"{name}: settings", settings, "words"))
    return rows


def _row(
    figure: str, value: Any, unit: str, target: str | None = None, *, held: bool | None = None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


def measure(folder: Path, base_port: int, rounds: int, machine: str) -> list[dict[str, Any]]:
    """With a lab and an agent of its own. Out: the figures."""
    folder.mkdir(parents=True, exist_ok=True)
    # aiokafka warns about topics that the agent is about to create.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(
            Lab(LabConfig(directory=folder / "lab", base_port=base_port)).running(print)
        )
        agent = AgentProcess(lab, folder / "agent.log")
        stack.callback(agent.stop)
        agent.start()
        pauses = Pauses(lab, folder, rounds)
        asyncio.run(pauses.run(agent))
        kind = str(lab.config.cruise_control_kind)
    where = (
        f"{machine}; the whole lab on it: Cruise Control ({kind}) with its least progress "
        "check interval of"
        f" {CHECK_SECONDS:g} s, Kafka {lab.config.kafka_version}, {FILL_BYTES / 1e6:g} MB on "
        "the source at"
        f" {THROTTLE_BYTES_PER_SECOND / 1e3:g} kB/s; Kafka is looked at every "
        f"{POLL_SECONDS * 1_000:g} ms"
    )
    return totals(pauses.rounds, pauses.seconds, where)
