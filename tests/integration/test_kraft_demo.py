"""The whole journey as a program, on real processes: replicas moved, ZooKeeper to KRaft,
ZooKeeper stopped. Minutes.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.kraft, pytest.mark.timeout(2_400)]


def _run(directory: Path, *more: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "agent.cli",
        "lab",
        "demo-kraft",
        "--dir",
        str(directory),
        *more,
    ]
    with (directory.parent / "printed").open("wb") as printed:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            timeout=2_300,
            check=False,
        )
    assert ended.returncode == 0, (directory.parent / "printed").read_text()[-3000:]
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return report


def _is_clean(report: dict[str, Any]) -> None:
    assert report["wrong"] == []
    messages = report["messages"]
    assert messages["acknowledged"] > 1_000
    assert (messages["lost"], messages["duplicated"], messages["out_of_order"]) == (0, 0, 0)
    kraft = report["kraft"]
    assert kraft["zookeeper_stopped"]
    assert kraft["topic_made_without_zookeeper"]
    assert [r["codes"] for r in kraft["refused"]] == [
        ["KRAFT_NOT_CONFIRMED"],
        ["KRAFT_NO_WAY_BACK"],
    ]
    assert [p["phase"] for p in kraft["phases"]][-7:] == [
        "preparing", "controllers", "brokers_to_migration", "brokers_to_kraft", "soaking",
        "finalizing", "done",
    ]  # fmt: skip


def test_the_whole_journey_with_faults(tmp_path: Path) -> None:
    """Controllers and brokers killed there and back, ZooKeeper restarted in dual write: nothing
    lost or doubled.
    """
    report = _run(tmp_path / "demo", "--faults", "--back", "soaking")
    _is_clean(report)
    assert {f["phase"] for f in report["kraft"]["faults"]} == {
        "controllers", "brokers_to_migration", "brokers_to_kraft", "soaking", "finalizing",
        "back_to_migration", "back_to_zookeeper",
    }  # fmt: skip


def test_back_from_every_phase_and_then_there(tmp_path: Path) -> None:
    """From each phase that has a way back it is gone, and the next attempt begins as if there
    had been none.
    """
    phases = ("preparing", "controllers", "brokers_to_migration", "brokers_to_kraft", "soaking")
    report = _run(tmp_path / "demo", *(text for phase in phases for text in ("--back", phase)))
    _is_clean(report)
    assert [b["from"] for b in report["kraft"]["there_and_back"]] == list(phases)
