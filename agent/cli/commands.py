"""The commands that plan or change something.

Each one is checked against the schema that the agent uses, published, and its answer shown. Nothing
is decided here: the agent carries a command out or refuses it. Registered by app.py.
"""

import getpass
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agent.cli import render, render_plan
from agent.cli.connection import Cluster, Connection
from agent.cli.flags import MOVE, Concurrency, Sender, Throttle, with_flags, wrong_fields
from agent.cli.status import watch_until_rest
from agent.cli.terminal import Exit, fail, out, print_json, run
from schemas.commands import COMMANDS

# Before the agent answers a start, it surveys the cluster and asks Cruise Control for a dry run.
ANSWER_SECONDS = 120.0


@with_flags
def plan(cluster: Cluster, sender: Sender, **options: Any) -> None:
    """Dry run: show what would move, how much, how long it would take, and everything that
    prevents a start.

    Nothing is moved.

    `kafka-migration plan lab`

    `kafka-migration plan lab --mode az --az az-a --throttle 100MB`

    `kafka-migration plan lab --canary 3 --large-partition-bytes 50GB --internal-topics last`

    The exit code is 1 when something prevents a start. `start --plan ID` starts exactly this plan.
    """
    command = command_for("plan", cluster, sender, options=options)
    connection = sender.connect()

    async def work() -> None:
        answer = await connection.client.plan(command, ANSWER_SECONDS)
        print_json(answer) if sender.as_json else out.print(render_plan.plan(answer))
        if answer["data"].get("reasons"):
            raise typer.Exit(int(Exit.REFUSED))

    run(work(), as_json=sender.as_json)


@with_flags
def start(
    cluster: Cluster,
    sender: Sender,
    plan_id: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="ID",
            help="Start exactly this plan, with its options.",
            rich_help_panel=MOVE,
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Then watch the migration until it needs no watching."),
    ] = False,
    **options: Any,
) -> None:
    """Start to move partitions. The agent surveys the cluster first, and refuses with every reason
    when the cluster is not fit.

    `kafka-migration start lab --throttle 100MB --follow`

    `kafka-migration start prod-1 --mode brokers --source 11,12 --destination 31,32 --approval wave`

    `kafka-migration start prod-1 --plan 3f2a9c`
    """
    if plan_id is not None and options:
        raise typer.BadParameter(
            "a plan has its own options: give --plan alone, or make another plan",
            param_hint="--plan",
        )
    what: dict[str, Any] = {"options": options} if plan_id is None else {"plan_id": plan_id}
    command = command_for("start", cluster, sender, **what)
    connection = sender.connect()

    async def work() -> None:
        answer = await _send(connection, command, as_json=sender.as_json)
        if follow:
            await watch_until_rest(connection, cluster, as_json=sender.as_json, after=answer)

    run(work(), as_json=sender.as_json)


@with_flags
def pause(
    cluster: Cluster,
    sender: Sender,
    slow: Annotated[
        bool,
        typer.Option(
            "--slow",
            help="Lower the throttle to its minimum instead of stopping, so that no copied bytes "
            "are lost.",
        ),
    ] = False,
) -> None:
    """Stop the movement of partitions within seconds and without an effect on clients. `resume`
    continues with what is left.

    `kafka-migration pause lab --reason "checkout is slow"`

    `kafka-migration pause lab --slow`
    """
    send_command("pause", cluster, sender, **({"slow": True} if slow else {}))


@with_flags
def tune(
    cluster: Cluster, sender: Sender, throttle: Throttle = None, concurrency: Concurrency = None
) -> None:
    """Change the limits, at once and also for the partitions that are moving. `--throttle off`
    removes the throttle.

    `kafka-migration tune lab --throttle 50MB --concurrency 20`
    """
    limits = {
        "throttle_bytes_per_second": throttle,
        "partition_movements_per_broker": concurrency,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if not given:
        raise typer.BadParameter("say what to change: --throttle 50MB, --concurrency 20, or both")
    send_command("tune", cluster, sender, **given)


def plain(word: str, doc: str) -> Callable[..., None]:
    """Returns the function of a command that has no options of its own; `doc` is its help."""

    def given(cluster: Cluster, sender: Sender) -> None:
        send_command(word, cluster, sender)

    given.__doc__ = f"{doc}\n\n`kafka-migration {word} lab`\n"
    return with_flags(given)


PLAIN = {
    "resume": (
        "End the operator's pause or slow-down. Pauses that safety checks or alerts have caused "
        "end by themselves."
    ),
    "rollback": (
        "Move back what was moved, starting with the last wave, and verify that the assignment is "
        "the same as before the start."
    ),
    "cancel": (
        "End the migration and leave what was moved where it is. `rollback` is still possible "
        "afterwards."
    ),
    "approve": "Let the next AZ or wave begin (see `start --approval`).",
    "retry": "Try a blocked wave again, or move replicas that appeared on a drained broker.",
    "skip": "Leave a blocked wave as it is, and go on with the next.",
}


def command_for(word: str, cluster: str, sender: Sender, **fields: Any) -> dict[str, Any]:
    """Returns a command as a message of the control topic.

    Ends with exit code 2 when the agent would not accept its form.
    """
    command = {
        "type": word,
        "command_id": sender.command_id or uuid.uuid4().hex,
        "cluster": cluster,
        "issued_by": sender.issued_by or f"{getpass.getuser()}@{socket.gethostname()}",
        "issued_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "reason": sender.reason,
        **fields,
    }
    try:
        return dict(COMMANDS.validate_python(command).model_dump(mode="json", exclude_unset=True))
    except ValidationError as error:
        fail(Exit.USAGE, wrong_fields(error), as_json=sender.as_json)


def send_command(word: str, cluster: str, sender: Sender, **fields: Any) -> None:
    """Publishes a command and shows its answer; ends with exit code 1 when it is refused."""
    command = command_for(word, cluster, sender, **fields)
    connection = sender.connect()

    async def work() -> None:
        await _send(connection, command, as_json=sender.as_json)

    run(work(), as_json=sender.as_json)


async def _send(
    connection: Connection, command: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    answer = await connection.client.send_command(command, ANSWER_SECONDS)
    print_json(answer, line=True) if as_json else out.print(render.answer(answer))
    if answer["type"] == "CommandRefused":
        raise typer.Exit(int(Exit.REFUSED))
    return answer


__all__ = ["PLAIN", "command_for", "pause", "plain", "plan", "send_command", "start", "tune"]
