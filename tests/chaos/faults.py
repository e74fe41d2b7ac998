"""The faults: each strikes while a wave moves, says what is expected, and what was seen, by code.

Called by run.py.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from deploy.lab.demo.story import Event
from tests.chaos.dying_agent import BOUNDARIES
from tests.chaos.stage import Stage, Worker

Strike = Callable[[Stage], Awaitable[Callable[[Event], bool]]]
RECOVERY_SECONDS_MAX = 150.0


@dataclass(frozen=True)
class Fault:
    """`strike` does the damage, mends it where that belongs to the fault, and returns what
    counts as recovered.
    """

    name: str
    expected: str
    strike: Strike
    # An event that must be published meanwhile, such as a pause with its cause.
    sign: Callable[[Event], bool] | None = None
    # For this long something must be left to move, or the fault comes after the end.
    strike_seconds: float = 20.0
    recovery_seconds_max: float = RECOVERY_SECONDS_MAX


def _type(*kinds: str) -> Callable[[Event], bool]:
    return lambda e: e["type"] in kinds


# After these events nothing more is published about a migration.
ENDS = ("MigrationDrained", "RollbackCompleted")
ended = _type(*ENDS)
# The migration acts again: it tells progress, closes a wave, begins one, or comes to its end.
acts = _type(
    "WaveProgressed", "SourceEmptied", "WaveVerified", "WaveBegun", "ExecutionStarted", *ENDS
)


def _code(code: str) -> Callable[[Event], bool]:
    """An event that names this code as a reason, or as the cause of a pause."""

    def told(e: Event) -> bool:
        data = e["data"]
        reasons = [r["code"] for r in data.get("reasons") or ()]
        outcome = (data.get("outcome") or {}).get("reason") or {}
        return (
            code in reasons or data.get("cause") == f"safety:{code}" or outcome.get("code") == code
        )

    return told


async def kill_agent(stage: Stage) -> Callable[[Event], bool]:
    """kill -9, and the same worker again."""
    stage.worker.kill()
    stage.worker.start()
    return acts


def agent_dies_at(boundary: str) -> Strike:
    """kill -9 between two lines, at the boundary of the next request to Cruise Control."""

    async def strike(stage: Stage) -> Callable[[Event], bool]:
        marker = stage.folder / f"died-{boundary}-{time.time():.0f}"
        stage.worker.stop()
        stage.worker.start("tests.chaos.dying_agent", DIE_AT=boundary, DIE_ONCE=str(marker))
        await stage.until(acts, 60.0, len(stage.story.events))
        # A pause and a resume make it ask again, whatever stands.
        await stage.order("pause")
        await stage.until(_type("MigrationPaused"), 60.0, len(stage.story.events) - 5)
        await stage.order("resume")
        for _ in range(900):
            if marker.exists() and not stage.worker.is_running:
                break
            await asyncio.sleep(0.1)
        else:
            stage.worker.stop()  # or it would die of this fault in the middle of the next one
            stage.worker.start()
            raise TimeoutError(f"the agent did not die {boundary}")
        stage.worker.start()
        return acts

    return strike


async def _broker_of_wave(stage: Stage, side: str) -> str:
    waves = (await stage.client.statuses())["lab"]["waves"]
    active = next((w for w in waves if w["state"] == "active"), None)
    if active is None:
        raise TimeoutError("no wave is active")
    return f"broker-{active[side][0]}"


def kill_broker_of_wave(side: str, down_seconds: float) -> Strike:
    """kill -9 a source or a destination of the wave that moves, and start it again after a
    while.
    """

    async def strike(stage: Stage) -> Callable[[Event], bool]:
        return await kill_node(await _broker_of_wave(stage, side), down_seconds)(stage)

    return strike


def freeze_broker_of_wave(side: str, seconds: float) -> Strike:
    """SIGSTOP a broker of the wave that moves."""

    async def strike(stage: Stage) -> Callable[[Event], bool]:
        return await freeze_node(await _broker_of_wave(stage, side), seconds)(stage)

    return strike


def kill_node(name: str, down_seconds: float) -> Strike:
    """kill -9 a node of the lab, and start it again after a while."""

    async def strike(stage: Stage) -> Callable[[Event], bool]:
        await asyncio.to_thread(stage.lab.kill, name)
        await asyncio.sleep(down_seconds)
        await asyncio.to_thread(stage.lab.start, name)
        return acts

    return strike


def freeze_node(name: str, seconds: float) -> Strike:
    """SIGSTOP for longer than every time-out."""

    async def strike(stage: Stage) -> Callable[[Event], bool]:
        await asyncio.to_thread(stage.lab.pause, name)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(stage.lab.unpause, name)
        return acts

    return strike


async def second_agent(stage: Stage) -> Callable[[Event], bool]:
    """Another agent, with topics and state of its own, is ordered to drive the same cluster: it
    must be refused.
    """
    from agent.client import ControlClient

    prefix = f"other{time.time():.0f}."
    other = Worker(
        stage.lab,
        stage.folder / "other.log",
        "other-1",
        KAFKA_MIGRATION_APP_ID=prefix.rstrip("."),
        KAFKA_MIGRATION_TOPIC_PREFIX=prefix,
    )
    other.start()
    try:
        await asyncio.sleep(12.0)
        client = ControlClient(
            {"bootstrap_servers": stage.lab.status()["control_bootstrap_servers"]}, prefix
        )
        answer: Any = await client.send_command({"type": "start", "cluster": "lab"}, 60.0)
        codes = [r["code"] for r in answer["data"].get("reasons") or ()]
        if answer["type"] != "CommandRefused" or "OTHER_DRIVER" not in codes:
            raise AssertionError(
                f"the second agent was not refused for OTHER_DRIVER: {answer['summary']}"
            )
    finally:
        other.stop()
    return acts


async def takeover(stage: Stage) -> Callable[[Event], bool]:
    """The worker dies for good, and another one of the same group takes its clusters over."""
    old = stage.worker
    stage.worker = Worker(stage.lab, stage.folder / "agent.log", f"agent-{time.time():.0f}")
    stage.worker.start()
    await asyncio.sleep(10.0)
    old.kill()
    return acts


RESUMES = "acts again"
CATALOGUE: tuple[Fault, ...] = (
    Fault("agent killed while moving", RESUMES, kill_agent),
    *(
        Fault(f"agent killed {b.replace('_', ' ')}", RESUMES, agent_dies_at(b), strike_seconds=40.0)
        for b in BOUNDARIES
    ),
    Fault("agent replaced by another worker", RESUMES, takeover),
    Fault("cruise control killed", RESUMES, kill_node("cruise-control", 3.0)),
    Fault(
        "cruise control killed for 20 s",
        RESUMES,
        kill_node("cruise-control", 20.0),
        _code("CRUISE_CONTROL_UNREACHABLE"),
        strike_seconds=40.0,
    ),
    Fault(
        "cruise control frozen for 25 s",
        RESUMES,
        freeze_node("cruise-control", 25.0),
        _code("CRUISE_CONTROL_UNREACHABLE"),
        strike_seconds=40.0,
    ),
    Fault(
        "source broker killed",
        "pauses for BROKER_DOWN, then resumes",
        kill_broker_of_wave("source_broker_ids", 12.0),
        _code("BROKER_DOWN"),
    ),
    Fault(
        "destination broker killed",
        "pauses for BROKER_DOWN, then resumes",
        kill_broker_of_wave("destination_broker_ids", 12.0),
        _code("BROKER_DOWN"),
    ),
    Fault(
        "broker frozen for 25 s",
        "pauses for BROKER_DOWN, then resumes",
        freeze_broker_of_wave("destination_broker_ids", 25.0),
        _code("BROKER_DOWN"),
        strike_seconds=40.0,
    ),
    Fault("zookeeper restarted", RESUMES, kill_node("zookeeper", 3.0)),
    Fault(
        "control kafka lost for 60 s",
        RESUMES,
        kill_node("control-kafka", 60.0),
        strike_seconds=80.0,
    ),
    Fault(
        "a second agent is started by mistake",
        "refused with OTHER_DRIVER",
        second_agent,
        strike_seconds=60.0,
    ),
)
# Three minutes of `make test`; the integration tests kill the agent in other moments.
SHORT = ("agent killed after send", "cruise control killed", "destination broker killed")
