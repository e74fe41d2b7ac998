"""The pause in the demo: a slow wave is paused in the middle, and nothing may move meanwhile.

demo.py uses it, and `results` goes into its report. Kafka itself, and not the agent, shows what was
in flight and what was left.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from agent.cli.quantities import rate, size
from deploy.lab.demo.story import Event, Story
from deploy.lab.workload.facts import Facts, Flight

Order = Callable[..., Awaitable[Event]]
Gone = Callable[[], str | None]
WAVE = 2
# How long the paused wave lasts. Cruise Control checks its progress every five to ten seconds.
WAVE_SECONDS = 60
THROTTLE_MIN = 100_000
FLIGHT_SECONDS = 5  # how long the copies in flight would still take when the pause begins
# How long to wait for copies in flight: a metric may have paused the wave meanwhile.
FLIGHT_SECONDS_MAX = 120.0
POLL_SECONDS = 0.2
WAVE_SECONDS_MAX = 600.0
STOP_SECONDS_MAX = 60.0


@dataclass
class PauseAct:
    """One pause.

    `observe` and `flight` ask Kafka itself and block, `status` is what the agent reports, and `say`
    prints.
    """

    observe: Callable[[], Facts]
    flight: Callable[[], Flight]
    status: Callable[[], Awaitable[dict[str, Any]]]
    say: Callable[[str], None]
    pause_seconds: float = 5.0
    results: dict[str, Any] = field(default_factory=lambda: {"wave": WAVE})

    async def play(
        self, story: Story, fill_bytes: int, throttle: int, order: Order, gone: Gone
    ) -> None:
        """Slow the wave down, pause it with much in flight, and check twice that nothing moves.

        Then it is resumed. `fill_bytes` is what lies on each source broker. `throttle` is that of
        the rest of the migration, which is set again at the end.
        """
        slow = max(min(throttle, fill_bytes // WAVE_SECONDS), THROTTLE_MIN)
        await story.until(
            _is_emptied, 2 * WAVE_SECONDS_MAX, what=f"the end of wave {WAVE - 1}", unless=gone
        )
        self.say(f"command: tune, throttle {rate(slow)} in wave {WAVE}")
        await order("tune", throttle_bytes_per_second=slow)
        what = f"the middle of wave {WAVE}"
        await story.until(_in_the_middle, WAVE_SECONDS_MAX, what=what, unless=gone)
        flight = await self._much_in_flight(slow * FLIGHT_SECONDS)
        since, ordered_at = len(story.events), time.monotonic()
        self.say(
            f"command: pause ({flight.reassignments} moves in flight, "
            f"{size(flight.bytes_to_come)} to come)"
        )
        await order("pause", reason="the demo looks whether nothing moves")
        await story.until(_is_paused, STOP_SECONDS_MAX, what="the pause", since=since, unless=gone)
        stopped_after = time.monotonic() - ordered_at
        await self._look_twice(_sources(story))
        self.results |= {
            "throttle_bytes_per_second": slow,
            "reassignments_in_flight": flight.reassignments,
            "bytes_copied_in_flight": flight.bytes_copied,
            "bytes_in_flight": flight.bytes_to_come,
            "stopped_after_seconds": round(stopped_after, 2),
            "seconds": round(time.monotonic() - ordered_at, 2),
        }
        self._say_how_it_went()
        await order("tune", throttle_bytes_per_second=throttle)
        await order("resume")

    async def _much_in_flight(self, bytes_wanted: int) -> Flight:
        """What Kafka has in flight, as soon as it is much.

        Between two batches of the mover nothing is in flight.
        """
        deadline = time.monotonic() + FLIGHT_SECONDS_MAX
        while True:
            flight = await asyncio.to_thread(self.flight)
            if flight.bytes_to_come >= bytes_wanted or time.monotonic() > deadline:
                return flight
            await asyncio.sleep(POLL_SECONDS)

    async def _look_twice(self, sources: list[int]) -> None:
        first = await asyncio.to_thread(self.observe)
        await asyncio.sleep(self.pause_seconds)
        second = await asyncio.to_thread(self.observe)
        (wave,) = (w for w in (await self.status())["waves"] if w["number"] == WAVE)
        arrived = second.arrived_since(first)
        self.results |= {
            "replicas": wave["replicas"],
            "replicas_left": second.assigned_to(sources),
            "replicas_told_left": wave["replicas_left"],
            "bytes_left": second.bytes_on(sources),
            "bytes_told_left": wave["bytes_left"],
            "share_told": round(wave["share"], 3),
            "reassignments_meanwhile": first.reassignments + second.reassignments,
            "replicas_moved_meanwhile": len(arrived),
            "examples": [
                f"{topic}-{partition} on {broker}" for broker, (topic, partition) in arrived[:5]
            ],
            "throttles_meanwhile": len(second.throttles),
        }

    def _say_how_it_went(self) -> None:
        results = self.results
        self.say(
            f"  stopped after {results['stopped_after_seconds']:.1f} s with "
            f"{results['replicas_left']} of {results['replicas']} replicas left, "
            f"{results['replicas_told_left']} are told; {results['replicas_moved_meanwhile']} "
            f"replicas moved in {self.pause_seconds:.0f} s"
        )
        self.say(
            "command: tune, throttle as before; command: resume (paused at "
            f"{results['share_told']:.0%})"
        )


def what_is_wrong(results: dict[str, Any]) -> list[str]:
    """What should not have happened during the pause, in words.

    A pause proves nothing when nothing was in flight or nothing was left, so this counts as wrong
    too.
    """
    wrong = []
    of_wave = f"the pause of wave {results['wave']}"
    if not results["reassignments_in_flight"] or not results["bytes_in_flight"]:
        wrong.append(f"nothing was in flight when {of_wave} was ordered: it proves nothing")
    if not results["replicas_left"]:
        wrong.append(f"nothing was left of the wave after {of_wave}: it proves nothing")
    if results["reassignments_meanwhile"]:
        wrong.append(
            f"{results['reassignments_meanwhile']} reassignments in flight during {of_wave}"
        )
    if results["replicas_moved_meanwhile"]:
        wrong.append(f"{results['replicas_moved_meanwhile']} replicas that moved during {of_wave}")
    if results["replicas_told_left"] != results["replicas_left"]:
        seen = f"{results['replicas_left']} replicas were left during {of_wave}"
        wrong.append(f"{seen}, and the status told {results['replicas_told_left']}")
    return wrong


def _is_emptied(e: Event) -> bool:
    """Whether the wave before is closing. A throttle set now holds from the next wave on."""
    return bool(e["type"] == "SourceEmptied" and e["data"]["wave"] == WAVE - 1)


def _in_the_middle(e: Event) -> bool:
    d = e["data"]
    return bool(
        e["type"] == "WaveProgressed"
        and d["wave"] == WAVE
        and d["bytes_moved"]
        and d["replicas_left"]
    )


def _is_paused(e: Event) -> bool:
    """Whether the command paused it or joined a pause that a metric had caused before."""
    joins_in = (
        e["type"] == "PauseCauseAdded"
        and e["data"]["cause"] == "operator"
        and e.get("phase") == "paused"
    )
    return bool(e["type"] == "MigrationPaused" or joins_in)


def _sources(story: Story) -> list[int]:
    plan = story.of("MigrationStarted")[-1]["data"]["plan"]
    return [b for w in plan["waves"] if w["number"] == WAVE for b in w["source_broker_ids"]]
