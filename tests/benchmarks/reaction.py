"""How fast an alert acts: from its append to the broker until Cruise Control is told to stop, or
Kafka to throttle.

`make bench-reaction` writes build/bench/reaction.json. One worker drives twelve moving clusters; a
recorder stands for their Cruise Controls. Targets: p50 20 ms, p99 100 ms; with a burst of samples
right in front of the alert p99 1 s. Then a whole migration in the lab, with a hundred pauses, until
nothing moves (pauses.py): `--events 0` makes only that.
"""

import argparse
import asyncio
import json
import random
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from aiokafka import AIOKafkaProducer

from agent.main import COMMIT_SECONDS
from deploy.lab.cluster.files import write_atomically
from tests.benchmarks import pauses
from tests.benchmarks.control_stage import Stage, machine
from tests.benchmarks.recorder import Recorder
from tests.benchmarks.samples import BATCH, batch

APP = "bench-reaction"
CLUSTERS = [f"c{n:02d}" for n in range(12)]
ASKED_RATE = 100_000_000
STEADY_SAMPLES_PER_SECOND = 10_000
BURST_SAMPLES = STEADY_SAMPLES_PER_SECOND * 10
MOVING_SECONDS_MAX = 60.0
REACTION_SECONDS_MAX = 60.0
P50_MS, P99_MS, BURST_P99_MS = 20.0, 100.0, 1_000.0
# How often others look at all, in seconds: their documented defaults.
PEERS = {
    "Cruise Control, concurrency adjuster (concurrency.adjuster.interval.ms)": 360.0,
    "Cruise Control, (At/Under)MinISR check of its adjuster": 72.0,
    "kafka-kit autothrottle (-interval)": 180.0,
}


