"""Accounts for what clients wrote and read: losses, duplicates, order and waiting times.

clients.py calls it with the output of Kafka's own tools and with the records in the log. It reads
no file and no cluster.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

EXAMPLES_MAX = 5


@dataclass(frozen=True, slots=True)
class Position:
    """A value at a place in the log.

    `at_ms` is when a client reported it (epoch milliseconds), or 0 when it was read from the log.
    """

    topic: str
    partition: int
    offset: int
    value: str
    at_ms: int = 0

    @property
    def place(self) -> tuple[str, int, int]:
        return (self.topic, self.partition, self.offset)

    def __str__(self) -> str:
        return f"{self.value} at {self.topic}-{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Messages:
    """The five figures of a run.

    acknowledged: values that the brokers confirmed. consumed: records that the groups received,
    each counted once. lost: values that were confirmed but neither received by a group nor found in
    the log. duplicated: values at several places in the log. out_of_order: records behind a later
    one of the same producer in the same partition.
    """

    acknowledged: int
    consumed: int
    lost: int
    duplicated: int
    out_of_order: int


@dataclass(frozen=True, slots=True)
class Account:
    """The five figures and what explains them.

    Examples show a few cases of each kind of trouble, to start an investigation.
    """

    messages: Messages
    # Records that a group received again, as after a rebalance, which at-least-once allows.
    redelivered: int
    unread: int  # confirmed and in the log, but never received by a group
    vanished: int  # confirmed and received by a group, but no longer in the log
    unconfirmed: int  # in the log although the producer got no confirmation; allowed
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether no client has anything to complain about."""
        m = self.messages
        return not (m.lost or m.duplicated or m.out_of_order or self.unread or self.vanished)


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without a sign of life."""

    seconds: float
    began_at_ms: int


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after its confirmation a record reached its group, in milliseconds."""

    median_ms: int
    p99_ms: int
    max_ms: int


def account(
    acknowledged: Iterable[Position],
    deliveries: Iterable[Position],
    log: Iterable[Position],
    producers: Collection[int],
) -> Account:
    """Compare what was confirmed, what was received and what is in the log.

    `producers` holds the value prefixes of this run; records of others are ignored.
    """
    acks = {p.value: p for p in acknowledged if _producer(p.value) in producers}
    delivered = [p for p in deliveries if _producer(p.value) in producers]
    received = Counter(p.place for p in delivered)
    received_values = {p.value for p in delivered}
    in_log = sorted((p for p in log if _producer(p.value) in producers), key=lambda p: p.place)
    times_in_log = Counter(p.value for p in in_log)
    missing = [p for value, p in acks.items() if value not in times_in_log]
    troubles = {
        "lost": [p for p in missing if p.value not in received_values],
        "vanished": [p for p in missing if p.value in received_values],
        "unread": [
            p for value, p in acks.items() if value in times_in_log and value not in received_values
        ],
        "duplicated": list({p.value: p for p in in_log if times_in_log[p.value] > 1}.values()),
        "out_of_order": _out_of_order(in_log, times_in_log),
    }
    return Account(
        messages=Messages(
            acknowledged=len(acks),
            consumed=len(received),
            lost=len(troubles["lost"]),
            duplicated=len(troubles["duplicated"]),
            out_of_order=len(troubles["out_of_order"]),
        ),
        redelivered=sum(received.values()) - len(received),
        unread=len(troubles["unread"]),
        vanished=len(troubles["vanished"]),
        unconfirmed=sum(1 for value in times_in_log if value not in acks),
        examples={
            name: tuple(str(p) for p in found[:EXAMPLES_MAX])
            for name, found in troubles.items()
            if found
        },
    )


def longest_gap(times_ms: Iterable[int], until_ms: int | None = None) -> Gap:
    """The longest time between two successive signs of life.

    The end of the observation (`until_ms`) counts as a sign of life.
    """
    signs = sorted(times_ms)
    if until_ms is not None and signs:
        signs.append(max(until_ms, signs[-1]))
    longest = Gap(0.0, signs[0] if signs else 0)
    for before, after in itertools.pairwise(signs):
        if (seconds := (after - before) / 1000) > longest.seconds:
            longest = Gap(seconds, before)
    return longest


def delay(acknowledged: Iterable[Position], deliveries: Iterable[Position]) -> Delay:
    """The time from the confirmation to the first delivery of each value.

    A delivery before the confirmation counts as 0.
    """
    confirmed_at = {p.value: p.at_ms for p in acknowledged}
    first: dict[str, int] = {}
    for p in deliveries:
        if p.value in confirmed_at:
            first[p.value] = min(p.at_ms, first.get(p.value, p.at_ms))
    waits = sorted(max(0, at - confirmed_at[value]) for value, at in first.items())
    if not waits:
        return Delay(0, 0, 0)
    return Delay(
        waits[len(waits) // 2], waits[min(len(waits) - 1, len(waits) * 99 // 100)], waits[-1]
    )


def _producer(value: str) -> int | None:
    """The producer's prefix of `PREFIX.NUMBER`, or None when the value has another form."""
    prefix, dot, number = value.partition(".")
    return int(prefix) if dot and prefix.isdigit() and number.isdigit() else None


def _out_of_order(in_log: list[Position], times_in_log: Counter[str]) -> list[Position]:
    """Records with a smaller number than one before them.

    A duplicate is reported as such and not here.
    """
    highest: dict[tuple[str, int, str], int] = {}
    late = []
    for p in in_log:
        producer, _, number = p.value.partition(".")
        key = (p.topic, p.partition, producer)
        if int(number) < highest.get(key, -1):
            if times_in_log[p.value] == 1:
                late.append(p)
        else:
            highest[key] = int(number)
    return late
