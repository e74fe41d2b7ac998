"""The agent as a process beside a lab: for the demo and for tests that kill it.

Not one of the lab's nodes.

Start it from the main thread: the kernel ties its life to the thread that started it (see
processes.py).
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.client import ClientError, ControlClient
from deploy.lab.cluster import security
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.launch import Folders
from deploy.lab.cluster.ports import free_ports
from deploy.lab.cluster.processes import ManagedProcess

STOP_SECONDS = 15.0
READY_SECONDS_MAX = 90.0
COLLECT_SECONDS = 2.0
WINDOW_SECONDS = 6  # three scrapes of the lab's Prometheus


def lab_environment(
    description: Mapping[str, Any],
    directory: Path,
    web_port: int | None = None,
    user: str = security.AGENT,
) -> dict[str, str]:
    """The settings of an agent that drives this lab, or of another part of ours, as that user of a
    secure lab.

    `description`: lab.json; `directory`: the lab's folder.
    """
    environment = {
        "KAFKA_MIGRATION_BOOTSTRAP_SERVERS": str(description["control_bootstrap_servers"]),
        "KAFKA_MIGRATION_CLUSTERS_FILE": str(Folders(directory).clusters_file),
        "KAFKA_MIGRATION_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_MIGRATION_DATA_FOLDER": str(Folders(directory).root / "agent"),
    }
    environment |= security_environment(directory, user)
    environment |= metrics_environment(description)
    if web_port is not None:
        environment["KAFKA_MIGRATION_WEB_PORT"] = str(web_port)
    return environment


def metrics_environment(description: Mapping[str, Any]) -> dict[str, str]:
    """Where this lab's collector finds metrics: at its Prometheus, where one was found, else at
    the exporters.
    """
    environment = {
        "KAFKA_MIGRATION_COLLECTOR_INTERVAL_SECONDS": f"{COLLECT_SECONDS:g}",
        "KAFKA_MIGRATION_COLLECTOR_WINDOW_SECONDS": f"{WINDOW_SECONDS}",
    }
    if description.get("prometheus_url"):
        environment["KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL"] = str(description["prometheus_url"])
    elif description.get("targets_file"):
        environment["KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE"] = str(description["targets_file"])
    return environment


def security_environment(directory: Path, user: str) -> dict[str, str]:
    """How that user of the lab logs in at the control Kafka, as settings; passwords by reference.

    Empty: plain lab.
    """
    config = Lab.at(directory).config
    if not config.secure:
        return {}
    given = security.kafka_settings(config, user, on_control=True)
    servers = security.kafka_connection(config, user, on_control=True).bootstrap_servers
    return {"KAFKA_MIGRATION_BOOTSTRAP_SERVERS": servers} | {
        f"KAFKA_MIGRATION_SECURITY__{name.upper()}": value for name, value in given.items()
    }


class AgentProcess:
    """One agent worker. It ends with this program, however that ends.

    Killed and started again, it owns its clusters at once: its instance id stays the same.
    """

    word = "agent"
    port_setting = "KAFKA_MIGRATION_WEB_PORT"

    def __init__(self, lab: Lab, log: Path, instance_id: str = "agent-1") -> None:
        self.log = log
        self._process = ManagedProcess(self.word, log)
        self._lab = lab
        self._instance_id = instance_id
        self._web_port = free_ports(1)[0]

    def start(self) -> None:
        """Start it; returns at once. What it logs is appended to `log`."""
        environment = lab_environment(self._lab.status(), self._lab.folders.root)
        environment[self.port_setting] = str(self._web_port)
        environment["KAFKA_MIGRATION_INSTANCE_ID"] = self._instance_id
        pairs = [f"{name}={value}" for name, value in environment.items()]
        env = shutil.which("env") or "/usr/bin/env"
        self._process.start([env, *pairs, sys.executable, "-m", "agent.cli", self.word])

    async def ready(self, client: ControlClient) -> None:
        """Until the control topics are made: orders find it then.

        Raises ClientError if it ends or takes too long.
        """
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            try:
                await client.statuses()
            except ClientError as error:
                if not self.is_running:
                    raise ClientError(f"the agent has ended: {self.last_words()}") from error
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    def kill(self) -> None:
        """SIGKILL, as when its machine is lost."""
        self._process.kill()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; no error when it has ended already."""
        if self._process.pid is None:
            return
        self._process.terminate()
        if not self._process.wait(STOP_SECONDS):
            self._process.kill()

    @property
    def is_running(self) -> bool:
        return self._process.pid is not None

    def last_words(self) -> str:
        """The end of its log: the reason, when it could not go on."""
        return self._process.last_words(15)


class CollectorProcess(AgentProcess):
    """`kafka-migration collector` beside the agent, of a lab that shows metrics."""

    word = "collector"
    port_setting = "KAFKA_MIGRATION_COLLECTOR_WEB_PORT"
