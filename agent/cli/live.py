"""Shows a running migration as progress bars, one for each wave and one for all, or as lines.

Both show replicas, bytes, rate and ETA, the phase, and why nothing moves. Used by `watch` and the
demo.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from agent.cli import render
from agent.cli.quantities import duration, ids, size

Json = Mapping[str, Any]
LINE_SECONDS = 5.0
ENDED = frozenset({"done", "skipped"})


class Bars:
    """Progress bars that `rich.live.Live` draws; `show` updates them to a status."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[words]}"),
        )
        self._tasks: dict[str, TaskID] = {}
        self._foot: list[Text] = []
        self._head = Text("")

    def __rich__(self) -> RenderableType:
        return Group(self._head, self._progress, *self._foot)

    def show(self, state: Json) -> None:
        """Updates the bars to this status."""
        waves = state.get("waves") or []
        now = time.time()
        self._head = Text.assemble(
            (str(state["cluster"]), "bold"),
            (
                f"  {state.get('migration_id') or ''}  stage {state['stage']} of 4: "
                f"{state['stage_words']}"
            ),
        )
        for wave in waves:
            share, words = wave_share(wave, state)
            way = f"{ids(wave['source_broker_ids'])} → {ids(wave['destination_broker_ids'])}"
            self._bar(f"wave {wave['number']}  {wave['az']}  {way}", share, words)
        if waves:
            ended = sum(w["state"] in ENDED for w in waves)
            left = f"{size(state['bytes_left'])} left"
            self._bar(
                "all", state.get("share", 0.0), f"{left}, {ended} of {len(waves)} waves ended"
            )
        self._foot = [
            Text.assemble("phase: ", render.phase(state, now)),
            *render.why_not_moving(state),
        ]

    def _bar(self, name: str, share: float, words: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=1.0, words="")
        self._progress.update(self._tasks[name], completed=min(share, 1.0), words=words)


class Lines:
    """Progress as lines, for CI and log files.

    It writes a line when the phase or a reason changes, and otherwise one every 5 seconds.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._said = ""
        self._due = 0.0

    def show(self, state: Json) -> None:
        """Writes a line when the phase or a reason has changed, or when a line is due."""
        why = [str(line).strip() for line in render.why_not_moving(state)]
        gist = f"{state['phase']} {why}"
        now = time.monotonic()
        if gist == self._said and now < self._due:
            return
        self._said, self._due = gist, now + LINE_SECONDS
        ended = sum(w["state"] in ENDED for w in state.get("waves") or [])
        words = (
            f"{state['phase'].replace('_', ' ')}, {ended} of "
            f"{len(state.get('waves') or [])} waves ended"
        )
        moved = f", moved: {render.moved_words(state)}" if state.get("migration_id") else ""
        self._write(f"{words}{moved}, left: {render.left_words(state)}")
        for line in why:
            self._write(f"  {line}")


def wave_share(wave: Json, state: Json) -> tuple[float, str]:
    """Returns how much of a wave is done, from 0 to 1, and its figures in words."""
    planned = f"{wave['replicas']:,} replicas, {size(wave['size_bytes'])}"
    if wave["state"] == "done":
        return 1.0, f"{planned}, verified"
    share = wave.get("share", 0.0)
    if wave["state"] == "pending" and not share:
        return 0.0, planned
    words = f"{wave['replicas_left']:,} replicas and {size(wave['bytes_left'])} left"
    if wave["state"] in ("skipped", "abandoned"):
        words += f", {wave['state']}"
    elif state["phase"] == "moving" and wave["state"] == "active":
        words += (
            f", {size(state['rate_bytes_per_second'])}/s, ETA {duration(state.get('eta_seconds'))}"
        )
    return share, words
