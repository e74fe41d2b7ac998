"""Turns statuses, answers and events into text and tables.

Pure: JSON of the control topics goes in, and rich renderables come out. Fields that a newer agent
adds are ignored. Used by the command line and the demo.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agent.cli.quantities import count, duration, ids, rate, size
from agent.core.model.reasons import Code
from agent.core.model.what_to_do import WHAT_TO_DO

Json = Mapping[str, Any]

_COLOURS = {
    "moving": "green",
    "closing": "green",
    "requesting": "green",
    "checking": "cyan",
    "between_waves": "cyan",
    "awaiting_approval": "yellow",
    "stopping": "yellow",
    "paused": "yellow",
    "blocked": "bold red",
    "drained": "green",
    "completed": "bold green",
    "rolled_back": "bold green",
    "cancelled": "yellow",
}


def reason_lines(reasons: Sequence[Json], indent: str = "  ") -> list[Text]:
    """Returns each reason on two lines: its code with what was seen, and what to do about it."""
    lines = []
    for reason in reasons:
        needed = f" (needed: {reason['needed']})" if reason.get("needed") else ""
        lines.append(
            Text.assemble(
                indent, (str(reason["code"]), "bold red"), f": {reason.get('seen', '')}{needed}"
            )
        )
        if to_do := what_to_do(reason):
            lines.append(Text.assemble(indent, ("  do: ", "dim"), to_do))
    return lines


def what_to_do(reason: Json) -> str:
    """Returns what to do about a reason; empty for a code that this version does not know."""
    if reason.get("do"):
        return str(reason["do"])
    code = str(reason.get("code", ""))
    return WHAT_TO_DO.get(Code(code), "") if code in Code.__members__ else ""


def answer(event: Json) -> RenderableType:
    """Renders the answer to a command: CommandAccepted, or CommandRefused with its reasons."""
    data = event["data"]
    again = (
        " (this command was answered before and is not carried out again)"
        if data.get("repeat")
        else ""
    )
    if event["type"] == "CommandAccepted":
        return Text.assemble(
            ("accepted", "bold green"), f": {data['command']} {event.get('cluster', '')}{again}"
        )
    head = Text.assemble(
        ("refused", "bold red"), f": {data['command']} {event.get('cluster', '')}{again}"
    )
    return Group(head, *reason_lines(data["reasons"]))


def status(state: Json, now: float) -> RenderableType:
    """Renders the full status of one cluster; `now` is in seconds since the epoch."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    grid.add_row(
        "migration",
        f"{state.get('migration_id') or 'none yet'} on [bold]{escape(state['cluster'])}[/]",
    )
    grid.add_row("phase", phase(state, now))
    grid.add_row("stage", f"{state['stage']} of 4: {state['stage_words']}")
    if state.get("migration_id"):
        grid.add_row("throttle", rate(state.get("throttle_bytes_per_second")))
        grid.add_row("moved", moved_words(state))
        grid.add_row("left", left_words(state))
    if sources := state.get("sources"):
        grid.add_row("sources", "; ".join(_source_words(s) for s in sources))
    if kraft := state.get("kraft"):
        grid.add_row("to KRaft", kraft_words(kraft))
    parts: list[RenderableType] = [grid]
    if state.get("waves"):
        parts.append(wave_table(state["waves"], with_state=True))
    parts.extend(why_not_moving(state))
    return Group(*parts)


def kraft_words(kraft: Json) -> str:
    """Returns the migration to KRaft in one line: phase, node to restart, and what it waits for."""
    words = [str(kraft["phase"]).replace("_", " ")]
    if kraft["ready"]:
        words.append("every signal holds")
    if kraft["node_asked"] is not None:
        words.append(f"waiting for node {kraft['node_asked']} to restart")
    return ", ".join([*words, *(str(r["code"]) for r in kraft["waiting"])])


def statuses(states: Sequence[Json], now: float) -> RenderableType:
    """Renders a table with one row for each cluster."""
    table = Table(box=None, padding=(0, 2))
    for column in (
        "cluster",
        "migration",
        "phase",
        "stage",
        "waves",
        "left",
        "ETA",
        "why nothing moves",
    ):
        table.add_column(column, style="bold" if column == "cluster" else "")
    for state in states:
        waves = state.get("waves") or []
        ended = sum(w["state"] in ("done", "skipped") for w in waves)
        lines = why_not_moving(state)
        table.add_row(
            state["cluster"],
            state.get("migration_id") or "-",
            phase(state, now),
            f"{state.get('stage', 1)} of 4",
            f"{ended}/{len(waves)}",
            size(state["bytes_left"]),
            duration(state.get("eta_seconds")) if state["phase"] == "moving" else "-",
            lines[1] if len(lines) > 1 else "",
        )
    return table


