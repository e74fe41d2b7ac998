"""Performs the effects of a migration to KRaft: surveys, requests restarts, releases ZooKeeper.

Called by performer.py. Decides nothing: the core says which node is restarted, and when.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.core import messages as msg
from agent.core.effects import Effect
from agent.core.kraft import node_config as changes
from agent.core.kraft.effects import (
    KraftScope,
    ReleaseZooKeeper,
    RestartNode,
    SurveyKraft,
    WatchKraft,
)
from agent.core.kraft.facts import BrokerFacts, KraftFacts, QuorumFacts, ZooKeeperFacts
from agent.core.kraft.node_config import NodeChange, NodeMode
from agent.core.model.cluster import ClusterFacts
from agent.performer.offload import run_off_loop
from agent.performer.ports import (
    Clock,
    ControllerMetricsPort,
    KafkaPort,
    KraftKafkaPort,
    KraftZooKeeperPort,
    PortError,
    Post,
    RestartsPort,
)

KRAFT_EFFECTS = (SurveyKraft, RestartNode, ReleaseZooKeeper)
HEARTBEAT_SECONDS = 5.0  # facts are posted when they have changed, and at least this often
ASKED_MAX = 2  # how many brokers are asked for the quorum each time, one after the other


@dataclass(slots=True)
class KraftPerformer:
    """Performs the KRaft effects of one cluster; `zookeeper` is None if none is configured."""

    kafka: KafkaPort
    kraft_kafka: KraftKafkaPort
    zookeeper: KraftZooKeeperPort | None
    metrics: ControllerMetricsPort
    restarts: RestartsPort
    clock: Clock

    async def perform(self, effect: Effect) -> msg.Outcome:
        """Perform one of KRAFT_EFFECTS and return its outcome. Raises PortError."""
        if isinstance(effect, SurveyKraft):
            return await self._survey(effect.scope)
        if isinstance(effect, ReleaseZooKeeper):
            return await self._zookeeper().release()
        assert isinstance(effect, RestartNode), effect
        return await self._restart(effect)

    async def _survey(self, scope: KraftScope) -> msg.Outcome:
        facts = await self.observe(scope)
        files = await self.kraft_kafka.file_settings(facts.alive)
        kept = {b: changes.migration_keys_of(settings) for b, settings in sorted(files.items())}
        return msg.KraftSurveyed(
            facts=facts, files=tuple((b, tuple(sorted(k.items()))) for b, k in kept.items())
        )

    async def watch(self, watch: WatchKraft, post: Post) -> None:
        """Post the facts whenever they have changed, and a heartbeat, until cancelled."""
        last: KraftFacts | None = None
        posted_at = float("-inf")
        while True:
            facts = await self.observe(watch.scope, with_kafka=watch.with_kafka)
            now = self.clock.now()
            if facts != last or now >= posted_at + HEARTBEAT_SECONDS:
                await post(msg.KraftObserved(at=now, kraft_id=watch.scope.kraft_id, facts=facts))
                last, posted_at = facts, now
            await self.clock.sleep(watch.scope.options.look_seconds)

    async def observe(self, scope: KraftScope, *, with_kafka: bool = True) -> KraftFacts:
        """Read the facts of ZooKeeper, controllers and brokers once.

        Never raises: each side that does not answer is marked in the facts. `with_kafka` False
        leaves out the brokers.
        """
        zookeeper = (
            await self.zookeeper.facts() if self.zookeeper else ZooKeeperFacts(reachable=False)
        )
        facts = KraftFacts(
            reachable=False,
            controllers=await self.metrics.facts(scope.options.controllers),
            zookeeper=zookeeper,
        )
        if not with_kafka:
            return facts
        try:
            cluster = await self.kafka.cluster()
            settings = await self.kraft_kafka.file_settings(cluster.racks)
        except PortError:
            return facts
        counted = await run_off_loop(len(cluster.partitions), _counted, facts, cluster)
        return replace(
            counted,
            brokers=tuple(_broker(b, settings.get(b, {})) for b in sorted(cluster.racks)),
            quorum=await self._quorum(settings),
        )

    async def _quorum(self, settings: Mapping[int, Mapping[str, str]]) -> QuorumFacts | None:
        """The controllers' quorum, from the first broker in KRaft mode that knows it."""
        for broker_id in sorted(
            b for b, s in settings.items() if changes.broker_mode(s) is NodeMode.KRAFT
        )[:ASKED_MAX]:
            with contextlib.suppress(PortError):
                return await self.kraft_kafka.quorum(broker_id)
        return None

    async def _restart(self, effect: RestartNode) -> msg.Outcome:
        change = replace(await self._change(effect), wipe_metadata_log=effect.wipe_metadata_log)
        await self.restarts.restart(effect.scope.kraft_id, change)
        return msg.RestartRequested(change=change, instructions=change.instructions())

    async def _change(self, effect: RestartNode) -> NodeChange:
        options, node = effect.scope.options, effect.node_id
        if effect.drill:
            return NodeChange(
                node_id=node, is_controller=effect.is_controller, target=effect.target
            )
        if effect.is_controller:
            return changes.controller_change(node, effect.target, options.zookeeper, options.quorum)
        now = (await self.kraft_kafka.file_settings([node])).get(node)
        if now is None:
            # It is down, most likely during its restart. Whoever restarts it has the settings then.
            return NodeChange(node_id=node, is_controller=False, target=effect.target)
        return changes.broker_change(
            node, effect.target, now, dict(effect.original), options.quorum
        )

    def _zookeeper(self) -> KraftZooKeeperPort:
        if self.zookeeper is None:
            raise PortError("no ZooKeeper is configured: `zookeeper` in clusters.yaml")
        return self.zookeeper


def _counted(facts: KraftFacts, cluster: ClusterFacts) -> KraftFacts:
    """Add the figures about all partitions from Kafka's metadata."""
    unhealthy = [p for p in cluster.partitions if p.is_under_replicated]
    return replace(
        facts,
        reachable=True,
        assigned=tuple(sorted({r for p in cluster.partitions for r in p.replicas})),
        reassignments=sum(1 for p in cluster.partitions if p.adding or p.removing),
        under_replicated=len(unhealthy),
        under_replicated_leader_ids=tuple(sorted({p.leader for p in unhealthy if p.leader >= 0})),
        sole_in_sync_broker_ids=tuple(sorted({p.isr[0] for p in unhealthy if len(p.isr) == 1})),
        offline=sum(1 for p in cluster.partitions if p.leader < 0),
    )


def _broker(broker_id: int, settings: Mapping[str, str]) -> BrokerFacts:
    return BrokerFacts(
        broker_id=broker_id,
        mode=changes.broker_mode(settings),
        protocol_version=settings.get("inter.broker.protocol.version", ""),
        reserved_id_max=int(settings.get("reserved.broker.max.id", "1000")),
    )
