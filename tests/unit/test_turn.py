"""One message met: replays, the outbox, and states that would grow too large."""

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration, Phase
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan, Wave
from agent.core.planning.policy import Policy
from agent.wire import from_json
from agent.worker import turn

AT, POLICY = 1_700_000_000.0, Policy()


def refusal(n: int) -> msg.RefuseCommand:
    """A message that always leads to exactly one event."""
    return msg.RefuseCommand(command_id=f"c-{n}", cluster="lab", at=AT + n, reasons=())


def plan_order(n: int) -> msg.PlanMigration:
    return msg.PlanMigration(command_id=f"plan-{n}", cluster="lab", at=AT + n, options=Options())


def plan_of(waves: int) -> Plan:
    return Plan(
        plan_id="p",
        waves=tuple(
            Wave(number=n, az="az-a", source_broker_ids=(n,), destination_broker_ids=(10_000 + n,))
            for n in range(waves)
        ),
        partitions=1,
        replicas=1,
        size_bytes=1,
    )


def test_a_replay_changes_nothing_and_tells_nothing() -> None:
    """A message up to the last applied offset leads to no event and no write."""
    table: dict[bytes, bytes] = {}
    first = turn.apply_message(turn.Records(table), "lab", refusal(1), 7, POLICY)
    saved = dict(table)
    again = turn.apply_message(turn.Records(table), "lab", refusal(1), 7, POLICY)
    older = turn.apply_message(turn.Records(table), "lab", refusal(0), 3, POLICY)
    assert (first.applied, again.applied, older.applied) == (True, False, False)
    assert (again.events, older.events, table) == ((), (), saved)


def test_a_crash_before_the_save_repeats_the_same_events() -> None:
    """The same message on the same state gives the same ids and contents: a repeat downstream
    is recognisable.
    """
    one = turn.apply_message(turn.Records({}), "lab", refusal(1), 0, POLICY)
    other = turn.apply_message(turn.Records({}), "lab", refusal(1), 0, POLICY)
    assert one.events == other.events
    assert [e.id for e in one.events] == ["lab/0"]


def test_what_changes_nothing_is_not_written() -> None:
    """A message without an event costs no write, and may be met again."""
    table: dict[bytes, bytes] = {}
    for _ in range(2):
        taken = turn.apply_message(turn.Records(table), "lab", msg.Tick(at=AT), 0, POLICY)
        assert (taken.applied, taken.events) == (True, ())
    assert not table


def test_a_new_inbox_is_no_replay() -> None:
    """An inbox that was deleted and made anew counts from 0 again: its messages are met, not
    skipped.
    """
    table: dict[bytes, bytes] = {}
    turn.apply_message(turn.Records(table, "first"), "lab", refusal(1), 100, POLICY)
    assert not turn.apply_message(
        turn.Records(table, "first"), "lab", refusal(2), 100, POLICY
    ).applied
    assert not turn.apply_message(
        turn.Records(table), "lab", refusal(2), 100, POLICY
    ).applied  # an old Kafka tells no ids
    assert turn.apply_message(turn.Records(table, "second"), "lab", refusal(2), 0, POLICY).applied
    assert not turn.apply_message(
        turn.Records(table, "second"), "lab", refusal(2), 0, POLICY
    ).applied


def test_sequences_go_on_over_messages() -> None:
    """An event's id is the cluster's or migration's name and a number without gaps."""
    records = turn.Records({})
    ids = [
        e.id
        for n in range(3)
        for e in turn.apply_message(records, "lab", refusal(n), n, POLICY).events
    ]
    assert ids == ["lab/0", "lab/1", "lab/2"]


# ── the outbox ────────────────────────────────────────────────────────────────────────────────────
def test_an_event_stays_in_the_outbox_until_it_is_known_to_be_delivered() -> None:
    """Crash between save and publication: what was not delivered is in the record, with the
    same ids.
    """
    records = turn.Records({})
    published = [
        e
        for n in range(3)
        for e in turn.apply_message(records, "lab", refusal(n), n, POLICY).events
    ]
    assert turn.undelivered(records.load("lab")) == tuple(published)
    assert turn.undelivered(records.load("lab"), delivered_through=1) == (published[2],)
    assert turn.undelivered(records.load("lab"), delivered_through=2) == ()
    turn.apply_message(records, "lab", refusal(3), 3, POLICY, delivered_through=2)
    assert [e.sequence for e in turn.undelivered(records.load("lab"))] == [3]


