"""How the controllers' quorum is read: with the library's own structs, no broker needed."""

from typing import Any

import pytest
from kafka.errors import KafkaError
from kafka.protocol.admin import DescribeQuorumResponse
from kafka.protocol.metadata import ApiVersionsResponse

from agent.adapters.kafka.quorum import read
from agent.core.kraft.facts import VoterFacts

Topic = DescribeQuorumResponse.TopicData
Partition = Topic.PartitionData
Replica = Partition.ReplicaState


def told(*voters: tuple[int, int], code: int = 0, observers: tuple[int, ...] = ()) -> Any:
    def replica(node: int, caught_up_ms: int) -> Any:
        return Replica(
            replica_id=node,
            log_end_offset=9,
            last_fetch_timestamp=-1,
            last_caught_up_timestamp=caught_up_ms,
        )

    partition = Partition(
        partition_index=0, error_code=code, leader_id=71, leader_epoch=4, high_watermark=9,
        current_voters=[replica(*v) for v in voters], observers=[replica(o, 0) for o in observers],
    )  # fmt: skip
    topic = Topic(topic_name="__cluster_metadata", partitions=[partition])
    return DescribeQuorumResponse(error_code=0, topics=[topic])


def versions(**features: tuple[int, int]) -> Any:
    supported, finalized = (
        ApiVersionsResponse.SupportedFeatureKey,
        ApiVersionsResponse.FinalizedFeatureKey,
    )
    named = {name.replace("_", "."): levels for name, levels in features.items()}
    return ApiVersionsResponse(
        error_code=0,
        api_keys=[],
        supported_features=[
            supported(name=n, min_version=1, max_version=top) for n, (_, top) in named.items()
        ],
        finalized_features=[
            finalized(name=n, min_version_level=1, max_version_level=now)
            for n, (now, _) in named.items()
            if now
        ],
    )


def test_voters_are_measured_by_the_leaders_clock() -> None:
    """The leader reports the present as its own: who is behind is told in whole seconds, who is
    unheard of as -1.
    """
    found = read(
        told((72, 58_400), (71, 60_000), (73, -1), observers=(32, 31)),
        versions(metadata_version=(20, 21)),
    )
    assert (found.leader_id, found.epoch, found.voter_ids, found.observer_ids) == (
        71,
        4,
        (71, 72, 73),
        (31, 32),
    )
    assert found.voters == (
        VoterFacts(node_id=71, seconds_behind=0),
        VoterFacts(node_id=72, seconds_behind=1),
        VoterFacts(node_id=73, seconds_behind=-1),
    )
    assert (found.metadata_version, found.metadata_version_max) == (20, 21)


def test_nothing_finalized_is_told_as_nothing() -> None:
    """A feature that is supported and not finalized has level 0; so has one that is not known
    at all.
    """
    assert read(told((71, 1)), versions(metadata_version=(0, 21))).metadata_version == 0
    assert read(told((71, 1)), versions(other=(1, 1))).metadata_version_max == 0


def test_an_error_code_is_no_quorum() -> None:
    """A broker that does not know the leader must not look like a quorum without voters."""
    with pytest.raises(KafkaError):
        read(told((71, 1), code=6), versions())
    with pytest.raises(KafkaError):
        read(DescribeQuorumResponse(error_code=0, topics=[]), versions())
