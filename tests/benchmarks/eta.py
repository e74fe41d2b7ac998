"""How long waves take against what was told before they began. `make bench-eta`.

Real moves in the lab: forth and back, of several sizes, throttled and not, with and without
producers. Writes build/bench/eta.json (figures and targets) and eta-moves.json (every move), after
each move. The bound is that of Kafka's own throttling test.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from agent.cancellation import end
from agent.client import ControlClient
from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.topics import TopicKind, default_topics
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.demo.story import Event, Story, seconds_between
from deploy.lab.workload.filling import FillSettings
from deploy.lab.workload.workload import Workload, WorkloadConfig

CLUSTER = "lab"
LOW, HIGH = 0.9, 2.0
MOVES_MIN = 10
MEGABYTE = 1_000_000
PAIR = (11, 31)
WAVE_SECONDS_MAX = 900.0
RECORD_BYTES = 10_000
SEND_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Move:
    """One move to make.

    `seconds`: what its throttle makes it last (None: no throttle); `written`: by producers, in
    parts of the throttle (or of 20 MB/s).
    """

    megabytes: int
    seconds: float | None
    written: float = 0.0


MOVES = (
    Move(100, 25.0),
    Move(100, None),
    Move(100, 40.0, written=0.2),
    Move(100, 60.0),
    Move(300, 20.0),
    Move(300, 45.0),
    Move(300, None),
    Move(300, 45.0, written=0.3),
    Move(300, None, written=0.3),
    Move(800, 30.0),
    Move(800, 60.0, written=0.2),
    Move(800, None),
)


@dataclass(frozen=True, slots=True)
class Took:
    """One move made.

    `told_seconds`: the first ETA; `while_moving`: real time left by the first one told on the way.
    """

    move: Move
    size_bytes: int
    rate_bytes_per_second: int | None
    planned_seconds: float
    told_high_seconds: float
    seconds: float
    while_moving: float | None
    reasoning: str
    load: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.planned_seconds


def figures(took: Sequence[Took], cruise_control: str) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}."""
    rows = [
        _row("Cruise Control", cruise_control, "kind"),
        _row("moves", len(took), "moves", f">= {MOVES_MIN}", held=len(took) >= MOVES_MIN),
    ]
    for number, t in enumerate(took, 1):
        rate = (
            f"{t.rate_bytes_per_second / MEGABYTE:.1f} MB/s"
            if t.rate_bytes_per_second
            else "no throttle"
        )
        written = ", producers write" if t.move.written else ""
        name = (
            f"move {number}: {t.size_bytes / MEGABYTE:.0f} MB, {rate}{written}: real time / "
            "first ETA"
        )
        rows.append(
            _row(
                name,
                round(t.ratio, 2),
                "ratio",
                f"{LOW:g} to {HIGH:g}",
                held=LOW <= t.ratio <= HIGH,
            )
        )
        if (ratio := t.while_moving) is not None:
            name = f"move {number}: real time left / first ETA told while moving"
            rows.append(
                _row(
                    name,
                    round(ratio, 2),
                    "ratio",
                    f"{LOW:g} to {HIGH:g}",
                    held=LOW <= ratio <= HIGH,
                )
            )
    if took:
        ratios = [t.ratio for t in took]
        rows += [
            _row(
                "least real time / first ETA",
                round(min(ratios), 2),
                "ratio",
                f">= {LOW:g}",
                held=min(ratios) >= LOW,
            ),
            _row(
                "most real time / first ETA",
                round(max(ratios), 2),
                "ratio",
                f"<= {HIGH:g}",
                held=max(ratios) <= HIGH,
            ),
            _row(
                "moves that ended within the interval told",
                sum(t.seconds <= t.told_high_seconds for t in took),
                "moves",
            ),
        ]
    return rows


