"""The demo's accounts and plans: made-up logs with every kind of trouble, so that a clean
report means something.
"""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from deploy.lab.cluster.topics import TopicKind, assign, default_topics, plan_fill, spread
from deploy.lab.workload.accounting import (
    Account,
    Delay,
    Gap,
    Messages,
    Position,
    account,
    delay,
    longest_gap,
)
from deploy.lab.workload.clients import ClientReport
from deploy.lab.workload.filling import batches
from deploy.lab.workload.tools import (
    Burst,
    ConsumerTranscript,
    LabInfo,
    Lines,
    ProducerTranscript,
    WorkloadError,
    parse_burst,
)

ME = 7


def at(
    offset: int, number: int, *, partition: int = 0, producer: int = ME, at_ms: int = 0
) -> Position:
    """The number-th value of a producer, at an offset of the only topic."""
    return Position("clients", partition, offset, f"{producer}.{number}", at_ms)


def judged(acks: list[Position], deliveries: list[Position], log: list[Position]) -> Account:
    return account(acks, deliveries, log, {ME})


RUN = [at(offset, number=offset) for offset in range(10)]


def test_clean_run() -> None:
    """What is confirmed, received and in the log, once and in order, is clean."""
    report = judged(RUN, RUN, RUN)
    assert report.messages == Messages(
        acknowledged=10, consumed=10, lost=0, duplicated=0, out_of_order=0
    )
    assert report.is_clean
    assert not report.examples


def test_lost() -> None:
    """A confirmed value that is nowhere is lost, and named with the place it was promised."""
    report = judged(RUN, RUN[:-1], RUN[:-1])
    assert report.messages.lost == 1
    assert report.examples == {"lost": ("7.9 at clients-0@9",)}
    assert not report.is_clean


def test_vanished_is_not_clean() -> None:
    """A confirmed value that a group received but the log no longer holds is told from a lost
    one, and no better.
    """
    report = judged(RUN, RUN, RUN[:-1])
    assert (report.messages.lost, report.vanished, report.is_clean) == (0, 1, False)


def test_unread_is_not_clean() -> None:
    """A value in the log that no group ever received is not lost, yet a client misses it."""
    report = judged(RUN, RUN[1:], RUN)
    assert (report.messages.lost, report.unread, report.messages.consumed, report.is_clean) == (
        0,
        1,
        9,
        False,
    )


def test_duplicated() -> None:
    """A value at two places in the log is duplicated, once, and not called out of order as well."""
    report = judged(RUN, [*RUN, at(10, number=3)], [*RUN, at(10, number=3)])
    assert (report.messages.duplicated, report.messages.out_of_order, report.redelivered) == (
        1,
        0,
        0,
    )
    assert report.messages.consumed == 11
    assert not report.is_clean


def test_duplicated_in_another_partition() -> None:
    """A duplicate is one also when it went to another partition."""
    report = judged(RUN, RUN, [*RUN, at(0, number=3, partition=1)])
    assert report.messages.duplicated == 1


def test_out_of_order() -> None:
    """In one partition the numbers of a producer must grow: each record behind a later one
    counts.
    """
    log = [at(0, 0), at(1, 3), at(2, 1), at(3, 2), at(4, 4)]
    report = judged(log, log, log)
    assert report.messages.out_of_order == 2
    assert report.examples["out_of_order"] == ("7.1 at clients-0@2", "7.2 at clients-0@3")
    assert not report.is_clean


def test_order_is_by_offset_not_by_arrival() -> None:
    """The order that counts is the log's, whatever order partitions were read in."""
    assert judged(RUN, RUN, list(reversed(RUN))).is_clean


def test_order_is_per_partition_and_producer() -> None:
    """Partitions, and producers, owe each other no order."""
    log = [at(0, 5), at(1, 0, producer=8), at(0, 1, partition=1), at(1, 2, partition=1)]
    assert account(log, log, log, {ME, 8}).is_clean


def test_redelivery_is_not_duplication() -> None:
    """The same place received twice, as after a rebalance, is redelivered: reported apart, not
    consumed again.
    """
    report = judged(RUN, [*RUN, RUN[4], RUN[5], RUN[5]], RUN)
    assert (report.redelivered, report.messages.consumed, report.messages.duplicated) == (3, 10, 0)
    assert report.is_clean


def test_unconfirmed_is_allowed() -> None:
    """A record in the log whose confirmation was cut off (the client was stopped) is counted,
    and is no trouble.
    """
    report = judged(RUN[:-1], RUN, RUN)
    assert (report.unconfirmed, report.messages.acknowledged, report.is_clean) == (1, 9, True)


