"""What clients would notice of a wave: end offsets and group lags before and after it.

Pure; used by performer.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from agent.core.model.cluster import TopicPartition
from agent.core.model.words import EXAMPLES_MAX

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Where a wave's partitions and their groups stand, of a sample: what is read is bounded."""

    partitions: int  # that the wave moves; `ends` are of some of them
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)  # high watermarks
    # group -> records behind, over the sampled partitions
    lags: Mapping[str, int] = field(default_factory=dict)
    groups_unreadable: int = 0  # beyond the limit, or not to be seen with this agent's rights


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientImpact:
    """The client side of WaveVerified, in records; lags are sums over all groups that were seen
    both times.
    """

    partitions: int  # that the wave moved
    partitions_compared: int
    # partitions that end before where they ended: records are gone, or the topic was made anew
    end_offsets_lost: int
    records_written: int  # meanwhile, to the compared partitions
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
    """What has changed; partitions and groups that were seen only once are left out."""
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
    """Group -> records behind, over the partitions whose end is known; groups that read none of
    them are left out.
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
    """Evenly chosen: some of the topics, and some partitions of them; the same for the same
    names.
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
