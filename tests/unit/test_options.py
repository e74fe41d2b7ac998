"""One declared field is one option: schema, flag and core value follow from it."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from agent.cli.flags import Sender, with_flags
from agent.core.planning.option_spec import Flag, Panel, Range, Spec, Unit, declared_options
from agent.core.planning.options import Options
from agent.wire import from_dict
from schemas.options import options_model


@dataclass(frozen=True, slots=True)
class MoreOptions(Options):
    """The options with one more."""

    nap_seconds: Annotated[
        float,
        Spec(
            "Rest before each wave, in seconds",
            Flag("--nap", Panel.HOW, "Rest before each wave.", "5m"),
            Unit.SECONDS,
            Range(0, 60),
        ),
    ] = 0.0


def test_an_added_option_is_in_the_schema() -> None:
    """Description, default and bounds of the declaration stand in the JSON Schema."""
    schema = options_model(MoreOptions).model_json_schema()["properties"]["nap_seconds"]
    assert schema == {
        "default": 0.0,
        "description": "Rest before each wave, in seconds",
        "maximum": 60,
        "minimum": 0,
        "title": "Nap Seconds",
        "type": "number",
    }
    with pytest.raises(ValidationError):
        options_model(MoreOptions).model_validate({"nap_seconds": 61})


def test_an_added_option_is_a_flag() -> None:
    """The flag is parsed by its unit, and only what was typed reaches the command."""
    got: list[dict[str, Any]] = []

    def nap(sender: Sender, **options: Any) -> None:
        """Rest."""
        got.append({"reason": sender.reason, **options})

    app = typer.Typer()
    app.command()(with_flags(nap, MoreOptions))
    assert CliRunner().invoke(app, ["--nap", "30s", "--reason", "tired"]).exit_code == 0
    assert got == [{"reason": "tired", "nap_seconds": 30.0}]
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "Rest before each wave." in shown


def test_an_added_option_reaches_the_core() -> None:
    """What the schema has read becomes the core's value."""
    read = options_model(MoreOptions).model_validate({"nap_seconds": 30, "mode": "az"})
    assert from_dict(read.model_dump(), MoreOptions) == MoreOptions(
        nap_seconds=30.0, mode=MoreOptions().mode.AZ
    )


def test_every_option_explains_itself_and_has_its_own_flag() -> None:
    """Each option has a description, and no two have the same flag."""
    options = list(declared_options(Options))
    assert all(option.spec.description for option in options)
    flags = [option.spec.flag.name for option in options if option.spec.flag]
    assert len(flags) == len(set(flags))