def test_other_runs_are_left_aside() -> None:
    """Records of an earlier run, or that are no such values at all, do not enter the account."""
    foreign = [
        at(10, 3, producer=9),
        at(11, 3, producer=9),
        Position("clients", 0, 12, "hello"),
        Position("clients", 0, 13, "7.x"),
    ]
    assert judged(RUN, [*RUN, *foreign], [*RUN, *foreign]) == judged(RUN, RUN, RUN)


def test_examples_are_few() -> None:
    """A disaster does not fill the report: five examples of a kind."""
    report = judged([at(offset, offset) for offset in range(1000)], [], [])
    assert report.messages.lost == 1000
    assert len(report.examples["lost"]) == 5


@pytest.mark.parametrize(
    ("times_ms", "until_ms", "expected"),
    [
        ([], None, Gap(0.0, 0)),
        ([5000], None, Gap(0.0, 5000)),
        ([1000, 1100, 4100, 4200], None, Gap(3.0, 1100)),
        ([4200, 1000, 4100, 1100], None, Gap(3.0, 1100)),  # two connections report out of order
        ([1000, 1100], 9100, Gap(8.0, 1100)),  # silent until the end
        ([1000, 1100], 900, Gap(0.1, 1000)),
    ],
)
def test_longest_gap(times_ms: list[int], until_ms: int | None, expected: Gap) -> None:
    """The longest silence counts, also when it lasts until the end of the watch."""
    assert longest_gap(times_ms, until_ms) == expected


def test_delay() -> None:
    """The wait of a value runs from its confirmation to its first delivery, and is never
    negative.
    """
    acks = [at(n, n, at_ms=1000) for n in range(100)]
    deliveries = [at(n, n, at_ms=1000 + n) for n in range(100)]
    again = [dataclasses.replace(p, at_ms=90_000) for p in deliveries[:3]]
    early = at(100, 100, at_ms=5000)
    assert delay(acks, [*deliveries, *again]) == Delay(median_ms=50, p99_ms=99, max_ms=99)
    assert delay([early], [dataclasses.replace(early, at_ms=4990)]) == Delay(0, 0, 0)
    assert delay([], deliveries) == Delay(0, 0, 0)


# ---- what the tools print


def success(number: int, at_ms: int = 1000) -> dict[str, object]:
    """A VerifiableProducer's line for a confirmed send."""
    return {
        "timestamp": at_ms,
        "name": "producer_send_success",
        "key": "3",
        "value": f"7.{number}",
        "topic": "clients",
        "partition": 0,
        "offset": number,
    }


def test_lines_half_written(tmp_path: Path) -> None:
    """A line is read once and whole: the half of a line waits, what is no JSON object is
    counted and skipped.
    """
    output = tmp_path / "producer.jsonl"
    first, second = json.dumps(success(0)), json.dumps(success(1))
    lines = Lines(output)
    output.write_text(f"OpenJDK warning: something\n{first}\n{second[:20]}")
    assert list(lines.new()) == [success(0)]
    assert list(lines.new()) == []
    output.write_text(f"OpenJDK warning: something\n{first}\n{second}\n12\n")
    assert list(lines.new()) == [success(1)]
    assert lines.unreadable == 2


def test_producer_transcript() -> None:
    """Confirmed sends are positions, failed ones causes; other lines say nothing about messages."""
    said = ProducerTranscript()
    for event in (
        {"name": "startup_complete", "timestamp": 1},
        success(4),
        _failure("TimeoutException", 2000),
    ):
        said.apply(event)
    assert said.acknowledged == [at(4, 4, at_ms=1000)]
    assert said.errors_before(5000) == {"TimeoutException: no": 1}


def test_refusals_after_the_order_to_stop() -> None:
    """Only the refusal of a producer that is closing is left out, and only after the order to
    stop.
    """
    said = ProducerTranscript()
    for event in (
        _failure("IllegalStateException", 6000),
        _failure("IllegalStateException", 4000),
        _failure("TimeoutException", 6000),
    ):
        said.apply(event)
    assert said.errors_before(5000) == {"IllegalStateException: no": 1, "TimeoutException: no": 1}


def _failure(kind: str, at_ms: int) -> dict[str, object]:
    exception = f"class org.apache.kafka.common.errors.{kind}"
    return {
        "name": "producer_send_error",
        "timestamp": at_ms,
        "exception": exception,
        "message": "no",
        "value": "7.1",
    }


