"""The demo's accounts and plans: made-up logs with every kind of trouble, so that a clean
report means something.
"""

import dataclasses
import json
from typing import Any

import pytest

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
from deploy.lab.workload.client_report import ClientReport
from deploy.lab.workload.tools import (
    LabInfo,
    WorkloadError,
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
