"""What each broker carries before a plan and after it."""

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition
from agent.core.planning.broker_load import predict_loads
from agent.core.planning.wave import Wave

P0 = Partition("t", 0, leader=11, replicas=(11, 12), isr=(11, 12))
P1 = Partition("t", 1, leader=12, replicas=(12, 11), isr=(11, 12))
P2 = Partition("u", 0, leader=31, replicas=(31,), isr=(31,))
FACTS = ClusterFacts(
    brokers=tuple(Broker(b, "a") for b in (11, 12, 31, 32)), partitions=(P0, P1, P2)
)
LOGS = {
    11: BrokerLogs(11, {P0.name: 100, P1.name: 200}),
    12: BrokerLogs(12, {P0.name: 100, P1.name: 200}),
    31: BrokerLogs(31, {P2.name: 7}),
}
GROWTH = {P0.name: 10.0, P2.name: 1.0}


def _wave(number: int, sources: tuple[int, ...], destinations: tuple[int, ...]) -> Wave:
    return Wave(
        number=number, az="a", source_broker_ids=sources, destination_broker_ids=destinations
    )


def test_a_destination_carries_what_its_source_did_and_what_it_had() -> None:
    """One to one: replicas, leaders, bytes and what is written; the source carries nothing.

    Lanes count once.
    """
    lanes = (_wave(1, (11,), (31,)), _wave(2, (11,), (31,)), _wave(3, (12,), (32,)))
    loads = {one.broker_id: one for one in predict_loads(lanes, FACTS, LOGS, GROWTH)}
    assert sorted(loads) == [11, 12, 31, 32]
    source, destination = loads[11], loads[31]
    assert (
        source.replicas,
        source.leaders,
        source.size_bytes,
        source.written_bytes_per_second,
    ) == (2, 1, 300, 10.0)
    assert (source.replicas_after, source.leaders_after, source.size_bytes_after) == (0, 0, 0)
    assert source.written_bytes_per_second_after == 0.0
    assert (destination.replicas, destination.replicas_after) == (1, 3)
    assert (destination.leaders, destination.leaders_after) == (1, 2)
    assert (destination.size_bytes, destination.size_bytes_after) == (7, 307)
    assert (destination.written_bytes_per_second, destination.written_bytes_per_second_after) == (
        1.0,
        11.0,
    )
    assert (loads[32].replicas, loads[32].replicas_after) == (0, 2)  # it told nothing of its disks


def test_in_a_zone_each_destination_gets_its_share() -> None:
    """As goals spread them: rounded up where it cannot be even, so that a limit is not passed
    unseen.
    """
    loads = {
        one.broker_id: one
        for one in predict_loads([_wave(1, (11, 12), (31, 32))], FACTS, LOGS, GROWTH)
    }
    assert (loads[31].replicas_after, loads[32].replicas_after) == (3, 2)
    assert (loads[31].size_bytes_after, loads[32].size_bytes_after) == (307, 300)
    assert loads[32].written_bytes_per_second_after == 10.0
