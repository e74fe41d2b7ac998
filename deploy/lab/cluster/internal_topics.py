"""Creates the internal topics of Kafka and Cruise Control on the source brokers.

A real cluster has them there before its migration. Kafka itself would spread them over all brokers
at first use, and the destination brokers would not be empty. The supervisor calls this.
"""

from collections.abc import Collection
from typing import Any

from deploy.lab.cluster import real_cruise_control, topics
from deploy.lab.cluster.config import CruiseControlKind, LabConfig
from deploy.lab.cluster.properties import OFFSETS_PARTITIONS, TRANSACTION_PARTITIONS
from deploy.lab.cluster.readiness import lab_admin

CREATE_TIMEOUT_SECONDS = 30.0
SEGMENT_BYTES = str(100 * 1024 * 1024)

# (partitions, replicas, the settings that Kafka itself would give)
TopicSpec = tuple[int, int, dict[str, str]]


def specifications(config: LabConfig) -> dict[str, TopicSpec]:
    """The internal topics of this lab."""
    compacted = {"cleanup.policy": "compact", "segment.bytes": SEGMENT_BYTES}
    replicas = min(3, len(config.source_ids))
    internal: dict[str, TopicSpec] = {
        "__consumer_offsets": (
            OFFSETS_PARTITIONS,
            replicas,
            {**compacted, "compression.type": "producer"},
        ),
        "__transaction_state": (
            TRANSACTION_PARTITIONS,
            replicas,
            {
                **compacted,
                "compression.type": "uncompressed",
                "min.insync.replicas": "2",
                "unclean.leader.election.enable": "false",
            },
        ),
    }
    if config.cruise_control_kind is CruiseControlKind.REAL:
        kept = {"cleanup.policy": "delete", "retention.ms": "3600000"}
        count = real_cruise_control.TOPIC_PARTITIONS
        copies = min(real_cruise_control.TOPIC_REPLICATION_FACTOR, len(config.source_ids))
        for name in (
            real_cruise_control.METRICS_TOPIC,
            real_cruise_control.PARTITION_SAMPLES_TOPIC,
            real_cruise_control.BROKER_SAMPLES_TOPIC,
        ):
            internal[name] = (count, copies, kept)
    return internal


def missing(config: LabConfig, existing: Collection[str]) -> dict[str, dict[str, Any]]:
    """The topics that are to be created, each with `assignments` and `configs`."""
    return {
        name: {
            "assignments": dict(
                enumerate(topics.spread(config.source_racks, partitions, replicas))
            ),
            "configs": settings,
        }
        for name, (partitions, replicas, settings) in specifications(config).items()
        if name not in existing
    }


def create(config: LabConfig) -> None:
    """Create the internal topics that are missing. Raises KafkaError when the cluster refuses."""
    with lab_admin(config, CREATE_TIMEOUT_SECONDS) as admin:
        if wanted := missing(config, admin.list_topics()):
            admin.create_topics(
                wanted, timeout_ms=int(CREATE_TIMEOUT_SECONDS * 1000), raise_errors=True
            )
