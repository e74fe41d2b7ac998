"""Reads a cluster's metadata: brokers, partitions, reassignments, min.insync.replicas.

Called by cluster.py, in the thread of admin_thread.py.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from kafka import KafkaAdminClient

from agent.adapters.kafka import admin_requests
from agent.core.model.cluster import (
    Broker,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)

MIN_ISR = "min.insync.replicas"
# min.insync.replicas is changed by hand and rarely. A value that is a minute old is good enough,
# because the checks also run before each wave.
MIN_ISR_SECONDS = 60.0
TOPICS_PER_REQUEST = 500


class MinIsr:
    """The min.insync.replicas of topics, cached for a minute."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}  # topic -> (value, read at)

    def of(self, admin: KafkaAdminClient, topics: Iterable[str]) -> dict[str, int]:
        """Return the values of these topics; the cache forgets all others. Raises KafkaError."""
        now = time.monotonic()
        known = {t: self._known[t] for t in topics if t in self._known}
        stale = [t for t in topics if t not in known or known[t][1] + MIN_ISR_SECONDS < now]
        for start in range(0, len(stale), TOPICS_PER_REQUEST):
            found = admin_requests.topic_configs(
                admin, stale[start : start + TOPICS_PER_REQUEST], [MIN_ISR]
            )
            known |= {topic: (int(entries[MIN_ISR].value), now) for topic, entries in found.items()}
        self._known = known
        return {t: value for t, (value, _) in known.items()}


def cluster(admin: KafkaAdminClient, min_isr: MinIsr) -> ClusterFacts:
    """Return all brokers and partitions. Raises KafkaError."""
    described = admin.describe_cluster()
    found = _partitions(admin, None)
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in sorted(racks(described).items())),
        partitions=tuple(found),
        min_isr=min_isr.of(admin, {p.topic for p in found}),
        controller_id=described["controller_id"],
    )


def describe(admin: KafkaAdminClient, names: Iterable[TopicPartition]) -> list[Partition]:
    """Return these partitions; those that no longer exist are left out. Raises KafkaError."""
    wanted = frozenset(names)
    topics = sorted({name.topic for name in wanted})
    found: list[Partition] = []
    for start in range(0, len(topics), TOPICS_PER_REQUEST):
        found += _partitions(admin, topics[start : start + TOPICS_PER_REQUEST])
    return [p for p in found if p.name in wanted]


def racks(described: Mapping[str, Any]) -> dict[int, str | None]:
    """Return the live brokers and their racks from an answer of describe_cluster."""
    return {
        b["broker_id"]: b["rack"] or None for b in described["brokers"] if not b.get("is_fenced")
    }


def reassignments(admin: KafkaAdminClient) -> list[Reassignment]:
    """Return the reassignments in flight. Raises KafkaError."""
    return [
        Reassignment(
            topic=tp.topic,
            partition=tp.partition,
            replicas=tuple(found["replicas"]),
            adding=tuple(found["adding_replicas"]),
            removing=tuple(found["removing_replicas"]),
        )
        for tp, found in admin.list_partition_reassignments().items()
    ]


def _partitions(admin: KafkaAdminClient, topics: Sequence[str] | None) -> list[Partition]:
    """Return the partitions of these topics (None: all), with their reassignments.

    Metadata and reassignments come in two answers, so a move that begins or ends between them looks
    like an under-replicated partition. Topics of such partitions are therefore read a second time.
    """
    in_flight = {(r.topic, r.partition): r for r in reassignments(admin)}
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    found = [
        p
        for topic in admin_requests.taken(admin_requests.topics(admin, topics))
        for p in of_topic(topic, in_flight, shared)
    ]
    doubtful = sorted({p.topic for p in found if p.is_under_replicated})
    if not doubtful:
        return found
    again = admin_requests.topics(admin, doubtful)
    in_flight |= {(r.topic, r.partition): r for r in reassignments(admin)}
    newer = {p.name: p for topic in again for p in of_topic(topic, in_flight, shared)}
    return [newer.get(p.name, p) for p in found]


def of_topic(
    topic: Any,
    in_flight: Mapping[tuple[str, int], Reassignment],
    shared: dict[tuple[int, ...], tuple[int, ...]] | None = None,
) -> Iterable[Partition]:
    """Yield the partitions of a topic in order, which a broker in KRaft mode does not keep.

    `shared` holds equal replica lists once, to save memory: 100 brokers have far fewer of them than
    of partitions.
    """
    name, shared = topic.name, {} if shared is None else shared
    for p in sorted(topic.partitions, key=_number):
        replicas, isr = tuple(p.replica_nodes), tuple(p.isr_nodes)
        r = in_flight.get((name, p.partition_index))
        if r and not {*r.adding, *r.removing} <= set(p.replica_nodes):
            r = None  # the metadata is from before the move began, or from after its end
        yield Partition(
            topic=name,
            partition=p.partition_index,
            leader=p.leader_id,
            replicas=shared.setdefault(replicas, replicas),
            isr=shared.setdefault(isr, isr),
            adding=r.adding if r else (),
            removing=r.removing if r else (),
        )


_number = attrgetter("partition_index")


def by_topic(names: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Group partitions by topic, which is the form of most requests."""
    found: dict[str, list[int]] = defaultdict(list)
    for name in names:
        found[name.topic].append(name.partition)
    return dict(found)
