"""The topics of the demo, the placement of their replicas, and the bytes of each partition.

workload.py uses this. It has no input or output.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Small segments, so that the cleaner finds closed ones.
SEGMENT_BYTES_COMPACTED = 4 * 1024 * 1024


class TopicKind(StrEnum):
    """How a topic is configured and filled."""

    PLAIN = "plain"
    COMPACTED = "compacted"  # keyed records, cleanup.policy=compact
    TRANSACTIONAL = "transactional"  # written in transactions, of which some are aborted
    CLIENTS = "clients"  # not filled, but used by Kafka's own producer and consumer


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `weight` is its part of the filled bytes, relative to the sum of all weights."""

    name: str
    partitions: int
    kind: TopicKind = TopicKind.PLAIN
    weight: float = 1.0


def default_topics() -> tuple[TopicSpec, ...]:
    """The 24 topics of the demo with 185 partitions.

    One is compacted, one is transactional, one has a single large partition, and two are for
    clients.
    """
    plain = tuple(TopicSpec(f"demo.plain-{n:02}", 8, weight=1.0 + n % 3) for n in range(1, 20))
    return (
        *plain,
        TopicSpec("demo.compacted", 8, TopicKind.COMPACTED, weight=3.0),
        TopicSpec("demo.transactional", 8, TopicKind.TRANSACTIONAL, weight=5.0),
        TopicSpec("demo.large", 1, weight=9.0),
        TopicSpec("demo.clients-a", 8, TopicKind.CLIENTS),
        TopicSpec("demo.clients-b", 8, TopicKind.CLIENTS),
    )


def some_topics(count: int) -> tuple[TopicSpec, ...]:
    """The first `count` topics. The special kinds come first and are always included."""
    plain = [t for t in default_topics() if t.kind is TopicKind.PLAIN and t.partitions > 1]
    special = [t for t in default_topics() if t not in plain]
    return tuple([*special, *plain][: max(count, len(special))])


def assign(
    topics: Sequence[TopicSpec], racks: Mapping[int, str], replication_factor: int
) -> dict[str, dict[int, list[int]]]:
    """The replicas of every partition of every topic, spread by `spread` over all partitions."""
    placed = iter(spread(racks, sum(topic.partitions for topic in topics), replication_factor))
    return {
        topic.name: {partition: next(placed) for partition in range(topic.partitions)}
        for topic in topics
    }


def spread(racks: Mapping[int, str], partitions: int, replication_factor: int) -> list[list[int]]:
    """The replicas of each partition, with the preferred leader first.

    Leaders are spread evenly, and replicas over as many AZs as possible, also where one AZ has more
    brokers than another: neighbours in the ring of brokers may then share an AZ. Each follower is
    therefore the broker with the fewest replicas in the AZs that have the fewest replicas of this
    partition. `racks` maps each broker to its AZ.

    Raises ValueError when there are fewer brokers than replicas.
    """
    if len(racks) < replication_factor:
        raise ValueError(
            f"{replication_factor} replicas need as many brokers; there are "
            f"{len(racks)}: {sorted(racks)}"
        )
    ring = _by_turns(racks)
    held: Counter[int] = Counter()
    placed: list[list[int]] = []
    for partition in range(partitions):
        place = partition % len(ring)
        leader, *others = ring[place:] + ring[:place]
        followers: list[int] = []
        for _ in range(replication_factor - 1):
            used = Counter(racks[broker_id] for broker_id in (leader, *followers))
            left = [broker_id for broker_id in others if broker_id not in followers]
            followers.append(
                min(left, key=lambda broker_id: (used[racks[broker_id]], held[broker_id]))
            )
        # Otherwise the whole load of a lost leader would move to one neighbour.
        if partition // len(ring) % 2:
            followers.reverse()
        held.update((leader, *followers))
        placed.append([leader, *followers])
    return placed


def settings(topic: TopicSpec, min_insync_replicas: int) -> dict[str, Any]:
    """The configuration of the topic."""
    common = {"min.insync.replicas": str(min_insync_replicas)}
    if topic.kind is TopicKind.COMPACTED:
        return common | {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES_COMPACTED)}
    return common


@dataclass(frozen=True, slots=True)
class Fill:
    """How many records to write into one partition."""

    topic: TopicSpec
    partition: int
    records: int


def plan_fill(topics: Sequence[TopicSpec], total_bytes: int, record_bytes: int) -> tuple[Fill, ...]:
    """Divide the bytes among topics by weight, and evenly among the partitions of a topic.

    Numbers are rounded up, so that the sum is never below `total_bytes`.
    """
    filled = [topic for topic in topics if topic.kind is not TopicKind.CLIENTS]
    weights = sum(topic.weight for topic in filled)
    return tuple(
        Fill(
            topic,
            partition,
            -int(-(total_bytes * topic.weight / weights) // (topic.partitions * record_bytes)),
        )
        for topic in filled
        for partition in range(topic.partitions)
    )


def _by_turns(racks: Mapping[int, str]) -> list[int]:
    """The brokers, taken from each AZ in turn.

    With equal numbers for each AZ, neighbours are always in different AZs.
    """

    def turns() -> Iterator[tuple[int, str, int]]:
        seen: dict[str, int] = {}
        for broker_id in sorted(racks):
            rack = racks[broker_id]
            seen[rack] = seen.get(rack, 0) + 1
            yield seen[rack], rack, broker_id

    return [broker_id for _, _, broker_id in sorted(turns())]