def test_the_outbox_is_bounded() -> None:
    """If Kafka confirms nothing, the newest events are kept: at most so many, and at most so
    many bytes.
    """
    records = turn.Records({})
    for n in range(turn.OUTBOX_EVENTS_MAX + 20):
        turn.apply_message(records, "lab", refusal(n), n, POLICY)
    kept = [e.sequence for e in turn.undelivered(records.load("lab"))]
    assert kept == list(range(20, turn.OUTBOX_EVENTS_MAX + 20))
    for n in range(200, 210):
        long = replace(refusal(n), command_id="x" * 60_000)
        turn.apply_message(records, "lab", long, n, POLICY)
    outbox = records.load("lab").outbox
    assert sum(map(len, outbox)) <= turn.OUTBOX_BYTES_MAX
    assert from_json(outbox[-1].encode(), dict)["sequence"] == turn.OUTBOX_EVENTS_MAX + 29


# ── states that would grow too large ──────────────────────────────────────────────────────────────
def test_a_plan_too_large_for_the_state_is_refused() -> None:
    """A start whose plan cannot be saved has its answer all the same: refused, with the code
    that says what to do.
    """
    records = turn.Records({})
    order = msg.StartMigration(command_id="c", cluster="lab", at=AT, options=Options())
    (_, asked) = turn.apply_message(records, "lab", order, 0, POLICY).events
    ended = msg.EffectEnded(
        at=AT,
        effect_id=asked.data["effect_id"],
        outcome=msg.Surveyed(reasons=(), plan=plan_of(20_000)),
    )
    taken = turn.apply_message(records, "lab", ended, 1, POLICY)
    assert [e.type for e in taken.events] == ["EffectFinished", "CommandRefused"]
    assert "WAVE_TOO_LARGE_FOR_STATE" in taken.events[1].summary
    assert (taken.record.migration.phase, taken.record.migration.pending) == (Phase.NONE, ())


def test_a_command_too_large_for_the_state_is_refused() -> None:
    """An order that would blow up the state is answered, not lost."""
    order = replace(plan_order(1), options=Options(az_order=("x" * 400_000,)))
    taken = turn.apply_message(turn.Records({}), "lab", order, 0, POLICY)
    assert [e.type for e in taken.events] == ["CommandRefused"]
    assert taken.record.migration.pending == ()


def test_what_cannot_be_answered_and_saved_changes_nothing() -> None:
    """An observation that is too large raises, with nothing saved: the caller rejects it and
    lives on.
    """
    table: dict[bytes, bytes] = {}
    records = turn.Records(table)
    turn.apply_message(records, "lab", refusal(0), 0, POLICY)
    before, loaded = dict(table), records.load("lab")
    moving = replace(
        loaded, migration=replace(loaded.migration, migration_id="lab-1", phase=Phase.PAUSED)
    )
    records.save("lab", moving)
    saved = dict(table)
    alert = msg.AlertChanged(at=AT, name="A", firing=True, seen="x" * 400_000)
    with pytest.raises(turn.RecordTooLargeError, match="bytes, at most"):
        turn.apply_message(records, "lab", alert, 1, POLICY)
    assert table == saved != before


def test_room_is_left_for_the_end_of_a_move() -> None:
    """In a state too full to begin anything, what must be told of a move still has room."""
    records = turn.Records({})
    scope = fx.WaveScope(
        migration_id="lab-1", wave=1, attempt=1, source_broker_ids=(1,), destination_broker_ids=(2,)
    )
    stop = fx.Pending(effect_id="lab-1/5", effect=fx.StopWave(scope=scope, at_once=True), since=AT)
    full = Migration(
        cluster="lab",
        migration_id="lab-1",
        sequence=6,
        phase=Phase.STOPPING,
        waves=(replace(plan_of(1).waves[0], attempt=1),),
        plans=(plan_of(2_300),),
        pending=(stop,),
    )
    records.save("lab", turn.Record(migration=full))
    alert = msg.AlertChanged(at=AT, name="A", firing=True)
    with pytest.raises(turn.RecordTooLargeError):
        turn.apply_message(records, "lab", alert, 0, POLICY)
    ended = msg.EffectEnded(at=AT, effect_id="lab-1/5", outcome=msg.Performed())
    taken = turn.apply_message(records, "lab", ended, 1, POLICY)
    assert taken.applied
    assert taken.record.migration.phase is not Phase.STOPPING


def test_a_record_is_parsed_once() -> None:
    """Ticks look four times a second at every state: what was parsed is kept as long as its
    bytes are the same.
    """
    table: dict[bytes, bytes] = {}
    records = turn.Records(table)
    turn.apply_message(records, "lab", refusal(0), 0, POLICY)
    assert records.load("lab") is records.load("lab")
    other = turn.Records(table)
    assert other.load("lab") == records.load("lab")
    turn.apply_message(other, "lab", refusal(1), 1, POLICY)
    assert records.load("lab").inbox_offset == 1
