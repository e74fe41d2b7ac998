"""An agent whose user lacks rights: what it may not see must not look like what is not there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.core.model.cluster import TopicPartition
from agent.core.model.throttle import ThrottleChange
from agent.performer.ports import PortError
from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Role, free_base_port
from deploy.lab.cluster.readiness import admin_client

pytestmark = [pytest.mark.lab, pytest.mark.slow]

EVERYONE = "User:*"
HIDDEN, FIXED = "kr.hidden", "kr.fixed"
CLUSTER = ResourcePatternFilter(ResourceType.CLUSTER, "kafka-cluster", ACLResourcePatternType.ANY)
MISSING = "grant this agent's user"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A broker with an authorizer: of one topic nothing may be seen, of another nothing may be
    set.
    """
    folder: Path = tmp_path_factory.mktemp("guarded")
    config = LabConfig(
        directory=folder,
        base_port=free_base_port(),
        brokers=(BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),),
        cruise_control=CruiseControlKind.NONE,
        properties={
            "broker-11": {
                "authorizer.class.name": "kafka.security.authorizer.AclAuthorizer",
                "allow.everyone.if.no.acl.found": "true",
            }
        },
    )
    with Lab(config).running() as lab:
        with admin_client(config.bootstrap_servers, timeout_seconds=20) as admin:
            for name in (HIDDEN, FIXED):
                admin.create_topics({name: {"assignments": {0: [11]}}}, wait_for_metadata=True)
            admin.create_acls(
                [
                    _acl(ResourceType.TOPIC, HIDDEN, ACLOperation.ALL, ACLPermissionType.DENY),
                    *_all_but(ResourceType.TOPIC, FIXED, ACLOperation.ALTER_CONFIGS),
                ]
            )
        yield lab


def _acl(
    kind: ResourceType, name: str, operation: ACLOperation, permission: ACLPermissionType
) -> ACL:
    return ACL(
        principal=EVERYONE,
        host="*",
        operation=operation,
        permission_type=permission,
        resource_pattern=ResourcePattern(kind, name),
    )


def _all_but(kind: ResourceType, name: str, denied: ACLOperation) -> list[ACL]:
    return [
        _acl(kind, name, ACLOperation.ALL, ACLPermissionType.ALLOW),
        _acl(kind, name, denied, ACLPermissionType.DENY),
    ]


@pytest.fixture
async def kafka(guarded: Lab) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(KafkaConnection(bootstrap_servers=guarded.config.bootstrap_servers))
    yield cluster
    await cluster.close()


async def test_a_hidden_topic_is_not_a_deleted_one(kafka: KafkaCluster) -> None:
    """Asked for a partition that it may not see, it says so, with the rights that are missing."""
    with pytest.raises(PortError, match=f"{HIDDEN}.*{MISSING}"):
        await kafka.describe([TopicPartition(HIDDEN, 0)])
    assert await kafka.describe([TopicPartition("kr.never-made", 0)]) == []


async def test_hidden_log_dirs_are_not_an_empty_broker(guarded: Lab, kafka: KafkaCluster) -> None:
    """A broker whose log dirs may not be read is an error, not a broker without replicas; so
    are its reassignments.
    """
    assert TopicPartition(FIXED, 0) in (await kafka.logs([11]))[11].size_bytes
    with admin_client(guarded.config.bootstrap_servers, timeout_seconds=20) as admin:
        admin.create_acls(_all_but(ResourceType.CLUSTER, "kafka-cluster", ACLOperation.DESCRIBE))
        with pytest.raises(PortError, match=f"log dirs of broker 11.*{MISSING}"):
            await _until_refused(kafka)
        with pytest.raises(PortError, match=MISSING):
            await kafka.reassignments()
        admin.delete_acls(
            [ACLFilter(EVERYONE, "*", ACLOperation.ANY, ACLPermissionType.ANY, CLUSTER)]
        )


async def _until_refused(kafka: KafkaCluster) -> None:
    """A new rule travels through ZooKeeper."""
    for _ in range(100):
        await kafka.logs([11])
        await asyncio.sleep(0.1)


async def test_hidden_settings_are_not_defaults(kafka: KafkaCluster) -> None:
    """Throttle lists that may not be read are an error, not lists without an entry."""
    with pytest.raises(PortError, match=f"{HIDDEN}.*{MISSING}"):
        await kafka.throttle([], [HIDDEN])


async def test_a_throttle_that_may_not_be_set_is_an_error(kafka: KafkaCluster) -> None:
    """A refused entry fails the whole order, so that nothing moves unthrottled."""
    order = ThrottleChange(
        leaders={FIXED: frozenset({(0, 11)})}, followers={FIXED: frozenset({(0, 11)})}
    )
    with pytest.raises(PortError, match=f"{FIXED}.*{MISSING}"):
        await kafka.set_throttle(order)
    assert (await kafka.throttle([], [FIXED])).is_empty
