"""Makes a pydantic model of the options that the core declares (agent/core/planning/options.py)."""

from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from agent.core.planning.option_spec import Option, Range, Spec, declared_options


def options_model(options: Any) -> type[BaseModel]:
    """The model of a dataclass of options: its fields' names, defaults, bounds and descriptions."""
    fields: dict[str, Any] = {
        option.name: (
            _kind(option),
            Field(default=_plain(option.default), description=option.spec.description),
        )
        for option in declared_options(options)
    }
    model: type[BaseModel] = create_model(
        options.__name__, __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )
    return model


def bounds(allowed: Range) -> Any:
    """The range as a pydantic field of a number."""
    return Field(
        ge=allowed.minimum,
        gt=allowed.above,
        le=allowed.maximum,
        description=allowed.meaning,
    )


def _kind(option: Option) -> Any:
    """The type on the wire: a choice is its words, a tuple bounds its items."""
    spec, kind = option.spec, option.kind
    if get_origin(kind) is tuple:
        item = _bounded(get_args(kind)[0], spec)
        kind = Annotated[
            tuple[item, ...],  # type: ignore[valid-type] # made at run time
            Field(max_length=spec.items_max),
        ]
    elif issubclass(kind, Enum):
        kind = Literal[tuple(member.value for member in kind)]
    else:
        kind = _bounded(kind, spec)
    return kind | None if option.nullable else kind


def _bounded(kind: Any, spec: Spec) -> Any:
    if spec.range is not None:
        return Annotated[kind, bounds(spec.range)]
    if spec.length_max is not None:
        return Annotated[kind, Field(max_length=spec.length_max)]
    return kind


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
