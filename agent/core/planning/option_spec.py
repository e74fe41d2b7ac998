"""How an option of a migration is declared: its bounds, its unit, and its flag.

`Options` (options.py) annotates each of its fields with a `Spec`. The JSON Schema (schemas/), the
flags of the command line (agent/cli/flags.py) and the core's value are all derived from there, so
that a new option is one field of `Options`. What holds for all migrations of a cluster is declared
in the same way by `Policy` (policy.py).
"""

from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Unit(StrEnum):
    """What the number of an option counts; it decides how the number may be written as a flag."""

    NONE = ""
    BYTES = "bytes"  # 100MB, 1.5GiB
    SECONDS = "seconds"  # 30s, 5m


class Panel(StrEnum):
    """The heading under which `--help` lists a flag."""

    MOVE = "What moves"
    HOW = "How it moves"
    ORDER = "In which order"


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that an option may have, both ends included. None: no bound at that end."""

    minimum: float | None = None
    maximum: float | None = None
    meaning: str | None = None  # what the number counts, for the schema
    above: float | None = None  # the number is larger than this


@dataclass(frozen=True, slots=True)
class Flag:
    """How the command line offers an option."""

    name: str
    panel: Panel
    help: str
    metavar: str | None = None
    off: bool = False  # `off` may be written, and leaves the option at its default


@dataclass(frozen=True, slots=True)
class Spec:
    """What an option means and which values it takes."""

    description: str
    flag: Flag | None = None  # None: the command line does not offer it
    unit: Unit = Unit.NONE
    range: Range | None = None  # of a number
    length_max: int | None = None  # of a text, or of each text of a list
    items_max: int | None = None  # of a list


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option."""

    name: str
    kind: Any  # its type without `| None`
    nullable: bool
    default: Any
    spec: Spec


def declared_options(options: Any) -> Iterator[Option]:
    """The options that a dataclass declares, in the order in which it declares them.

    A field without a `Spec` is none: nobody may set it by its name.
    """
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        if get_origin(hints[field.name]) is Annotated:
            yield _option(field, hints[field.name])


def _option(field: Field[Any], hint: Any) -> Option:
    kind, spec = get_args(hint)
    members = get_args(kind)
    nullable = type(None) in members
    return Option(
        name=field.name,
        kind=members[0] if nullable else kind,
        nullable=nullable,
        default=field.default,
        spec=spec,
    )
