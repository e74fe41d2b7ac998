"""The lab as tests, the demo and the command line use it.

Lab talks to the supervisor or reads lab.json:

with Lab(LabConfig(directory=path, base_port=29000)).running() as lab: ...
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.lab.cluster import control, description, monitors, proxies, readiness
from deploy.lab.cluster.config import CruiseControlKind, Kind, LabConfig, Metrics
from deploy.lab.cluster.description import LabState
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.launch import Folders

POLL_SECONDS = 0.1
INSTALL_SECONDS_MAX = 600.0  # the first start fetches 60 MB
SESSION_EXPIRY_SECONDS_MAX = 30.0


class LabError(RuntimeError):
    """The lab could not do what was requested. The text says why, and what to do."""


class Lab:
    """One lab, whether it runs or not.

    An instance holds few resources. Several of them, also in several programs, may stand for one
    lab.
    """

    def __init__(self, config: LabConfig | None = None) -> None:
        self.config = config or LabConfig()
        self.folders = Folders(self.config.directory)
        self._owned: subprocess.Popen[bytes] | None = None

    @classmethod
    def at(cls, directory: Path) -> "Lab":
        """The lab in that folder, with the settings with which it was started.

        Raises LabError when there is none.
        """
        settings = Folders(directory).settings_file
        if not settings.exists():
            raise LabError(
                f"no lab in {directory}: start one with `kafka-migration lab up --dir {directory}`"
            )
        config = LabConfig.model_validate_json(settings.read_text(encoding="utf-8"))
        return cls(config.model_copy(update={"directory": directory}))

    # ---- the whole lab

    def up(
        self, *, attached: bool = False, progress: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Start everything, and return the content of lab.json when all nodes serve.

        A detached lab (the default) keeps running after this program. An attached lab ends with it,
        even when it is killed by SIGKILL.

        Raises LabError when a node does not serve.
        """
        if self.is_running:
            raise LabError(
                f"a lab runs in {self.folders.root} already: `kafka-migration lab down` ends it"
            )
        settled = self.config.model_copy(
            update={
                "cruise_control": self.config.cruise_control_kind,
                "directory": self.folders.root,
                "monitors": monitors.found() if self.config.metrics is Metrics.AUTO else (),
            }
        )
        if (
            settled.cruise_control is CruiseControlKind.REAL
            and not settled.cruise_control_class_path
        ):
            raise LabError(
                "cruise_control=real needs CRUISE_CONTROL_CLASSPATH: a Java class path with "
                "Cruise Control 2.5.x"
            )
        if not settled.kraft and not settled.kafka_version.startswith("3."):
            raise LabError(
                f"Kafka {settled.kafka_version} knows no ZooKeeper: choose a 3.x version, such "
                "as 3.9.1, or --kraft"
            )
        if settled.proxies and proxies.program() is None:
            raise LabError(proxies.MISSING)
        if settled.secure and (settled.proxies or settled.kraft or settled.controller_ids):
            raise LabError(
                "a secure lab has ZooKeeper, and neither proxies nor KRaft "
                "controllers: choose one of them"
            )
        if settled.secure and settled.controller_nodes:
            raise LabError(
                "a secure lab has no KRaft controllers: leave out --secure, or "
                "--kraft and --controllers"
            )
        self.config = settled
        self.folders.lab_file.unlink(missing_ok=True)
        self.folders.environment_file.unlink(missing_ok=True)
        write_atomically(self.folders.settings_file, settled.model_dump_json(indent=2))
        supervisor = self._spawn(attached)
        try:
            return self._await_start(supervisor, progress or (lambda _text: None))
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                supervisor.terminate()
            supervisor.wait(self._stop_seconds_max)
            raise

    def down(self) -> None:
        """End every process of the lab. Its folder is kept, because the logs are in it.

        It is no error when the lab does not run.
        """
        content = self.description
        if content is None or not self.is_running:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(content["supervisor_pid"]), signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds_max
        while self.is_running:
            if time.monotonic() > deadline:
                raise LabError(
                    f"the supervisor (pid {content['supervisor_pid']}) does not end; see "
                    f"{self.folders.supervisor_log}"
                )
            time.sleep(POLL_SECONDS)
        if self._owned:
            self._owned.wait(10)
            if self._owned.stdin:
                self._owned.stdin.close()

    @contextlib.contextmanager
    def running(self, progress: Callable[[str], None] | None = None) -> Iterator["Lab"]:
        """Start the lab attached, and end it when the block ends."""
        try:
            self.up(attached=True, progress=progress)
            yield self
        finally:
            self.down()

    @property
    def is_running(self) -> bool:
        """Whether a supervisor holds the lock of this folder.

        This is true from the first moment of `up` to the last moment of `down`.
        """
        try:
            with self.folders.lock_file.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    @property
    def description(self) -> dict[str, Any] | None:
        """The content of lab.json, also after the lab has ended; None when there never was one."""
        return description.read(self.folders.root)

    def status(self) -> dict[str, Any]:
        """The content of lab.json and `running`.

        The state is true even after the supervisor was killed.
        """
        content = self.description or {"state": str(LabState.DOWN), "processes": {}}
        running = self.is_running
        if not running and content["state"] not in {LabState.DOWN, LabState.FAILED}:
            content["state"] = str(LabState.FAILED)
            content["error"] = "the supervisor was killed; the kernel ended its nodes with it"
        return {"running": running, **content}

    # ---- one node

    def kill(self, name: str) -> None:
        """Kill one node (SIGKILL), as if its machine were lost. Returns when it is gone."""
        self._order("kill", name)

    def stop(self, name: str, timeout_seconds: float = 60.0) -> None:
        """Shut one node down in order (SIGTERM). A broker hands over its leaders first.

        Raises LabError when it has not ended after `timeout_seconds`.
        """
        self._order("terminate", name)
        self._await(lambda: self.pid(name) is None, f"{name} has not ended", timeout_seconds)

    def pause(self, name: str) -> None:
        """Freeze one node (SIGSTOP). Its connections stay open, but it answers nothing."""
        self._order("pause", name)

    def unpause(self, name: str) -> None:
        """Let a frozen node continue (SIGCONT)."""
        self._order("unpause", name)

    def start(
        self,
        name: str,
        properties: Mapping[str, str | None] | None = None,
        *,
        wait: bool = True,
        timeout_seconds: float = 90.0,
    ) -> None:
        """Start a node on its old data and port. With `wait`, returns when it serves.

        `properties` change its settings, and None removes a key. They also hold for later starts;
        an empty mapping restores the settings of the lab.
        """
        node = self.config.node(name)
        if node.broker and not self.config.kraft:
            broker_id = node.broker.id
            self._await(
                lambda: not readiness.broker_is_registered(self.config, broker_id),
                f"ZooKeeper still holds the session of {name} (is it running?)",
                SESSION_EXPIRY_SECONDS_MAX,
            )
        self._order("start", name, properties=None if properties is None else dict(properties))
        if wait:
            self.await_ready(name, timeout_seconds)

    def restart(self, name: str, properties: Mapping[str, str | None] | None = None) -> None:
        """Stop a node in order and start it again, which is one step of a rolling restart."""
        self.stop(name)
        self.start(name, properties)

    def await_ready(self, name: str, timeout_seconds: float = 90.0) -> None:
        """Return when the node serves. Raises LabError when it ends or is too slow."""
        node = self.config.node(name)

        def ready() -> bool:
            if self.pid(name) is None:
                raise LabError(
                    f"{name} ended while starting; see {self.folders.log(name)} and "
                    f"{self.folders.output(name)}"
                )
            return readiness.is_ready(self.config, node)

        self._await(ready, f"{name} does not serve", timeout_seconds)

    def pid(self, name: str) -> int | None:
        """The process id of the node, or None when it does not run."""
        processes = (self.description or {}).get("processes", {})
        pid = processes.get(name, {}).get("pid")
        return None if pid is None else int(pid)

    # ---- internals

    @property
    def _stop_seconds_max(self) -> float:
        return self.config.stop_timeout_seconds * len(Kind) + 30

    def _spawn(self, attached: bool) -> subprocess.Popen[bytes]:
        """Start the supervisor.

        With `attached`, its stdin is a pipe that only this program holds, so that it notices when
        this program ends.
        """
        command = [sys.executable, "-m", "deploy.lab.cluster.supervisor", str(self.folders.root)]
        with (self.folders.root / "supervisor.out").open("wb") as output:
            process = subprocess.Popen(
                [*command, "--attached"] if attached else command,
                stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._owned = process
        return process

    def _await_start(
        self, supervisor: subprocess.Popen[bytes], progress: Callable[[str], None]
    ) -> dict[str, Any]:
        said = ""
        deadline = time.monotonic() + self.config.start_timeout_seconds + INSTALL_SECONDS_MAX
        while time.monotonic() < deadline:
            ended = supervisor.poll() is not None
            content = self.description or {}
            if content.get("step") and content["step"] != said:
                said = content["step"]
                progress(said)
            if content.get("state") == LabState.READY and not ended:
                return content
            if ended:
                printed = (self.folders.root / "supervisor.out").read_text(errors="replace").strip()
                raise LabError(
                    content.get("error")
                    or printed
                    or f"the supervisor ended ({supervisor.returncode})"
                )
            time.sleep(POLL_SECONDS)
        raise LabError(f"the lab did not start in time; see {self.folders.logs}")

    def _order(self, action: str, name: str, **more: Any) -> None:
        self.config.node(name)  # an unknown name is refused before the supervisor is asked
        try:
            reply = control.ask(self.folders.socket, {"action": action, "name": name, **more})
        except control.NotReachedError as error:
            raise LabError(
                f"no lab runs in {self.folders.root}; start one with `kafka-migration lab up`"
            ) from error
        if reply["refused"]:
            raise LabError(f"cannot {action} {name}: {reply['refused']}")

    def _await(self, condition: Callable[[], bool], complaint: str, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(
                    f"{complaint} after {timeout_seconds:.0f} s; logs: {self.folders.logs}"
                )
            time.sleep(POLL_SECONDS)


__all__ = ["Kind", "Lab", "LabConfig", "LabError"]
