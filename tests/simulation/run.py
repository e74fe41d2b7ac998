"""Plays many random schedules; a seed replays.

`make simulate`, or `python -m tests.simulation.run`.

Prints the figures as one line of JSON, or the seed and the story of the first schedule that fails.
"""

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import track

from tests.simulation.schedule import drawn_from
from tests.simulation.simulation import InvariantBrokenError, Simulation

CHUNK = 50


@dataclass
class Figures:
    """What was played."""

    schedules: int = 0
    steps: int = 0
    crashes: int = 0
    events: int = 0
    virtual_seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)  # the story of each failing seed

    def add(self, other: "Figures") -> None:
        self.schedules += other.schedules
        self.steps += other.steps
        self.crashes += other.crashes
        self.events += other.events
        self.virtual_seconds += other.virtual_seconds
        self.ends += other.ends
        self.failed += other.failed


def play_range(first: int, schedules: int, failures_max: int = 1) -> Figures:
    """Play seeds from `first` on; one that fails is noted, not raised, and the last of so many
    ends it.
    """
    figures = Figures()
    for seed in range(first, first + schedules):
        simulation = Simulation(drawn_from(seed))
        began = simulation.world.now
        figures.schedules += 1
        try:
            simulation.play()
        except InvariantBrokenError as error:
            figures.failed.append(str(error))
            if len(figures.failed) >= failures_max:
                break
            continue
        figures.steps += simulation.steps
        figures.crashes += simulation.crashes
        figures.events += len(simulation.durable.published)
        figures.virtual_seconds += simulation.world.now - began
        figures.ends[str(simulation.migration.phase)] += 1
    return figures


def run_many(schedules: int, seed: int, jobs: int = 1, failures_max: int = 1) -> dict[str, object]:
    """Play so many schedules from this seed on.

    Out: the figures, with the stories of the first that failed.
    """
    began = time.monotonic()
    total = Figures()
    chunks = [
        (first, min(CHUNK, seed + schedules - first))
        for first in range(seed, seed + schedules, CHUNK)
    ]
    with ExitStack() as open_:
        play: Callable[..., Iterable[Figures]] = map
        if jobs > 1:
            pool = open_.enter_context(ProcessPoolExecutor(jobs))
            open_.callback(pool.shutdown, cancel_futures=True)
            play = pool.map
        played = play(play_range, *zip(*chunks, strict=True), [failures_max] * len(chunks))
        for figures in track(
            played, "schedules", len(chunks), console=Console(stderr=True), transient=True
        ):
            total.add(figures)
            if len(total.failed) >= failures_max:
                break
    seconds = time.monotonic() - began
    return {
        "schedules": total.schedules,
        "seed": seed,
        "failed": total.failed,
        "steps": total.steps,
        "crashes": total.crashes,
        "events": total.events,
        "virtual_hours": round(total.virtual_seconds / 3_600, 1),
        "ends": dict(total.ends.most_common()),
        "seconds": round(seconds, 1),
        "schedules_per_second": round(total.schedules / seconds, 1),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="the first seed; a failing one is printed, and replays alone",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failing seeds")
    given = parser.parse_args()
    logging.disable()  # what the worker logs belongs to one schedule; a failing one tells its story
    figures = run_many(given.schedules, given.seed, given.jobs, given.failures)
    stories = figures.pop("failed")
    assert isinstance(stories, list)
    for story in stories:
        print(story, end="\n\n")
    print(json.dumps(figures | {"failed": len(stories)}))
    sys.exit(bool(stories))


if __name__ == "__main__":
    main()
