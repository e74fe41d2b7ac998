"""What a broker in KRaft mode tells of the controllers: their quorum (KIP-595) and what is
finalized (KIP-584).

Called by cluster.py, in the thread of admin_thread.py. Brokers that still have ZooKeeper do not
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
FINALIZED_SINCE = 3  # the version of ApiVersions that tells features


def quorum(admin: KafkaAdminClient, broker_id: int) -> QuorumFacts:
    """As that broker has it from the quorum's leader.

    Raises KafkaError: it is no KRaft broker, or nobody leads.
    """
    # The library's describe_metadata_quorum and describe_features ask any broker: in the midst of
    # a way to KRaft that may be one which still follows ZooKeeper, and knows neither.
    topic = DescribeQuorumRequest.TopicData
    asked = topic(topic_name=METADATA_TOPIC, partitions=[topic.PartitionData(partition_index=0)])
    told = admin_requests.ask(admin, DescribeQuorumRequest(topics=[asked]), broker_id)
    return read(told, admin_requests.ask(admin, _versions(), broker_id))


def is_kraft(admin: KafkaAdminClient) -> bool:
    """Whether the brokers follow controllers: what one has accepted, the others then show a
    moment later.
    """
    try:
        return "finalized" in admin.describe_features().get(METADATA_VERSION, {})
    except IncompatibleBrokerVersion:  # older than features, so older than KRaft
        return False


def _versions() -> ApiVersionsRequest:
    return ApiVersionsRequest(
        client_software_name="kafka-migration",
        client_software_version="1",
        min_version=FINALIZED_SINCE,
    )


def read(told: Any, versions: Any) -> QuorumFacts:
    """Both answers as facts. Raises KafkaError for an error code in them."""
    partition = told.topics[0].partitions[0] if told.topics and told.topics[0].partitions else None
    for code in (told.error_code, partition.error_code if partition else 0, versions.error_code):
        if code:
            raise admin_requests.error(code, None, "the controllers' quorum")
    if partition is None:
        raise admin_requests.error(-1, "the answer has no partition", "the controllers' quorum")
    # the leader's own: its clock
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
    """Whole seconds; -1 where the leader does not know."""
    return -1 if caught_up_ms < 0 or now_ms < 0 else (now_ms - caught_up_ms) // 1000
