"""Applies one message to the state of a cluster: load, step, save, and return what to publish.

It is synchronous, so that nothing can come between these steps. Called by app.py's inbox handler
and by the simulation. Of Kafka, it knows only offsets.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from agent.core import messages as msg
from agent.core.decide import step
from agent.core.messages import Message
from agent.core.migration import Migration
from agent.core.model.reasons import Code, Reason
from agent.core.planning.policy import Policy
from agent.wire import from_json, progress_event, to_json
from schemas.events import ProgressEvent

# Kafka refuses a message over 1 MB, and Faust's worker then crashes, so the record stays below. A
# command that begins something is refused earlier, so that there is always room for the stop and
# the end of a move.
RECORD_BYTES_MAX = 900_000
RECORD_BYTES_MAX_TO_BEGIN = 600_000
EVENT_BYTES_MAX = 300_000  # a plan of 500 waves has 120 kB
OUTBOX_EVENTS_MAX = 100
OUTBOX_BYTES_MAX = 250_000
UNREADABLE_TEXT_MAX = 1_000  # characters of the reason why a record cannot be read

# docs/schema-versions.md says what may change within a version, and what needs the next one.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the table holds for one cluster.

    `outbox` holds the events, as JSON, that are not yet known to have reached the events topic.
    They are sent again when another worker takes over the cluster.
    """

    schema_version: int = SCHEMA_VERSION
    migration: Migration
    # the last message that changed the state: messages up to it are replays
    inbox_offset: int = -1
    # the inbox of that offset: a topic that is deleted and created again counts from 0
    inbox_id: str = ""
    outbox: tuple[str, ...] = ()
    outbox_first: int = 0  # sequence of outbox[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The result of applying a message."""

    record: Record
    events: tuple[ProgressEvent, ...]
    applied: bool  # False: a replay


class RecordTooLargeError(Exception):
    """A state or an event is too large to be written; its message changes nothing."""


class UnusableRecordError(Exception):
    """A saved record that this version must leave as it is; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def read_record(saved: bytes) -> Record:
    """Parse a saved record.

    Raises UnusableRecordError if a newer version of the agent wrote it, or if it is no record.
    """
    try:
        version = _schema_version(orjson.loads(saved))
        if version > SCHEMA_VERSION:
            seen = f"the saved record has schema_version {version}"
            needed = f"at most {SCHEMA_VERSION}, which this agent reads"
            raise UnusableRecordError(Reason(Code.RECORD_FROM_NEWER_VERSION, seen, needed))
        record: Record = from_json(saved, Record)
        undelivered(record)
    except ValueError as error:
        seen = f"the saved record cannot be read: {error}"[:UNREADABLE_TEXT_MAX]
        raise UnusableRecordError(Reason(Code.RECORD_UNREADABLE, seen)) from error
    return record


def _schema_version(saved: Any) -> int:
    """The schema version of a saved record. Raises ValueError if it has none."""
    version = saved.get("schema_version") if isinstance(saved, dict) else None
    if type(version) is not int or version < 1:
        raise ValueError(f"no schema_version: {version!r}")
    return version


Table = MutableMapping[bytes, bytes]


class Records:
    """The table, read and written as records. A record is parsed once, not on every tick."""

    def __init__(self, table: Table, inbox_id: str = "") -> None:
        """`inbox_id`: Kafka's id of the inbox topic; empty where topics have none."""
        self._table = table
        self.inbox_id = inbox_id
        self._parsed: dict[str, tuple[bytes, Record]] = {}

    def load(self, cluster: str) -> Record:
        """Return the record of a cluster; a new one if none is saved.

        Raises UnusableRecordError; the table is not changed then.
        """
        saved = self._table.get(cluster.encode())
        if not saved:
            return Record(migration=Migration(cluster=cluster))
        known = self._parsed.get(cluster)
        if known is not None and known[0] is saved:
            return known[1]
        record = read_record(saved)
        self._parsed[cluster] = (saved, record)
        return record

    def save(self, cluster: str, record: Record, bytes_max: int = RECORD_BYTES_MAX) -> None:
        """Write the record of a cluster. Raises RecordTooLargeError; nothing is written then."""
        saved = to_json(record, Record)
        if len(saved) > bytes_max:
            raise RecordTooLargeError(
                f"the state of {cluster} would have {len(saved)} bytes, at most {bytes_max}"
            )
        self._table[cluster.encode()] = saved
        self._parsed[cluster] = (saved, record)

    def reason_unusable(self, cluster: str) -> Reason | None:
        """Return why the record of a cluster must not be changed; None if it is usable."""
        try:
            self.load(cluster)
        except UnusableRecordError as error:
            return error.reason
        return None

    def covers(self, record: Record, offset: int) -> bool:
        """Whether the message at this offset is a replay, which the record already contains."""
        another_inbox = bool(record.inbox_id and self.inbox_id and record.inbox_id != self.inbox_id)
        return offset <= record.inbox_offset and not another_inbox


