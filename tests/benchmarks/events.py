"""How many samples a second one worker parses, judges and saves, against a consumer that only
parses, in one run.

`make bench-events` writes build/bench/events.json. A round: the worker, which owns its clusters, is
stopped (SIGSTOP) while a topic is filled and a plain consumer reads it; then it goes on, and has
all of it before it. What it judges leads to changed verdicts, which are saved. Targets: 100,000
samples a second, and half of the plain consumer.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agent import wire
from deploy.lab.cluster.files import write_atomically
from tests.benchmarks.control_stage import PARTITIONS, Stage, machine
from tests.benchmarks.recorder import Recorder
from tests.benchmarks.samples import BATCH, batch

CLUSTERS = [f"c{n:02d}" for n in range(12)]
# All of it fits into the worker's queue (metric_evaluation.py), so that nothing is dropped: every
# sample is judged.
MESSAGES = 1_500
CHANGES_EVERY = 50  # so many messages of a cluster, and its latency rule says another thing
BROKER_GROUPS = 5
# Between the timestamps of two scrapes of a cluster; a later round has later ones.
SCRAPE_SECONDS = 0.01
SAMPLES_PER_SECOND, SHARE = 100_000, 0.5
STOPPED_SECONDS_MAX = 8.0  # a longer stop, and the worker loses its session
ROUND_SECONDS_MAX = 60.0
REST_SECONDS = 3.0  # for what is judged to be saved, and Faust's commits
LOOK_SECONDS = 0.1  # each look costs the worker some milliseconds


async def fill(stage: Stage) -> int:
    """Scrapes of all clusters by turns, times in order. Returns the bytes."""
    began, total = time.time(), 0
    async with AIOKafkaProducer(
        bootstrap_servers=stage.bootstrap_servers, max_request_size=900_000
    ) as producer:
        for n in range(MESSAGES):
            cluster, scrape = CLUSTERS[n % len(CLUSTERS)], n // len(CLUSTERS)
            bad = scrape // (CHANGES_EVERY // BROKER_GROUPS) % 2 == 1
            first = 100 + BATCH * (scrape % BROKER_GROUPS)
            body = batch(cluster, first, began + scrape * SCRAPE_SECONDS, 900.0 if bad else 50.0)
            total += len(body)
            await producer.send(stage.names.metrics, body, cluster.encode())
    return total


class Plain:
    """An aiokafka consumer that does the same parse, and nothing else."""

    def __init__(self, stage: Stage) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=stage.bootstrap_servers)
        self._places = [TopicPartition(stage.names.metrics, n) for n in range(PARTITIONS)]

    async def start(self) -> None:
        """Stand at the end."""
        await self._consumer.start()
        self._consumer.assign(self._places)
        await self._consumer.seek_to_end(*self._places)
        for place in self._places:
            await self._consumer.position(place)

    async def read(self) -> float:
        """Samples per second, from the first look to the last sample of a fill."""
        seen, began = 0, time.perf_counter()
        while seen < MESSAGES * BATCH:
            for messages in (await self._consumer.getmany(timeout_ms=1_000)).values():
                for message in messages:
                    metric = wire.read_metric(message.value)
                    assert metric.type == "samples"
                    seen += len(metric.samples)
        return seen / (time.perf_counter() - began)

    async def stop(self) -> None:
        await self._consumer.stop()


def judged(stage: Stage) -> float:
    """How many samples the worker has judged since it began."""
    return stage.counter("kafka_migration_samples")


def go_on(stage: Stage, pid: int, everything: float) -> float:
    """Wake the worker; samples per second from that moment until all are judged. Blocking."""
    began = time.perf_counter()
    os.kill(pid, signal.SIGCONT)
    while time.perf_counter() < began + ROUND_SECONDS_MAX:
        if judged(stage) >= everything:
            return MESSAGES * BATCH / (time.perf_counter() - began)
        time.sleep(LOOK_SECONDS)
    says = (
        f"of {everything:,.0f} samples {judged(stage):,.0f} were judged in "
        f"{ROUND_SECONDS_MAX:.0f} s"
    )
    raise RuntimeError(says)


def figures(
    plains: list[float], workers: list[float], counted: dict[str, float], where: str
) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}."""
    by_worker, by_plain = median(workers), median(plains)
    share = by_worker / by_plain
    held = by_worker >= SAMPLES_PER_SECOND
    rows = [
        _row(
            "worker, parsed, judged and saved",
            round(by_worker),
            "samples/s",
            f">= {SAMPLES_PER_SECOND:,}",
            held,
        ),
        _row("plain aiokafka consumer, the same parse", round(by_plain), "samples/s"),
        _row("worker / plain consumer", round(share, 2), "ratio", f">= {SHARE:g}", share >= SHARE),
        _row("rounds, by turns", len(workers), "rounds"),
        _row("worker, each round", ", ".join(f"{w:,.0f}" for w in workers), "samples/s"),
        _row("plain consumer, each round", ", ".join(f"{p:,.0f}" for p in plains), "samples/s"),
    ]
    rows += [_row(f"all rounds: {name}", int(value), "count") for name, value in counted.items()]
    size = f"{MESSAGES * BATCH:,} samples in batches of {BATCH}"
    words = (
        f"{where}; {size}, {len(CLUSTERS)} clusters, {PARTITIONS} partitions, six rules "
        "over ten metrics"
    )
    rows.append(_row("settings", words, "words"))
    return rows


