"""The options of the commands that give an order: what each is for, with its unit and an
example.
"""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from agent.cli.quantities import bytes_of, ids_of, names_of, seconds_of
from agent.core.planning.options import Approval, InternalTopics, Mode, Pairing, ThrottleBy

MOVE, HOW, ORDER, SAY = "What moves", "How it moves", "In which order", "For the record"


def parser(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A ValueError with the right words becomes typer's usage error, exit code 2."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parsed


ModeOption = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="full: everything, AZ by AZ; az: one AZ; brokers: the named ones.",
        rich_help_panel=MOVE,
    ),
]
Az = Annotated[
    str | None, typer.Option("--az", help="The AZ (broker.rack) of mode az.", rich_help_panel=MOVE)
]
SourceOption = Annotated[
    Any,
    typer.Option(
        "--source",
        parser=parser(ids_of),
        metavar="11,12",
        help="Source broker ids.",
        rich_help_panel=MOVE,
    ),
]
DestinationOption = Annotated[
    Any,
    typer.Option(
        "--destination",
        parser=parser(ids_of),
        metavar="31,32",
        help="Destination broker ids.",
        rich_help_panel=MOVE,
    ),
]
AzOrder = Annotated[
    Any,
    typer.Option(
        "--az-order",
        parser=parser(names_of),
        metavar="az-b,az-a",
        help="AZs to move first.",
        rich_help_panel=MOVE,
    ),
]
PairingOption = Annotated[
    Pairing | None,
    typer.Option(
        "--pairing",
        help=(
            "one_to_one: a broker to a broker, exactly reversible; zone: an AZ's brokers in "
            "one request."
        ),
        rich_help_panel=MOVE,
    ),
]
Throttle = Annotated[
    Any,
    typer.Option(
        "--throttle",
        parser=parser(bytes_of),
        metavar="100MB",
        help="Replication limit of each broker, in bytes per second.",
        rich_help_panel=HOW,
    ),
]
ThrottleByOption = Annotated[
    ThrottleBy | None,
    typer.Option("--throttle-by", help="agent: can be changed while moving.", rich_help_panel=HOW),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        min=1,
        help="Replicas moving at once on each broker; else chosen.",
        rich_help_panel=HOW,
    ),
]
ClusterConcurrency = Annotated[
    int | None,
    typer.Option(
        "--cluster-concurrency",
        min=1,
        help="And at once in the whole cluster.",
        rich_help_panel=HOW,
    ),
]
Soak = Annotated[
    Any,
    typer.Option(
        "--soak",
        parser=parser(seconds_of),
        metavar="5m",
        help="Rest after each wave.",
        rich_help_panel=HOW,
    ),
]
ApprovalOption = Annotated[
    Approval | None,
    typer.Option(
        "--approval",
        help="Wait for `approve` before each az or wave after the first.",
        rich_help_panel=HOW,
    ),
]
Canary = Annotated[
    int | None,
    typer.Option(
        "--canary",
        min=1,
        metavar="N",
        help="The N smallest partitions of the first pair move first, in a wave of their own; "
        "add --soak or "
        "--approval wave, and see that clients are well before it goes on.",
        rich_help_panel=ORDER,
    ),
]
LargePartitions = Annotated[
    Any,
    typer.Option(
        "--large-partition-bytes",
        parser=parser(bytes_of),
        metavar="50GB",
        help=(
            "Partitions of at least this size move two at a time in a wave of their own, so "
            "that they hold up nobody."
        ),
        rich_help_panel=ORDER,
    ),
]
InternalTopicsOption = Annotated[
    InternalTopics | None,
    typer.Option(
        "--internal-topics",
        help="When __consumer_offsets and __transaction_state move, and with them the "
        "coordinators. first: of each "
        "pair, slowly, and Cruise Control moves the rest; last: after all others, slowly, and "
        "the agent moves the "
        "others itself, as Cruise Control cannot leave a topic behind.",
        rich_help_panel=ORDER,
    ),
]
InternalThrottle = Annotated[
    Any,
    typer.Option(
        "--internal-throttle",
        parser=parser(bytes_of),
        metavar="10MB",
        help="Limit while internal topics move; else a tenth of --throttle.",
        rich_help_panel=ORDER,
    ),
]
WaveBrokers = Annotated[
    int | None,
    typer.Option(
        "--wave-brokers-max",
        min=1,
        metavar="K",
        help="With --pairing zone: at most K sources to K destinations of an AZ in a wave.",
        rich_help_panel=ORDER,
    ),
]
WaveBytes = Annotated[
    Any,
    typer.Option(
        "--wave-bytes-max",
        parser=parser(bytes_of),
        metavar="5TB",
        help="With --pairing zone: at most so many bytes in a wave, but one broker at least.",
        rich_help_panel=ORDER,
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; kept in the events.", rich_help_panel=SAY)
]
IssuedBy = Annotated[
    str,
    typer.Option(
        "--issued-by", help="Who; default user@host.", show_default=False, rich_help_panel=SAY
    ),
]
CommandId = Annotated[
    str | None,
    typer.Option(
        "--command-id", help="Give the same id again to repeat safely.", rich_help_panel=SAY
    ),
]
