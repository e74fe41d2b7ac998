"""The scan of Metadata's bytes against the library's own reading of the same bytes."""

import dataclasses
from collections import Counter
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaProtocolError, TopicAuthorizationFailedError
from kafka.protocol.metadata import MetadataResponse

from agent.adapters.kafka.health import with_moves
from agent.adapters.kafka.metadata_scan import VERSION, Scan, Wanted, decode
from agent.core.checks.readiness import ReplicaDeficit
from agent.core.model.cluster import Partition, Reassignment

Topic = MetadataResponse.MetadataResponseTopic
TopicPartition = Topic.MetadataResponsePartition
ALL = 10**6
NO_OPERATIONS = {31}  # how the library writes "not asked"


def encoded(topics: list[Topic]) -> bytes:
    brokers = [
        MetadataResponse.MetadataResponseBroker(node_id=b, host=f"h{b}", port=9092, rack="a")
        for b in (11, 300)
    ]
    response = MetadataResponse(
        throttle_time_ms=0,
        brokers=brokers,
        cluster_id="c",
        controller_id=300,
        topics=topics,
        authorized_operations=NO_OPERATIONS,
    )
    made: bytes = response.encode(version=VERSION)
    return made


def topic(name: str, *partitions: TopicPartition, error_code: int = 0) -> Topic:
    return Topic(
        error_code=error_code,
        name=name,
        is_internal=False,
        partitions=list(partitions),
        authorized_operations=NO_OPERATIONS,
    )


def partition(
    index: int,
    replicas: list[int],
    isr: list[int],
    leader: int = 11,
    offline: tuple[int, ...] = (),
    error: int = 0,
) -> TopicPartition:
    return TopicPartition(
        error_code=error,
        partition_index=index,
        leader_id=leader,
        leader_epoch=7,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=list(offline),
    )


def scanned(data: bytes, wanted: Wanted = MappingProxyType({}), objects_max: int = ALL) -> Scan:
    return decode(data, wanted, objects_max)


BROKERS = st.integers(0, 2**31 - 1)


@st.composite
def partitions(draw: st.DrawFn) -> TopicPartition:
    replicas = draw(st.lists(BROKERS, min_size=1, max_size=10, unique=True))
    healthy = draw(st.sampled_from([True, True, True, False]))
    isr = replicas if healthy else draw(st.lists(st.sampled_from(replicas), unique=True))
    offline = () if healthy else draw(st.lists(st.sampled_from(replicas), unique=True))
    leader = replicas[0] if healthy else draw(st.sampled_from([-1, *replicas]))
    return partition(
        draw(st.integers(0, 2**31 - 1)),
        replicas,
        isr,
        leader,
        tuple(offline),
        0 if leader >= 0 else 5,
    )


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=300), st.lists(partitions(), max_size=15)),
        max_size=3,
    )
)
def test_the_scan_leaves_out_healthy_partitions_and_nothing_else(
    made: list[tuple[str, list[TopicPartition]]],
) -> None:
    """Whatever the bytes hold, the scan has what the library reads from them, but for
    partitions in full sync.
    """
    data = encoded([topic(name, *some) for name, some in made])
    whole = MetadataResponse.decode(data, version=VERSION)
    scan = scanned(data)
    assert (scan.broker_ids, scan.controller_id) == ((11, 300), 300)
    assert scan.topics == len(whole.topics)
    assert scan.partitions == sum(len(t.partitions) for t in whole.topics)
    sick = [
        (
            t.name,
            p.partition_index,
            tuple(p.replica_nodes),
            tuple(b for b in p.isr_nodes if b not in p.offline_replicas),
        )
        for t in whole.topics
        for p in t.partitions
        if p.leader_id < 0 or len(p.isr_nodes) < len(p.replica_nodes) or p.offline_replicas
    ]
    assert [(p.topic, p.partition, p.replicas, p.isr) for p in scan.doubtful if _is_sick(p)] == sick


def in_sync(p: TopicPartition) -> tuple[int, ...]:
    return tuple(b for b in p.isr_nodes if b not in p.offline_replicas)


