"""Chaos on the real lab: real processes are killed and frozen while clients run and replicas move.

`make chaos`.

Writes build/chaos/report.json: one row a fault (done, expected, seen, recovery_seconds, strikes),
and the clients' account.
"""

import argparse
import asyncio
import dataclasses
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from agent.client import ClientError
from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.lab import Lab
from deploy.lab.workload.workload import Workload, WorkloadConfig
from tests.chaos.faults import CATALOGUE, SHORT, Fault, ended
from tests.chaos.stage import Stage

FILL_BYTES = 240 * 1024 * 1024  # about 80 s a wave at the stage's throttle
FILL_BYTES_SHORT = 90 * 1024 * 1024
STRIKES_MAX = 3
REST_SECONDS = 300.0
REST_BYTES_PER_SECOND = 50_000_000  # nothing strikes any more


async def strike(stage: Stage, fault: Fault) -> dict[str, Any]:
    """One fault, its expectation, and how it went.

    A migration that came to its end while the fault struck tells nothing more, whatever the fault
    did: such a strike shows nothing, and is made again in the next migration.
    """
    row: dict[str, Any] = {
        "fault": fault.name,
        "expected": fault.expected,
        "done": False,
        "seen": "",
        "recovery_seconds": None,
        "strikes": 0,
    }
    while row["strikes"] < STRIKES_MAX:
        row["strikes"] += 1
        if await _could_show(stage, fault, row):
            return row
    row["seen"] = f"the migration came to its end in each of {STRIKES_MAX} strikes; {row['seen']}"
    return row


async def _could_show(stage: Stage, fault: Fault, row: dict[str, Any]) -> bool:
    """Strike once and note what was seen; False when the migration came to its end meanwhile."""
    try:
        await stage.moving(fault.strike_seconds)
    except TimeoutError as trouble:
        row["seen"] = str(trouble)[:300]
        return True
    since = len(stage.story.events)
    try:
        recovered = await fault.strike(stage)
        mended, from_here = time.monotonic(), len(stage.story.events)
        if any(map(ended, stage.story.events[since:from_here])):
            row["seen"] = stage.story.last_words(1)[0]
            return False
        row["done"] = True
        if fault.sign is not None and await stage.until(fault.sign, 30.0, since) is None:
            row["seen"] = f"the sign is missing; {stage.story.last_words(2)}"
            return True
        event = await stage.until(recovered, fault.recovery_seconds_max, from_here)
        row["recovery_seconds"] = round(time.monotonic() - mended, 1)
        row["seen"] = fault.expected if event else f"not recovered: {stage.story.last_words(2)}"
    except TimeoutError as trouble:
        row["seen"] = str(trouble)[:300]
        return not any(map(ended, stage.story.events[since:]))
    except (AssertionError, ClientError) as trouble:
        row["seen"] = str(trouble)[:300]
    return True


async def come_to_rest(stage: Stage) -> str:
    """After the last fault, and faster: it ends, or is paused with a cause; which, in words."""
    try:
        await stage.order("tune", throttle_bytes_per_second=REST_BYTES_PER_SECOND)
    except ClientError as trouble:
        return f"{stage.phase()}, and {trouble}"
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline:
        if stage.phase() in ("drained", "rolled_back", "blocked", "cancelled"):
            break
        await asyncio.sleep(0.5)
    return stage.phase()


async def play(lab: Lab, folder: Path, faults: list[Fault]) -> dict[str, Any]:
    """All faults, one after the other, in one run with clients running."""
    rows = []
    stage = Stage(lab, folder)
    stage.worker.start()
    try:
        await asyncio.sleep(8.0)
        async with stage.story.following():
            for n, fault in enumerate(faults, 1):
                row = await strike(stage, fault)
                rows.append(row)
                print(
                    (
                        f"{n:3}/{len(faults)} {row['fault']:44} {row['seen'][:100]} "
                        f"({row['recovery_seconds']} s)"
                    ),
                    flush=True,
                )
            end = await come_to_rest(stage)
            events = stage.story.counts()
    finally:
        stage.worker.stop()
    return {"faults": rows, "end": end, "events": events}


def main() -> int:
    """The command line; 0 when every fault went as expected and no message was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--faults",
        type=int,
        default=30,
        help="how many; the catalogue is gone through again and again",
    )
    parser.add_argument(
        "--short", action="store_true", help="only the few that `make test` has room for"
    )
    parser.add_argument("--only", help="only faults whose name has this in it")
    parser.add_argument("--base-port", type=int, default=29500)
    parser.add_argument("--folder", type=Path, default=Path("build/chaos"))
    given = parser.parse_args()
    # aiokafka warns about topics that the agent is about to create.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    catalogue = [
        f
        for f in CATALOGUE
        if (not given.short or f.name in SHORT) and (given.only or "") in f.name
    ]
    faults = (
        catalogue
        if given.short or given.only
        else [catalogue[n % len(catalogue)] for n in range(given.faults)]
    )
    fill_bytes = FILL_BYTES_SHORT if given.short else FILL_BYTES
    report = run(given.folder.absolute(), given.base_port, faults, fill_bytes)
    wrong = what_is_wrong(report)
    print(
        json.dumps(
            {"messages": report["messages"], "end": report["end"], "seconds": report["seconds"]}
        )
    )
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


def run(
    folder: Path, base_port: int, faults: list[Fault], fill_bytes: int = FILL_BYTES
) -> dict[str, Any]:
    """Play it and write the report."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with Lab(LabConfig(directory=folder / "lab", base_port=base_port)).running() as lab:
        description = lab.status()
        with Workload(
            description, folder / "clients", WorkloadConfig(fill_bytes=fill_bytes)
        ) as workload:
            workload.create_topics()
            workload.fill()
            workload.start_clients()
            report = asyncio.run(play(lab, folder, faults))
            clients = workload.stop_clients()
    report["clients"] = dataclasses.asdict(clients)
    report["messages"] = report["clients"].pop("messages")
    report["cruise_control"] = description["cruise_control"]
    report["seconds"] = round(time.monotonic() - began)
    (folder / "report.json").write_text(json.dumps(report, indent=2, default=str), encoding="utf-8")
    return report


def what_is_wrong(report: dict[str, Any]) -> list[str]:
    """Everything that should not be."""
    wrong = [f"{r['fault']}: {r['seen']}" for r in report["faults"] if r["seen"] != r["expected"]]
    counts = report["messages"]
    # Errors of a send are no loss: the client was told. What it was told is there must be there,
    # once and in order.
    wrong += [
        f"{counts[what]} messages {what}"
        for what in ("lost", "duplicated", "out_of_order")
        if counts[what]
    ]
    clients = report["clients"]
    wrong += [
        f"{clients[what]} messages {what}" for what in ("vanished", "unread") if clients[what]
    ]
    wrong += [f"{name} died" for name in clients["ended_by_themselves"]]
    if not counts["acknowledged"]:
        wrong.append("no message was acknowledged: nothing was proved")
    if report["end"] not in ("drained", "rolled_back"):
        wrong.append(f"it ended as {report['end']}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
