"""The commands that give an order: checked here as the agent will check it, published, and the
answer shown.

Registered by app.py. Nothing is decided here: the agent obeys or refuses.
"""

import getpass
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agent.cli import render
from agent.cli.connection import Cluster, Connection, JsonOption, Servers, TopicPrefix, connect
from agent.cli.flags import (
    MOVE,
    ApprovalOption,
    Az,
    AzOrder,
    Canary,
    ClusterConcurrency,
    CommandId,
    Concurrency,
    DestinationOption,
    InternalThrottle,
    InternalTopicsOption,
    IssuedBy,
    LargePartitions,
    ModeOption,
    PairingOption,
    Reason,
    Soak,
    SourceOption,
    Throttle,
    ThrottleByOption,
    WaveBrokers,
    WaveBytes,
)
from agent.cli.status import watch_until_rest
from agent.cli.terminal import Exit, fail, out, print_json, run
from agent.core.planning.options import Approval, InternalTopics, Mode, Pairing, ThrottleBy
from schemas.commands import COMMANDS

# a start surveys the cluster and asks Cruise Control for a dry run before it is answered
ANSWER_SECONDS = 120.0


def plan(
    cluster: Cluster,
    mode: ModeOption = None,
    az: Az = None,
    source: SourceOption = None,
    destination: DestinationOption = None,
    az_order: AzOrder = None,
    pairing: PairingOption = None,
    throttle: Throttle = None,
    throttle_by: ThrottleByOption = None,
    concurrency: Concurrency = None,
    cluster_concurrency: ClusterConcurrency = None,
    soak: Soak = None,
    approval: ApprovalOption = None,
    canary: Canary = None,
    large_partitions: LargePartitions = None,
    internal_topics: InternalTopicsOption = None,
    internal_throttle: InternalThrottle = None,
    wave_brokers: WaveBrokers = None,
    wave_bytes: WaveBytes = None,
    reason: Reason = "",
    issued_by: IssuedBy = "",
    command_id: CommandId = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Dry run: what would move, how much, how long, and everything that stands in the way.

    Moves nothing.

    `kafka-migration plan lab`

    `kafka-migration plan lab --mode az --az az-a --throttle 100MB`

    `kafka-migration plan lab --canary 3 --large-partition-bytes 50GB --internal-topics last`

    Exit code 1 when something stands in the way. `start --plan ID` starts exactly this plan.
    """
    options = _options(
        mode,
        az,
        source,
        destination,
        az_order,
        pairing,
        throttle,
        throttle_by,
        concurrency,
        soak,
        approval,
    ) | _lane_options(
        canary,
        large_partitions,
        internal_topics,
        internal_throttle,
        wave_brokers,
        wave_bytes,
        cluster_concurrency,
    )
    command = command_for(
        "plan", cluster, reason, issued_by, command_id, {"options": options}, as_json=as_json
    )
    connection = connect(servers, prefix, as_json=as_json)

    async def work() -> None:
        answer = await connection.client.plan(command, ANSWER_SECONDS)
        print_json(answer) if as_json else out.print(render.plan(answer))
        if answer["data"].get("reasons"):
            raise typer.Exit(int(Exit.REFUSED))

    run(work(), as_json=as_json)


def start(
    cluster: Cluster,
    plan_id: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="ID",
            help="Exactly this plan; it brings its options.",
            rich_help_panel=MOVE,
        ),
    ] = None,
    mode: ModeOption = None,
    az: Az = None,
    source: SourceOption = None,
    destination: DestinationOption = None,
    az_order: AzOrder = None,
    pairing: PairingOption = None,
    throttle: Throttle = None,
    throttle_by: ThrottleByOption = None,
    concurrency: Concurrency = None,
    cluster_concurrency: ClusterConcurrency = None,
    soak: Soak = None,
    approval: ApprovalOption = None,
    canary: Canary = None,
    large_partitions: LargePartitions = None,
    internal_topics: InternalTopicsOption = None,
    internal_throttle: InternalThrottle = None,
    wave_brokers: WaveBrokers = None,
    wave_bytes: WaveBytes = None,
    reason: Reason = "",
    issued_by: IssuedBy = "",
    command_id: CommandId = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then watch until it rests.")
    ] = False,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Start moving. The cluster is surveyed first; refused with every reason when it is not fit.

    `kafka-migration start lab --throttle 100MB --follow`

    `kafka-migration start prod-1 --mode brokers --source 11,12 --destination 31,32 --approval wave`

    `kafka-migration start prod-1 --plan 3f2a9c`
    """
    options = _options(
        mode,
        az,
        source,
        destination,
        az_order,
        pairing,
        throttle,
        throttle_by,
        concurrency,
        soak,
        approval,
    ) | _lane_options(
        canary,
        large_partitions,
        internal_topics,
        internal_throttle,
        wave_brokers,
        wave_bytes,
        cluster_concurrency,
    )
    if plan_id is not None and options:
        raise typer.BadParameter(
            "a plan brings its own options: give --plan alone, or make another plan",
            param_hint="--plan",
        )
    what = {"options": options} if plan_id is None else {"plan_id": plan_id}
    command = command_for("start", cluster, reason, issued_by, command_id, what, as_json=as_json)
    connection = connect(servers, prefix, as_json=as_json)

    async def work() -> None:
        answer = await _send(connection, command, as_json=as_json)
        if follow:
            await watch_until_rest(connection, cluster, as_json=as_json, after=answer)

    run(work(), as_json=as_json)


def pause(
    cluster: Cluster,
    slow: Annotated[
        bool,
        typer.Option(
            "--slow", help=("Lower the throttle to the floor instead: copied bytes are kept.")
        ),
    ] = False,
    reason: Reason = "",
    issued_by: IssuedBy = "",
    command_id: CommandId = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Stop what moves, within seconds; clients notice nothing. `resume` goes on from what is left.

    `kafka-migration pause lab --reason "checkout is slow"`

    `kafka-migration pause lab --slow`
    """
    options = {"slow": True} if slow else {}
    command = command_for("pause", cluster, reason, issued_by, command_id, options, as_json=as_json)
    send_command(command, connect(servers, prefix, as_json=as_json), as_json=as_json)


def tune(
    cluster: Cluster,
    throttle: Throttle = None,
    concurrency: Concurrency = None,
    reason: Reason = "",
    issued_by: IssuedBy = "",
    command_id: CommandId = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Other limits, felt at once by what moves. `--throttle off` removes the limit.

    `kafka-migration tune lab --throttle 50MB --concurrency 20`
    """
    if throttle is None and concurrency is None:
        raise typer.BadParameter("say what to change: --throttle 50MB, --concurrency 20, or both")
    options = _given(throttle_bytes_per_second=throttle, partition_movements_per_broker=concurrency)
    command = command_for("tune", cluster, reason, issued_by, command_id, options, as_json=as_json)
    send_command(command, connect(servers, prefix, as_json=as_json), as_json=as_json)


def plain(word: str, doc: str) -> Callable[..., None]:
    """The command function of an order that has no options of its own."""

    def given(
        cluster: Cluster,
        reason: Reason = "",
        issued_by: IssuedBy = "",
        command_id: CommandId = None,
        as_json: JsonOption = False,
        servers: Servers = None,
        prefix: TopicPrefix = None,
    ) -> None:
        command = command_for(word, cluster, reason, issued_by, command_id, {}, as_json=as_json)
        send_command(command, connect(servers, prefix, as_json=as_json), as_json=as_json)

    given.__doc__ = f"{doc}\n\n`kafka-migration {word} lab`\n"
    return given


PLAIN = {
    "resume": "Lift the operator's pause or slowness; safety and alert causes lift themselves.",
    "rollback": (
        "Undo what was moved, last wave first, and prove it against the assignment "
        "before the start."
    ),
    "cancel": (
        "Stop for good and leave what was moved where it is. `rollback` is still possible after it."
    ),
    "approve": "Open the gate before the next AZ or wave (see `start --approval`).",
    "retry": "Try a blocked wave again, or sweep a drained broker that has refilled.",
    "skip": "Leave a blocked wave as it is, and go on with the next.",
}


def _options(
    mode: Mode | None,
    az: str | None,
    source: list[int] | None,
    destination: list[int] | None,
    az_order: list[str] | None,
    pairing: Pairing | None,
    throttle: int | None,
    throttle_by: ThrottleBy | None,
    concurrency: int | None,
    soak: float | None,
    approval: Approval | None,
) -> dict[str, Any]:
    return _given(
        mode=mode,
        az=az,
        source_broker_ids=source,
        destination_broker_ids=destination,
        az_order=az_order,
        pairing=pairing,
        throttle_bytes_per_second=throttle or None,
        throttle_by=throttle_by,
        partition_movements_per_broker=concurrency,
        soak_seconds=soak,
        approval=approval,
    )


def _lane_options(
    canary: int | None,
    large_partitions: int | None,
    internal_topics: InternalTopics | None,
    internal_throttle: int | None,
    wave_brokers: int | None,
    wave_bytes: int | None,
    cluster_concurrency: int | None,
) -> dict[str, Any]:
    return _given(
        canary_partitions=canary,
        large_partition_bytes=large_partitions,
        internal_topics=internal_topics,
        internal_throttle_bytes_per_second=internal_throttle,
        wave_brokers_max=wave_brokers,
        wave_bytes_max=wave_bytes,
        partition_movements_in_cluster=cluster_concurrency,
    )


def _given(**options: Any) -> dict[str, Any]:
    """Only what was typed: what was not is the agent's to choose."""
    return {name: value for name, value in options.items() if value is not None}


def command_for(
    word: str,
    cluster: str,
    reason: str,
    issued_by: str,
    command_id: str | None,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> dict[str, Any]:
    """The message for the control topic; ends with exit code 2 when the agent could not read it."""
    command = {
        "type": word,
        "command_id": command_id or uuid.uuid4().hex,
        "cluster": cluster,
        "issued_by": issued_by or f"{getpass.getuser()}@{socket.gethostname()}",
        "issued_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "reason": reason,
        **options,
    }
    try:
        return dict(COMMANDS.validate_python(command).model_dump(mode="json", exclude_unset=True))
    except ValidationError as error:
        fail(Exit.USAGE, render.wrong_fields(error), as_json=as_json)


async def _send(
    connection: Connection, command: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    """Publish, show the answer; exit code 1 when refused."""
    answer = await connection.client.send_command(command, ANSWER_SECONDS)
    print_json(answer, line=True) if as_json else out.print(render.answer(answer))
    if answer["type"] == "CommandRefused":
        raise typer.Exit(int(Exit.REFUSED))
    return answer


def send_command(command: dict[str, Any], connection: Connection, *, as_json: bool) -> None:
    """Publish, show the answer; ends with exit code 1 when refused."""

    async def work() -> None:
        await _send(connection, command, as_json=as_json)

    run(work(), as_json=as_json)


__all__ = ["PLAIN", "command_for", "pause", "plain", "plan", "send_command", "start", "tune"]