def apply_message(
    records: Records,
    cluster: str,
    message: Message,
    offset: int,
    policy: Policy,
    delivered_through: int = -1,
) -> Turn:
    """Apply one message.

    `offset` is the message's place in the inbox, `delivered_through` the last sequence that is
    known to be on the events topic. Returns the new record, already saved, and the events to
    publish. A command that would make the state too large is refused; for another message
    RecordTooLargeError is raised and nothing is saved.
    """
    try:
        return _apply(records, cluster, message, offset, policy, delivered_through)
    except RecordTooLargeError as error:
        refusal = _refusal(message, Reason(Code.WAVE_TOO_LARGE_FOR_STATE, str(error)))
        if refusal is None:
            raise
        return _apply(records, cluster, refusal, offset, policy, delivered_through)


def _apply(
    records: Records,
    cluster: str,
    message: Message,
    offset: int,
    policy: Policy,
    delivered_through: int,
) -> Turn:
    record = records.load(cluster)
    if records.covers(record, offset):
        return Turn(record=record, events=(), applied=False)
    before = record.migration
    after, events = step(before, message, policy)
    if not events:
        # Only events change state. Nothing is written, so the message comes again after a crash and
        # changes nothing again.
        assert after == before, (
            f"{type(message).__name__} changed the state of {cluster} without an event"
        )
        return Turn(record=record, events=(), applied=True)
    envelopes = tuple(
        progress_event(event, after, before.sequence + n) for n, event in enumerate(events)
    )
    record = replace(record, migration=after, inbox_offset=offset, inbox_id=records.inbox_id)
    record = _with_outbox(record, envelopes, before.sequence, delivered_through)
    records.save(
        cluster, record, RECORD_BYTES_MAX_TO_BEGIN if _begins(message) else RECORD_BYTES_MAX
    )
    return Turn(record=record, events=envelopes, applied=True)


def _begins(message: Message) -> bool:
    """Whether the message adds to the state for long: a plan, a start, another pause cause."""
    survey = isinstance(message, msg.EffectEnded) and isinstance(message.outcome, msg.Surveyed)
    alert = isinstance(message, msg.AlertChanged) and message.firing
    return survey or alert or isinstance(message, (msg.PlanMigration, msg.StartMigration))


def _refusal(message: Message, reason: Reason) -> Message | None:
    """The message to apply instead of one that is too large, so that each command is answered.

    None if it is neither a command nor the outcome of one.
    """
    if isinstance(message, msg.EffectEnded) and isinstance(message.outcome, msg.Surveyed):
        return replace(message, outcome=msg.Surveyed(reasons=(reason,), plan=None))
    if isinstance(message, msg.Command):
        return msg.RefuseCommand(
            command_id=message.command_id,
            cluster=message.cluster,
            at=message.at,
            issued_by=message.issued_by,
            reasons=(reason,),
        )
    return None


def _with_outbox(
    record: Record, envelopes: tuple[ProgressEvent, ...], first: int, delivered_through: int
) -> Record:
    """Keep the events that are not known to be delivered, up to a limit; the oldest go first."""
    start = record.outbox_first if record.outbox else first
    new = [e.model_dump_json() for e in envelopes]
    if (largest := max(map(len, new))) > EVENT_BYTES_MAX:
        raise RecordTooLargeError(f"an event would have {largest} bytes, at most {EVENT_BYTES_MAX}")
    kept = [*record.outbox, *new]
    drop = min(max(delivered_through + 1 - start, 0), len(kept))
    drop = max(drop, len(kept) - OUTBOX_EVENTS_MAX)
    while drop < len(kept) and sum(len(e) for e in kept[drop:]) > OUTBOX_BYTES_MAX:
        drop += 1
    return replace(record, outbox=tuple(kept[drop:]), outbox_first=start + drop)


def undelivered(record: Record, delivered_through: int = -1) -> tuple[ProgressEvent, ...]:
    """Return the events of the outbox that a new owner has to send again."""
    kept = record.outbox[max(delivered_through + 1 - record.outbox_first, 0) :]
    return tuple(ProgressEvent.model_validate_json(e) for e in kept)
