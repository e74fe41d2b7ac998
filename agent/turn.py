"""One message met: load, step, save, and say what is to be published. Synchronous, so that nothing can come between.

Called by app.py's inbox handler (and by the simulation). Knows nothing of Kafka but offsets.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace

from agent.core.decide import step
from agent.core.messages import Message
from agent.core.migration import Migration
from agent.core.options import Policy
from agent.translate import from_json, progress_event, to_json
from schemas.events import ProgressEvent

# Kafka refuses a message over 1 MB and Faust's worker then crashes: the record stays far below.
RECORD_BYTES_MAX = 900_000
OUTBOX_EVENTS_MAX = 100
OUTBOX_BYTES_MAX = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the table holds of one cluster.

    `outbox`: events, as JSON, that are not yet known to have reached the events topic; sent again after a take-over.
    """

    migration: Migration
    inbox_offset: int = -1  # the last applied message of the inbox: a replay up to it changes nothing
    outbox: tuple[str, ...] = ()
    outbox_first: int = 0  # sequence of outbox[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of a message."""

    record: Record
    events: tuple[ProgressEvent, ...]
    applied: bool  # False: a replay


class RecordTooLargeError(Exception):
    """A state that could not be saved; the message that led to it is rejected and nothing is changed."""


Table = MutableMapping[bytes, bytes]


def load(table: Table, cluster: str) -> Record:
    """The record of a cluster; a fresh one if there is none."""
    saved = table.get(cluster.encode())
    if not saved:
        return Record(migration=Migration(cluster=cluster))
    record: Record = from_json(saved, Record)
    return record


def take(
    table: Table, cluster: str, message: Message, offset: int, policy: Policy, delivered_through: int = -1
) -> Turn:
    """Meet one message.

    In: the table, the message and its inbox offset, and the last sequence known to be on the events topic. Out: the
    new record, already saved, and the events to publish. Raises RecordTooLargeError with nothing saved.
    """
    record = load(table, cluster)
    if offset <= record.inbox_offset:
        return Turn(record=record, events=(), applied=False)
    before = record.migration
    after, events = step(before, message, policy)
    envelopes = tuple(progress_event(event, after, before.sequence + n) for n, event in enumerate(events))
    record = _with_outbox(
        replace(record, migration=after, inbox_offset=offset), envelopes, before.sequence, delivered_through
    )
    saved = to_json(record, Record)
    if len(saved) > RECORD_BYTES_MAX:
        raise RecordTooLargeError(f"the state of {cluster} would have {len(saved)} bytes, at most {RECORD_BYTES_MAX}")
    table[cluster.encode()] = saved
    return Turn(record=record, events=envelopes, applied=True)


def _with_outbox(record: Record, envelopes: tuple[ProgressEvent, ...], first: int, delivered_through: int) -> Record:
    """Keep what is not known to be delivered; bounded, oldest dropped first."""
    start = record.outbox_first if record.outbox else first
    kept = [*record.outbox, *(e.model_dump_json() for e in envelopes)]
    drop = min(max(delivered_through + 1 - start, 0), len(kept))
    drop = max(drop, len(kept) - OUTBOX_EVENTS_MAX)
    while drop < len(kept) and sum(len(e) for e in kept[drop:]) > OUTBOX_BYTES_MAX:
        drop += 1
    return replace(record, outbox=tuple(kept[drop:]), outbox_first=start + drop)


def undelivered(record: Record) -> tuple[ProgressEvent, ...]:
    """The outbox, to be sent again by whoever takes the cluster over."""
    return tuple(ProgressEvent.model_validate_json(e) for e in record.outbox)
