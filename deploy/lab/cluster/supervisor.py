"""The process that holds a lab.

It starts the nodes in order, keeps lab.json up to date, carries out the requests of Lab, and ends
everything. Lab runs it as `python -m deploy.lab.cluster.supervisor DIRECTORY [--attached]`.

It is single-threaded on purpose (see processes.py). When it dies for whatever reason, the kernel
ends its nodes (see leash.py).
"""

import contextlib
import datetime as dt
import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from deploy.lab.cluster import (
    client_security,
    control,
    description,
    environment,
    internal_topics,
    jars,
    launch,
    monitors,
    ports,
    proxies,
    readiness,
    security,
)
from deploy.lab.cluster.config import Kind, LabConfig, Metrics, Node
from deploy.lab.cluster.description import LabState
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.processes import ManagedProcess, first_error, stop_all

TICK_SECONDS = 0.25
ADMIT_TIMEOUT_SECONDS = 30.0


class StopRequested(Exception):  # noqa: N818 - not an error
    """A signal requests the end of the lab, or the program to which the lab belongs is gone."""


class StartFailedError(RuntimeError):
    """A node did not start. The text says which one and why, and where its log is."""


class Supervisor:
    """Owns the processes of one lab from start to end."""

    def __init__(self, config: LabConfig, attached: bool, log: TextIO) -> None:
        self.config = config
        self.folders = launch.Folders(config.directory)
        self.processes = {
            node.name: ManagedProcess(node.name, self.folders.output(node.name))
            for node in config.nodes
        }
        self.installation: jars.Installation | None = None
        self._attached = attached
        self._log = log
        self._started = self._deadline = time.monotonic()
        self._progress: dict[str, Any] = {
            "state": str(LabState.STARTING),
            "step": "",
            "error": None,
            "supervisor_pid": os.getpid(),
            "started_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "ready_after_seconds": None,
        }
        self._written: dict[str, Any] | None = None

    def run(self) -> int:
        """Start the lab, serve until a stop is requested, and end everything.

        Returns the exit code, which is 0 after a requested end.
        """
        code = 0
        try:
            with self._listening() as server:
                self._start()
                self._serve(server)
        except StopRequested as reason:
            self._say(f"stopping: {reason}")
            self._note(state=LabState.STOPPING)
        except Exception as error:  # noqa: BLE001 - any error must be shown, and nothing may be left running
            self._say(f"failed: {type(error).__name__}: {error}")
            self._progress["error"] = str(error)
            code = 1
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._stop()
            self._note(state=LabState.FAILED if code else LabState.DOWN)
            self._say("everything has ended")
        return code

    # ---- start

    def _start(self) -> None:
        self._step("looking for taken ports")
        ports.require_free(self.config.ports | proxies.ports(self.config))
        self.installation = jars.install(
            self.config.kafka_version,
            self._step,
            with_exporter=self.config.metrics is not Metrics.NONE
            or bool(self.config.controller_nodes),
        )
        # The download of the first start does not count.
        self._deadline = time.monotonic() + self.config.start_timeout_seconds
        security.prepare(self.config)
        description.write_clusters(self.config)
        environment.write(self.config)
        first = self.config.controller_nodes if self.config.kraft else (self.config.zookeeper,)
        self._step("starting KRaft controllers" if self.config.kraft else "starting ZooKeeper")
        self._launch(*first, self.config.control_kafka)
        self._await_ready(*first)
        if self.config.keep_data and not self.config.kraft:
            self._await_old_sessions()
        self._step(f"starting {len(self.config.brokers)} brokers and the control Kafka")
        fronts = (self.config.proxy_node,) if self.config.proxies else ()
        self._launch(*self.config.broker_nodes, *fronts)
        self._await_ready(self.config.control_kafka, *self.config.broker_nodes, *fronts)
        self._await_all_brokers()
        if self.config.secure:
            self._step("making users and giving rights")
            self._admit()
        if self.config.brokers:  # benchmarks use a lab that has only a control Kafka
            self._step("creating Kafka's internal topics on the source brokers")
            internal_topics.create(self.config)
        if self.config.cruise_control_url:
            self._step(f"starting Cruise Control ({self.config.cruise_control_kind})")
            self._launch(self.config.cruise_control_node)
            self._await_ready(self.config.cruise_control_node)
        if self.config.metrics is not Metrics.NONE:
            monitors.write_targets(self.config)
        if self.config.monitor_nodes:
            self._step(f"starting {', '.join(node.name for node in self.config.monitor_nodes)}")
            self._launch(*self.config.monitor_nodes)
            self._await_ready(*self.config.monitor_nodes)
        self._progress["ready_after_seconds"] = round(time.monotonic() - self._started, 1)
        self._step("ready")
        self._note(state=LabState.READY)

    def _launch(self, *nodes: Node) -> None:
        if self.installation is None:
            raise StartFailedError("the jars are not installed yet")
        for node in nodes:
            self.processes[node.name].start(launch.prepare(self.config, node, self.installation))

    def _await_ready(self, *nodes: Node) -> None:
        waiting = list(nodes)
        while waiting:
            waiting = [node for node in waiting if not readiness.is_ready(self.config, node)]
            self._pause_between_checks(waiting)

    def _await_old_sessions(self) -> None:
        """Wait until ZooKeeper has no sessions of brokers from the last lab.

        Data that were kept from a killed lab contain such sessions until they expire.
        """
        self._step("waiting for ZooKeeper to forget the brokers of the last lab")
        while held := [
            node
            for node in self.config.broker_nodes
            if node.broker and readiness.broker_is_registered(self.config, node.broker.id)
        ]:
            self._pause_between_checks(held)

    def _await_all_brokers(self) -> None:
        wanted = {broker.id for broker in self.config.brokers}
        while missing := wanted - readiness.live_brokers(self.config):
            self._pause_between_checks(
                [self.config.node(f"broker-{broker_id}") for broker_id in sorted(missing)]
            )

    def _admit(self) -> None:
        waiting = [(self.config.control_kafka, True)] + [
            (node, False) for node in self.config.broker_nodes[:1]
        ]
        while waiting:
            waiting = [
                (node, on_control)
                for node, on_control in waiting
                if not self._admitted(on_control=on_control)
            ]
            self._pause_between_checks([node for node, _ in waiting])

    def _admitted(self, *, on_control: bool) -> bool:
        with readiness.lab_admin(
            self.config, ADMIT_TIMEOUT_SECONDS, on_control=on_control
        ) as admin:
            return client_security.admit(self.config, admin, on_control=on_control)

    def _pause_between_checks(self, waiting: list[Node]) -> None:
        """Wait a moment; give up when a process has ended or the time is over."""
        for name, process in self.processes.items():
            if process.starts and process.pid is None:
                log = self.folders.log(name)
                reason = process.last_words() or first_error(log) or "it said nothing"
                raise StartFailedError(
                    f"{name} ended while starting (exit code {process.exit_code}): "
                    f"{reason}\nits log: {log}"
                )
        if waiting and time.monotonic() > self._deadline:
            names = ", ".join(node.name for node in waiting)
            raise StartFailedError(
                f"{names} not ready after {self.config.start_timeout_seconds:.0f} s; see "
                f"{self.folders.logs}, or allow more time (--start-timeout-seconds)"
            )
        self._require_owner()
        self._note()
        if waiting:
            time.sleep(TICK_SECONDS)

    def _stop(self) -> None:
        """End every process.

        Nodes are shut down in order only if their data are kept.
        """
        if not self.config.keep_data:
            stop_all(list(self.processes.values()), 0.0)
            return
        for kind in reversed(Kind):  # reversed order of starting
            group = [self.processes[node.name] for node in self.config.nodes if node.kind is kind]
            stop_all(group, self.config.stop_timeout_seconds)

    # ---- serve

    def _serve(self, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            while True:
                self._require_owner()
                if selector.select(TICK_SECONDS):
                    with contextlib.suppress(OSError):
                        control.answer(server, self._obey)
                self._note()

    def _obey(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request: {"action", "name", "properties"?}.

        Returns {"refused": reason or None}.
        """
        try:
            action, name = str(request["action"]), str(request["name"])
            node, process = self.config.node(name), self.processes[str(request["name"])]
            self._say(f"{action} {name}")
            match action:
                case "start":
                    self._override(name, request.get("properties"))
                    self._launch(node)
                case "kill":
                    process.kill()
                case "terminate":
                    process.terminate()
                case "pause":
                    process.pause()
                case "unpause":
                    process.unpause()
                case _:
                    return {
                        "refused": (
                            f"unknown action {action!r}: start, kill, terminate, pause or unpause"
                        )
                    }
        except (KeyError, ValueError, OSError, TypeError) as error:
            return {"refused": str(error.args[0]) if isinstance(error, KeyError) else str(error)}
        self._note()  # before the answer, because the requester reads lab.json next
        return {"refused": None}

    def _override(self, name: str, settings: dict[str, str | None] | None) -> None:
        """Store the settings that were given at a start.

        They also hold for later starts, until others are given. {} removes them.
        """
        if settings is not None:
            write_atomically(self.folders.overrides(name), json.dumps(settings))

    # ---- lab.json and the log

    def _require_owner(self) -> None:
        """Raise when an attached lab has lost its owner, who holds the other end of our stdin."""
        if not self._attached:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ)
            if selector.select(0) and not os.read(sys.stdin.fileno(), 1):
                raise StopRequested("the program that started this lab has ended")

    def _step(self, text: str) -> None:
        self._say(text)
        self._progress["step"] = text
        self._require_owner()
        self._note()

    def _note(self, state: LabState | None = None) -> None:
        """Update lab.json when something has changed."""
        if state is not None:
            self._progress["state"] = str(state)
        current = description.describe(
            self.config, self.installation, self.processes, **self._progress
        )
        if current != self._written:
            description.write(self.folders, current)
            self._written = current

    def _say(self, text: str) -> None:
        moment = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        print(moment, text, file=self._log, flush=True)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        with control.listen(self.folders.socket) as server:
            try:
                yield server
            finally:
                self.folders.socket.unlink(missing_ok=True)


def _stop_on_signal(number: int, _frame: FrameType | None) -> None:
    raise StopRequested(signal.Signals(number).name)


def _empty(folders: launch.Folders) -> None:
    """Remove data, settings and logs of the last lab in this folder."""
    for folder in (folders.all_data, folders.config, folders.logs):
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Hold the lab of the given folder. The exit code is 3 if another supervisor holds it."""
    directory = Path(arguments[0])
    folders = launch.Folders(directory)
    config = LabConfig.model_validate_json(folders.settings_file.read_text(encoding="utf-8"))
    with folders.lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 3
        if not config.keep_data:
            _empty(folders)
        folders.logs.mkdir(parents=True, exist_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _stop_on_signal)
        with folders.supervisor_log.open("a", encoding="utf-8") as log:
            return Supervisor(config, attached="--attached" in arguments, log=log).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
