"""Observes a cluster's health, cheaply enough for 200,000 partitions every few seconds.

Called by cluster.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kafka import KafkaAdminClient

from agent.adapters.kafka import metadata, metadata_scan
from agent.core.checks.readiness import HealthObservation, ReplicaDeficit
from agent.core.model.cluster import Partition, Reassignment

# Up to this number, unhealthy partitions are named. More are only counted: then a broker is lost,
# and no race between two answers makes them look unhealthy.
NAMED_MAX = 5_000

ReassignmentsByPartition = Mapping[tuple[str, int], Reassignment]


def observe(admin: KafkaAdminClient, min_isr: metadata.MinIsr) -> HealthObservation:
    """Check all partitions of a cluster.

    Returns the doubtful ones as objects, with their reassignments and the min.insync.replicas of
    their topics. Raises KafkaError.

    Metadata and reassignments come in two answers, so a move that begins or ends between them looks
    like an unhealthy partition. Partitions that look unhealthy are therefore read a second time.
    """
    in_flight = _by_name(metadata.reassignments(admin))
    # Metadata comes from the controller where there is one, because a broker that is cut off from
    # it shows an old state. The library has just asked it for the reassignments.
    controller_id = admin._controller_id  # noqa: SLF001
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
    """The topics whose min.insync.replicas is read.

    It is one at least, so that a missing right shows before something is wrong.
    """
    one = {scan.first_topic} if scan.first_topic else set()
    return one | {p.topic for p in doubtful} | {lack.topic for lack in rest}


def _wanted(in_flight: ReassignmentsByPartition) -> metadata_scan.Wanted:
    """Moving partitions are needed as objects, because their adding replicas have to be netted."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for topic, partition in in_flight:
        wanted[topic].add(partition)
    return wanted


def with_moves(
    partitions: Iterable[Partition], in_flight: ReassignmentsByPartition
) -> list[Partition]:
    """Return the partitions with adding and removing replicas from the reassignments.

    A reassignment whose replicas the metadata does not show is ignored.
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
