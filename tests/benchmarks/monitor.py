"""What it costs to watch a large cluster: `make bench-monitor`. Writes build/bench/monitor.json.

A real `kafka-migration monitor` looks at 200,000 partitions every 10 s, over the wire protocol; the
kernel says what it spent. The cluster itself is tests/fakes/wire_broker.py, whose own cost is not
counted.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.lab.cluster.files import write_atomically
from tests.fakes.wire_broker import AZS, Situation, WireBroker

INTERVAL_SECONDS = 10.0
CORE_SHARE_MAX = 0.15
MEGABYTES_MAX = 400.0
SITUATIONS = {
    "healthy": Situation(),
    "1,000 partitions moving": Situation(moving=1_000),
    "one broker of 99 down": Situation(down=frozenset({5})),
    "one AZ of 3 down": Situation(down=frozenset(range(0, 99, AZS))),
}


@dataclass(frozen=True)
class Usage:
    """Of a process: CPU seconds so far, memory in use now and at most, in MB."""

    cpu_seconds: float
    megabytes: float
    megabytes_max: float


def usage(pid: int) -> Usage:
    """As the kernel counts, user and system time of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    ticks = int(fields[11]) + int(fields[12])
    return Usage(
        ticks / os.sysconf("SC_CLK_TCK"),
        int(status["VmRSS"].split()[0]) / 1_000,
        int(status["VmHWM"].split()[0]) / 1_000,
    )


async def measure(seconds: float) -> list[dict[str, Any]]:
    """One monitor through all situations, so many seconds each."""
    broker = WireBroker()
    await broker.start()
    for situation in SITUATIONS.values():
        broker.prepare(situation)
    broker.become(SITUATIONS["healthy"])
    port = _free_port()
    settings = {
        "BOOTSTRAP_SERVERS": f"127.0.0.1:{broker.port}",
        "INTERVAL_SECONDS": str(INTERVAL_SECONDS),
        "PORT": str(port),
    }
    environment = os.environ | {
        f"KAFKA_MIGRATION_MONITOR_{name}": value for name, value in settings.items()
    }
    monitor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.cli", "monitor", env=environment
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10.0) as http:
            rows = [
                row
                for name, one in SITUATIONS.items()
                for row in await _spent(name, one, seconds, broker, http, monitor.pid)
            ]
        rows.append(
            _row(
                "memory at most",
                usage(monitor.pid).megabytes_max,
                "MB",
                f"<= {MEGABYTES_MAX:g}",
                MEGABYTES_MAX,
            )
        )
        return rows
    finally:
        monitor.terminate()
        await monitor.wait()
        await broker.stop()


async def _spent(
    name: str,
    situation: Situation,
    seconds: float,
    broker: WireBroker,
    http: httpx.AsyncClient,
    pid: int,
) -> list[dict[str, Any]]:
    broker.become(situation)
    sick = bool(situation.down)
    await _until(http, lambda report: bool(report["seen"]) and bool(report["partitions"]) == sick)
    looks, before = await _metric(http, "looks_total"), usage(pid)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    elapsed = asyncio.get_running_loop().time() - began
    spent = usage(pid).cpu_seconds - before.cpu_seconds
    report = (await http.get("/ready")).json()
    against = len(report["partitions"]) + report["partitions_left_off"]
    looked = await _metric(http, "looks_total") - looks
    if (
        report["seen"]["partitions"] != situation.topics * situation.partitions
        or looked < seconds / INTERVAL_SECONDS - 1
    ):
        raise SystemExit(f"{name}: {looked:.0f} looks, {report['seen']}: this is no measurement")
    print(f"{name}: {looked:.0f} looks, {against} partitions against it, ready: {report['ready']}")
    return [
        _row(
            f"{name}: share of a core",
            spent / elapsed,
            "cores",
            f"<= {CORE_SHARE_MAX:g}",
            CORE_SHARE_MAX,
        ),
        _row(f"{name}: one look", await _metric(http, "look_seconds"), "s"),
        _row(f"{name}: partitions against readiness", against, "partitions"),
    ]


async def _until(http: httpx.AsyncClient, holds: Any) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                if holds((await http.get("/ready")).json()):
                    return
            except httpx.ConnectError:
                pass  # it starts
            await asyncio.sleep(0.5)


async def _metric(http: httpx.AsyncClient, name: str) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(f"kafka_migration_monitor_{name}{{")
    )


def _row(
    figure: str, value: float, unit: str, target: str | None = None, most: float | None = None
) -> dict[str, Any]:
    held = None if most is None else value <= most
    return {
        "figure": figure,
        "value": round(value, 3),
        "unit": unit,
        "target": target,
        "held": held,
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each situation")
    parser.add_argument("--file", type=Path, default=Path("build/bench/monitor.json"))
    given = parser.parse_args(arguments)
    rows = [
        _row("partitions watched", 200_000, "partitions"),
        _row("from look to look", INTERVAL_SECONDS, "s"),
    ]
    rows += asyncio.run(measure(given.seconds))
    given.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(given.file, json.dumps(rows, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['figure']:50} {row['value']} {row['unit']:10} {row['target'] or '':10} "
            f"{row['held']}"
        )
    return 0 if all(row["held"] is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
