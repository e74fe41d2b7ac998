"""Processes on a leash, ports, and the socket between Lab and supervisor: real processes and
sockets, no Kafka.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.lab.cluster import control
from deploy.lab.cluster.config import HOST, LabConfig
from deploy.lab.cluster.ports import (
    PortTakenError,
    free_base_port,
    free_ports,
    is_free,
    require_free,
)
from deploy.lab.cluster.processes import ManagedProcess, ProcessState, first_error, stop_all

SLEEP = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-I",
    "-S",
    "-c",
    (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', "
        "flush=True); time.sleep(600)"
    ),
]


@pytest.fixture
def process(tmp_path: Path) -> ManagedProcess:
    return ManagedProcess("sleeper", tmp_path / "sleeper.out")


def is_gone(pid: int, timeout_seconds: float = 10.0) -> bool:
    """Ended, collected or not, within that time."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_each_state_is_told_apart(process: ManagedProcess) -> None:
    """Not started, running, paused, killed and running again are different states, and starts
    are counted.
    """
    seen = [process.state]
    process.start(SLEEP)
    seen.append(process.state)
    process.pause()
    seen.append(process.state)
    process.unpause()
    seen.append(process.state)
    assert seen == [
        ProcessState.NOT_STARTED,
        ProcessState.RUNNING,
        ProcessState.PAUSED,
        ProcessState.RUNNING,
    ]
    process.kill()
    assert (process.state, process.pid, process.exit_code) == (
        ProcessState.KILLED,
        None,
        -signal.SIGKILL,
    )
    process.start(SLEEP)
    assert (process.state, process.starts) == (ProcessState.RUNNING, 2)
    stop_all([process], 10)
    assert process.state is ProcessState.STOPPED


def test_an_end_nobody_asked_for_is_an_exit(process: ManagedProcess) -> None:
    """A process that ends by itself is not taken for one that was stopped, and its last words
    are kept.
    """
    process.start([sys.executable, "-I", "-S", "-c", "import sys; print('no disk'); sys.exit(7)"])
    assert process.wait(10)
    assert (process.state, process.exit_code, process.last_words()) == (
        ProcessState.EXITED,
        7,
        "no disk",
    )


def test_a_process_that_hears_nothing_is_killed(process: ManagedProcess) -> None:
    """Stopping ends even a process that ignores SIGTERM, and one that is paused."""
    process.start(STUBBORN)
    while "deaf" not in process.last_words():
        time.sleep(0.02)
    stop_all([process], 0.2)
    assert process.pid is None
    process.start(SLEEP)
    process.pause()
    stop_all([process], 5)
    assert process.state is ProcessState.STOPPED


def test_orders_to_a_dead_process_are_refused(process: ManagedProcess) -> None:
    """A signal to a process that does not run, or a second start, is an error that names it."""
    with pytest.raises(ValueError, match="sleeper is not running"):
        process.kill()
    process.start(SLEEP)
    with pytest.raises(ValueError, match="sleeper is running already"):
        process.start(SLEEP)
    process.kill()


def test_a_leashed_process_dies_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the parent ends its children: nothing is left for anybody to clean up."""
    parent = (
        "import pathlib, sys, time; from deploy.lab.cluster.processes import ManagedProcess; "
        "child = ManagedProcess('child', pathlib.Path(sys.argv[1])); child.start(sys.argv[2:]); "
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path / "out"), *SLEEP],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child_pid = int(process.stdout.readline())
        os.kill(child_pid, 0)  # it lives
        process.kill()
    assert is_gone(child_pid)


def test_first_error_of_a_log_is_found(tmp_path: Path) -> None:
    """A node's reason for not starting is its first error, with the lines after it."""
    log = tmp_path / "node.log"
    log.write_text(
        "09:00 INFO starting\n09:01 ERROR cannot bind "
        "(kafka.Kafka)\njava.net.BindException\n09:02 INFO bye\n"
    )
    assert first_error(log, lines_told=2) == (
        "09:01 ERROR cannot bind (kafka.Kafka)\njava.net.BindException"
    )
    assert first_error(tmp_path / "missing.log") == ""


def test_taken_ports_are_all_named() -> None:
    """Every taken port is named with what needs it, in one error that says what to do."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as two:
        taken = {one.getsockname()[1]: "broker-11", two.getsockname()[1]: "zookeeper"}
        with pytest.raises(PortTakenError, match=r"broker-11.*base-port") as caught:
            require_free({**taken, free_ports(1)[0]: "cruise-control"})
    assert all(f"port {port} (for {name})" in str(caught.value) for port, name in taken.items())
    assert "cruise-control" not in str(caught.value)


def test_a_free_block_is_free() -> None:
    """The block found for a new lab has every port free, and ports in TIME_WAIT count as free."""
    assert all(is_free(port) for port in LabConfig(base_port=free_base_port()).ports)


def test_a_request_is_answered_even_in_a_deep_folder(tmp_path: Path) -> None:
    """A lab can be spoken to wherever its folder is, though the path of a Unix socket may have
    but 107 bytes.
    """
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    with control.listen(path) as server:
        thread = threading.Thread(
            target=control.answer, args=(server, lambda request: {"heard": request})
        )
        thread.start()
        assert control.ask(path, {"action": "kill"}) == {"heard": {"action": "kill"}}
        thread.join(5)


def test_nobody_listening_is_told_apart(tmp_path: Path) -> None:
    """A lab that does not run is an error of its own, not a broken pipe."""
    with pytest.raises(control.NotReachedError, match="no lab answers"):
        control.ask(tmp_path / "control.sock", {"action": "kill"})
