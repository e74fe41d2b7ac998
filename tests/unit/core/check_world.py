"""A healthy cluster as the checks see it, and ways to spoil it."""

from collections.abc import Mapping
from dataclasses import replace

from agent.core.checks.check_input import BrokerCheckInput, ClusterCheckInput, CruiseControlFacts
from agent.core.model.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
)
from agent.core.model.throttle import BrokerRate, ThrottleFacts
from agent.core.planning.estimate import Estimate
from agent.core.planning.plan import Wave

OWN_RATE = 5_000
P0 = Partition("t", 0, leader=11, replicas=(11, 12, 13), isr=(11, 12, 13))
P1 = Partition("u", 0, leader=12, replicas=(12,), isr=(12,))
RACKS: dict[int, str | None] = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b"}
ALIKE = {
    "inter.broker.protocol.version": "3.9-IV0",
    "message.max.bytes": "1048588",
    "log.retention.hours": "168",
    "broker.id.generation.enable": "true",
    "reserved.broker.max.id": "1000",
    "metric.reporters": "com.linkedin.kafka.cruisecontrol.metricsreporter."
    "CruiseControlMetricsReporter",
}


def cluster_of(racks: Mapping[int, str | None] = RACKS, *partitions: Partition) -> ClusterFacts:
    return ClusterFacts(
        brokers=tuple(Broker(b, rack) for b, rack in racks.items()),
        partitions=partitions or (P0, P1),
        min_isr={"t": 2},
    )


WORLD = ClusterCheckInput(
    cluster=cluster_of(),
    waves=(
        Wave(number=1, az="az-a", source_broker_ids=(11,), destination_broker_ids=(31,)),
        Wave(number=2, az="az-b", source_broker_ids=(12,), destination_broker_ids=(32,)),
    ),
    cruise_control=CruiseControlFacts(reachable=True, valid_windows=1),
)
# Our own leftovers: a rate that we have set, entries of a move to one of our destinations.
OWN_THROTTLE = ThrottleFacts(
    rates={11: BrokerRate(leader=OWN_RATE, follower=OWN_RATE)},
    leaders={"t": frozenset({(0, 11), (0, 12)})},
    followers={"t": frozenset({(0, 31)})},
)
FINDINGS = BrokerCheckInput(
    logs={
        11: BrokerLogs(11, {P0.name: 1_000}, free_bytes=0),
        12: BrokerLogs(12, {P0.name: 1_000, P1.name: 500}, free_bytes=0),
        31: BrokerLogs(31, {}, free_bytes=1_100),
        32: BrokerLogs(32, {}),  # it does not tell
    },
    throttle=OWN_THROTTLE,
    throttle_rates_set=(OWN_RATE,),
    settings={11: ALIKE, 12: ALIKE, 31: ALIKE},  # 32 did not answer
)


def sick(p: Partition, **changes: object) -> ClusterCheckInput:
    return replace(WORLD, cluster=cluster_of(RACKS, replace(p, **changes), P1))  # type: ignore[arg-type]


def cruise_control(**changes: object) -> ClusterCheckInput:
    return replace(WORLD, cruise_control=replace(WORLD.cruise_control, **changes))  # type: ignore[arg-type]


def without(broker: int) -> Mapping[int, str | None]:
    return {b: rack for b, rack in RACKS.items() if b != broker}


def in_flight(*, adding: int, removing: int) -> ClusterCheckInput:
    return replace(
        WORLD, reassignments=(Reassignment("t", 0, (31, 11, 12, 13), (adding,), (removing,)),)
    )


def tight(min_isr: int, replicas: tuple[int, ...]) -> ClusterCheckInput:
    p = Partition("t", 0, leader=11, replicas=replicas, isr=replicas)
    return replace(WORLD, cluster=replace(cluster_of(RACKS, p), min_isr={"t": min_isr}))


def throttled(**changes: object) -> BrokerCheckInput:
    return replace(FINDINGS, throttle=replace(OWN_THROTTLE, **changes))  # type: ignore[arg-type]


def planned(**changes: object) -> ClusterCheckInput:
    """Wave 1 with an estimate."""
    about = Estimate(
        low_seconds=1.0,
        high_seconds=100.0,
        cross_az_bytes=0,
        largest_partition="",
        largest_partition_bytes=0,
        reasoning="",
    )
    first = replace(WORLD.waves[0], estimate=replace(about, **changes))  # type: ignore[arg-type]
    return replace(WORLD, waves=(first, WORLD.waves[1]))


def with_settings(broker: int, **changes: str) -> BrokerCheckInput:
    of = {**ALIKE, **{name.replace("_", "."): value for name, value in changes.items()}}
    return replace(FINDINGS, settings={11: ALIKE, broker: of})
