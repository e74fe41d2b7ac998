"""How soon an agent acts again after kill -9, while a wave moves: itself, and a second worker.

`make bench-recovery`.

Writes build/bench/recovery.json. The clock runs from the kill to the first event of the new life.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.topics import TopicKind, default_topics
from deploy.lab.workload.workload import Workload, WorkloadConfig
from tests.chaos.stage import CLUSTER, Stage, Worker

SAME_SECONDS_MAX, SECOND_SECONDS_MAX = 5.0, 15.0
SOURCE, DESTINATION = 11, 31
# One wave that outlasts every kill.
FILL_BYTES = 600_000_000
THROTTLE_BYTES_PER_SECOND = 1_000_000
WAIT_SECONDS_MAX = 120.0
REST_SECONDS = 6.0  # between kills: several times the worker's commit interval
DISTURBED = ("MigrationPaused", "WaveFellShort", "MigrationBlocked", "StopRequested")


class Recovery:
    """All kills in one wave."""

    def __init__(self, stage: Stage, rounds: int) -> None:
        self._stage, self._rounds = stage, rounds
        self.same: list[float] = []
        self.second: list[float] = []

    async def run(self) -> dict[str, Any]:
        """Kill and measure. Out: what the wave showed of it."""
        stage = self._stage
        async with stage.story.following():
            await self._ready(stage.worker, drives=True)
            await self._started()
            await self._until(
                lambda e: e["type"] == "WaveProgressed" and e["data"]["moving"] > 0, 0
            )
            for _ in range(self._rounds):
                await asyncio.sleep(REST_SECONDS)
                self.same.append(await self._kill(stage.worker, start_again=True))
                print(f"same worker: {self.same[-1]:.2f} s", flush=True)
            for number in range(self._rounds):
                standby = Worker(stage.lab, stage.folder / "agent.log", f"agent-{number + 2}")
                standby.start()
                await self._ready(standby)
                await asyncio.sleep(REST_SECONDS)
                old, stage.worker = stage.worker, standby
                self.second.append(await self._kill(old, start_again=False))
                print(f"second worker: {self.second[-1]:.2f} s", flush=True)
            return await self._undisturbed()

    async def _started(self) -> None:
        """A real Cruise Control may want metric windows first."""
        options = {
            "mode": "brokers",
            "source_broker_ids": [SOURCE],
            "destination_broker_ids": [DESTINATION],
            "throttle_bytes_per_second": THROTTLE_BYTES_PER_SECOND,
        }
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (answer := await self._stage.order("start", options=options))[
            "type"
        ] != "CommandAccepted":
            if time.monotonic() > deadline:
                raise TimeoutError(f"it does not start: {answer['summary']}")
            await asyncio.sleep(REST_SECONDS)

    async def _kill(self, worker: Worker, *, start_again: bool) -> float:
        killed_at = time.time()
        worker.kill()
        if start_again:
            worker.start()

        def is_new(event: dict[str, Any]) -> bool:
            return datetime.fromisoformat(event["time"]).timestamp() > killed_at

        event = await self._until(is_new, len(self._stage.story.events))
        return datetime.fromisoformat(event["time"]).timestamp() - killed_at

    async def _until(self, wanted: Any, since: int) -> dict[str, Any]:
        event = await self._stage.until(wanted, WAIT_SECONDS_MAX, max(since - 3, 0))
        if event is None:
            raise TimeoutError(
                f"nothing was told for {WAIT_SECONDS_MAX:.0f} s; {self._stage.story.last_words()}"
            )
        return event

    async def _ready(self, worker: Worker, *, drives: bool = False) -> None:
        """Return when it is; `drives`: when the cluster is its own."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
            while time.monotonic() < deadline:
                try:
                    answer = await http.get(worker.ready_url)
                except httpx.HTTPError:
                    pass
                else:
                    if answer.is_success and (not drives or CLUSTER in answer.json()["drives"]):
                        return
                await asyncio.sleep(0.2)
        raise TimeoutError("the worker does not become ready")

    async def _undisturbed(self) -> dict[str, Any]:
        """What ran before the first kill runs on: one execution, never stopped, its moves still
        in flight.
        """
        told = self._stage.story
        last = told.of("WaveProgressed")[-1]["data"]
        return {
            "executions": len(told.of("ExecutionStarted")),
            "disturbances": len(told.of(*DISTURBED)),
            "moving at the end": last["moving"],
        }


def figures(
    same: Sequence[float], second: Sequence[float], wave: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}: the slowest kill counts."""
    rows: list[dict[str, Any]] = []
    for name, seconds, most in (
        ("same worker acts again", same, SAME_SECONDS_MAX),
        ("second worker takes over", second, SECOND_SECONDS_MAX),
    ):
        slowest = max(seconds)
        rows += [
            _row(f"{name}, kills", len(seconds), "kills", None, None),
            _row(f"{name}, median", round(median(seconds), 2), "s", None, None),
            _row(f"{name}, slowest", round(slowest, 2), "s", f"<= {most:g}", slowest <= most),
        ]
    once, calm = (
        wave["executions"] == 1,
        wave["disturbances"] == 0 and wave["moving at the end"] > 0,
    )
    rows.append(
        _row("executions asked for, all kills", wave["executions"], "executions", "1", once)
    )
    rows.append(
        _row(
            "stops, pauses, new attempts",
            wave["disturbances"],
            "events",
            "0, and still moving",
            calm,
        )
    )
    return rows


def _row(
    figure: str, value: Any, unit: str, target: str | None, held: bool | None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base-port", type=int, default=29600)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args(arguments)
    # aiokafka warns about topics that the agent is about to create.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with Lab(LabConfig(directory=folder / "lab", base_port=given.base_port)).running(print) as lab:
        plain = tuple(t for t in default_topics() if t.kind is TopicKind.PLAIN)
        config = WorkloadConfig(topics=plain, fill_bytes=FILL_BYTES)
        with Workload(lab.status(), folder / "clients", config) as workload:
            workload.create_topics()
            workload.fill()
        stage = Stage(lab, folder)
        stage.worker.start()
        recovery = Recovery(stage, given.rounds)
        try:
            wave = asyncio.run(recovery.run())
        finally:
            stage.worker.stop()
    rows = figures(recovery.same, recovery.second, wave)
    write_atomically(folder / "recovery.json", json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['figure']:40} {row['value']} {row['unit']:10} {row['target'] or '':20} "
            f"{row['held']}"
        )
    return 0 if all(row["held"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