def _is_sick(p: Partition) -> bool:
    """More than eight replicas make a healthy partition doubtful too: read field by field, it
    is found healthy.
    """
    return p.is_offline or len(p.isr) < len(p.replicas)


@given(st.lists(st.lists(partitions(), max_size=15), max_size=3), st.integers(0, 10), st.data())
def test_what_is_not_named_is_counted(
    topics: list[list[TopicPartition]], named: int, data: st.DataObject
) -> None:
    """With fewer objects allowed nothing is lost: what is wanted is named, the rest is counted
    by what it lacks.
    """
    numbered = [[numbered_as(p, n) for n, p in enumerate(some)] for some in topics]
    answer = encoded([topic(f"t{t}", *some) for t, some in enumerate(numbered)])
    whole = [p for p in scanned(answer).doubtful if _is_sick(p)]
    wanted = data.draw(st.sets(st.sampled_from([p.name for p in whole]))) if whole else set()
    by_topic = {t: {n for topic, n in wanted if topic == t} for t, _ in wanted}
    scan = scanned(answer, by_topic, named)
    assert wanted <= {p.name for p in scan.doubtful}
    assert len(scan.doubtful) <= named + len(wanted)
    told = Counter(ReplicaDeficit.of(p) for p in scan.doubtful if _is_sick(p)) + scan.rest
    assert told == Counter(map(ReplicaDeficit.of, whole))


def numbered_as(p: TopicPartition, number: int) -> TopicPartition:
    p.partition_index = number
    return p


def test_runs_of_healthy_partitions_end_where_their_topic_ends() -> None:
    """Two topics of healthy partitions, then a sick one: each partition is counted once."""
    healthy = [partition(i, [11, 12, 13], [13, 12, 11]) for i in range(50)]
    scan = scanned(
        encoded(
            [topic("a", *healthy), topic("b", *healthy), topic("c", partition(0, [11, 12], [11]))]
        )
    )
    assert (scan.topics, scan.partitions) == (3, 101)
    assert scan.doubtful == [Partition("c", 0, 11, (11, 12), (11,))]


def test_a_replica_on_a_dead_broker_is_not_in_sync() -> None:
    """Between a broker's death and the shrinking of the ISR, the offline replica counts as lost
    already.
    """
    (p,) = scanned(
        encoded([topic("a", partition(0, [11, 12, 13], [11, 12, 13], leader=12, offline=(12,)))])
    ).doubtful
    assert (p.isr, p.is_offline) == ((11, 13), True)


def test_a_topic_that_may_not_be_seen_is_not_taken_for_none() -> None:
    """A topic's error is raised, unless it says that the topic is gone."""
    with pytest.raises(TopicAuthorizationFailedError, match="topic secret"):
        scanned(encoded([topic("secret", error_code=29)]))
    assert scanned(encoded([topic("gone", error_code=3)])) == Scan(
        broker_ids=(11, 300), controller_id=300
    )


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_broken_bytes_are_an_error(cut: int) -> None:
    """An answer that ends too early, or goes on, is refused as a whole: half a cluster may be
    the healthy half.
    """
    data = encoded([topic("a", *(partition(i, [11, 12], [11, 12]) for i in range(3)))])
    with pytest.raises(KafkaProtocolError, match="cannot be read"):
        scanned(data[:-cut])
    with pytest.raises(KafkaProtocolError, match="cannot be read"):
        scanned(data + b"\0")


def test_a_move_is_laid_over_what_is_in_doubt() -> None:
    """Adding replicas are not missing ones; a reassignment that Metadata does not show yet, or
    any more, is none.
    """
    moving = Partition("t", 0, 11, (31, 11, 12), (11, 12))
    ended = Partition("t", 1, 11, (31, 12), (12,))
    flying = {("t", p): Reassignment("t", p, (31, 11, 12), (31,), (11,)) for p in (0, 1)}
    assert with_moves([moving, ended], flying) == [
        dataclasses.replace(moving, adding=(31,), removing=(11,)),
        ended,
    ]
    assert not with_moves([moving], flying)[0].is_under_replicated
