"""How many samples a second one worker parses, judges and saves, against a consumer that only parses, in one run.

`make bench-events` writes build/bench/events.json. Both read the same filled topic by turns; what the worker judges
leads to changed verdicts, which are saved. Targets: 100,000 samples a second, and half of the plain consumer.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from agent import translate
from deploy.lab.files import write_atomically
from tests.benchmarks.control_stage import PARTITIONS, Stage, machine
from tests.benchmarks.recorder import Recorder
from tests.benchmarks.samples import BATCH, batch

CLUSTERS = [f"c{n:02d}" for n in range(12)]
# All of it fits into the worker's queue (judging.py), so that nothing is dropped: every sample is judged.
MESSAGES = 1_500
CHANGES_EVERY = 50  # so many messages of a cluster, and its latency rule says another thing
BROKER_GROUPS = 5
SAMPLES_PER_SECOND, SHARE = 100_000, 0.5
ROUND_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.2  # each look costs the worker some milliseconds
JUDGED_SHARE_MIN = 0.95
STILL_SECONDS = 2.0
SKIPPED_SHARE = 0.1  # of the samples, while the worker has just begun


async def fill(stage: Stage) -> int:
    """The same scrapes for each round: clusters by turns, times in order. Returns the bytes."""
    began, total = time.time() - MESSAGES, 0
    async with AIOKafkaProducer(bootstrap_servers=stage.bootstrap_servers, max_request_size=900_000) as producer:
        for n in range(MESSAGES):
            cluster, scrape = CLUSTERS[n % len(CLUSTERS)], n // len(CLUSTERS)
            bad = scrape // (CHANGES_EVERY // BROKER_GROUPS) % 2 == 1
            first = 100 + BATCH * (scrape % BROKER_GROUPS)
            body = batch(cluster, first, began + scrape, 900.0 if bad else 50.0)
            total += len(body)
            await producer.send(stage.names.metrics, body, cluster.encode())
    return total


async def plain(stage: Stage) -> float:
    """Samples per second of an aiokafka consumer that does the same parse, and nothing else."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stage.bootstrap_servers, auto_offset_reset="earliest")
    async with consumer:
        places = [TopicPartition(stage.names.metrics, n) for n in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        seen, began = 0, 0.0
        while seen < MESSAGES * BATCH:
            found = await consumer.getmany(timeout_ms=1_000)
            began = began or time.perf_counter()
            for messages in found.values():
                for message in messages:
                    metric = translate.read_metric(message.value)
                    assert metric.type == "samples"
                    seen += len(metric.samples)
        return seen / (time.perf_counter() - began)


async def worker(stage: Stage, app_id: str) -> tuple[float, dict[str, float]]:
    """Samples per second of a fresh worker from the first tenth to the last sample; and what it has counted."""
    recorder = Recorder(CLUSTERS)
    await recorder.start(stage.recorder_port)
    try:
        with stage.worker(app_id) as process:
            points = await asyncio.to_thread(_follow, stage)
            assert process.pid is not None, process.last_words(20)
            names = ("samples", "samples_late", "samples_dropped", "events")
            counted = {n: stage.counter(f"kafka_migration_{n}") for n in names}
    finally:
        await recorder.close()
    (began, first), (ended, last) = points[0], points[-1]
    return (last - first) / (ended - began), counted


def _follow(stage: Stage) -> list[tuple[float, float]]:
    """(when, samples judged) from the first tenth on, until no more are.

    What is read before the worker has taken a cluster over is not judged: a message or two of each.
    """
    points: list[tuple[float, float]] = []
    deadline, everything = time.monotonic() + ROUND_SECONDS_MAX, MESSAGES * BATCH
    while time.monotonic() < deadline:
        judged = stage.counter("kafka_migration_samples")
        if judged >= everything * SKIPPED_SHARE and (not points or judged > points[-1][1]):
            points.append((time.perf_counter(), judged))
        elif judged >= everything * JUDGED_SHARE_MIN and time.perf_counter() > points[-1][0] + STILL_SECONDS:
            return points
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"of {everything} samples {points[-1:]} were judged in {ROUND_SECONDS_MAX:.0f} s")


def figures(plains: list[float], workers: list[float], counted: dict[str, float], where: str) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}."""
    by_worker, by_plain = median(workers), median(plains)
    share = by_worker / by_plain
    held = by_worker >= SAMPLES_PER_SECOND
    rows = [
        _row("worker, parsed, judged and saved", round(by_worker), "samples/s", f">= {SAMPLES_PER_SECOND:,}", held),
        _row("plain aiokafka consumer, the same parse", round(by_plain), "samples/s"),
        _row("worker / plain consumer", round(share, 2), "ratio", f">= {SHARE:g}", share >= SHARE),
        _row("rounds, by turns", len(workers), "rounds"),
        _row("worker, each round", ", ".join(f"{w:,.0f}" for w in workers), "samples/s"),
        _row("plain consumer, each round", ", ".join(f"{p:,.0f}" for p in plains), "samples/s"),
    ]
    rows += [_row(f"last round: {name}", int(value), "count") for name, value in counted.items()]
    size = f"{MESSAGES * BATCH:,} samples in batches of {BATCH}"
    words = f"{where}; {size}, {len(CLUSTERS)} clusters, {PARTITIONS} partitions, six rules over ten metrics"
    rows.append(_row("settings", words, "words"))
    return rows


def _row(figure: str, value: Any, unit: str, target: str | None = None, held: bool | None = None) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}


async def measure(stage: Stage, rounds: int, where: str) -> list[dict[str, Any]]:
    """Plain and worker by turns."""
    plains: list[float] = []
    workers: list[float] = []
    counted: dict[str, float] = {}
    for n in range(rounds):
        plains.append(await plain(stage))
        rate, counted = await worker(stage, f"bench-events-{n}")
        workers.append(rate)
        print(f"round {n + 1}: plain {plains[-1]:,.0f}, worker {rate:,.0f} samples/s", flush=True)
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
        print(f"{asyncio.run(fill(stage)) / 1e6:.0f} MB of samples", flush=True)
        rows = asyncio.run(measure(stage, given.rounds, where))
    write_atomically(folder / "events.json", json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(f"{row['figure']:42} {row['value']!s:>12} {row['unit']:10} {row['target'] or '':10} {row['held']}")
    return 0 if all(row["held"] is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
