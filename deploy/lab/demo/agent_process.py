"""The agent as a process beside a lab: for the demo and for tests that kill it.

Not one of the lab's nodes.

Start it from the main thread: the kernel ties its life to the thread that started it (see
processes.py).
"""

import asyncio
import shutil
import sys
import time
from pathlib import Path

from agent.client import ClientError, ControlClient
from deploy.lab.cluster.environment import lab_environment
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.ports import free_ports
from deploy.lab.cluster.processes import ManagedProcess

STOP_SECONDS = 15.0
READY_SECONDS_MAX = 90.0


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