def _row(
    figure: str, value: Any, unit: str, target: str | None = None, *, held: bool | None = None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


class Bench:
    """All moves on one lab; `took` grows move by move."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.took: list[Took] = []
        self._lab, self._folder = lab, folder
        self._description = lab.status()
        self._client = ControlClient(
            {"bootstrap_servers": str(self._description["control_bootstrap_servers"])}
        )
        self._story = Story(self._client, CLUSTER, folder / "eta-events.jsonl")
        self._topics = tuple(t for t in default_topics() if t.kind is TopicKind.PLAIN)[:12]

    async def run(self, agent: AgentProcess, moves: Sequence[Move]) -> None:
        """Each move starts where the one before has ended."""
        self._gone = lambda: (
            None if agent.is_running else f"the agent has ended: {agent.last_words()}"
        )
        await agent.ready(self._client)
        filled = 0
        source, destination = PAIR
        async with self._story.following():
            for move in moves:
                if move.megabytes > filled:
                    await asyncio.to_thread(self._fill, (move.megabytes - filled) * MEGABYTE)
                    filled = move.megabytes
                    await self._clear()
                await self._move(move, source, destination)
                source, destination = destination, source
                self._write()

    def _fill(self, fill_bytes: int) -> None:
        config = WorkloadConfig(topics=self._topics, fill_bytes=fill_bytes, fill=FillSettings())
        with Workload(self._description, self._folder / "clients", config) as workload:
            workload.create_topics()
            workload.fill()

    async def _clear(self) -> None:
        """Cruise Control has its windows, and nothing else stands in the way."""
        deadline = time.monotonic() + WAVE_SECONDS_MAX
        while True:
            made = await self._client.plan({"type": "plan", "cluster": CLUSTER})
            reasons = made["data"]["reasons"]
            if not reasons or {r["code"] for r in reasons} <= {"NOTHING_TO_MOVE"}:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the cluster is not ready: {made['summary']}")
            await asyncio.sleep(1.0)

    async def _move(self, move: Move, source: int, destination: int) -> None:
        size = await self._bytes_on(source, destination)
        rate = int(size / move.seconds) if move.seconds else None
        written = move.written * (rate or 20 * MEGABYTE)
        load = os.getloadavg()[0]
        async with self._written(written):
            if written:
                await asyncio.sleep(12.0)  # what producers add is measured before a start
            since = len(self._story.events)
            began = await self._start(source, destination, rate)
            verified = await self._until("WaveVerified", since)
            await self._until("MigrationDrained", since)
        wave = began["data"]["plan"]["waves"][0]
        told = wave["estimate"]
        self.took.append(
            Took(
                move=move,
                size_bytes=wave["size_bytes"],
                rate_bytes_per_second=rate,
                planned_seconds=told["low_seconds"],
                told_high_seconds=told["high_seconds"],
                seconds=verified["data"]["seconds"],
                while_moving=self._on_the_way(since, verified),
                reasoning=told["reasoning"],
                load=load,
            )
        )
        t = self.took[-1]
        print(
            f"{len(self.took):2} {t.size_bytes / MEGABYTE:5.0f} MB at "
            f"{(rate or 0) / MEGABYTE:5.1f} MB/s"
            f" +{written / MEGABYTE:.1f}: {t.seconds:6.1f} s,"
            f" told {t.planned_seconds:6.1f} to {t.told_high_seconds:6.1f} s,"
            f" ratio {t.ratio:.2f}, on the way {t.while_moving or 0:.2f} (load {load:.0f}; "
            f"{t.reasoning})",
            flush=True,
        )

    def _on_the_way(self, since: int, verified: Event) -> float | None:
        """Real time still to go by the first ETA that was told while it moved."""
        first = next(
            (
                e
                for e in self._story.events[since:]
                if e["type"] == "WaveProgressed" and e["data"]["eta_seconds"]
            ),
            None,
        )
        if first is None:
            return None
        return seconds_between(first, verified) / float(first["data"]["eta_seconds"])

    async def _bytes_on(self, source: int, destination: int) -> int:
        """By the agent's own plan."""
        await self._clear()
        options = {
            "mode": "brokers",
            "source_broker_ids": [source],
            "destination_broker_ids": [destination],
        }
        made = await self._client.plan({"type": "plan", "cluster": CLUSTER, "options": options})
        return int(made["data"]["plan"]["size_bytes"])

    async def _start(self, source: int, destination: int, rate: int | None) -> Event:
        options = {
            "mode": "brokers",
            "source_broker_ids": [source],
            "destination_broker_ids": [destination],
            "throttle_bytes_per_second": rate,
        }
        deadline = time.monotonic() + WAVE_SECONDS_MAX
        while True:
            since = len(self._story.events)
            answer = await self._client.send_command(
                {"type": "start", "cluster": CLUSTER, "options": options}
            )
            if answer["type"] == "CommandAccepted":
                return await self._until("MigrationStarted", since)
            if time.monotonic() > deadline:
                raise RuntimeError(f"refused: {answer['summary']}")
            await asyncio.sleep(2.0)

    async def _until(self, kind: str, since: int) -> Event:
        def come(event: Event) -> bool:
            return bool(event["type"] == kind)

        return await self._story.until(
            come, WAVE_SECONDS_MAX, what=kind, since=since, unless=self._gone
        )

    @contextlib.asynccontextmanager
    async def _written(self, bytes_per_second: float) -> AsyncIterator[None]:
        """Producers write to every topic meanwhile; a share of it goes to what moves."""
        if not bytes_per_second:
            yield
            return
        task = asyncio.create_task(self._produce(bytes_per_second))
        try:
            yield
        finally:
            await end(task)

    async def _produce(self, bytes_per_second: float) -> None:
        servers = str(self._description["bootstrap_servers"])
        record = os.urandom(RECORD_BYTES)
        per_turn = bytes_per_second * SEND_SECONDS / RECORD_BYTES
        sent = due = 0.0
        async with AIOKafkaProducer(
            bootstrap_servers=servers, linger_ms=20, max_batch_size=200_000
        ) as producer:
            while True:
                due += per_turn
                while sent < due:
                    await producer.send(self._topics[int(sent) % len(self._topics)].name, record)
                    sent += 1
                await asyncio.sleep(SEND_SECONDS)

    def _write(self) -> None:
        rows = figures(self.took, str(self._lab.config.cruise_control_kind))
        write_atomically(self._folder / "eta.json", json.dumps(rows, indent=2) + "\n")
        write_atomically(
            self._folder / "eta-moves.json",
            json.dumps([asdict(t) for t in self.took], indent=2) + "\n",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=len(MOVES), help="only the first so many")
    parser.add_argument("--base-port", type=int, default=29600)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args(arguments)
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # aiokafka warns about topics that the agent is about to create.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with Lab(LabConfig(directory=folder / "eta-lab", base_port=given.base_port)).running(
        print
    ) as lab:
        agent = AgentProcess(lab, folder / "eta-agent.log")
        agent.start()
        try:
            asyncio.run(Bench(lab, folder).run(agent, MOVES[: given.moves]))
        finally:
            agent.stop()
    rows = json.loads((folder / "eta.json").read_text(encoding="utf-8"))
    for r in rows:
        print(
            f"{r['figure']:90} {r['value']!s:>10} {r['unit']:8} {r['target'] or '':12} {r['held']}"
        )
    return 0 if all(r["held"] is not False for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