class Bench:
    """One run: pauses, then slows, then pauses behind bursts."""

    def __init__(self, stage: Stage, recorder: Recorder, metrics: str, commands: str) -> None:
        self._stage, self._recorder = stage, recorder
        self._metrics, self._commands = metrics, commands
        self._rng = random.Random(1)
        self._number = 0
        self.burst_milliseconds: list[float] = []  # what it took to append each burst

    async def run(self, events: int, slow_events: int, bursts: int) -> dict[str, list[float]]:
        """Milliseconds of each event, by kind."""
        kafka = AIOKafkaProducer(
            bootstrap_servers=self._stage.bootstrap_servers,
            acks="all",
            max_request_size=900_000,
            max_batch_size=900_000,  # so that a burst is appended as fast as the broker takes it
        )
        async with kafka as self._producer:
            for cluster in CLUSTERS:
                await self._start(cluster)
            pauses = await self._share(events, self._pause)
            print(f"{len(pauses)} pauses", flush=True)
            slows = await self._share(slow_events, self._slow)
            print(f"{len(slows)} slows", flush=True)
            behind = [
                await self._behind_a_burst(CLUSTERS[n % len(CLUSTERS)]) for n in range(bursts)
            ]
            print(f"{len(behind)} behind bursts", flush=True)
        return {"pause": pauses, "slow": slows, "burst": behind, "append": self.burst_milliseconds}

    async def _share(self, events: int, one: Any) -> list[float]:
        """All clusters side by side, each its share."""

        async def many(cluster: str, times: int) -> list[float]:
            return [await one(cluster) for _ in range(times)]

        shares = [
            events // len(CLUSTERS) + (n < events % len(CLUSTERS)) for n in range(len(CLUSTERS))
        ]
        found = await asyncio.gather(*(many(c, n) for c, n in zip(CLUSTERS, shares, strict=True)))
        return [ms for several in found for ms in several]

    async def _start(self, cluster: str) -> None:
        body = {
            "type": "start",
            "command_id": uuid.uuid4().hex,
            "cluster": cluster,
            "options": {"mode": "full", "throttle_bytes_per_second": ASKED_RATE},
        }
        await self._producer.send_and_wait(
            self._commands, json.dumps(body).encode(), cluster.encode()
        )

    async def _moving(self, cluster: str) -> None:
        told = self._recorder.told[cluster]
        async with asyncio.timeout(MOVING_SECONDS_MAX):
            await told.started.wait()
        # Its phase is MOVING now. A random wait keeps it out of step with the watches.
        await asyncio.sleep(self._rng.uniform(0.3, 0.8))

    async def _alert(self, cluster: str, name: str, state: str, action: str) -> float:
        """Publish; when the broker appended it, by its own clock."""
        body = {
            "type": "alert",
            "cluster": cluster,
            "name": name,
            "state": state,
            "action": action,
            "summary": "bench",
            "time": datetime.now(UTC).isoformat(),
        }
        told = await self._producer.send_and_wait(
            self._metrics, json.dumps(body).encode(), cluster.encode()
        )
        return float(told.timestamp) / 1_000

    def _name(self) -> str:
        self._number += 1
        return f"bench-{self._number}"

    async def _pause(self, cluster: str, burst: Any = None) -> float:
        """An alert that pauses, until the stop; then it clears, and the wave is asked for again."""
        if burst is None:
            await self._moving(cluster)
        told, name = self._recorder.told[cluster], self._name()
        told.stopped.clear()
        told.started.clear()
        appended = await self._alert(cluster, name, "firing", "pause")
        if burst is not None:
            self.burst_milliseconds.append(appended * 1_000 - (await burst).timestamp)
        async with asyncio.timeout(REACTION_SECONDS_MAX):
            await told.stopped.wait()
        took = (told.at - appended) * 1_000
        await self._alert(cluster, name, "resolved", "pause")
        return took

    async def _slow(self, cluster: str) -> float:
        """An alert that slows, until Kafka is given the floor."""
        await self._moving(cluster)
        told, name = self._recorder.told[cluster], self._name()
        told.throttled.clear()
        appended = await self._alert(cluster, name, "firing", "slow")
        async with asyncio.timeout(REACTION_SECONDS_MAX):
            await told.throttled.wait()
        took = (told.at - appended) * 1_000
        assert told.rate < ASKED_RATE, told.rate
        told.throttled.clear()
        await self._alert(cluster, name, "resolved", "slow")
        async with asyncio.timeout(REACTION_SECONDS_MAX):
            await told.throttled.wait()
        return took

    async def _behind_a_burst(self, cluster: str) -> float:
        """A second's samples at ten times the steady rate, all on the alert's own partition,
        right in front of it.
        """
        now = time.time()
        bodies = [batch(cluster, 1_000 + 20 * n, now) for n in range(50)]
        await self._moving(cluster)
        first = await self._producer.send(self._metrics, bodies[0], cluster.encode())
        for n in range(1, BURST_SAMPLES // BATCH):
            await self._producer.send(self._metrics, bodies[n % len(bodies)], cluster.encode())
        took = await self._pause(cluster, first)
        await asyncio.sleep(2.0)
        return took


def figures(took: dict[str, list[float]], where: str, dropped: float) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}."""
    rows: list[dict[str, Any]] = []
    targets = {
        "pause": (P50_MS, P99_MS),
        "slow": (P50_MS, P99_MS),
        "burst": (None, BURST_P99_MS),
        "append": (None, None),
    }
    words = {
        "pause": "alert appended until Cruise Control receives the stop",
        "slow": "alert appended until Kafka receives the lower throttle",
        "burst": f"alert right behind {BURST_SAMPLES:,} samples, until the stop",
        "append": f"beside it: {BURST_SAMPLES:,} samples and the alert, first to last append",
    }
    for kind, milliseconds in took.items():
        if not milliseconds:
            continue
        cuts = quantiles(milliseconds, n=100, method="inclusive")
        rows.append(_row(f"{words[kind]}: events", len(milliseconds), "events"))
        for name, value, most in (
            ("p50", cuts[49], targets[kind][0]),
            ("p99", cuts[98], targets[kind][1]),
        ):
            target = None if most is None else f"<= {most:g}"
            held = None if most is None else value <= most
            rows.append(_row(f"{words[kind]}: {name}", round(value, 1), "ms", target, held))
        rows.append(_row(f"{words[kind]}: longest", round(max(milliseconds), 1), "ms"))
    for peer, seconds in PEERS.items():
        rows.append(_row(f"beside it: {peer}", seconds * 1_000, "ms"))
    settings = (
        f"{where}; one worker, {len(CLUSTERS)} moving clusters, Kafka 3.9.1 of one broker, "
        f"acks=all, linger 0, commit every {COMMIT_SECONDS:g} s, uvloop, Faust's loggers at "
        "WARNING; append times are the broker's (LogAppendTime)"
    )
    rows.append(_row("settings", settings, "words"))
    rows.append(_row("messages of samples superseded unread", dropped, "messages"))
    return rows


def _row(
    figure: str, value: Any, unit: str, target: str | None = None, held: bool | None = None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


async def measure(stage: Stage, given: argparse.Namespace) -> dict[str, list[float]]:
    """With a worker running."""
    recorder = Recorder(CLUSTERS)
    await recorder.start(stage.recorder_port)
    try:
        bench = Bench(stage, recorder, stage.names.metrics, stage.names.commands)
        return await bench.run(given.events, given.slow_events, given.bursts)
    finally:
        await recorder.close()


def main() -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--slow-events", type=int, default=200)
    parser.add_argument("--bursts", type=int, default=30)
    parser.add_argument(
        "--pauses",
        type=int,
        default=100,
        help="in a whole migration in the lab: 12 s each; 0: none",
    )
    parser.add_argument(
        "--base-port", type=int, default=29800, help="two labs: its hundred ports and the next"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    folder = given.folder.absolute()
    rows = before_still_clusters(folder, given) if given.events else []
    if given.pauses:
        rows += pauses.measure(
            folder / "reaction-pauses", given.base_port + 100, given.pauses, machine()
        )
    write_atomically(folder / "reaction.json", json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['figure']:80} {row['value']!s:>12} {row['unit']:8} "
            f"{row['target'] or '':10} {row['held']}"
        )
    return 0 if all(row["held"] is not False for row in rows) else 1


def before_still_clusters(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """The figures of alerts before still clusters."""
    stage, where = Stage(folder / "reaction", given.base_port, CLUSTERS), machine()
    stage.write_clusters()
    with stage.lab.running(print):
        stage.ensure_topics(
            {
                "message.timestamp.type": "LogAppendTime",
                "retention.bytes": "200000000",
                "segment.bytes": "50000000",
            },
        )
        with stage.worker(APP) as worker:
            stage.await_ready(worker)
            took = asyncio.run(measure(stage, given))
            dropped = stage.counter("kafka_migration_samples_dropped")
    return figures(took, where, dropped)


if __name__ == "__main__":
    raise SystemExit(main())
