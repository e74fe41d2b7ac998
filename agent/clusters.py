"""One driven cluster: its ports, performer, tasks and lease, for as long as its inbox partition is ours."""

import asyncio
import time
from dataclasses import dataclass

from agent.adapters.cruise_control import CruiseControl
from agent.adapters.kafka_cluster import KafkaCluster
from agent.adapters.perform import Performer, Ports
from agent.adapters.store import SnapshotTopic
from agent.adapters.zookeeper import NoLease, ZooKeeperLease
from agent.core.migration import Migration
from agent.settings import ClusterSettings, Settings
from agent.tasks import ClusterTasks, Post
from agent.topics import Topics


class WallClock:
    """Time as it is."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class DrivenCluster:
    """What the owner of a cluster's partition holds open."""

    tasks: ClusterTasks
    lease: ZooKeeperLease | NoLease
    kafka: KafkaCluster
    cruise_control: CruiseControl

    @classmethod
    def open(
        cls, name: str, cluster: ClusterSettings, settings: Settings, topics: Topics, post: Post
    ) -> "DrivenCluster":
        """Connects lazily; only the lease is sought at once."""
        kafka = KafkaCluster(cluster.security.connection(cluster.bootstrap_servers))
        cruise_control = CruiseControl(cluster.cruise_control.connection())
        lease = ZooKeeperLease(cluster.zookeeper) if cluster.zookeeper else NoLease()
        ports = Ports(
            kafka=kafka,
            cruise_control=cruise_control,
            snapshots=SnapshotTopic(settings.connection(), topics.snapshots, name),
            lease=lease,
            clock=WallClock(),
        )
        lease.start()
        return cls(ClusterTasks(Performer(ports), lease, cluster.core_policy(), post), lease, kafka, cruise_control)

    def reconcile(self, migration: Migration) -> None:
        """Let run what the state wants."""
        self.tasks.reconcile(migration)

    async def close(self) -> None:
        """The cluster is not ours any more: end what runs, then let the lease go."""
        await self.tasks.stop()
        await asyncio.to_thread(self.lease.close)
        await self.cruise_control.close()
        await self.kafka.close()