def _row(
    figure: str, value: Any, unit: str, target: str | None = None, held: bool | None = None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


async def measure(stage: Stage, rounds: int, where: str) -> list[dict[str, Any]]:
    """Plain and worker by turns, over the same samples."""
    plains: list[float] = []
    workers: list[float] = []
    plain, recorder = Plain(stage), Recorder(CLUSTERS)
    await recorder.start(stage.recorder_port)
    await plain.start()
    try:
        with stage.worker("bench-events") as process:
            await asyncio.to_thread(stage.await_ready, process)
            await asyncio.sleep(REST_SECONDS)
            for n in range(rounds):
                before = await asyncio.to_thread(judged, stage)
                assert process.pid is not None, process.last_words(20)
                stopped = time.perf_counter()
                os.kill(process.pid, signal.SIGSTOP)
                filled = await fill(stage)
                plains.append(await plain.read())
                if (lasted := time.perf_counter() - stopped) > STOPPED_SECONDS_MAX:
                    os.kill(process.pid, signal.SIGCONT)
                    raise RuntimeError(
                        f"filled and read in {lasted:.0f} s: too slow a machine to keep a "
                        "worker waiting"
                    )
                workers.append(
                    await asyncio.to_thread(go_on, stage, process.pid, before + MESSAGES * BATCH)
                )
                print(
                    f"round {n + 1}: {filled / 1e6:.0f} MB, plain {plains[-1]:,.0f}, worker "
                    f"{workers[-1]:,.0f}/s"
                )
                await asyncio.sleep(REST_SECONDS)
            names = ("samples", "samples_late", "samples_dropped", "events")
            counted = {n: stage.counter(f"kafka_migration_{n}") for n in names}
    finally:
        await plain.stop()
        await recorder.close()
    return figures(plains, workers, counted, where)


def main() -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--base-port", type=int, default=29800)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    given = parser.parse_args()
    folder = given.folder.absolute()
    stage, where = Stage(folder / "events", given.base_port, CLUSTERS), machine()
    stage.write_clusters()
    with stage.lab.running(print):
        stage.ensure_topics({"retention.ms": "-1"})
        rows = asyncio.run(measure(stage, given.rounds, where))
    write_atomically(folder / "events.json", json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['figure']:42} {row['value']!s:>12} {row['unit']:10} "
            f"{row['target'] or '':10} {row['held']}"
        )
    return 0 if all(row["held"] is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
