"""The demo's topics, where their replicas lie, and how many bytes each partition gets.

Called by workload.py. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# small, so that the cleaner has closed segments to work on
SEGMENT_BYTES_COMPACTED = 4 * 1024 * 1024


class TopicKind(StrEnum):
    """How a topic is configured and filled."""

    PLAIN = "plain"
    COMPACTED = "compacted"  # keyed records, cleanup.policy=compact
    TRANSACTIONAL = "transactional"  # written in transactions, some of them aborted
    CLIENTS = "clients"  # not filled: Kafka's own producer and consumer work on it


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `weight`: its part of the filled bytes, against the sum of all weights."""

    name: str
    partitions: int
    kind: TopicKind = TopicKind.PLAIN
    weight: float = 1.0


def default_topics() -> tuple[TopicSpec, ...]:
    """24 topics, 185 partitions: one compacted, one transactional, one a single large
    partition, two for clients.
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
    """So many of them, the special kinds first (those are never left out)."""
    plain = [t for t in default_topics() if t.kind is TopicKind.PLAIN and t.partitions > 1]
    special = [t for t in default_topics() if t not in plain]
    return tuple([*special, *plain][: max(count, len(special))])


def assign(
    topics: Sequence[TopicSpec], racks: Mapping[int, str], replication_factor: int
) -> dict[str, dict[int, list[int]]]:
    """Topic -> partition -> replicas, spread over all partitions as `spread` says."""
    placed = iter(spread(racks, sum(topic.partitions for topic in topics), replication_factor))
    return {
        topic.name: {partition: next(placed) for partition in range(topic.partitions)}
        for topic in topics
    }


def spread(racks: Mapping[int, str], partitions: int, replication_factor: int) -> list[list[int]]:
    """The replicas of each partition, preferred leader first: leaders even, replicas in as many AZs
    as there are.

    Also where one AZ has more brokers than another: neighbours in the ring of brokers may then
    share an AZ, so each follower is the broker that holds least of the AZs that have fewest of this
    partition's replicas. `racks`: broker -> AZ. ValueError when there are fewer brokers than
    replicas wanted.
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
        # so that the load of a lost leader does not all fall on the same neighbour
        if partition // len(ring) % 2:
            followers.reverse()
        held.update((leader, *followers))
        placed.append([leader, *followers])
    return placed


def settings(topic: TopicSpec, min_insync_replicas: int) -> dict[str, Any]:
    """The topic's configuration."""
    common = {"min.insync.replicas": str(min_insync_replicas)}
    if topic.kind is TopicKind.COMPACTED:
        return common | {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES_COMPACTED)}
    return common


@dataclass(frozen=True, slots=True)
class Fill:
    """So many records for one partition."""

    topic: TopicSpec
    partition: int
    records: int


def plan_fill(topics: Sequence[TopicSpec], total_bytes: int, record_bytes: int) -> tuple[Fill, ...]:
    """Share the bytes by weight, evenly over a topic's partitions; rounded up, never below
    `total_bytes` in sum.
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
    """The brokers, one of each AZ by turns: with equal numbers per AZ, neighbours are always in
    different ones.
    """

    def turns() -> Iterator[tuple[int, str, int]]:
        seen: dict[str, int] = {}
        for broker_id in sorted(racks):
            rack = racks[broker_id]
            seen[rack] = seen.get(rack, 0) + 1
            yield seen[rack], rack, broker_id

    return [broker_id for _, _, broker_id in sorted(turns())]
