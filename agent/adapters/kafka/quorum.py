"""Reads the controllers' quorum (KIP-595) and finalized features (KIP-584) from a KRaft broker.

Called by cluster.py, in the thread of admin_thread.py. Brokers that still follow ZooKeeper do not
know these requests.
"""

from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import IncompatibleBrokerVersion
from kafka.protocol.admin import DescribeQuorumRequest
from kafka.protocol.metadata import ApiVersionsRequest

from agent.adapters.kafka import admin_requests
from agent.core.kraft.facts import QuorumFacts, VoterFacts

METADATA_TOPIC, METADATA_VERSION = "__cluster_metadata", "metadata.version"
FINALIZED_SINCE = 3  # the first version of ApiVersions that has features


def quorum(admin: KafkaAdminClient, broker_id: int) -> QuorumFacts:
    """Return the quorum as this broker learns it from the quorum's leader.

    Raises KafkaError when the broker is not in KRaft mode, or the quorum has no leader.
    """
    # The library's describe_metadata_quorum and describe_features ask any broker. During a
    # migration to KRaft that may be one which still follows ZooKeeper and knows neither request.
    topic = DescribeQuorumRequest.TopicData
    asked = topic(topic_name=METADATA_TOPIC, partitions=[topic.PartitionData(partition_index=0)])
    described = admin_requests.ask(admin, DescribeQuorumRequest(topics=[asked]), broker_id)
    return read(described, admin_requests.ask(admin, _versions(), broker_id))


def is_kraft(admin: KafkaAdminClient) -> bool:
    """Whether the cluster is in KRaft mode, where a change reaches the brokers with a delay."""
    try:
        return "finalized" in admin.describe_features().get(METADATA_VERSION, {})
    except IncompatibleBrokerVersion:  # the broker is older than features, and so than KRaft
        return False


def _versions() -> ApiVersionsRequest:
    return ApiVersionsRequest(
        client_software_name="kafka-migration",
        client_software_version="1",
        min_version=FINALIZED_SINCE,
    )


def read(described: Any, versions: Any) -> QuorumFacts:
    """Return the facts in both responses. Raises KafkaError for an error code in one of them."""
    topics = described.topics
    partition = topics[0].partitions[0] if topics and topics[0].partitions else None
    partition_code = partition.error_code if partition else 0
    for code in (described.error_code, partition_code, versions.error_code):
        if code:
            raise admin_requests.error(code, None, "the controllers' quorum")
    if partition is None:
        raise admin_requests.error(-1, "the answer has no partition", "the controllers' quorum")
    # the leader's own entry, which has the time of its clock
    now = max((v.last_caught_up_timestamp for v in partition.current_voters), default=-1)
    finalized = {f.name: f.max_version_level for f in versions.finalized_features or ()}
    supported = {f.name: f.max_version for f in versions.supported_features or ()}
    return QuorumFacts(
        leader_id=partition.leader_id,
        epoch=partition.leader_epoch,
        voters=tuple(
            VoterFacts(
                node_id=v.replica_id, seconds_behind=_behind(v.last_caught_up_timestamp, now)
            )
            for v in sorted(partition.current_voters, key=lambda voter: voter.replica_id)
        ),
        observer_ids=tuple(sorted(o.replica_id for o in partition.observers)),
        metadata_version=finalized.get(METADATA_VERSION, 0),
        metadata_version_max=supported.get(METADATA_VERSION, 0),
    )


def _behind(caught_up_ms: int, now_ms: int) -> int:
    """How far a voter is behind, in whole seconds; -1 where the leader does not know."""
    return -1 if caught_up_ms < 0 or now_ms < 0 else (now_ms - caught_up_ms) // 1000
