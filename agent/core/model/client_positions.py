"""What clients notice of a wave: end offsets and lags of consumer groups before and after
it. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from agent.core.model.cluster import TopicPartition
from agent.core.model.words import EXAMPLES_MAX

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """End offsets of a wave's partitions and lags of their consumer groups, of a bounded sample."""

    partitions: int  # that the wave moves; `ends` holds some of them
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)  # high watermarks
    # group -> lag in records, over the sampled partitions
    lags: Mapping[str, int] = field(default_factory=dict)
    groups_unreadable: int = 0  # over the limit, or hidden from this agent by its rights


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientImpact:
    """The client side of WaveVerified, in records. Lags are sums over all groups seen both before
    and after.
    """

    partitions: int  # that the wave moved
    partitions_compared: int
    # the end offset went back: records are lost, or the topic was created anew
    end_offsets_lost: int
    records_written: int  # between the two looks, to the compared partitions
    groups: int
    lag_records_before: int
    lag_records_after: int
    groups_unreadable: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        some = "" if self.partitions_compared == self.partitions else f" of {self.partitions}"
        lags = (
            f"{self.groups} groups {self.lag_records_before} records behind before, "
            f"{self.lag_records_after} after"
        )
        return (
            f"{self.end_offsets_lost} end offsets lost in {self.partitions_compared}{some} "
            f"partitions, {lags}"
        )


def compare_positions(before: Positions, after: Positions) -> ClientImpact:
    """What has changed between two looks; partitions and groups seen only once are left out."""
    both = [(n, end, after.ends[n]) for n, end in sorted(before.ends.items()) if n in after.ends]
    lost = [(n, then, now) for n, then, now in both if now < then]
    groups = before.lags.keys() & after.lags.keys()
    return ClientImpact(
        partitions=before.partitions,
        partitions_compared=len(both),
        end_offsets_lost=len(lost),
        records_written=sum(max(now - then, 0) for _, then, now in both),
        groups=len(groups),
        lag_records_before=sum(before.lags[g] for g in groups),
        lag_records_after=sum(after.lags[g] for g in groups),
        groups_unreadable=max(before.groups_unreadable, after.groups_unreadable),
        examples=tuple(
            f"{n} ended at {then} and ends at {now}" for n, then, now in lost[:EXAMPLES_MAX]
        ),
    )


def lags_of(
    ends: Mapping[TopicPartition, int], committed: Mapping[str, Mapping[TopicPartition, int]]
) -> dict[str, int]:
    """The lag of each consumer group in records.

    In: the end offset of each partition, and the committed offsets of each group. Groups without an
    offset on a partition with a known end are left out.
    """
    found: dict[str, int] = {}
    for group, offsets in committed.items():
        behind = [
            max(ends[n] - offset, 0) for n, offset in offsets.items() if n in ends and offset >= 0
        ]
        if behind:
            found[group] = sum(behind)
    return found


def sample(
    names: list[TopicPartition], topics_max: int, partitions_max: int
) -> list[TopicPartition]:
    """An evenly spread sample: at most so many topics, and at most so many partitions of them. The
    same names give the same sample.
    """
    by_topic: dict[str, list[TopicPartition]] = {}
    for name in sorted(names):
        by_topic.setdefault(name.topic, []).append(name)
    chosen = [n for topic in _evenly(list(by_topic), topics_max) for n in by_topic[topic]]
    return _evenly(chosen, partitions_max)


def _evenly(things: list[T], most: int) -> list[T]:
    if len(things) <= most:
        return things
    return [things[n * len(things) // most] for n in range(most)]
