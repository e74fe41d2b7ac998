"""The commands that only look:

`status`, `watch`, `events`. Registered by app.py; used by `start --follow`.
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
    """Where it stands: phase, stage, waves, and why it does not move, with what to do.

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
                    else ("no migration was ever started")
                )
            return
        if cluster not in found:
            known = ", ".join(sorted(found)) or "none"
            fail(
                Exit.REFUSED,
                f"no status of cluster '{cluster}'; there is one of: {known}",
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
    """Progress as it comes: a bar for each wave, rate and ETA. Ends when nothing is left to watch.

    That is: the sources may be shut down, or it is completed, cancelled or rolled back.

    `kafka-migration watch lab`
    """
    connection = connect(servers, prefix, as_json=as_json)
    run(watch_until_rest(connection, cluster, as_json=as_json), as_json=as_json)


def events(
    cluster: MaybeCluster = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those to come.")
    ] = False,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start",
            help=("With --follow: first all there are. Without it they are all shown."),
        ),
    ] = False,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """What happened, one line each: time, type, sentence. With --json one JSON object a line.

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
    """Show statuses until nothing is left to watch.

    `after`: a start's answer; what was before it is passed over.
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
    """One JSON object on one line."""
    print_json(state, line=True)


def is_at_rest(state: dict[str, Any]) -> bool:
    """Nothing will change any more by itself, but that drained brokers leave."""
    if state["phase"] == "drained":
        return all(s.get("may_be_shut_down") or s.get("left") for s in state.get("sources") or [])
    return state["phase"] in ENDS


__all__ = ["Cluster", "events", "is_at_rest", "status", "watch", "watch_until_rest"]
