"""`kafka-migration kraft`: migrates a cluster from ZooKeeper to KRaft. Registered by app.py."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from agent.cli import render
from agent.cli.commands import ANSWER_SECONDS, command_for, send_command
from agent.cli.connection import Cluster
from agent.cli.flags import Sender, with_flags
from agent.cli.quantities import duration, ids
from agent.cli.terminal import Exit, fail, out, print_json, run


class Action(StrEnum):
    """The actions of `kraft`."""

    PLAN = "plan"
    START = "start"
    ADVANCE = "advance"
    ROLLBACK = "rollback"
    FINALIZE = "finalize"
    STATUS = "status"


@with_flags
def kraft(
    action: Annotated[
        Action,
        typer.Argument(
            help="plan: dry run; start: begin; advance: enter the next phase if every signal of "
            "this one holds; rollback: return to ZooKeeper; finalize: leave ZooKeeper for good; "
            "status: show the phase and what it waits for."
        ),
    ],
    cluster: Cluster,
    sender: Sender,
    i_know: Annotated[
        bool,
        typer.Option("--i-know", help="With finalize: confirms that it cannot be undone."),
    ] = False,
) -> None:
    """Migrate a cluster from ZooKeeper to KRaft, phase by phase. Each phase waits for its signals,
    and everything can be undone until `finalize`.

    `kafka-migration kraft plan lab`

    `kafka-migration kraft start lab`, then `kafka-migration kraft advance lab` phase by phase

    `kafka-migration kraft finalize lab --i-know`
    """
    fields: dict[str, Any] = {"action": str(action), **({"i_know": True} if i_know else {})}
    if action is Action.STATUS:
        run(_show_status(cluster, sender), as_json=sender.as_json)
    elif action is Action.PLAN:
        command = command_for("kraft", cluster, sender, **fields)
        run(_plan(command, sender), as_json=sender.as_json)
    else:
        send_command("kraft", cluster, sender, **fields)


async def _show_status(cluster: str, sender: Sender) -> None:
    found = (await sender.connect().client.statuses()).get(cluster)
    state = (found or {}).get("kraft")
    if state is None:
        fail(
            Exit.REFUSED,
            f"the migration of {cluster} to KRaft was never started: try `kraft plan`",
            as_json=sender.as_json,
        )
    print_json(state) if sender.as_json else out.print(lines_of(state))


async def _plan(command: dict[str, Any], sender: Sender) -> None:
    answer = await sender.connect().client.plan(command, ANSWER_SECONDS)
    if sender.as_json:
        print_json(answer)
    else:
        steps = [f"{n:3}. {step}" for n, step in enumerate(answer["data"].get("steps", []), 1)]
        out.print("\n".join([*steps, answer["summary"]]))
    if answer["data"].get("reasons"):
        raise typer.Exit(int(Exit.REFUSED))


def lines_of(state: dict[str, Any]) -> str:
    """Returns the state of the migration to KRaft in a few lines of text."""
    lines = [
        f"{state['kraft_id']}: {state['phase']}"
        + (", every signal holds" if state["ready"] else "")
    ]
    nodes = ids(state["nodes_changed"]) or "none"
    asked = (
        f"; waiting for a restart of {state['node_asked']} (by {state['restart_by']})"
        if state["node_asked"] is not None
        else ""
    )
    lines.append(f"  nodes changed in this phase: {nodes}{asked}")
    lines += [
        f"  waiting for: {line.plain.strip()}" for line in render.reason_lines(state["waiting"])
    ]
    if seen := state.get("controllers"):
        lines.append(
            f"  controllers: {seen['leader_id']} leads; brokers registered: "
            f"{seen['brokers_active']}, "
            f"fenced: {seen['brokers_fenced']}; metadata.version: "
            f"{seen['metadata_version'] or 'unknown'}"
        )
    if state["drills_passed"]:
        lines.append(f"  drills passed: {', '.join(state['drills_passed'])}")
    if state["phase"] == "soaking":
        lines.append(f"  soak time: {duration(state['soak_seconds'])}")
    return "\n".join(lines)
