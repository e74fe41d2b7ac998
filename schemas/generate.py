"""Writes the JSON Schemas and an AsyncAPI 3.0 document from the models.

`python -m schemas.generate` writes the files; with `--check` it writes nothing and fails when a
file differs from the models. Called by `make schemas` and `make check`.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from schemas.commands import COMMANDS
from schemas.events import EVENT_CLASSES, ProgressEvent
from schemas.metrics import METRICS
from schemas.state import MigrationStatus

FOLDER = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"
HEADERS = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_schemaversion",
    "content-type",
)
# topic -> (what the agent does with its messages, a description, the schema file; None: no schema)
CHANNELS: dict[str, tuple[str, str, str | None]] = {
    "commands": (
        "receive",
        "Commands; one that repeats a `command_id` is not carried out again",
        "commands.json",
    ),
    "metrics": ("receive", "Samples and alerts", "metrics.json"),
    "events": (
        "send",
        "Progress events, ordered per cluster; a repeat has the same id",
        "events.json",
    ),
    "status": (
        "send",
        "The latest full status of each cluster; the topic is compacted",
        "status.json",
    ),
    "rejected": (
        "send",
        (
            "Messages that could not be read: the original bytes, with the headers km_reason, "
            "km_topic, km_partition and km_offset"
        ),
        None,
    ),
}


def documents() -> dict[str, dict[str, Any]]:
    """Returns the content of each generated file, by the file's name."""
    return {
        "commands.json": _titled(COMMANDS.json_schema(), "Command"),
        "metrics.json": _titled(METRICS.json_schema(), "Metric"),
        "events.json": _events(),
        "status.json": _titled(
            MigrationStatus.model_json_schema(mode="serialization"), "MigrationStatus"
        ),
        "asyncapi.json": _asyncapi(),
    }


def _titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, "title": title, **{k: v for k, v in schema.items() if k != "title"}}


def _events() -> dict[str, Any]:
    """The schema of the envelope, with the schema of `data` for each type of event."""
    _, envelope = models_json_schema([(ProgressEvent, "serialization")])
    definitions: dict[str, Any] = dict(envelope.get("$defs", {}))
    branches = []
    for kind in EVENT_CLASSES:
        schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        schema["description"] = (kind.__doc__ or "").strip()
        definitions[kind.__name__] = schema
        assert dataclasses.is_dataclass(kind)
        branches.append(
            {
                "if": {"properties": {"type": {"const": kind.__name__}}},
                "then": {"properties": {"data": {"$ref": f"#/$defs/{kind.__name__}"}}},
            }
        )
    return {
        "$schema": DIALECT,
        "title": "ProgressEvent",
        "$ref": "#/$defs/ProgressEvent",
        "allOf": branches,
        "$defs": dict(sorted(definitions.items())),
    }


def _asyncapi() -> dict[str, Any]:
    headers = {"type": "object", "properties": {name: {"type": "string"} for name in HEADERS}}
    channels, operations = {}, {}
    for name, (action, summary, file) in CHANNELS.items():
        payload: dict[str, Any] = (
            {"$ref": f"./{file}"} if file else {"description": "The original bytes"}
        )
        channels[name] = {
            "address": f"kafka-migration.{name}",
            "description": summary,
            "messages": {
                name: {"headers": headers, "payload": payload, "contentType": "application/json"}
            },
        }
        operations[f"{action}_{name}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": summary,
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kafka-Migration",
            "version": "0.1.0",
            "description": (
                "Commands in, progress events out. The key of every message is the cluster's name."
            ),
        },
        "channels": channels,
        "operations": operations,
    }


def main() -> None:
    """Write the files; with --check, compare them instead and exit 1 when any differs."""
    different = []
    for name, content in documents().items():
        path, text = FOLDER / name, json.dumps(content, indent=2, sort_keys=True) + "\n"
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                different.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if different:
        sys.exit(f"not up to date: {', '.join(different)}; run `make schemas`")


if __name__ == "__main__":
    main()
