"""The load spike in the demo: the agent is to pause and to resume by itself.

Calm is measured, a rule is written, and load is made. demo.py uses this, and `results` goes into
its report. The only commands given are two of `tune`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.cli.quantities import rate
from deploy.lab.cluster.lab import Lab
from deploy.lab.demo import demo_report
from deploy.lab.demo.story import Event, Story, StoryError, seconds_between
from deploy.lab.workload.surge import CAUSE, RULE, add_rule, calm_latency_ms, rule_for

SendCommand = Callable[..., Awaitable[Event]]
Gone = Callable[[], str | None]
WAVE = 1
# The wave moves at an eighth of the throttle, so that it is not over before the spike is felt.
THROTTLE_PART = 8
THROTTLE_MIN = 1_000_000
PRODUCERS_MAX = 4
WARM_SECONDS = 3.0  # the first requests of clients meet cold brokers
WAVE_SECONDS_MAX = 300.0
STOP_SECONDS_MAX = 90.0  # an execution ends after its current batch
RESUME_SECONDS_MAX = 120.0


class Load(Protocol):
    """What makes the load (surge.py)."""

    def add_producer(self) -> int: ...

    def stop(self) -> dict[str, float] | None: ...

    def forget_records(self) -> bool: ...


@dataclass
class LoadSpike:
    """One load spike. `say` prints, and `results` is filled while it happens."""

    surge: Load
    say: Callable[[str], None]
    producer_seconds: float = 6.0  # then another one is added
    results: dict[str, Any] = field(default_factory=lambda: {"wave": WAVE})

    def measure(self, lab: Lab) -> None:
        """Measure the latency at rest, and write a rule for more than that into clusters.yaml.

        The agent reads the rule when it starts. Blocks.
        """
        time.sleep(WARM_SECONDS)
        calm_ms = asyncio.run(calm_latency_ms(lab.folders.targets_file))
        rule = rule_for(calm_ms)
        add_rule(lab.folders.clusters_file, rule)
        self.results |= {"calm_ms": calm_ms, "rule": rule}
        self.say(
            f"a produce request takes {calm_ms:.0f} ms at the slowest broker when calm; a "
            "rule pauses above"
        )
        self.say(
            f"  {rule['above']} ms, by what the collector reads from the brokers' JMX exporters"
        )

    async def play(
        self, story: Story, throttle: int, send_command: SendCommand, gone: Gone
    ) -> None:
        """Make load until the agent pauses, then wait until it resumes, and restore the throttle.

        `send_command(word, **fields)` publishes a command. `gone` returns why waiting is of no use,
        or None.
        """
        slow = max(throttle // THROTTLE_PART, THROTTLE_MIN)
        self.say(f"command: tune, throttle {rate(slow)} in wave {WAVE}")
        await send_command("tune", throttle_bytes_per_second=slow)
        what = f"the middle of wave {WAVE}"
        await story.until(_something_moved, WAVE_SECONDS_MAX, what=what, unless=gone)
        began = time.monotonic()
        paused = await self._load_until_paused(story, len(story.events), gone)
        self.results |= {
            "paused": paused is not None,
            "producers": await asyncio.to_thread(self.surge.stop),
        }
        self.results["spike_seconds"] = round(time.monotonic() - began, 1)
        if not await asyncio.to_thread(self.surge.forget_records):
            self.say("  what the spike wrote could not be deleted in time: it is moved as well")
        self.say(f"command: tune, throttle {rate(throttle)}")
        await send_command("tune", throttle_bytes_per_second=throttle)
        if paused is None:
            self.say(
                "  no broker came above the threshold: this machine takes the spike in its stride"
            )
        else:
            await self._until_resumed(story, paused, gone)

    async def _load_until_paused(self, story: Story, since: int, gone: Gone) -> Event | None:
        """Run one producer, and another whenever that was not enough.

        Returns the pause, or None when all producers were not enough.
        """
        what = "a pause by the rule"
        for _ in range(PRODUCERS_MAX):
            count = await asyncio.to_thread(self.surge.add_producer)
            self.say(
                f"load spike: ProducerPerformance without a limit ({count}), until the "
                "agent pauses by itself"
            )
            try:
                await story.until(_rule_fires, self.producer_seconds, what=what, since=since)
            except StoryError:
                if reason := gone():
                    raise StoryError(reason) from None
            else:
                return await story.until(
                    _paused_by_rule, STOP_SECONDS_MAX, what=what, since=since, unless=gone
                )
        return None

    async def _until_resumed(self, story: Story, paused: Event, gone: Gone) -> None:
        self.results |= demo_report.why_paused(story, paused, RULE)
        self.say(f"  {self.results['why']}")
        self.say(
            f"  paused by itself; the spike ended after {self.results['spike_seconds']} "
            "s; it waits for calm"
        )
        since = story.events.index(paused)
        resumed = await story.until(
            lambda e: bool(e["type"] == "MigrationResumed"),
            RESUME_SECONDS_MAX,
            what="the resume",
            since=since,
            unless=gone,
        )
        self.results |= {
            "resumed_at": resumed["time"],
            "paused_seconds": round(seconds_between(paused, resumed), 1),
        }
        self.say(f"  resumed by itself after {self.results['paused_seconds']} s")


def _something_moved(e: Event) -> bool:
    return bool(e["type"] == "WaveProgressed" and e["data"]["bytes_moved"])


def _rule_fires(e: Event) -> bool:
    return bool(
        e["type"] == "RuleStateChanged"
        and e["data"]["rule"] == RULE
        and e["data"]["level"] == "firing"
    )


def _paused_by_rule(e: Event) -> bool:
    """Whether the rule paused it or joined another pause.

    A spike may bring a partition under its min ISR first.
    """
    if e["type"] == "MigrationPaused":
        return CAUSE in e["data"]["causes"]
    return bool(
        e["type"] == "PauseCauseAdded"
        and e["data"]["cause"] == CAUSE
        and e.get("phase") == "paused"
    )
