"""One operating system process of the lab: its start, its signals and its end.

Only the supervisor uses it, and only from its main thread: the kernel ties the life of a child to
the thread that started it.
"""

import os
import signal
import subprocess
import sys
import time
from enum import StrEnum
from pathlib import Path

from deploy.lab.cluster import leash


class ProcessState(StrEnum):
    """RUNNING and PAUSED processes are alive.

    The other states say how it ended, or that it was never started.
    """

    NOT_STARTED = "not started"
    RUNNING = "running"
    PAUSED = "paused"  # SIGSTOP
    STOPPED = "stopped"  # on request, in order
    KILLED = "killed"  # on request, by SIGKILL
    EXITED = "exited"  # by itself, without a request


class ManagedProcess:
    """A command with a log, which can be started again under the same name."""

    def __init__(self, name: str, output: Path) -> None:
        self.name = name
        self.output = output
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: ProcessState | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def state(self) -> ProcessState:
        if self._process is None:
            return ProcessState.NOT_STARTED
        if self._process.poll() is None:
            paused = self._asked is ProcessState.PAUSED
            return ProcessState.PAUSED if paused else ProcessState.RUNNING
        return (
            self._asked
            if self._asked in {ProcessState.STOPPED, ProcessState.KILLED}
            else ProcessState.EXITED
        )

    def start(self, command: list[str]) -> None:
        """Start it in its own session, so that Ctrl-C in a terminal reaches only the supervisor."""
        if self.pid is not None:
            raise ValueError(f"{self.name} is running already (pid {self.pid})")
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._asked = None
        self.starts += 1

    def kill(self) -> None:
        """Send SIGKILL, as if its machine were lost, and wait a moment for the end."""
        self._signal(signal.SIGKILL, ProcessState.KILLED)
        self.wait(10.0)

    def terminate(self) -> None:
        """Send SIGTERM for an orderly shutdown, and return at once.

        A paused process is resumed first, because otherwise it could not react.
        """
        if self._asked is ProcessState.PAUSED:
            self.unpause()
        self._signal(signal.SIGTERM, ProcessState.STOPPED)

    def pause(self) -> None:
        """Send SIGSTOP: it lives but does not react, as in a long garbage collection."""
        self._signal(signal.SIGSTOP, ProcessState.PAUSED)

    def unpause(self) -> None:
        self._signal(signal.SIGCONT, None)

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it ended within that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self, lines: int = 8) -> str:
        """The end of its output, which has the reason when it could not start."""
        try:
            return "\n".join(self.output.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _signal(self, number: signal.Signals, asked: ProcessState | None) -> None:
        if self.pid is None or self._process is None:
            raise ValueError(f"{self.name} is not running ({self.state})")
        self._asked = asked
        self._process.send_signal(number)


def first_error(log: Path, lines_searched: int = 200, lines_told: int = 4) -> str:
    """The first error near the end of a Java log, with the lines after it.

    This is mostly the cause. It is empty when there is no error.
    """
    try:
        lines = log.read_text(errors="replace").splitlines()[-lines_searched:]
    except OSError:
        return ""
    starts = (index for index, line in enumerate(lines) if " ERROR " in line or " FATAL " in line)
    first = next(starts, None)
    return "" if first is None else "\n".join(lines[first : first + lines_told])


def stop_all(processes: list[ManagedProcess], timeout_seconds: float) -> None:
    """End all of them with SIGTERM, and those left after `timeout_seconds` with SIGKILL.

    None of them is alive afterwards.
    """
    alive = [process for process in processes if process.pid is not None]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + timeout_seconds
    for process in alive:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.kill()
