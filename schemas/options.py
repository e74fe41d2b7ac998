"""Builds a pydantic model from the options that agent/core/planning/options.py declares."""

from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from agent.core.planning.option_spec import Option, Range, Spec, declared_options


def options_model(options: Any) -> type[BaseModel]:
    """Returns a model with the names, defaults, bounds and descriptions of a dataclass's options.

    The model is frozen and refuses unknown fields.
    """
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
    """Returns the pydantic field of a number that must lie within a range."""
    return Field(
        ge=allowed.minimum,
        gt=allowed.above,
        le=allowed.maximum,
        description=allowed.meaning,
    )


def _kind(option: Option) -> Any:
    """The type of an option in JSON: an enum becomes its values, and bounds apply to each item."""
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