def test_consumer_transcript() -> None:
    """Deliveries, rebalances and failed commits are kept; a redelivery is a second delivery,
    not a second value.
    """
    said = ConsumerTranscript()
    record = {**success(4), "name": "record_data"}
    partitions = [{"topic": "clients", "partition": p} for p in range(3)]
    commit = {
        "name": "offsets_committed",
        "timestamp": 1,
        "offsets": [],
        "success": False,
        "error": "gone",
    }
    for event in (
        {"name": "partitions_assigned", "timestamp": 1, "partitions": partitions},
        record,
        record,
        commit,
        {**commit, "success": True},
    ):
        said.apply(event)
    assert len(said.deliveries) == 2
    assert said.received == {"7.4"}
    assert (said.assignments, said.partitions, said.failed_commits) == (1, 3, {"gone": 1})


def test_parse_burst() -> None:
    """The summary line gives the figures, not one of the interim lines before it."""
    printed = (
        "2500 records sent, 499.9 records/sec (4.77 MB/sec), 9.1 ms avg latency, 300.0 ms max "
        "latency.\n"
        "5000 records sent, 498.802873 records/sec (4.76 MB/sec), 51.96 ms avg latency, 503.00 "
        "ms max latency, "
        "10 ms 50th, 304 ms 95th, 424 ms 99th, 500 ms 99.9th.\n"
    )
    assert parse_burst(printed) == Burst(5000, 498.802873, 4.76, 51.96, 503.0, 10.0, 304.0, 424.0)
    assert parse_burst("org.apache.kafka.common.errors.TimeoutException") is None


# ---- topics and their filling

RACKS = {11: "az-a", 12: "az-b", 13: "az-c"}
SIX = {11: "az-a", 12: "az-a", 21: "az-b", 22: "az-b", 31: "az-c", 32: "az-c"}


def test_default_topics() -> None:
    """The demo's workload is what was promised: 24 topics, 180 partitions or more, one of each
    special kind.
    """
    specs = default_topics()
    kinds = Counter(topic.kind for topic in specs)
    assert len(specs) == len({topic.name for topic in specs}) == 24
    assert sum(topic.partitions for topic in specs) >= 180
    assert (
        kinds[TopicKind.COMPACTED],
        kinds[TopicKind.TRANSACTIONAL],
        kinds[TopicKind.CLIENTS],
    ) == (1, 1, 2)
    fills = plan_fill(specs, 400 * 2**20, 4096)
    largest = max(fills, key=lambda fill: fill.records)
    assert (largest.topic.name, largest.topic.partitions) == ("demo.large", 1)
    assert largest.records > 5 * max(fill.records for fill in fills if fill is not largest)


@pytest.mark.parametrize("racks", [RACKS, SIX])
def test_assignment(racks: dict[int, str]) -> None:
    """Leaders and replicas are even over the brokers, and each partition's replicas are in
    three AZs.
    """
    placed = [
        replicas
        for topic in assign(default_topics(), racks, 3).values()
        for replicas in topic.values()
    ]
    leaders = Counter(replicas[0] for replicas in placed)
    held = Counter(r for replicas in placed for r in replicas)
    assert len(placed) == sum(topic.partitions for topic in default_topics())
    assert set(held) == set(racks)
    assert max(leaders.values()) - min(leaders.values()) <= 1
    assert max(held.values()) - min(held.values()) <= 3
    assert all(len({racks[r] for r in replicas}) == 3 for replicas in placed)


@settings(max_examples=100, deadline=None)
@given(
    racks=strategies.dictionaries(
        strategies.integers(1, 40), strategies.sampled_from("abcd"), min_size=1, max_size=9
    ),
    partitions=strategies.integers(1, 60),
    replication_factor=strategies.integers(1, 4),
)
def test_replicas_are_in_as_many_azs_as_there_are(
    racks: dict[int, str], partitions: int, replication_factor: int
) -> None:
    """However uneven the AZs: each partition is in as many of them as it can be, and leaders
    are even over brokers.
    """
    replication_factor = min(replication_factor, len(racks))
    placed = spread(racks, partitions, replication_factor)
    assert len(placed) == partitions
    for replicas in placed:
        assert len(set(replicas)) == replication_factor
        assert len({racks[r] for r in replicas}) == min(
            replication_factor, len(set(racks.values()))
        )
    leaders = Counter(replicas[0] for replicas in placed)
    counts = [leaders[broker_id] for broker_id in racks]
    assert max(counts) - min(counts) <= 1


