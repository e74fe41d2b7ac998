"""The flags of the commands: those made from the declared options, and those of every command."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from pydantic import ValidationError

from agent.cli.connection import Connection, JsonOption, Servers, TopicPrefix, connect
from agent.cli.quantities import bytes_of, ids_of, names_of, seconds_of
from agent.core.planning.option_spec import Option, Panel, Unit, declared_options
from agent.core.planning.options import Options

MOVE, RECORD = str(Panel.MOVE), "For the record"
_OF_UNIT: dict[Unit, Callable[[str], Any]] = {Unit.BYTES: bytes_of, Unit.SECONDS: seconds_of}
_OF_LIST: dict[Any, Callable[[str], Any]] = {tuple[int, ...]: ids_of, tuple[str, ...]: names_of}


def parser(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns `parse` with its ValueError turned into typer's usage error, which exits with 2."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parsed


# ── the declared options ──────────────────────────────────────────────────────────────────────────
def flag_of(option: Option) -> Any:
    """Returns typer's annotation of the flag that an option declares."""
    spec, flag = option.spec, option.spec.flag
    assert flag is not None
    parse = _OF_LIST.get(option.kind) if get_origin(option.kind) else _OF_UNIT.get(spec.unit)
    given: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {}
    if parse is not None:
        given["parser"] = parser(parse)
    elif spec.range is not None:
        given["min"] = spec.range.minimum
    kind = Any if parse is not None else option.kind | None
    return Annotated[
        kind, typer.Option(flag.name, help=flag.help, rich_help_panel=str(flag.panel), **given)
    ]


def offered(options: Any = Options) -> dict[str, Option]:
    """Returns the declared options that have a flag, by name."""
    return {o.name: o for o in declared_options(options) if o.spec.flag is not None}


def typed_options(given: dict[str, Any], options: Any = Options) -> dict[str, Any]:
    """Returns the options that the user gave; the agent has the defaults of all others."""
    known = offered(options)
    return {
        name: value
        for name, value in given.items()
        if value is not None and not (value == 0 and _may_be_off(known[name]))
    }


def _may_be_off(option: Option) -> bool:
    return option.spec.flag is not None and option.spec.flag.off


_FLAGS = {name: flag_of(option) for name, option in offered().items()}
FLAG_NAMES = {
    "plan_id": "--plan",
    "cluster": "CLUSTER",
    **{name: option.spec.flag.name for name, option in offered().items() if option.spec.flag},
}


def _metadata(name: str) -> Any:
    return get_args(_FLAGS[name])[1]


Source = Annotated[Any, _metadata("source_broker_ids")]
Destination = Annotated[Any, _metadata("destination_broker_ids")]
Throttle = Annotated[Any, _metadata("throttle_bytes_per_second")]
Concurrency = Annotated[int | None, _metadata("partition_movements_per_broker")]


def wrong_fields(error: ValidationError) -> str:
    """Returns what is wrong with a command, with the flag that gave each wrong value."""
    complaints = []
    for one in error.errors():
        # The first part of the location is the command's name.
        path = [str(part) for part in one["loc"][1:] if part != "options"]
        name = path[0] if path else ""
        message = one["msg"].removeprefix("Value error, ")
        flag = FLAG_NAMES.get(name, f"--{name.replace('_', '-')}")
        complaints.append(f"{flag}: {message}" if name else message)
    return "; ".join(complaints)


# ── what every command has ────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Sender:
    """The flags that every command has: who sends it, why, and through which control Kafka."""

    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="Why you send the command; the events repeat it.",
            rich_help_panel=RECORD,
        ),
    ] = ""
    issued_by: Annotated[
        str,
        typer.Option(
            "--issued-by",
            help="Who sends the command; user@host when left out.",
            show_default=False,
            rich_help_panel=RECORD,
        ),
    ] = ""
    command_id: Annotated[
        str | None,
        typer.Option(
            "--command-id",
            help="The command's id; with the same id a repeated command is carried out only once.",
            rich_help_panel=RECORD,
        ),
    ] = None
    as_json: JsonOption = False
    servers: Servers = None
    prefix: TopicPrefix = None

    def connect(self) -> Connection:
        """Connects to the control Kafka.

        Ends with exit code 2 when none is named and no lab runs here.
        """
        return connect(self.servers, self.prefix, as_json=self.as_json)


def with_flags(command: Callable[..., None], options: Any = Options) -> Callable[..., None]:
    """Returns `command` with a signature that typer can read.

    Its parameter `sender` is replaced by the flags of `Sender`, and `**options` by those of the
    declared options.
    """
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    flags = offered(options) if "options" in own else {}
    sender = get_type_hints(Sender, include_extras=True)
    parameters = []
    for name, parameter in own.items():
        if name not in ("sender", "options"):
            parameters.append(_keyword(name, hints[name], parameter.default))
    parameters += [_keyword(name, flag_of(option), None) for name, option in flags.items()]
    parameters += [_keyword(f.name, sender[f.name], f.default) for f in fields(Sender)]

    def run(**given: Any) -> None:
        who = Sender(**{name: given.pop(name) for name in sender})
        asked = typed_options({name: given.pop(name) for name in flags}, options)
        command(**given, sender=who, **asked)

    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
