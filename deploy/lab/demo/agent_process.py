"""The agent and the collector as processes beside a lab, for the demo and for tests that kill them.

They are not nodes of the lab. Start them from the main thread, because the kernel ties the life of
a child to the thread that started it (see processes.py).
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
    """One worker of the agent, which ends with this program however that ends.

    It keeps its instance id, so that it owns its clusters at once when it is started again.
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
        """Start it and return at once. Its log is appended to `log`."""
        environment = lab_environment(self._lab.status(), self._lab.folders.root)
        environment[self.port_setting] = str(self._web_port)
        environment["KAFKA_MIGRATION_INSTANCE_ID"] = self._instance_id
        pairs = [f"{name}={value}" for name, value in environment.items()]
        env = shutil.which("env") or "/usr/bin/env"
        self._process.start([env, *pairs, sys.executable, "-m", "agent.cli", self.word])

    async def ready(self, client: ControlClient) -> None:
        """Wait until the control topics exist and commands reach it.

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
        """Send SIGKILL, as if its machine were lost."""
        self._process.kill()

    def stop(self) -> None:
        """Send SIGTERM and then SIGKILL. It is no error when it has already ended."""
        if self._process.pid is None:
            return
        self._process.terminate()
        if not self._process.wait(STOP_SECONDS):
            self._process.kill()

    @property
    def is_running(self) -> bool:
        return self._process.pid is not None

    def last_words(self) -> str:
        """The end of its log, which has the reason when it had to end."""
        return self._process.last_words(15)


class CollectorProcess(AgentProcess):
    """`kafka-migration collector` beside the agent, for a lab that exports metrics."""

    word = "collector"
    port_setting = "KAFKA_MIGRATION_COLLECTOR_WEB_PORT"
