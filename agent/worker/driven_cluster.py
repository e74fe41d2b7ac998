"""The connections, tasks and lease of one cluster. Called by app.py.

They exist for as long as this worker owns the cluster's partition of the inbox.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from agent.adapters.consul import Consul
from agent.adapters.cruise_control.client import CruiseControl
from agent.adapters.kafka.broker_poll import BrokerPoll
from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.lease import KafkaLease
from agent.adapters.kafka.snapshot_store import SnapshotTopic
from agent.adapters.node_restarts import ManualRestarts
from agent.adapters.prometheus.client_census import PrometheusCensus
from agent.adapters.prometheus.kraft_metrics import ControllerMetrics
from agent.adapters.zookeeper.kraft_znodes import KraftZooKeeper
from agent.adapters.zookeeper.sessions import BrokerWatch, ZooKeeperLease
from agent.config.cluster_settings import ClusterSettings
from agent.config.settings import Settings
from agent.core.messages import BrokersObserved
from agent.performer.kraft import KraftPerformer
from agent.performer.performer import Performer
from agent.performer.ports import Ports, Post
from agent.topics import Topics
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.effect_tasks import ClusterTasks

log = logging.getLogger("kafka_migration.clusters")

RETRY_SECONDS = 1.0


class Closes(Protocol):
    """A connection that can be closed."""

    async def close(self) -> None:
        """Close the connection."""
        ...


class WallClock:
    """The real time: implements Clock."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for this number of seconds."""
        await asyncio.sleep(seconds)


class Registrations:
    """Posts at each change which brokers are registered, and which ones are lost."""

    def __init__(self, name: str, post: Post) -> None:
        self._name = name
        self._post = post
        self._known: frozenset[int] = frozenset()

    async def changed(self, brokers: frozenset[int] | None) -> None:
        """Post the registered brokers; repeat it until the control Kafka has it.

        None means that ZooKeeper (or Kafka) does not answer. Nothing is posted then; the changes
        are posted when it answers again.
        """
        while brokers is not None:
            lost = self._known - brokers
            try:
                await self._post(
                    BrokersObserved(
                        at=time.time(), registered=tuple(sorted(brokers)), lost=tuple(sorted(lost))
                    )
                )
            except Exception:  # the control Kafka does not answer
                log.exception(
                    "%s: registered brokers could not be posted; they are posted again", self._name
                )
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._known = brokers
            if lost:
                log.warning("%s: brokers %s are not registered any more", self._name, sorted(lost))
            return


@dataclass(slots=True)
class DrivenCluster:
    """Everything that the owner of a cluster keeps open."""

    tasks: ClusterTasks
    lease: ZooKeeperLease | KafkaLease
    kafka: Closes
    cruise_control: CruiseControl
    brokers: BrokerWatch | BrokerPoll | None
    others: tuple[Consul | PrometheusCensus, ...] = ()

    @classmethod
    def open(
        cls,
        name: str,
        cluster: ClusterSettings,
        settings: Settings,
        topics: Topics,
        post: Post,
        worker: ClusterWorker,
    ) -> "DrivenCluster":
        """Set up the connections, which connect when first used, and begin to seek the lease."""
        zookeeper = cluster.zookeeper
        connection = cluster.security.connection(cluster.bootstrap_servers)
        kafka = KafkaCluster(connection)
        cruise_control = CruiseControl(cluster.cruise_control.connection())
        access = cluster.zookeeper_security.access()
        consul, census = _discovery(name, cluster)
        lease = ZooKeeperLease(zookeeper, access=access) if zookeeper else KafkaLease(connection)
        ports = Ports(
            kafka=kafka,
            cruise_control=cruise_control,
            snapshots=SnapshotTopic(settings.connection(), topics.snapshots, name),
            lease=lease,
            clock=WallClock(),
            discovery=consul,
            census=census,
        )
        lease.start()
        brokers: BrokerWatch | BrokerPoll
        changed = Registrations(name, post).changed
        brokers = (
            BrokerWatch(zookeeper, changed, access=access)
            if zookeeper
            else BrokerPoll(kafka, changed)
        )
        brokers.start()
        kraft_performer = KraftPerformer(
            kafka=kafka,
            kraft_kafka=kafka,
            zookeeper=KraftZooKeeper(zookeeper, access) if zookeeper else None,
            metrics=ControllerMetrics(),
            restarts=cluster.kraft.restarts() if cluster.kraft else ManualRestarts(),
            clock=ports.clock,
        )
        tasks = ClusterTasks(Performer(ports, kraft_performer), lease, worker, post)
        others = tuple(port for port in (consul, census) if port is not None)
        return cls(tasks, lease, kafka, cruise_control, brokers, others)

    async def close(self) -> None:
        """Cancel the tasks, then release the lease, then close the connections."""
        await self.tasks.stop()
        if self.brokers is not None:
            await self.brokers.stop()
        await asyncio.to_thread(self.lease.close)
        await self.cruise_control.close()
        await self.kafka.close()
        for other in self.others:
            await other.close()


def _discovery(
    name: str, cluster: ClusterSettings
) -> tuple[Consul | None, PrometheusCensus | None]:
    """The registry in which clients find this cluster, and the census of their connections.

    Each is None if it is not configured.
    """
    given = cluster.consul
    if given is None:
        return None, None
    kafka = cluster.security.connection(cluster.bootstrap_servers)
    tls = kafka.ssl_context() if "SSL" in kafka.security_protocol else None
    census = PrometheusCensus(given.census.connection(name)) if given.census else None
    return Consul(given.connection(tls)), census


Drive = Callable[[str, ClusterSettings, Settings, Topics, Post, ClusterWorker], DrivenCluster]
