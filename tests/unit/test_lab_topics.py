"""The lab's topics: where their replicas lie, and how they are filled."""

from collections import Counter

import pytest
from hypothesis import given, settings, strategies

from deploy.lab.cluster.topics import TopicKind, assign, default_topics, plan_fill, spread
from deploy.lab.workload.filling import batches

RACKS = {11: "az-a", 12: "az-b", 13: "az-c"}


SIX = {11: "az-a", 12: "az-a", 21: "az-b", 22: "az-b", 31: "az-c", 32: "az-c"}


def test_default_topics() -> None:
    """The demo's workload is what was promised: 24 topics, 180 partitions or more, one of each
    special kind.
    """
    specs = default_topics()
    kinds = Counter(topic.kind for topic in specs)
    assert len(specs) == len({topic.name for topic in specs}) == 24
    assert sum(topic.partitions for topic in specs) >= 180
    assert (
        kinds[TopicKind.COMPACTED],
        kinds[TopicKind.TRANSACTIONAL],
        kinds[TopicKind.CLIENTS],
    ) == (1, 1, 2)
    fills = plan_fill(specs, 400 * 2**20, 4096)
    largest = max(fills, key=lambda fill: fill.records)
    assert (largest.topic.name, largest.topic.partitions) == ("demo.large", 1)
    assert largest.records > 5 * max(fill.records for fill in fills if fill is not largest)


@pytest.mark.parametrize("racks", [RACKS, SIX])
def test_assignment(racks: dict[int, str]) -> None:
    """Leaders and replicas are even over the brokers, and each partition's replicas are in
    three AZs.
    """
    placed = [
        replicas
        for topic in assign(default_topics(), racks, 3).values()
        for replicas in topic.values()
    ]
    leaders = Counter(replicas[0] for replicas in placed)
    held = Counter(r for replicas in placed for r in replicas)
    assert len(placed) == sum(topic.partitions for topic in default_topics())
    assert set(held) == set(racks)
    assert max(leaders.values()) - min(leaders.values()) <= 1
    assert max(held.values()) - min(held.values()) <= 3
    assert all(len({racks[r] for r in replicas}) == 3 for replicas in placed)


@settings(max_examples=100, deadline=None)
@given(
    racks=strategies.dictionaries(
        strategies.integers(1, 40), strategies.sampled_from("abcd"), min_size=1, max_size=9
    ),
    partitions=strategies.integers(1, 60),
    replication_factor=strategies.integers(1, 4),
)
def test_replicas_are_in_as_many_azs_as_there_are(
    racks: dict[int, str], partitions: int, replication_factor: int
) -> None:
    """However uneven the AZs: each partition is in as many of them as it can be, and leaders
    are even over brokers.
    """
    replication_factor = min(replication_factor, len(racks))
    placed = spread(racks, partitions, replication_factor)
    assert len(placed) == partitions
    for replicas in placed:
        assert len(set(replicas)) == replication_factor
        assert len({racks[r] for r in replicas}) == min(
            replication_factor, len(set(racks.values()))
        )
    leaders = Counter(replicas[0] for replicas in placed)
    counts = [leaders[broker_id] for broker_id in racks]
    assert max(counts) - min(counts) <= 1


def test_an_az_shares_its_replicas_among_its_brokers() -> None:
    """Where an AZ has more brokers than another, none of its brokers holds all that the AZ
    holds.
    """
    racks = {11: "az-a", 12: "az-a", 13: "az-a", 14: "az-b", 15: "az-c"}
    held = Counter(r for replicas in spread(racks, 60, 3) for r in replicas)
    assert held[14] == held[15] == 60
    assert max(held[r] for r in (11, 12, 13)) - min(held[r] for r in (11, 12, 13)) <= 3


def test_assignment_spreads_a_lost_leaders_load() -> None:
    """The first followers of one broker's partitions are not all the same broker."""
    placed = [
        replicas
        for topic in assign(default_topics(), RACKS, 3).values()
        for replicas in topic.values()
    ]
    seconds = Counter(replicas[1] for replicas in placed if replicas[0] == 11)
    assert set(seconds) == {12, 13}
    assert abs(seconds[12] - seconds[13]) <= 1


def test_assignment_needs_brokers() -> None:
    """Too few brokers are refused by numbers, not placed twice on one."""
    with pytest.raises(ValueError, match="3 replicas need as many brokers; there are 2"):
        assign(default_topics(), {11: "az-a", 12: "az-b"}, 3)


@pytest.mark.parametrize("total_bytes", [1, 1_000_000, 400 * 2**20])
def test_fill_is_never_short(total_bytes: int) -> None:
    """The records planned hold at least the bytes asked for, at most a record per partition
    more, none for clients.
    """
    specs = default_topics()
    fills = plan_fill(specs, total_bytes, 4096)
    planned = sum(fill.records for fill in fills) * 4096
    assert total_bytes <= planned <= total_bytes + 4096 * len(fills)
    assert {fill.topic.name for fill in fills} == {
        t.name for t in specs if t.kind is not TopicKind.CLIENTS
    }


def test_batches_hold_every_record_once() -> None:
    """Batches cut the plan without a gap or an overlap, and go over the partitions by turns."""
    fills = plan_fill(default_topics(), 20_000_000, 4096)
    cut = list(batches(fills, records_max=10))
    for fill in fills:
        mine = [batch for batch in cut if batch.fill is fill]
        assert [n for b in mine for n in range(b.first, b.first + b.count)] == list(
            range(fill.records)
        )
        assert all(batch.count <= 10 for batch in mine)
    assert [batch.fill for batch in cut[: len(fills)]] == list(fills)
