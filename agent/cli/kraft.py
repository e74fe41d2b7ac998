"""`kafka-migration kraft ...`: the orders of the way from ZooKeeper to KRaft, and where it stands.

For app.py.
"""

from enum import StrEnum
from typing import Annotated, Any

import typer

from agent.cli import render
from agent.cli.commands import ANSWER_SECONDS, command_for, send_command
from agent.cli.connection import Cluster, JsonOption, Servers, TopicPrefix, connect
from agent.cli.flags import CommandId, IssuedBy, Reason
from agent.cli.quantities import duration
from agent.cli.terminal import Exit, fail, out, print_json, run


class Action(StrEnum):
    """What can be asked."""

    PLAN = "plan"
    START = "start"
    ADVANCE = "advance"
    ROLLBACK = "rollback"
    FINALIZE = "finalize"
    STATUS = "status"


def kraft(
    action: Annotated[
        Action,
        typer.Argument(help=("plan: dry run; advance: the next phase, when its signals hold.")),
    ],
    cluster: Cluster,
    i_know: Annotated[
        bool, typer.Option("--i-know", help="With finalize: that there is no way back after it.")
    ] = False,
    reason: Reason = "",
    issued_by: IssuedBy = "",
    command_id: CommandId = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """From ZooKeeper to KRaft, the last stage: each phase waits for its signals, and can be undone
    until `finalize`.

    `kafka-migration kraft plan lab`

    `kafka-migration kraft start lab`, then `kafka-migration kraft advance lab` phase by phase

    `kafka-migration kraft finalize lab --i-know`
    """
    connection = connect(servers, prefix, as_json=as_json)
    if action is Action.STATUS:

        async def show() -> None:
            found = (await connection.client.statuses()).get(cluster)
            state = (found or {}).get("kraft")
            if state is None:
                fail(
                    Exit.REFUSED,
                    (f"{cluster} was never started on its way to KRaft: `kraft plan`"),
                    as_json=as_json,
                )
            print_json(state) if as_json else out.print(lines_of(state))

        run(show(), as_json=as_json)
        return
    options: dict[str, Any] = {"action": str(action), **({"i_know": True} if i_know else {})}
    command = command_for("kraft", cluster, reason, issued_by, command_id, options, as_json=as_json)
    if action is not Action.PLAN:
        send_command(command, connection, as_json=as_json)
        return

    async def plan() -> None:
        answer = await connection.client.plan(command, ANSWER_SECONDS)
        if as_json:
            print_json(answer)
        else:
            steps = answer["data"].get("steps", [])
            out.print(
                "\n".join(
                    [*(f"{n:3}. {step}" for n, step in enumerate(steps, 1)), answer["summary"]]
                )
            )
        if answer["data"].get("reasons"):
            raise typer.Exit(int(Exit.REFUSED))

    run(plan(), as_json=as_json)


def lines_of(state: dict[str, Any]) -> str:
    """Where it stands, in a few lines."""
    lines = [
        f"{state['kraft_id']}: {state['phase']}"
        + (", every signal holds" if state["ready"] else "")
    ]
    nodes = ", ".join(map(str, state["nodes_changed"])) or "none"
    asked = (
        f"; awaited: {state['node_asked']} (by {state['restart_by']})"
        if state["node_asked"] is not None
        else ""
    )
    lines.append(f"  nodes changed in this phase: {nodes}{asked}")
    lines += [f"  waits: {line.plain.strip()}" for line in render.reason_lines(state["waiting"])]
    if seen := state.get("controllers"):
        lines.append(
            f"  controllers: {seen['leader_id']} leads; brokers registered: "
            f"{seen['brokers_active']}, "
            f"fenced: {seen['brokers_fenced']}; metadata.version: "
            f"{seen['metadata_version'] or 'not told yet'}"
        )
    if state["drills_passed"]:
        lines.append(f"  drills passed: {', '.join(state['drills_passed'])}")
    if state["phase"] == "soaking":
        lines.append(f"  soak time: {duration(state['soak_seconds'])}")
    return "\n".join(lines)
