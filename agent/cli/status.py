"""The commands that only show something: `status`, `watch` and `events`.

Registered by app.py; `start --follow` uses `watch` too.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.live import Live

from agent.cli import render
from agent.cli.connection import (
    Cluster,
    Connection,
    JsonOption,
    MaybeCluster,
    Servers,
    TopicPrefix,
    connect,
)
from agent.cli.live import Bars, Lines
from agent.cli.terminal import Exit, err, fail, out, print_json, run

ENDS = frozenset({"none", "completed", "cancelled", "rolled_back"})


def status(
    cluster: MaybeCluster = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Show the phase, the stage, the waves, and why nothing moves and what to do about it.

    `kafka-migration status`

    `kafka-migration status lab --json | jq .phase`
    """
    connection = connect(servers, prefix, as_json=as_json)

    async def work() -> None:
        found = await connection.client.statuses()
        if cluster is None:
            states = [found[name] for name in sorted(found)]
            if as_json:
                print_json(states)
            elif len(states) == 1:
                out.print(render.status(states[0], time.time()))
            else:
                out.print(
                    render.statuses(states, time.time())
                    if states
                    else "no migration has been started yet"
                )
            return
        if cluster not in found:
            known = ", ".join(sorted(found)) or "none"
            fail(
                Exit.REFUSED,
                f"cluster '{cluster}' has no status; these have one: {known}",
                as_json=as_json,
            )
        print_json(found[cluster]) if as_json else out.print(
            render.status(found[cluster], time.time())
        )

    run(work(), as_json=as_json)


def watch(
    cluster: Cluster,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Show progress live: a bar for each wave, the rate and the ETA.

    It ends when the source brokers may be shut down, or when the migration is completed, cancelled
    or rolled back.

    `kafka-migration watch lab`
    """
    connection = connect(servers, prefix, as_json=as_json)
    run(watch_until_rest(connection, cluster, as_json=as_json), as_json=as_json)


def events(
    cluster: MaybeCluster = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show new events as they come, without end.")
    ] = False,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start",
            help="With --follow: show all past events first. Without --follow they are shown "
            "anyway.",
        ),
    ] = False,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Show the events, one on each line: time, type, sentence. With --json each line is a JSON
    object.

    `kafka-migration events lab`

    `kafka-migration events --follow --json | jq -c '[.time, .type]'`
    """
    connection = connect(servers, prefix, as_json=as_json)

    def show(event: dict[str, Any]) -> None:
        print_json(event, line=True) if as_json else out.print(
            render.sentence(event), soft_wrap=True
        )

    async def work() -> None:
        if follow:
            async for event in connection.client.events(cluster, from_start=from_start):
                show(event)
        else:
            for event in await connection.client.past_events(cluster):
                show(event)

    run(work(), as_json=as_json)


async def watch_until_rest(
    connection: Connection, cluster: str, *, as_json: bool, after: dict[str, Any] | None = None
) -> None:
    """Shows statuses until the migration changes no more by itself.

    `after` is the answer to a start; statuses older than that are skipped.
    """
    before = int(after["sequence"]) if after and after.get("sequence") else 0
    show: Callable[[dict[str, Any]], None]
    with contextlib.ExitStack() as until_end:
        if as_json:
            show = print_line
        elif out.is_terminal:
            bars = Bars()
            until_end.enter_context(Live(bars, console=out, refresh_per_second=4))
            show = bars.show
        else:
            show = Lines(
                lambda line: out.print(
                    f"{time.strftime('%H:%M:%S')} {line}", markup=False, soft_wrap=True
                )
            ).show
        async for state in connection.client.follow_status(cluster):
            if before and int(state.get("sequence", before + 1)) <= before:
                continue
            show(state)
            if is_at_rest(state):
                break
    if not as_json:
        err.print(f"{cluster}: {state['phase'].replace('_', ' ')}")


def print_line(state: dict[str, Any]) -> None:
    """Prints a status as one line of JSON."""
    print_json(state, line=True)


def is_at_rest(state: dict[str, Any]) -> bool:
    """Whether the migration changes no more by itself, except that drained brokers may leave."""
    if state["phase"] == "drained":
        return all(s.get("may_be_shut_down") or s.get("left") for s in state.get("sources") or [])
    return state["phase"] in ENDS


__all__ = ["Cluster", "events", "is_at_rest", "status", "watch", "watch_until_rest"]
