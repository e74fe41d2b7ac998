"""Version 1 of what is saved and sent, and what is done with another version.

tests/recorded/VERSION holds what each released version saved and sent. These files are never
written again. A new release adds a folder beside them: `python -m tests.recorded.record VERSION`,
once, at the release. When a test here fails, change the code and not the files: it could not take
over a migration from the version that recorded them. docs/schema-versions.md has the rules.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import orjson
import pytest

from agent.adapters.kafka import snapshot_store
from agent.core import messages as msg
from agent.core.evolve import evolve
from agent.core.kraft.state import KraftPhase
from agent.core.migration import Migration, Phase
from agent.core.model.reasons import Code
from agent.core.planning.policy import Policy
from agent.performer.performer import Performer
from agent.performer.ports import PortError
from agent.wire import cloud_event_headers, from_json, to_dict, to_json
from agent.worker import turn
from schemas import generate
from schemas.events import EVENT_CLASSES, ProgressEvent
from schemas.state import MigrationStatus
from tests.recorded import record as recorder
from tests.scenarios.play import POLICY, facts

FOLDER = Path(recorder.__file__).parent
STORIES = sorted(path.parent for path in FOLDER.glob("*/*/events.jsonl"))
SNAPSHOTS = sorted(path.parent for path in FOLDER.glob("*/*/manifest.json"))
KINDS = {kind.__name__: kind for kind in EVENT_CLASSES}
DOCUMENTS = generate.documents()
LAB, OTHER = "lab", "other"
PAUSE = msg.PauseMigration(command_id="c", cluster=LAB, at=1.0)


# ── reading what was recorded ─────────────────────────────────────────────────────────────────────
def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / f"{name}.jsonl").read_bytes().splitlines()]


def check_kept(before: Any, after: Any, path: str = "") -> None:
    """Whether all of `before` stands in `after`, which may have more fields."""
    if isinstance(before, dict):
        assert isinstance(after, dict), path
        for key, value in before.items():
            assert key in after, f"{path}.{key} was recorded, and is not known any more"
            check_kept(value, after[key], f"{path}.{key}")
    elif isinstance(before, list):
        assert isinstance(after, list), path
        assert len(before) == len(after), path
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            check_kept(one, other, f"{path}[{n}]")
    else:
        assert before == after, path


def replay_record(recorded: dict[str, Any]) -> turn.Record:
    """Read it, write it again, and step it: nothing is lost."""
    record = turn.read_record(orjson.dumps(recorded))
    check_kept(recorded, orjson.loads(to_json(record, turn.Record)))
    for event in recorded["outbox"]:
        replay_event(orjson.loads(event))
    table = {LAB.encode(): orjson.dumps(recorded)}
    tick = msg.Tick(at=record.migration.phase_since + 1_000.0)
    taken = turn.apply_message(turn.Records(table), LAB, tick, record.inbox_offset + 1, POLICY)
    assert taken.applied
    assert turn.read_record(table[LAB.encode()]) == taken.record
    return record


def replay_event(recorded: dict[str, Any]) -> Any:
    """Validate it, read it, write it again: nothing is lost. Out: the core's event."""
    validator("events.json", recorded["type"]).validate(recorded)
    envelope = ProgressEvent.model_validate_json(orjson.dumps(recorded))
    check_kept(recorded, orjson.loads(envelope.model_dump_json()))
    event = from_json(orjson.dumps(recorded["data"]), KINDS[recorded["type"]])
    check_kept(recorded["data"], to_dict(event))
    return event


@cache
def validator(name: str, kind: str = "") -> Any:
    """Of a document; of events.json only the branch of one type, which is much faster."""
    document = DOCUMENTS[name]
    if kind:
        branches = [b for b in document["allOf"] if b["if"]["properties"]["type"]["const"] == kind]
        assert len(branches) == 1
        document = {**document, "allOf": branches}
    return jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())


