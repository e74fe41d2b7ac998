"""Turns plans and check results into text and tables.

Pure: JSON of the control topics goes in, and rich renderables come out. Fields that a newer agent
adds are ignored.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli.quantities import count, duration, rate, size
from agent.cli.render import answer, reason_lines, wave_table

Json = Mapping[str, Any]


def plan(event: Json) -> RenderableType:
    """Renders the answer to `plan`: waves, totals, estimates, and what prevents a start."""
    if event["type"] == "CommandRefused":
        return answer(event)
    data = event["data"]
    found, reasons = data.get("plan"), data.get("reasons", [])
    parts: list[RenderableType] = []
    if found:
        table = wave_table(found["waves"], with_state=False)
        table.caption = (
            f"{count(found['replicas'], 'replica')}, {size(found['size_bytes'])}, "
            f"at {rate(found['options'].get('throttle_bytes_per_second'))}"
        )
        table.caption_justify = "left"
        parts.append(table)
        parts += _estimate_lines(found.get("estimate"))
        parts += _wave_lines(found["waves"], data.get("blocked_waves") or [])
    if loads := data.get("load"):
        parts.append(_load_table(loads))
    if checks := data.get("check_results"):
        red = sum(not v["ok"] for v in checks)
        parts.append(
            Text(
                f"checks: {len(checks) - red} green, {red} red (`kafka-migration "
                "doctor` shows them all)"
            )
        )
    if reasons:
        parts.append(Text("A start would be refused:", style="bold red"))
        parts.extend(reason_lines(reasons))
    elif found:
        start = f"kafka-migration start {event.get('cluster', '')} --plan {found['plan_id']}"
        parts.append(
            Text.assemble(("nothing prevents a start", "green"), f"; start it with: {start}")
        )
    return Group(*parts)


def _load_table(loads: Sequence[Json]) -> Table:
    """Renders the load of each broker before and after the plan, as Kafka reports it."""
    table = Table(box=None, padding=(0, 2), title="load before and after", title_justify="left")
    for column in ("broker", "replicas", "leaders", "on disk", "written"):
        table.add_column(column, justify="right")

    def both(one: Json, name: str, word: Callable[[Any], str]) -> str:
        return f"{word(one[name])} → {word(one[f'{name}_after'])}"

    for one in loads:
        table.add_row(
            str(one["broker_id"]),
            both(one, "replicas", str),
            both(one, "leaders", str),
            both(one, "size_bytes", size),
            both(one, "written_bytes_per_second", lambda load: f"{size(int(load))}/s"),
        )
    return table


def _estimate_lines(found: Json | None) -> list[Text]:
    """Returns how long the plan takes, why, and how much crosses AZs.

    Empty for the answer of an older agent, which has no estimate.
    """
    if not found:
        return []
    lines = [
        (
            f"time: {duration(found['low_seconds'])} to {duration(found['high_seconds'])} "
            f"({found['reasoning']})"
        ),
        f"between AZs: {size(found['cross_az_bytes'])}, copied from leaders in another AZ",
    ]
    if found.get("largest_partition"):
        lines.append(
            f"largest partition: {found['largest_partition']}, "
            f"{size(found['largest_partition_bytes'])}"
        )
    return [Text(line) for line in lines]


def _wave_lines(waves: Sequence[Json], blocked: Sequence[Json]) -> list[Text]:
    """Returns the estimates of each wave, and what blocks this wave alone.

    The estimates are its duration, the data that crosses AZs, and the cost of a rollback after it.
    """
    against = {b["wave"]: b["reasons"] for b in blocked}
    lines = []
    for wave in waves:
        about, undo = wave.get("estimate"), wave.get("undo")
        words = []
        if about:
            words.append(f"{duration(about['low_seconds'])} to {duration(about['high_seconds'])}")
            words.append(f"{size(about['cross_az_bytes'])} between AZs")
        if undo:
            back = f"{duration(undo['low_seconds'])} to {duration(undo['high_seconds'])}"
            words.append(f"a rollback after it: {size(undo['size_bytes'])}, {back}")
        if words:
            lines.append(Text(f"wave {wave['number']}: {'; '.join(words)}"))
        lines += [
            Text.assemble(("  blocked by: ", "red"), str(r["code"]))
            for r in against.get(wave["number"], ())
        ]
    return lines


def check_results(findings: Json) -> RenderableType:
    """Renders every check of `doctor`, and what to do about each red one."""
    table = Table(box=None, padding=(0, 2))
    for column in ("", "check", "seen"):
        table.add_column(column)
    for v in findings["check_results"]:
        seen = Text(str(v["seen"]))
        if v.get("unknown"):
            seen = Text(f"{v['seen']} (needed: {v['needed']})")
        elif not v["ok"]:
            needed = f" (needed: {v['needed']})" if v.get("needed") else ""
            seen = Text.assemble(
                (str(v["code"]), "bold red"), f": {v['seen']}{needed}\n", ("do: ", "dim"), v["do"]
            )
        mark = Text("ok", style="green") if v["ok"] else Text("no", style="bold red")
        table.add_row(
            Text("?", style="bold yellow") if v.get("unknown") else mark, v["title"], seen
        )
    red = sum(not v["ok"] for v in findings["check_results"])
    end = Text(f"{red} of {len(findings['check_results'])} checks are red", style="bold red")
    return Group(table, end if red else Text("fit: nothing prevents a start", style="bold green"))
