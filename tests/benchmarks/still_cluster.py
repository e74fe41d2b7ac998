"""The real worker of the agent, with clusters that do not change.

reaction.py and events.py start it as `python -m tests.benchmarks.still_cluster`. Kafka's side of
each cluster is in memory and answers at once. Control topics, Faust, core, effects and the client
of Cruise Control are the real ones.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

import httpx

from agent.adapters.cruise_control.client import CruiseControl
from agent.adapters.kafka.snapshot_store import SnapshotTopic
from agent.config.cluster_settings import ClusterSettings
from agent.config.settings import Settings
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import (
    Broker,
    BrokerLogs,
    ClusterFacts,
    Partition,
    Reassignment,
    TopicPartition,
)
from agent.core.model.throttle import BrokerRate, ThrottleChange, ThrottleFacts
from agent.main import run
from agent.performer.performer import Performer
from agent.performer.ports import Ports, Post
from agent.topics import Topics
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.driven_cluster import DrivenCluster, WallClock
from agent.worker.effect_tasks import ClusterTasks

PARTITIONS = 50
SIZE_BYTES = 1_000_000
RACKS = {11: "az-a", 12: "az-b", 13: "az-c", 31: "az-a", 32: "az-b", 33: "az-c"}
RECORDER = "RECORDER_URL"
SETTINGS = {
    "inter.broker.protocol.version": "3.9",
    "message.max.bytes": "1048588",
    "log.retention.ms": "604800000",
    "metric.reporters": "com.linkedin.kafka.cruisecontrol.metricsreporter."
    "CruiseControlMetricsReporter",
}


class StillCluster:
    """Six brokers, one replica of each partition in each AZ, all on the sources, for ever.

    Implements KafkaPort.
    """

    def __init__(self, name: str, recorder: str) -> None:
        self._name = name
        self._client = httpx.AsyncClient(base_url=recorder)
        self._facts = ThrottleFacts()
        orders = ((11, 12, 13), (12, 13, 11), (13, 11, 12))
        self._partitions = {
            TopicPartition("t", n): Partition(
                "t", n, orders[n % 3][0], orders[n % 3], orders[n % 3]
            )
            for n in range(PARTITIONS)
        }

    async def cluster(self) -> ClusterFacts:
        brokers = tuple(Broker(b, rack) for b, rack in RACKS.items())
        return ClusterFacts(
            brokers=brokers, partitions=tuple(self._partitions.values()), min_isr={"t": 2}
        )

    async def alive(self) -> Mapping[int, str | None]:
        return dict(RACKS)

    async def reassignments(self) -> Sequence[Reassignment]:
        return ()

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        sizes = dict.fromkeys(self._partitions if names is None else names, SIZE_BYTES)
        return {b: BrokerLogs(b, sizes if b < 31 else {}, 10**12) for b in broker_ids}

    async def describe(self, names: Iterable[TopicPartition]) -> Sequence[Partition]:
        return [self._partitions[n] for n in names]

    async def positions(self, names: Iterable[TopicPartition]) -> Positions:
        return Positions(partitions=len(list(names)))

    async def throttle(
        self, broker_ids: Iterable[int], topics: Iterable[str] | None
    ) -> ThrottleFacts:
        return self._facts

    async def broker_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        return dict.fromkeys(broker_ids, SETTINGS)

    async def unreachable(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        return {}

    async def reporting(self, broker_ids: Iterable[int]) -> frozenset[int] | None:
        return frozenset(broker_ids)

    async def loading_coordinators(self, broker_ids: Iterable[int]) -> Mapping[int, str]:
        return {}

    async def set_throttle(self, order: ThrottleChange) -> None:
        """Told to the recorder before anything else: that is when Kafka would have it."""
        rates = set(order.rates.values())
        await self._client.post(f"/{self._name}/throttle/{min(rates)}")
        self._facts = ThrottleFacts(
            rates={b: BrokerRate(leader=r, follower=r) for b, r in order.rates.items()},
            leaders=order.leaders,
            followers=order.followers,
        )

    async def clear_throttle(self, order: ThrottleChange) -> None:
        self._facts = ThrottleFacts()

    async def reorder_replicas(self, orders: Mapping[TopicPartition, Sequence[int]]) -> None:
        raise NotImplementedError

    async def reassign(self, targets: Mapping[TopicPartition, Sequence[int] | None]) -> None:
        raise NotImplementedError

    async def elect_preferred(self, names: Sequence[TopicPartition]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        await self._client.aclose()


class Unfenced:
    """A lease that is always held: nobody else drives a still cluster."""

    def start(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def held(self) -> bool:
        return True

    def holder(self) -> str:
        return "this agent"


def drive(
    name: str,
    cluster: ClusterSettings,
    settings: Settings,
    topics: Topics,
    post: Post,
    worker: ClusterWorker,
) -> DrivenCluster:
    """As DrivenCluster.open does, with a still Kafka and no lease."""
    kafka = StillCluster(name, os.environ[RECORDER])
    cruise_control = CruiseControl(cluster.cruise_control.connection())
    snapshots = SnapshotTopic(settings.connection(), topics.snapshots, name)
    lease = Unfenced()
    ports = Ports(
        kafka=kafka,
        cruise_control=cruise_control,
        snapshots=snapshots,
        lease=lease,
        clock=WallClock(),
    )
    tasks = ClusterTasks(Performer(ports), lease, worker, post)
    return DrivenCluster(tasks, lease, kafka, cruise_control, None)


if __name__ == "__main__":
    run(drive)