def of_story(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


# ── the replayer ──────────────────────────────────────────────────────────────────────────────────
def test_each_phase_of_the_first_release_is_recorded() -> None:
    """0.1.0 has a record in every phase of both state machines, and most kinds of events."""
    first = [folder for folder in STORIES if folder.parent.name == "0.1.0"]
    migrations = [r["migration"] for folder in first for r in lines(folder, "records")]
    assert {m["phase"] for m in migrations} == set(Phase)
    assert {m["kraft"]["phase"] for m in migrations} == set(KraftPhase)
    told = {event["type"] for folder in first for event in lines(folder, "events")}
    assert len(told) > len(KINDS) * 0.6


@pytest.mark.parametrize("folder", STORIES, ids=of_story)
def test_a_recorded_record_is_read_stepped_and_written_again(folder: Path) -> None:
    """Each record of a released version can be taken over, with nothing lost."""
    for recorded in lines(folder, "records"):
        replay_record(recorded)


@pytest.mark.parametrize("folder", STORIES, ids=of_story)
def test_a_recorded_event_log_folds_into_the_recorded_states(folder: Path) -> None:
    """Each event validates and is readable, and the log from its start gives each state that
    was saved on the way.
    """
    saved = {
        r.migration.sequence: r.migration for r in map(replay_record, lines(folder, "records"))
    }
    migration = Migration(cluster=LAB)
    for recorded in lines(folder, "events"):
        migration = evolve(migration, replay_event(recorded))
        if migration.sequence in saved:
            assert migration == saved.pop(migration.sequence)
    assert not saved


@pytest.mark.parametrize("folder", STORIES, ids=of_story)
def test_a_recorded_status_is_what_its_schema_says(folder: Path) -> None:
    """Whoever reads statuses by today's schema can read those of a released version."""
    for recorded in lines(folder, "statuses"):
        validator("status.json").validate(recorded)
        status = MigrationStatus.model_validate_json(orjson.dumps(recorded))
        check_kept(recorded, orjson.loads(status.model_dump_json()))


@pytest.mark.parametrize("folder", SNAPSHOTS, ids=of_story)
def test_a_recorded_snapshot_is_read(folder: Path) -> None:
    """The assignment before the start of a migration that a released version began, and its
    end offsets.
    """
    pieces = snapshot_store.unpack_manifest((folder / "manifest.json").read_bytes())
    read = snapshot_store.unpack([(folder / f"piece-{n}.zlib").read_bytes() for n in range(pieces)])
    assert read == {(p.topic, p.partition): p.origin for p in facts().partitions}
    positions = snapshot_store.unpack_positions((folder / "positions.zlib").read_bytes())
    assert positions == recorder.POSITIONS


# ── the replayer can fail ─────────────────────────────────────────────────────────────────────────
def keys(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each key stands."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inside:
        if isinstance(key, str):
            yield (*path, key)
        if isinstance(one, (dict, list)):
            yield from keys(one, (*path, key))


def renamed(value: Any, path: tuple[Any, ...]) -> Any:
    """A copy in which the key at this place bears another name: as if the code had renamed it."""
    mutant = orjson.loads(orjson.dumps(value))
    holder = reduce(lambda one, key: one[key], path[:-1], mutant)
    holder[f"{path[-1]}_renamed"] = holder.pop(path[-1])
    return mutant


def test_a_renamed_field_of_a_record_is_noticed() -> None:
    """Whichever field of the record, the migration, its waves or options has another name in
    the code than in what was recorded, the replay fails.
    """
    folder = FOLDER / "0.1.0" / "paused"
    record = next(r for r in lines(folder, "records") if r["migration"]["phase"] == "moving")
    places = list(keys(record))
    assert {("outbox",), ("migration", "options", "approval")} <= {*places}
    assert len(places) > 150
    replay_record(record)
    for place in places:
        with pytest.raises((AssertionError, turn.UnusableRecordError)):
            replay_record(renamed(record, place))


def test_a_renamed_field_of_an_event_is_noticed() -> None:
    """The same for the envelope and the data of an event of each type."""
    events = {e["type"]: e for folder in STORIES for e in lines(folder, "events")}
    for event in events.values():
        for place in keys(event):
            with pytest.raises((AssertionError, KeyError, ValueError, jsonschema.ValidationError)):
                replay_event(renamed(event, place))


def test_a_record_without_its_version_is_noticed() -> None:
    """Nothing that was released lacks schema_version: what does is no record."""
    record = lines(FOLDER / "0.1.0" / "paused", "records")[0]
    del record["schema_version"]
    with pytest.raises(turn.UnusableRecordError, match=r"RECORD_UNREADABLE.*no schema_version"):
        turn.read_record(orjson.dumps(record))


def test_the_recorder_still_records(tmp_path: Path) -> None:
    """At the next release it is needed: what it writes now can be replayed."""
    recorder.write_snapshot(tmp_path / "snapshot")
    for story in recorder.plays():
        recorder.write(tmp_path / story.name, story)
        for record in lines(tmp_path / story.name, "records"):
            replay_record(record)


# ── another version ───────────────────────────────────────────────────────────────────────────────
def saved_record(**changes: Any) -> bytes:
    record = orjson.loads(to_json(turn.Record(migration=Migration(cluster=LAB)), turn.Record))
    return orjson.dumps({**record, **changes})


NO_SUCH_PHASE = {"cluster": LAB, "phase": "?"}
UNUSABLE = {
    "newer": (saved_record(schema_version=2, migration="?"), Code.RECORD_FROM_NEWER_VERSION),
    "no version": (saved_record(schema_version=None), Code.RECORD_UNREADABLE),
    "a version that never was": (saved_record(schema_version=0), Code.RECORD_UNREADABLE),
    "a version that is no number": (saved_record(schema_version=True), Code.RECORD_UNREADABLE),
    "unknown phase": (saved_record(migration=NO_SUCH_PHASE), Code.RECORD_UNREADABLE),
    "bad JSON": (b"{", Code.RECORD_UNREADABLE),
    "no object": (b"[]", Code.RECORD_UNREADABLE),
    "not UTF-8": (b"\xff", Code.RECORD_UNREADABLE),
    "unreadable outbox": (saved_record(outbox=['{"type": "?"}']), Code.RECORD_UNREADABLE),
}  # fmt: skip


@pytest.mark.parametrize(("saved", "code"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_record_that_cannot_be_used_is_left_as_it_is(saved: bytes, code: Code) -> None:
    """No message changes it, the reason says why, and the other clusters go on."""
    table = {LAB.encode(): saved}
    records = turn.Records(table)
    reason = records.reason_unusable(LAB)
    assert reason is not None
    assert reason.code is code
    for message in (PAUSE, msg.Tick(at=1.0)):
        with pytest.raises(turn.UnusableRecordError, match=code):
            turn.apply_message(records, LAB, message, 5, Policy())
    other = turn.apply_message(records, OTHER, PAUSE, 6, Policy())
    assert [event.type for event in other.events] == ["CommandRefused"]
    assert records.reason_unusable(OTHER) is None
    assert table[LAB.encode()] is saved


def test_the_reason_names_both_versions() -> None:
    """What was found, and what this agent reads."""
    table = {LAB.encode(): saved_record(schema_version=7)}
    assert str(turn.Records(table).reason_unusable(LAB)) == (
        "RECORD_FROM_NEWER_VERSION: the saved record has schema_version 7 (needed: at most 1, "
        "which this agent reads)"
    )


def test_a_field_that_is_added_within_version_1_is_passed_over() -> None:
    """A later build of version 1 may add optional fields; this one reads the rest."""
    record = turn.read_record(saved_record(added_later=1))
    assert record == turn.Record(migration=Migration(cluster=LAB))


@pytest.mark.parametrize(
    ("version", "code"), [(2, Code.SNAPSHOT_FROM_NEWER_VERSION), (0, Code.SNAPSHOT_MISSING)]
)
def test_a_snapshot_of_another_version_is_not_read(version: int, code: Code) -> None:
    """Neither the assignment nor the end offsets: the wave waits, with the code."""
    told = orjson.loads(snapshot_store.pack_manifest(1, 6))
    with pytest.raises(PortError) as raised:
        snapshot_store.unpack_manifest(orjson.dumps({**told, "schema_version": version}))
    assert raised.value.code is code


class SnapshotsInMemory:
    """What a newer version has saved, or what cannot be asked for."""

    def __init__(self, code: Code) -> None:
        self._code = code

    async def load(self, migration_id: str) -> None:
        raise PortError("no answer", self._code)


async def test_a_stop_and_a_watch_go_on_without_a_newer_snapshot() -> None:
    """Only the proof waits for it; one that cannot be asked for is asked for again, as ever."""
    newer = SnapshotsInMemory(Code.SNAPSHOT_FROM_NEWER_VERSION)
    assert (
        await Performer(SimpleNamespace(kafka=None, snapshots=newer))._snapshot_if_usable("lab-1")
        == {}
    )
    away = SnapshotsInMemory(Code.SNAPSHOT_MISSING)
    with pytest.raises(PortError):
        await Performer(SimpleNamespace(kafka=None, snapshots=away))._snapshot_if_usable("lab-1")


def test_everything_that_is_sent_bears_its_version() -> None:
    """Events and statuses say 1 and nothing else by their schemas, records and snapshots by
    their bytes.
    """
    for name, definition in (("events.json", "ProgressEvent"), ("status.json", None)):
        document = DOCUMENTS[name]
        schema = document["$defs"][definition] if definition else document
        assert schema["properties"]["schema_version"]["const"] == 1
        assert "schema_version" in schema["required"]
    headers = cloud_event_headers("PlanMade", "lab/1", "/agent", LAB, datetime.now(UTC))
    assert ("ce_schemaversion", b"1") in headers
    assert orjson.loads(saved_record())["schema_version"] == 1
    assert orjson.loads(snapshot_store.pack_manifest(1, 6))["schema_version"] == 1
