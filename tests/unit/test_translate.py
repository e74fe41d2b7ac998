"""Between the wire and the core: what is read, what is refused and how, and what comes back
unchanged.
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from agent import wire
from agent.core import messages as msg
from agent.core.migration import Migration, Phase
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Approval, InternalTopics, Mode, Options, Pairing, ThrottleBy
from agent.core.planning.plan import Wave, WaveState
from agent.core.planning.policy import Policy
from agent.core.planning.progress import Progress
from agent.worker.turn import Record
from tests.fakes.values import MESSAGES, RECORDS

AT = 1_700_000_000.0
LARGE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def command(kind: str, **fields: Any) -> bytes:
    """A command as a sender writes it."""
    return json.dumps(
        {"type": kind, "command_id": "c-1", "cluster": "lab", "issued_by": "ann", **fields}
    ).encode()


def order(kind: type[msg.Command], **fields: Any) -> msg.Command:
    """What the core should be given."""
    return kind(command_id="c-1", cluster="lab", at=AT, issued_by="ann", **fields)


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (command("plan"), order(msg.PlanMigration, options=Options())),
        (
            command("start", plan_id="p-1"),
            order(msg.StartMigration, options=Options(), plan_id="p-1"),
        ),
        (command("pause", reason="disk"), order(msg.PauseMigration, reason="disk")),
        (command("pause", slow=True), order(msg.PauseMigration, slow=True)),
        (command("resume", issued_at="2026-11-24T10:00:00Z"), order(msg.ResumeMigration)),
        (command("rollback"), order(msg.RollBackMigration)),
        (command("cancel"), order(msg.CancelMigration)),
        (
            command("tune", throttle_bytes_per_second=0),
            order(msg.TuneMigration, throttle_bytes_per_second=0),
        ),
        (
            command("tune", partition_movements_per_broker=5),
            order(msg.TuneMigration, partition_movements_per_broker=5),
        ),
        (command("approve"), order(msg.ApproveMigration)),
        (command("retry"), order(msg.RetryWave)),
        (command("skip"), order(msg.SkipWave)),
    ],
)
def test_each_command_has_its_order(data: bytes, expected: msg.Command) -> None:
    """Every command of the wire becomes the order of the same meaning."""
    assert wire.read_command(data, AT) == expected


def test_every_option_arrives() -> None:
    """Each option of a start reaches the core with its value."""
    given_options = {
        "mode": "brokers",
        "source_broker_ids": [11, 12],
        "destination_broker_ids": [31, 32],
        "az": "az-a",
        "az_order": ["az-b", "az-a"],
        "pairing": "zone",
        "throttle_bytes_per_second": 50_000_000,
        "throttle_by": "cruise_control",
        "partition_movements_per_broker": 7,
        "partition_movements_in_cluster": 40,
        "progress_check_interval_ms": 6_000,
        "soak_seconds": 30,
        "approval": "wave",
        "canary_partitions": 3,
        "large_partition_bytes": 50_000_000_000,
        "internal_topics": "last",
        "internal_throttle_bytes_per_second": 5_000_000,
        "wave_brokers_max": 4,
        "wave_bytes_max": 5_000_000_000_000,
    }
    read = wire.read_command(command("start", options=given_options), AT)
    assert isinstance(read, msg.StartMigration)
    assert read.options == Options(
        mode=Mode.BROKERS,
        source_broker_ids=(11, 12),
        destination_broker_ids=(31, 32),
        az="az-a",
        az_order=("az-b", "az-a"),
        pairing=Pairing.ZONE,
        throttle_bytes_per_second=50_000_000,
        throttle_by=ThrottleBy.CRUISE_CONTROL,
        partition_movements_per_broker=7,
        partition_movements_in_cluster=40,
        progress_check_interval_ms=6_000,
        soak_seconds=30.0,
        approval=Approval.WAVE,
        canary_partitions=3,
        large_partition_bytes=50_000_000_000,
        internal_topics=InternalTopics.LAST,
        internal_throttle_bytes_per_second=5_000_000,
        wave_brokers_max=4,
        wave_bytes_max=5_000_000_000_000,
    )
    assert set(given_options) == set(Options.__dataclass_fields__)


BAD: dict[str, tuple[bytes | None, str]] = {
    "null": (None, "the message: Invalid JSON"),
    "empty": (b"", "the message: Invalid JSON"),
    "not JSON": (b'{"type": "start"', "the message: Invalid JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "the message: Invalid JSON"),
    "half a character": (command("pause").replace(b"ann", b"\\ud800"), "the message: Invalid JSON"),
    "too deep": (b"[" * 100_000, "the message: Invalid JSON"),
    "an array": (b"[]", "the message: Input should be an object"),
    "a string": (b'"start"', "the message: Input should be an object"),
    "no type": (b'{"command_id": "c", "cluster": "lab"}', "type: Field required"),
    "unknown type": (command("strat"), "type: Input should be one of 'plan', 'start'"),
    "type is a list": (
        command("pause").replace(b'"pause"', b"[1]"),
        "type: Input should be one of",
    ),
    "no cluster": (b'{"type": "pause", "command_id": "c"}', "cluster: Field required"),
    "blank in the id": (
        command("pause").replace(b"c-1", b"c 1"),
        "command_id: String should match",
    ),
    "wrong enum": (
        command("start", options={"mode": "all"}),
        "options.mode: Input should be 'full', 'az' or",
    ),
    "unknown field": (command("pause", slowly=True), "slowly: Extra inputs are not permitted"),
    "extra nesting": (
        command("pause", slow={"slow": True}),
        "slow: Input should be a valid boolean",
    ),
    "a word for a flag": (command("pause", slow="yes"), "slow: Input should be a valid boolean"),
    "a flag for a broker": (
        command("start", options={"source_broker_ids": [True]}),
        "options.source_broker_ids.0: ",
    ),
    "a unit in a rate": (
        command("tune", throttle_bytes_per_second="50MB"),
        "throttle_bytes_per_second: ",
    ),
    "megabytes for bytes": (
        command("tune", throttle_bytes_per_second=50),
        "should be greater than or equal to 1000 or",
    ),
    "options are null": (command("start", options=None), "options: Input should be an object"),
    "soaks for NaN": (
        command("start", options={"soak_seconds": float("nan")}),
        "options.soak_seconds: ",
    ),
    "600 kB": (
        command("pause", reason="x" * 600_000),
        "reason: String should have at most 500 characters",
    ),
    "600 kB of a name": (command("pause", **{"x" * 600_000: 1}), "Extra inputs are not permitted"),
}


@pytest.mark.parametrize(("data", "says"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_read_says_which_field_and_what_it_should_be(
    data: bytes | None, says: str
) -> None:
    """Bad input of every kind is a ValidationError that names the field, in a few hundred
    characters.
    """
    with pytest.raises(ValidationError) as caught:
        wire.read_command(data, AT)
    reasons = wire.what_is_wrong(caught.value)
    assert any(says in r.seen for r in reasons), reasons
    assert {r.code for r in reasons} == {Code.UNREADABLE_COMMAND}
    assert len("".join(map(str, reasons))) < 1_000 * len(reasons)


def test_every_wrong_field_is_told_at_once() -> None:
    """All wrong fields are named in one go, not one after the other."""
    with pytest.raises(ValidationError) as caught:
        wire.read_command(command("start", options={"mode": "all", "az": 5}, plan_id=7), AT)
    told = [r.seen.split(":")[0] for r in wire.what_is_wrong(caught.value)]
    assert told == ["options.mode", "options.az", "plan_id"]


@pytest.mark.parametrize(
    ("data", "sender"),
    [
        (command("pause", slowly=True), ("c-1", "lab")),
        (b'{"command_id": "c-1"}', ("c-1", None)),
        (b'{"command_id": 7, "cluster": ["lab"]}', (None, None)),
        (b'{"command_id": "", "cluster": "' + b"x" * 101 + b'"}', (None, None)),
        *((data, (None, None)) for data in (None, b"", b"[]", b'"x"', b"\xff", b"[" * 100_000)),
    ],
)
def test_the_sender_is_found_where_there_is_one(
    data: bytes | None, sender: tuple[str | None, str | None]
) -> None:
    """command_id and cluster are read out of whatever came, without ever raising."""
    assert wire.sender_of(data) == sender


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────
def alert(**fields: Any) -> bytes:
    given_alert = {
        "type": "alert",
        "cluster": "lab",
        "name": "URP",
        "state": "firing",
        "time": "2026-11-24T10:00:00Z",
    }
    return json.dumps({**given_alert, **fields}).encode()


def test_an_alert_becomes_an_observation() -> None:
    """Firing and resolved, pause and slow, and what was seen: the summary, or else the labels."""
    read = wire.read_metric(alert(action="slow", labels={"broker": "11", "az": "a"}))
    assert wire.alert_observed(read, AT) == msg.AlertChanged(  # type: ignore[arg-type]  # an Alert, as asserted
        at=AT, name="URP", firing=True, slow=True, seen="az=a, broker=11"
    )
    resolved = wire.read_metric(alert(state="resolved", summary="fine"))
    assert wire.alert_observed(resolved, AT) == msg.AlertChanged(  # type: ignore[arg-type]
        at=AT, name="URP", firing=False, seen="fine"
    )


def test_a_bad_sample_is_named_by_its_place() -> None:
    """The path to a wrong value in a batch is told in full."""
    batch = {
        "type": "samples",
        "cluster": "lab",
        "samples": [{"metric": "m", "value": "x", "time": "2026-11-24T10:00:00Z"}],
    }
    with pytest.raises(ValidationError) as caught:
        wire.read_metric(json.dumps(batch).encode())
    assert wire.what_is_wrong(caught.value)[0].seen.startswith("samples.0.value: ")


# ── core values to JSON and back ──────────────────────────────────────────────────────────────────
@LARGE
@given(MESSAGES)
def test_every_message_comes_back_as_it_was(message: msg.Message) -> None:
    """Whatever the types allow in the inbox survives JSON exactly."""
    assert wire.from_json(wire.to_json(message, msg.Message), msg.Message) == message


@LARGE
@given(RECORDS)
def test_every_state_comes_back_as_it_was(record: Record) -> None:
    """Whatever the types allow as a saved state survives JSON exactly: pending effects,
    options, waves, causes.
    """
    assert wire.from_json(wire.to_json(record, Record), Record) == record


def test_another_versions_state_can_be_read() -> None:
    """Unknown fields are left out and missing ones take their defaults, so that two versions
    can alternate.
    """
    saved = json.loads(wire.to_json(Record(migration=Migration(cluster="lab", sequence=7)), Record))
    saved["of_tomorrow"] = 1
    saved["migration"]["of_tomorrow"] = {"a": [1]}
    del (
        saved["outbox"],
        saved["inbox_id"],
        saved["migration"]["plans"],
        saved["migration"]["options"]["soak_seconds"],
    )
    read = wire.from_json(json.dumps(saved).encode(), Record)
    assert read == Record(migration=Migration(cluster="lab", sequence=7))


STRANGE: list[bytes | None] = [
    *(None, b"", b"[]", b"7", b'"x"', b"{}", b"[" * 100_000),
    *(
        b'{"type": "NoSuch"}',
        b'{"type": "Tick"}',
        b'{"type": ["Tick"]}',
        b'{"type": "Tick", "at": "soon"}',
    ),
    b'{"type": "EffectEnded", "at": 1, "effect_id": "x", "outcome": 3}',
]


@pytest.mark.parametrize("data", STRANGE)
def test_a_strangers_inbox_message_is_no_bug(data: bytes | None) -> None:
    """Whatever else is written to the inbox raises ValueError, which is expected, and nothing
    else.
    """
    with pytest.raises(ValueError, match=r".+"):
        wire.from_json(data, msg.Message)  # type: ignore[arg-type]  # Kafka values may be null


# ── what people read ──────────────────────────────────────────────────────────────────────────────
def test_status_counts_what_is_left() -> None:
    """Waves that are done count nothing, others what was last seen of them, those to come all
    that was planned.
    """
    waves = tuple(
        Wave(number=n, az="a", source_broker_ids=(n,), destination_broker_ids=(30 + n,),
             replicas=10, size_bytes=100, state=state, attempt=1, replicas_left=left,
             bytes_left=left and 10 * left)
        for n, (state, left) in enumerate(
            ((WaveState.DONE, 0), (WaveState.ACTIVE, 4), (WaveState.PENDING, None)), 1
        )
    )  # fmt: skip
    now = Progress(
        at=AT,
        changed_at=AT,
        replicas_left=4,
        bytes_left=40,
        bytes_moved=60,
        moving=2,
        eta_seconds=3.0,
    )
    waiting = (Reason(Code.CRUISE_CONTROL_BUSY, "it moves leaders", "an idle executor"),)
    m = Migration(
        cluster="lab",
        migration_id="lab-1",
        phase=Phase.MOVING,
        waves=waves,
        progress=now,
        waiting=waiting,
    )
    status = wire.status(m, Policy(), AT)
    assert [w.replicas_left for w in status.waves] == [0, 4, 10]
    assert (status.replicas_left, status.bytes_left, status.stage) == (14, 140, 2)
    assert [w.share for w in status.waves] == [1.0, 0.6, 0.0]
    assert (round(status.share, 3), status.replicas, status.replicas_moved) == (0.533, 30, 16)
    assert status.eta_seconds == 3.0
    assert status.waiting[0].do.startswith("Nothing: the agent asks again")


def test_a_stranger_gets_the_same_answer_twice() -> None:
    """A refusal for a cluster without a state takes its id from the command's place, so that a
    replay repeats it.
    """
    refusal = msg.RefuseCommand(
        command_id="c-1",
        cluster="elsewhere",
        at=AT,
        reasons=(Reason(Code.UNKNOWN_CLUSTER, "cluster: 'elsewhere'"),),
    )
    answer = wire.refusal_without_state(refusal, "commands/3/17")
    assert (answer.id, answer.cluster, answer.data["command_id"]) == (
        "refused/commands/3/17",
        "elsewhere",
        "c-1",
    )
    assert answer.data["reasons"][0]["code"] == "UNKNOWN_CLUSTER"
