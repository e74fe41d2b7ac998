"""One look at a cluster's health, cheap enough for 200,000 partitions every few seconds.

Called by cluster.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kafka import KafkaAdminClient

from agent.adapters.kafka import metadata, metadata_scan
from agent.core.checks.readiness import HealthObservation, ReplicaDeficit
from agent.core.model.cluster import Partition, Reassignment

# Named one by one; when more are sick, no race between two answers made them so, but a broker's
# loss: counted only.
NAMED_MAX = 5_000

ReassignmentsByPartition = Mapping[tuple[str, int], Reassignment]


def observe(admin: KafkaAdminClient, min_isr: metadata.MinIsr) -> HealthObservation:
    """All partitions; those in doubt as objects, with what is in flight and their topics' min ISR.

    Raises KafkaError.

    Metadata and reassignments are two answers: a move that begins or ends between them looks like a
    sick partition. So what looks sick is looked at once more, and what is really sick stays so.
    """
    in_flight = _by_name(metadata.reassignments(admin))
    # Of the controller where there is one: a broker that is cut off from it goes on telling an old
    # story.
    controller_id = admin._controller_id  # noqa: SLF001  # the library has just asked it for the reassignments
    scan = metadata_scan.scan(admin, None, controller_id, _wanted(in_flight), NAMED_MAX)
    doubtful, rest = with_moves(scan.doubtful, in_flight), scan.rest
    unhealthy_topics = {p.topic for p in doubtful if ReplicaDeficit.of(p).is_deficient}
    if unhealthy_topics and not rest:
        second_scan = metadata_scan.scan(
            admin, sorted(unhealthy_topics), controller_id, _wanted(in_flight), NAMED_MAX
        )
        in_flight |= _by_name(metadata.reassignments(admin))
        seen = [p for p in scan.doubtful if p.topic not in unhealthy_topics] + second_scan.doubtful
        doubtful, rest = with_moves(seen, in_flight), second_scan.rest
    return HealthObservation(
        broker_ids=tuple(sorted(scan.broker_ids)),
        topics=scan.topics,
        partitions=scan.partitions,
        doubtful=tuple(doubtful),
        rest=Counter(rest),
        min_isr=min_isr.of(admin, _topics_asked(scan, doubtful, rest)),
        reassigning=len(in_flight),
    )


def _topics_asked(
    scan: metadata_scan.Scan, doubtful: Iterable[Partition], rest: Iterable[ReplicaDeficit]
) -> set[str]:
    """One topic is asked about even when all is well: a right that is missing must not show on
    the bad day only.
    """
    one = {scan.first_topic} if scan.first_topic else set()
    return one | {p.topic for p in doubtful} | {lack.topic for lack in rest}


def _wanted(in_flight: ReassignmentsByPartition) -> metadata_scan.Wanted:
    """What is in flight is needed as objects: only they can be netted of their adding replicas."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for topic, partition in in_flight:
        wanted[topic].add(partition)
    return wanted


def with_moves(
    partitions: Iterable[Partition], in_flight: ReassignmentsByPartition
) -> list[Partition]:
    """The same, with adding and removing replicas; a reassignment that the other answer does
    not show is none.
    """
    return [
        replace(p, adding=r.adding, removing=r.removing)
        if (r := in_flight.get((p.topic, p.partition)))
        and {*r.adding, *r.removing} <= set(p.replicas)
        else p
        for p in partitions
    ]


def _by_name(reassignments: Iterable[Reassignment]) -> dict[tuple[str, int], Reassignment]:
    return {(r.topic, r.partition): r for r in reassignments}