def test_an_az_shares_its_replicas_among_its_brokers() -> None:
    """Where an AZ has more brokers than another, none of its brokers holds all that the AZ
    holds.
    """
    racks = {11: "az-a", 12: "az-a", 13: "az-a", 14: "az-b", 15: "az-c"}
    held = Counter(r for replicas in spread(racks, 60, 3) for r in replicas)
    assert held[14] == held[15] == 60
    assert max(held[r] for r in (11, 12, 13)) - min(held[r] for r in (11, 12, 13)) <= 3


def test_assignment_spreads_a_lost_leaders_load() -> None:
    """The first followers of one broker's partitions are not all the same broker."""
    placed = [
        replicas
        for topic in assign(default_topics(), RACKS, 3).values()
        for replicas in topic.values()
    ]
    seconds = Counter(replicas[1] for replicas in placed if replicas[0] == 11)
    assert set(seconds) == {12, 13}
    assert abs(seconds[12] - seconds[13]) <= 1


def test_assignment_needs_brokers() -> None:
    """Too few brokers are refused by numbers, not placed twice on one."""
    with pytest.raises(ValueError, match="3 replicas need as many brokers; there are 2"):
        assign(default_topics(), {11: "az-a", 12: "az-b"}, 3)


@pytest.mark.parametrize("total_bytes", [1, 1_000_000, 400 * 2**20])
def test_fill_is_never_short(total_bytes: int) -> None:
    """The records planned hold at least the bytes asked for, at most a record per partition
    more, none for clients.
    """
    specs = default_topics()
    fills = plan_fill(specs, total_bytes, 4096)
    planned = sum(fill.records for fill in fills) * 4096
    assert total_bytes <= planned <= total_bytes + 4096 * len(fills)
    assert {fill.topic.name for fill in fills} == {
        t.name for t in specs if t.kind is not TopicKind.CLIENTS
    }


def test_batches_hold_every_record_once() -> None:
    """Batches cut the plan without a gap or an overlap, and go over the partitions by turns."""
    fills = plan_fill(default_topics(), 20_000_000, 4096)
    cut = list(batches(fills, records_max=10))
    for fill in fills:
        mine = [batch for batch in cut if batch.fill is fill]
        assert [n for b in mine for n in range(b.first, b.first + b.count)] == list(
            range(fill.records)
        )
        assert all(batch.count <= 10 for batch in mine)
    assert [batch.fill for batch in cut[: len(fills)]] == list(fills)


def test_lab_info() -> None:
    """Clients are told the source brokers only: they must find the others by themselves."""
    brokers = {
        "11": {"port": 29011, "rack": "az-a", "role": "source"},
        "31": {"port": 29031, "rack": "az-a", "role": "destination"},
    }
    info = LabInfo.of(
        {
            "bootstrap_servers": "127.0.0.1:29011,127.0.0.1:29031",
            "java": "/j",
            "class_path": "/c",
            "brokers": brokers,
        }
    )
    assert info.source_bootstrap_servers == "127.0.0.1:29011"
    assert info.source_racks == {11: "az-a"}
    with pytest.raises(WorkloadError, match="the lab has not started"):
        LabInfo.of({"java": None, "class_path": None})


REPORT = ClientReport(
    seconds=1.0,
    messages=Messages(acknowledged=10, consumed=10, lost=0, duplicated=0, out_of_order=0),
    redelivered=2,
    unread=0,
    vanished=0,
    unconfirmed=1,
    producer_errors={},
    failed_commits={"a rebalance": 1},
    rebalances=1,
    longest_acknowledgement_gap=Gap(0.1, 0),
    longest_delivery_gap=Gap(0.1, 0),
    delay=Delay(1, 2, 3),
    ended={},
    ended_by_themselves=(),
    examples={},
)


@pytest.mark.parametrize(
    "trouble",
    [
        {"messages": Messages(0, 0, 0, 0, 0)},
        {"messages": Messages(10, 10, 1, 0, 0)},
        {"messages": Messages(10, 10, 0, 1, 0)},
        {"messages": Messages(10, 10, 0, 0, 1)},
        {"unread": 1},
        {"vanished": 1},
        {"producer_errors": {"TimeoutException": 1}},
        {"ended_by_themselves": ("consumer-a",)},
    ],
)
def test_report_is_clean_only_without_trouble(trouble: dict[str, Any]) -> None:
    """Any one trouble, and also a run in which nothing was written, makes a report unclean;
    rebalances do not.
    """
    assert REPORT.is_clean
    unclean = dataclasses.replace(REPORT, **trouble)
    assert not unclean.is_clean
    assert json.loads(json.dumps(unclean.as_dict()))["is_clean"] is False
