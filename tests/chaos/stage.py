"""What a chaos run plays upon: a lab, clients, an agent, and a migration that is kept moving,
forward and back.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.client import ClientError, ControlClient
from deploy.lab.cluster.environment import lab_environment
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.ports import free_ports
from deploy.lab.cluster.processes import ManagedProcess
from deploy.lab.demo.story import Event, Story

CLUSTER = "lab"
# Slow enough that a wave lasts long enough to be struck, fast enough for thirty faults in one run.
THROTTLE_BYTES_PER_SECOND = 3_000_000
ANSWER_SECONDS = 90.0
MOVING_SECONDS_MAX = 240.0


class Worker:
    """An agent process that can be given other settings, and another program."""

    def __init__(self, lab: Lab, log: Path, instance: str, **settings: str) -> None:
        self._process = ManagedProcess(instance, log)
        self._lab, self._instance, self._settings = lab, instance, settings
        self._web_port = free_ports(1)[0]

    @property
    def ready_url(self) -> str:
        """Whether it is ready, and what it drives."""
        return f"http://127.0.0.1:{self._web_port}/ready"

    def start(self, module: str = "agent.main", **environment: str) -> None:
        """Start it on its old identity; returns at once."""
        wanted = lab_environment(self._lab.status(), self._lab.folders.root, self._web_port)
        wanted |= {"KAFKA_MIGRATION_INSTANCE_ID": self._instance, **self._settings, **environment}
        env = shutil.which("env") or "/usr/bin/env"
        pairs = [f"{name}={value}" for name, value in wanted.items()]
        self._process.start([env, *pairs, sys.executable, "-m", module])

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        if self._process.pid is None:
            return
        self._process.terminate()
        if not self._process.wait(20.0):
            self._process.kill()

    @property
    def is_running(self) -> bool:
        return self._process.pid is not None


class Stage:
    """Everything a fault needs to know."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        description = lab.status()
        self.lab = lab
        self.folder = folder
        self.client = ControlClient({"bootstrap_servers": description["control_bootstrap_servers"]})
        self.story = Story(self.client, CLUSTER)
        self.worker = Worker(lab, folder / "agent.log", "agent-1")

    async def order(self, kind: str, **fields: Any) -> Event:
        """Publish a command and return its answer."""
        return await self.client.send_command(
            {"type": kind, "cluster": CLUSTER, "issued_by": "chaos", **fields}, ANSWER_SECONDS
        )

    def phase(self) -> str:
        return str(self.story.events[-1]["phase"]) if self.story.events else "none"

    async def until(
        self, wanted: Callable[[Event], bool], seconds: float, since: int
    ) -> Event | None:
        """The first event from index `since` on that is wanted; None when time is out."""
        deadline = time.monotonic() + seconds
        looked_at = since
        while time.monotonic() < deadline:
            while looked_at < len(self.story.events):
                event = self.story.events[looked_at]
                looked_at += 1
                if wanted(event):
                    return event
            await asyncio.sleep(0.1)
        return None

    async def moving(self, seconds: float) -> None:
        """Return when a wave is on its way, and the migration has more left than it can move in so
        many seconds.

        What stands still is started, turned back or released; what has too little left ends first.
        """
        deadline = time.monotonic() + MOVING_SECONDS_MAX
        while time.monotonic() < deadline:
            last = self.story.events[-1] if self.story.events else None
            is_on_its_way = last is not None and last["phase"] == "moving" and self._has_left()
            if is_on_its_way and await self._bytes_left() > THROTTLE_BYTES_PER_SECOND * seconds:
                return
            await self._push(self.phase())
            await asyncio.sleep(0.5)
        raise TimeoutError(f"nothing moves; last: {self.story.last_words()}")

    def _has_left(self) -> bool:
        told = self.story.of("WaveProgressed")
        return (
            bool(told)
            and told[-1]["data"]["moving"] > 0
            and told[-1]["data"]["bytes_left"] > THROTTLE_BYTES_PER_SECOND * 4
        )

    async def _bytes_left(self) -> int:
        """Of the whole migration: a wave that ends is no end while another one follows."""
        return int((await self.client.statuses())[CLUSTER]["bytes_left"])

    async def _push(self, phase: str) -> None:
        try:
            if phase in ("none", "rolled_back", "cancelled", "completed"):
                options = {"throttle_bytes_per_second": THROTTLE_BYTES_PER_SECOND}
                await self.order("start", options=options)
                await asyncio.sleep(3.0)
            elif phase == "drained":
                await self.order("rollback")
            elif phase == "blocked":
                await self.order("retry")
        except ClientError:
            await asyncio.sleep(1.0)
