"""How fast a broker is emptied: this agent, Kafka's tool, Cruise Control by hand, the article.

`make bench-move`.

Writes build/bench/move.json (figures and targets) and move-rounds.json (every move), after each
move. With --keep, what several sittings have measured stands together: other sizes, more rounds,
the other Cruise Control.
"""

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from agent.client import ControlClient
from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.topics import TopicKind, default_topics
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.demo.story import Event, Story
from deploy.lab.workload.workload import Workload, WorkloadConfig
from tests.benchmarks.figures import Measured, figures, numbered
from tests.benchmarks.ways import ARTICLE, DESTINATION, SOURCE, Assignment, Cluster

CLUSTER = "lab"
COMMANDS = "kafka-migration.commands"
GIGABYTE = 1_000_000_000
ARTICLE_RATE = int(ARTICLE["replication_throttle"])
WAVE_SECONDS_MAX = 3600.0
ROUNDS = "move-rounds.json"
WAYS = {
    "a": "kafka",
    "b": "cruise control by hand",
    "c": "agent",
    "d": "article",
    "e": "agent, article's rate",
    "f": "agent, throttle binds",
}


class Bench:
    """All rounds on one lab. `measured` grows move by move."""

    def __init__(self, lab: Lab, folder: Path, given: argparse.Namespace) -> None:
        self.measured: list[Measured] = []
        self._before = _kept(folder) if given.keep else []
        self._lab, self._folder, self._given = lab, folder, given
        description = lab.status()
        self._description = description
        self._control = str(description["control_bootstrap_servers"])
        self._client = ControlClient({"bootstrap_servers": self._control})
        self._story = Story(self._client, CLUSTER, folder / "events.jsonl")

    async def run(self, agent: AgentProcess) -> None:
        """Every size, every round, every way by turns."""
        await agent.ready(self._client)
        cluster = Cluster(self._description, self._folder)
        self._gone = lambda: (
            None if agent.is_running else f"the agent has ended: {agent.last_words()}"
        )
        filled = 0
        producer = AIOKafkaProducer(bootstrap_servers=self._control, acks="all")
        async with producer as self._producer, self._story.following():
            for gigabytes in sorted(self._given.sizes):
                await asyncio.to_thread(self._fill, int(gigabytes * GIGABYTE) - filled)
                filled = int(gigabytes * GIGABYTE)
                await cluster.until_next(time.monotonic())
                home = await cluster.assignment()
                for number in range(1, self._given.rounds + 1):
                    for letter in self._given.ways:
                        await self._measure(cluster, home, letter, gigabytes, number)
        await cluster.close()

    def _fill(self, fill_bytes: int) -> None:
        plain = tuple(t for t in default_topics() if t.kind is TopicKind.PLAIN)[
            : self._given.topics
        ]
        config = WorkloadConfig(topics=plain, fill_bytes=fill_bytes)
        with Workload(self._description, self._folder / "clients", config) as workload:
            workload.create_topics()
            workload.fill()

    async def _measure(
        self, cluster: Cluster, home: Assignment, letter: str, gigabytes: float, number: int
    ) -> None:
        moved_bytes = await cluster.bytes_on_source()
        bound = max(int(moved_bytes / self._given.bound_seconds), 1_000_000)
        rate = {"d": ARTICLE_RATE, "e": ARTICLE_RATE, "f": bound}.get(letter)
        load, began, since = os.getloadavg()[0], time.monotonic(), len(self._story.events)
        if letter in "cef":
            await self._order("start", rate)
            empty = await cluster.until_empty(began, lambda: self._refused(since))
            await self._verified(since)
        else:
            if letter == "a":
                await cluster.by_kafka()
            else:
                began = await cluster.by_cruise_control(ARTICLE if letter == "d" else {})
            empty = await cluster.until_empty(began)
        following = await cluster.until_next(began)
        kind = str(self._description["cruise_control"])
        self.measured.append(
            Measured(gigabytes, number, WAYS[letter], moved_bytes, empty, following, rate, kind)
        )
        print(
            f"{gigabytes:g} GB round {number} {WAYS[letter]:24} empty {empty:7.1f} s, next "
            f"wave {following:7.1f} s"
            f" (load {load:.0f})",
            flush=True,
        )
        self._write()
        if letter in "cef":
            await self._roll_back()
        await cluster.put_back(home)

    async def _order(self, kind: str, rate: int | None = None) -> None:
        """Publish with a producer that is connected already: the clock shall not run for that."""
        body: dict[str, Any] = {
            "type": kind,
            "cluster": CLUSTER,
            "issued_by": "bench",
            "command_id": uuid.uuid4().hex,
        }
        if kind == "start":
            body["options"] = {
                "mode": "brokers",
                "source_broker_ids": [SOURCE],
                "destination_broker_ids": [DESTINATION],
                "throttle_bytes_per_second": rate,
            }
        await self._producer.send_and_wait(COMMANDS, json.dumps(body).encode(), CLUSTER.encode())

    def _refused(self, since: int) -> str | None:
        bad = ("CommandRefused", "MigrationBlocked")
        return self._gone() or next(
            (str(e["summary"]) for e in self._story.events[since:] if e["type"] in bad), None
        )

    async def _verified(self, since: int) -> None:
        await self._await("WaveVerified", since)
        first = self._story.events[since]["time"] if len(self._story.events) > since else ""
        told = [
            f"{e['type']} {e['time'][14:22]}"
            for e in self._story.events[since:]
            if e["type"] != "WaveProgressed"
        ]
        print(f"      since {first}: {', '.join(told)}", flush=True)

    async def _roll_back(self) -> None:
        """A drained migration sweeps what comes to its source: only a rolled back one leaves it
        alone.
        """
        await self._await(
            "MigrationDrained", 0 if not self._story.events else self._last("MigrationStarted")
        )
        since = len(self._story.events)
        await self._order("rollback")
        await self._await("RollbackCompleted", since)

    async def _await(self, kind: str, since: int) -> Event:
        def come(event: Event) -> bool:
            return bool(event["type"] == kind)

        return await self._story.until(
            come, WAVE_SECONDS_MAX, what=kind, since=since, unless=self._gone
        )

    def _last(self, kind: str) -> int:
        return max(n for n, e in enumerate(self._story.events) if e["type"] == kind)

    def _write(self) -> None:
        every = numbered(self.measured, self._before)
        write_atomically(self._folder / "move.json", json.dumps(figures(every), indent=2) + "\n")
        rounds = [dataclasses.asdict(m) for m in every]
        write_atomically(self._folder / ROUNDS, json.dumps(rounds, indent=2) + "\n")

    _gone: Callable[[], str | None]
    _producer: AIOKafkaProducer