def phase(state: Json, now: float) -> Text:
    """Returns the phase and how long it has lasted."""
    name = str(state["phase"])
    since = state.get("phase_since") or 0
    age = f" for {duration(max(now - since, 0))}" if since else ""
    return Text.assemble((name.replace("_", " "), _COLOURS.get(name, "")), age)


def why_not_moving(state: Json) -> list[Text]:
    """Returns every cause and reason with what to do about it; empty while partitions move."""
    lines: list[Text] = []
    if causes := state.get("pause_causes"):
        lines.append(Text("paused by:", style="bold yellow"))
        lines += [_cause_line(cause) for cause in causes]
    if causes := state.get("slow_causes"):
        lines.append(Text("slowed by:", style="bold yellow"))
        lines += [_cause_line(cause) for cause in causes]
    for key, title in (
        ("blocked", "blocked; retry, skip, cancel or rollback:"),
        ("waiting", "waiting for:"),
    ):
        if reasons := state.get(key):
            lines.append(Text(title, style="bold yellow"))
            lines += reason_lines(reasons)
    if state["phase"] == "awaiting_approval":
        lines.append(Text("waiting for approval:", style="bold yellow"))
        lines.append(
            Text.assemble(("  do: ", "dim"), f"kafka-migration approve {state['cluster']}")
        )
    return lines


def sentence(event: Json) -> Text:
    """Returns an event on one line: its time, its type and its sentence."""
    return Text.assemble(
        (_clock(event), "dim"),
        " ",
        (f"{event['type']:<20}", "cyan"),
        " ",
        str(event.get("summary", "")),
    )


def _cause_line(cause: Json) -> Text:
    name = str(cause["name"])
    if name == "operator":
        to_do = "Send `resume` when the migration may go on."
    elif name.startswith("others:"):
        to_do = what_to_do({"code": name.removeprefix("others:")})
    elif name.startswith("safety:"):
        to_do = what_to_do({"code": name.removeprefix("safety:")})
        to_do += " The migration then resumes by itself."
    else:
        to_do = "The migration resumes by itself when the alert or the metric has recovered."
    line = Text.assemble("  ", (name, "bold"), f": {cause.get('seen', '')}\n")
    return line.append_text(Text.assemble(("    do: ", "dim"), to_do))


def _source_words(source: Json) -> str:
    if source.get("left"):
        word = "has left"
    elif source.get("may_be_shut_down"):
        word = "may be shut down"
    elif source.get("empty_since") is None:
        word = "holds replicas again: do not shut it down"
    else:
        word = "is empty and being watched"
    return f"broker {source['broker_id']} {word}"


def moved_words(state: Json) -> str:
    """Returns how much has moved, in any phase; during a rollback, how much has moved back."""
    percent = 99 if 0.99 < (share := state.get("share", 0.0)) < 1 else round(100 * share)
    waves = state.get("waves") or []
    back = " back" if waves and waves[-1].get("direction") == "back" else ""
    return (
        f"{percent} %, {state.get('replicas_moved', 0):,} of "
        f"{count(state.get('replicas', 0), 'replica')}{back}"
    )


def left_words(state: Json) -> str:
    """Returns what is left in all waves and, while partitions move, the rate and the ETA."""
    left = f"{count(state['replicas_left'], 'replica')}, {size(state['bytes_left'])}"
    if state["phase"] != "moving":
        return left
    return (
        f"{left}, {size(state['rate_bytes_per_second'])}/s, ETA of this wave "
        f"{duration(state.get('eta_seconds'))}"
    )


def wave_table(waves: Sequence[Json], *, with_state: bool) -> Table:
    """Renders a table of the waves.

    `with_state` shows the progress of each wave instead of how many leaders it moves.
    """
    table = Table(box=None, padding=(0, 2))
    for column in ("wave", "az", "from", "to", *(("state",) if with_state else ())):
        table.add_column(column)
    for column in (
        "replicas",
        "size",
        *(("replicas left", "bytes left") if with_state else ("leaders",)),
    ):
        table.add_column(column, justify="right")
    for wave in waves:
        lane = f" {wave['lane']}" if wave.get("lane", "rest") != "rest" else ""
        back = f"{lane} (back)" if wave.get("direction") == "back" else lane
        state = f"{wave['state']}" + (
            f", attempt {wave['attempt']}" if wave.get("attempt", 0) > 1 else ""
        )
        table.add_row(
            f"{wave['number']}{back}",
            wave["az"],
            ids(wave["source_broker_ids"]),
            ids(wave["destination_broker_ids"]),
            *((state,) if with_state else ()),
            f"{wave['replicas']:,}",
            size(wave["size_bytes"]),
            *(
                (f"{wave['replicas_left']:,}", size(wave["bytes_left"]))
                if with_state
                else (f"{wave['leaders']:,}",)
            ),
        )
    return table


def _clock(event: Json) -> str:
    """Returns the event's local time of day; the text itself when it is not a time."""
    text = str(event.get("time", ""))
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return text
