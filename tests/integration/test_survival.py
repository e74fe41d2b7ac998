"""kill -9 of the agent while replicas move and clients run: it comes back, asks nothing twice,
ends what it began.
"""

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from rich.console import Console

from agent.client import ControlClient
from deploy.lab import Lab
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.demo.demo import Demo, DemoOptions
from deploy.lab.demo.story import Event, Story

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

EXECUTED = {"Active", "InExecution", "Completed"}


class KilledDemo(Demo):
    """The demo, but the agent is killed twice in wave 1 instead of a pause: as it asks for it,
    and as it moves.
    """

    executions: Counter[str]
    killed_in: list[str]

    async def steer(
        self, client: ControlClient, story: Story, lab: Lab, agent: AgentProcess
    ) -> None:
        self.killed_in = []
        await self._kill_at(
            story, agent, lambda e: e["type"] == "ChecksPassed", "the request for wave 1"
        )
        await self._kill_at(
            story,
            agent,
            lambda e: e["type"] == "WaveProgressed" and e["data"]["moving"] > 0,
            "the middle of wave 1",
        )
        drained = await story.until(
            lambda e: e["type"] == "MigrationDrained", 400, what="the last wave"
        )
        assert drained["phase"] == "drained"
        self.executions = await asyncio.to_thread(_executions, lab)

    async def _kill_at(self, story: Story, agent: AgentProcess, moment: object, what: str) -> None:
        assert callable(moment)
        event: Event = await story.until(moment, 200, what=what)
        await asyncio.to_thread(agent.kill)
        self.killed_in.append(event["phase"])
        agent.start()


def _executions(lab: Lab) -> Counter[str]:
    """How often Cruise Control has executed for each key `migration/wave/attempt`; what it
    refused is not counted.
    """
    url = f"{lab.status()['cruise_control_url']}/user_tasks"
    tasks = httpx.get(url, params={"json": "true"}, timeout=30, trust_env=False).json()["userTasks"]
    asked = [
        (parse_qs(urlsplit(t["RequestURL"].split(" ", 1)[-1]).query), t["Status"]) for t in tasks
    ]
    return Counter(
        query["reason"][0]
        for query, status in asked
        if query.get("dryrun") == ["false"] and "reason" in query and status in EXECUTED
    )


def test_agent_survives_kill_9_with_one_execution_a_wave(tmp_path: Path) -> None:
    """Killed as it asks and as it moves: everything arrives, clients notice nothing, each
    attempt ran just once.
    """
    demo = KilledDemo(
        DemoOptions(directory=tmp_path, fill_bytes=40_000_000, topics=6, load_spike=False),
        Console(width=150),
    )
    assert demo.run() == []
    assert demo.report["replicas_on_source_after"] == 0
    started = Counter(f"{w['wave']}" for w in demo.report["waves"])
    assert started == {"1": 1, "2": 1, "3": 1}
    assert set(demo.executions.values()) == {1}, demo.executions
    assert {key.split("/")[1] for key in demo.executions} == {"1", "2", "3"}
    assert demo.report["events"]["ExecutionStarted"] == len(demo.executions)
    assert demo.killed_in == ["requesting", "moving"]
