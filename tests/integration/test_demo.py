"""`kafka-migration lab demo` in its short form, as a program: the same acts with less data."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

SHORT = ("--bytes", "40MB", "--topics", "6")


def _demo(directory: Path, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as printed:
        command = [
            sys.executable,
            "-m",
            "agent.cli",
            "lab",
            "demo",
            "--dir",
            str(directory),
            *SHORT,
        ]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
        )


def _alive(directory: Path) -> list[str]:
    """Programs whose command line names this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if str(directory) in command:
                found.append(f"{entry.name}: {command[:200]}")
    return found


def test_demo_moves_everything_and_loses_nothing(tmp_path: Path) -> None:
    """The demo ends with 0: every replica moved, no message lost, a pause honoured, no process
    left.
    """
    demo = _demo(tmp_path / "demo", tmp_path / "printed")
    try:
        assert demo.wait(500) == 0, (tmp_path / "printed").read_text()[-3000:]
    finally:
        demo.kill()
    report: dict[str, Any] = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert report["wrong"] == []
    assert report["replicas_on_source_before"] >= 3 * 41
    assert (report["replicas_on_source_after"], report["leaders_on_source_after"]) == (0, 0)
    assert report["replicas_on_destination_after"] == report["replicas_on_source_before"]
    assert report["bytes_moved"] >= 3 * 40_000_000
    messages = report["messages"]
    assert messages["acknowledged"] > 1000
    assert (messages["lost"], messages["duplicated"], messages["out_of_order"]) == (0, 0, 0)
    assert messages["consumed"] >= messages["acknowledged"]
    assert report["producer_errors"] == 0
    assert [w["wave"] for w in report["waves"]] == [1, 2, 3]
    assert [p["replicas_moved_meanwhile"] for p in report["pauses"]] == [0]
    (spike,) = report["load_spikes"]
    if spike["paused"]:  # a machine may take it in its stride, and then the report says so
        assert spike["value"] > spike["threshold"] == spike["rule"]["above"]
        assert spike["paused_at"] < spike["resumed_at"]
    else:
        assert len(spike["producers"]) > 0
    assert report["events"]["SourceMayBeShutDown"] == 3
    assert report["cruise_control"] == (
        "real" if os.environ.get("CRUISE_CONTROL_CLASSPATH") else "stand-in"
    )
    assert _alive(tmp_path) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_leaves_nothing_behind_when_it_is_ended(
    tmp_path: Path, ending: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM or kill -9 in the middle: every broker, client and agent is gone within
    seconds.
    """
    demo = _demo(tmp_path / "demo", tmp_path / "printed")
    try:
        deadline = time.monotonic() + 200
        while b"filling" not in (tmp_path / "printed").read_bytes():
            assert demo.poll() is None, (tmp_path / "printed").read_text()[-3000:]
            assert time.monotonic() < deadline, "the lab did not come up"
            time.sleep(0.2)
        assert len(_alive(tmp_path)) > 8
        demo.send_signal(ending)
        assert demo.wait(60) == (-9 if ending is signal.SIGKILL else 130)
    finally:
        demo.kill()
    deadline = time.monotonic() + 30
    while _alive(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _alive(tmp_path) == []
