"""Topics on chosen brokers of a lab, and settings and moves as another tool would make them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType
from kafka.structs import TopicPartition as KafkaTopicPartition

from agent.adapters.kafka.cluster import KafkaCluster
from agent.core.model.cluster import TopicPartition
from deploy.lab import Lab
from deploy.lab.cluster.readiness import admin_client

ALL = (11, 12, 13, 31, 32, 33)
RACKS = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
RATE = 2_000_000


class Topics:
    """Makes topics on chosen brokers, and removes them after the test."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._made: list[str] = []

    def make(
        self,
        name: str,
        assignment: Mapping[int, Sequence[int]],
        settings: Mapping[str, str] | None = None,
    ) -> list[TopicPartition]:
        with admin_client(self._lab.config.bootstrap_servers, timeout_seconds=20) as admin:
            spots = {p: list(replicas) for p, replicas in assignment.items()}
            admin.create_topics(
                {name: {"assignments": spots, "configs": dict(settings or {})}},
                wait_for_metadata=True,
            )
        self._made.append(name)
        return [TopicPartition(name, p) for p in assignment]

    def delete(self) -> None:
        if self._made:
            with admin_client(self._lab.config.bootstrap_servers, timeout_seconds=20) as admin:
                admin.delete_topics(self._made, raise_errors=False)


def alter(lab: Lab, kind: ConfigResourceType, name: str, changes: Mapping[str, str | None]) -> None:
    """As another tool would.

    Any broker may be the one that is asked: it may not know a new topic yet.
    """
    operations: Any = {
        key: (AlterConfigOp.DELETE if value is None else AlterConfigOp.SET, value)
        for key, value in changes.items()
    }
    deadline = time.monotonic() + 10
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=20) as admin:
        told = ""
        while told != "OK":
            assert time.monotonic() < deadline, told
            resource = ConfigResource(kind, name, operations)
            answer = admin.alter_configs([resource], raise_on_unknown=False, incremental=True)
            told = answer[kind.name.lower()][name]


def reassign(lab: Lab, wanted: Mapping[TopicPartition, Sequence[int] | None]) -> None:
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=20) as admin:
        told = admin.alter_partition_reassignments(
            {KafkaTopicPartition(*n): r for n, r in wanted.items()}
        )
    assert set(told.values()) == {None}


async def is_now(ask: Callable[[], Any], wanted: Any) -> bool:
    return bool(await ask() == wanted)


async def target_of(kafka: KafkaCluster, name: TopicPartition) -> tuple[int, ...]:
    (p,) = await kafka.describe([name])
    return p.target


async def replicas_of(kafka: KafkaCluster, name: TopicPartition) -> tuple[int, ...]:
    (p,) = await kafka.describe([name])
    return p.replicas
