"""The wire's own documents: up to date, whole, and true to what is really published."""

import json
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import wire as translate
from agent.core import events as ev
from agent.core.handlers.answers import COMMAND_NAMES
from agent.core.migration import Migration
from agent.core.planning.options import Options
from agent.core.planning.policy import Policy
from agent.topics import Topics
from schemas import generate
from schemas.commands import COMMANDS, AnyCommand, MigrationOptions
from schemas.events import EVENT_CLASSES
from tests.fakes import values

DOCUMENTS = generate.documents()


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(
        DOCUMENTS[name], format_checker=jsonschema.FormatChecker()
    )


def test_committed_documents_are_those_of_the_models() -> None:
    """JSON Schemas and AsyncAPI document are generated: a difference means that `make schemas`
    was forgotten.
    """
    for name, content in DOCUMENTS.items():
        assert json.loads((generate.FOLDER / name).read_text()) == json.loads(
            json.dumps(content)
        ), name


def test_every_event_that_can_be_published_has_its_schema() -> None:
    """events.json knows each class of core/events/ by its name."""
    described = {
        branch["if"]["properties"]["type"]["const"] for branch in DOCUMENTS["events.json"]["allOf"]
    }
    assert (
        described
        == {kind.__name__ for kind in EVENT_CLASSES}
        == {k.__name__ for k in get_args(ev.AnyEvent)}
    )


@pytest.mark.parametrize("kind", EVENT_CLASSES, ids=lambda kind: kind.__name__)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_published_event_is_what_its_schema_says(
    kind: type[ev.Event], data: st.DataObject
) -> None:
    """Any event, in its envelope, validates against events.json; its data under another type's
    schema is beside it.
    """
    event = data.draw(values.events(kind))
    envelope = translate.progress_event(event, Migration(cluster="lab", migration_id="lab-1"), 3)
    validator("events.json").validate(json.loads(envelope.model_dump_json()))


def test_the_schema_can_say_no() -> None:
    """An event whose data lacks a field of its class does not validate."""
    event = ev.WaveSkipped(at=1.0, wave=1)
    published = json.loads(
        translate.progress_event(event, Migration(cluster="lab"), 0).model_dump_json()
    )
    validator("events.json").validate(published)
    del published["data"]["wave"]
    assert not validator("events.json").is_valid(published)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(values.RECORDS)
def test_a_published_status_is_what_its_schema_says(record: Any) -> None:
    """Any state's status validates against status.json."""
    status = translate.status(record.migration, Policy(), 1.0)
    validator("status.json").validate(json.loads(status.model_dump_json()))


GOOD = [
    {"type": "pause", "command_id": "c", "cluster": "lab", "slow": True},
    {
        "type": "start",
        "command_id": "c",
        "cluster": "lab",
        "options": {"mode": "az", "az": "az-a", "soak_seconds": 1},
    },
    {"type": "tune", "command_id": "c", "cluster": "lab", "throttle_bytes_per_second": 0},
]
BAD = [
    {"type": "pause", "command_id": "c"},
    {"type": "pause", "command_id": "c", "cluster": "lab", "slowly": True},
    {"type": "start", "command_id": "c", "cluster": "lab", "options": {"mode": "all"}},
    {"type": "tune", "command_id": "c", "cluster": "lab", "throttle_bytes_per_second": 999},
    {"type": "pause", "command_id": "with blanks", "cluster": "lab"},
]


@pytest.mark.parametrize(
    ("command", "good"), [*((c, True) for c in GOOD), *((c, False) for c in BAD)]
)
def test_schema_and_agent_agree_on_commands(command: dict[str, Any], good: bool) -> None:
    """Who checks a command against commands.json before sending learns what the agent will say."""
    assert validator("commands.json").is_valid(command) is good
    try:
        COMMANDS.validate_json(json.dumps(command), strict=True)
        read = True
    except ValueError:
        read = False
    assert read is good


def test_every_order_can_be_given() -> None:
    """The words of the core's orders and the commands of the wire are the same."""
    kinds = {kind.model_fields["type"].default for kind in get_args(get_args(AnyCommand)[0])}
    # `command`: one that could not be read
    assert kinds == set(COMMAND_NAMES.values()) - {"command"}


def test_every_option_of_the_core_can_be_asked_for() -> None:
    """Options on the wire bear the core's names and defaults."""
    wire = MigrationOptions().model_dump()
    core = json.loads(json.dumps(translate.to_dict(Options())))
    assert json.loads(json.dumps(wire)) == core


def test_every_field_explains_itself() -> None:
    """No option and no common field of a command is without a description."""
    definitions = DOCUMENTS["commands.json"]["$defs"]
    silent = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, schema in definition["properties"].items()
        if field != "type" and "description" not in schema and "$ref" not in schema
    ]
    assert not silent


def test_asyncapi_names_every_topic_and_only_files_that_exist() -> None:
    """The AsyncAPI document covers each topic that others may use, and its references resolve."""
    api = DOCUMENTS["asyncapi.json"]
    addresses = {channel["address"] for channel in api["channels"].values()}
    public = Topics.named("kafka-migration.")
    assert addresses == {
        public.commands,
        public.metrics,
        public.events,
        public.status,
        public.rejected,
    }
    for channel in api["channels"].values():
        for message in channel["messages"].values():
            if reference := message["payload"].get("$ref"):
                assert (generate.FOLDER / reference).is_file()
    for operation in api["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in api["channels"]