def _kept(folder: Path) -> list[Measured]:
    """Every move of earlier sittings."""
    file = folder / ROUNDS
    rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return [Measured(**row) for row in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--sizes", type=float, nargs="+", default=[0.25, 1.0, 4.0], help="GB on the source broker"
    )
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help=f"{WAYS}")
    parser.add_argument(
        "--keep", action="store_true", help="add to what earlier sittings have measured"
    )
    parser.add_argument(
        "--topics", type=int, default=20, help="how many of the demo's plain topics"
    )
    parser.add_argument(
        "--bound-seconds",
        type=float,
        default=60.0,
        help="what a binding throttle makes a move last",
    )
    parser.add_argument("--base-port", type=int, default=29700)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args(arguments)
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # aiokafka warns about topics that the agent is about to create.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with Lab(LabConfig(directory=folder / "lab", base_port=given.base_port)).running(print) as lab:
        agent = AgentProcess(lab, folder / "agent.log")
        agent.start()
        try:
            asyncio.run(Bench(lab, folder, given).run(agent))
        finally:
            agent.stop()
    rows = json.loads((folder / "move.json").read_text(encoding="utf-8"))
    for row in rows:
        print(
            f"{row['figure']:60} {row['value']} {row['unit']:8} {row['target'] or '':10} "
            f"{row['held']}"
        )
    return 0 if all(row["held"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
