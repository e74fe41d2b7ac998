"""Cruise Control's replication throttle: configs of KIP-73, set and cleared with each batch.

The executor uses it, broker by broker and topic by topic. Like the original, it lists old and new
replicas both for leaders and for followers, and it clears nothing when the process dies. Clients
must know both traps.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable

from deploy.lab.standin.clock import Clock
from deploy.lab.standin.cluster import Cluster
from deploy.lab.standin.plan import Proposal
from deploy.lab.standin.settings import Settings

log = logging.getLogger(__name__)

BROKER_RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
TOPIC_REPLICAS = (
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
)
_WILDCARD = "*"


class ReplicationThrottle:
    def __init__(
        self, cluster: Cluster, clock: Clock, settings: Settings, rate_bytes_per_second: int
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._rate = str(rate_bytes_per_second)
        self._broker_seconds = settings.throttle_broker_seconds
        self._topic_seconds = settings.throttle_topic_seconds

    async def set_for(self, proposals: Iterable[Proposal]) -> None:
        """Throttle these replicas and all brokers that hold an old or a new one of them."""
        proposals = list(proposals)
        for number, broker in enumerate(sorted(_brokers(proposals))):
            configs = await self._cluster.broker_configs(broker)
            if all(configs.get(key) == self._rate for key in BROKER_RATES):
                continue
            await self._cluster.change_broker_configs(
                broker, dict.fromkeys(BROKER_RATES, self._rate)
            )
            await self._clock.sleep(self._broker_seconds if number else 0.0)
        for topic, replicas in sorted(_replicas_by_topic(proposals).items()):
            configs = await self._cluster.topic_configs(topic)
            changes: dict[str, str | None] = {}
            for key in TOPIC_REPLICAS:
                present = _entries(configs.get(key, ""))
                if _WILDCARD not in present:
                    changes[key] = ",".join(sorted(present | replicas))
            if changes:
                await self._cluster.change_topic_configs(topic, changes)
            await self._clock.sleep(self._topic_seconds)

    async def clear_for(
        self, finished: Iterable[Proposal], in_progress: Iterable[Proposal]
    ) -> None:
        """Remove the throttle of finished replicas and of brokers that take part in no move."""
        finished = list(finished)
        in_progress = list(in_progress)
        still_throttled = _replicas_by_topic(in_progress)
        for broker in sorted(_brokers(finished) - _brokers(in_progress)):
            configs = await self._cluster.broker_configs(broker)
            await self._cluster.change_broker_configs(
                broker, {key: None for key in BROKER_RATES if key in configs}
            )
            await self._clock.sleep(self._broker_seconds)
        for topic, replicas in sorted(_replicas_by_topic(finished).items()):
            configs = await self._cluster.topic_configs(topic)
            changes: dict[str, str | None] = {}
            for key in TOPIC_REPLICAS:
                present = _entries(configs.get(key, ""))
                kept = present - (replicas - still_throttled.get(topic, set()))
                if kept != present:
                    changes[key] = ",".join(sorted(kept)) or None
            if changes:
                await self._cluster.change_topic_configs(topic, changes)
            await self._clock.sleep(self._topic_seconds)


def _entries(value: str) -> set[str]:
    return {entry for entry in value.split(",") if entry}


def _brokers(proposals: Iterable[Proposal]) -> set[int]:
    return {broker for p in proposals for broker in (*p.old_replicas, *p.new_replicas)}


def _replicas_by_topic(proposals: Iterable[Proposal]) -> dict[str, set[str]]:
    replicas: dict[str, set[str]] = defaultdict(set)
    for proposal in proposals:
        for broker in {*proposal.old_replicas, *proposal.new_replicas}:
            replicas[proposal.tp.topic].add(f"{proposal.tp.partition}:{broker}")
    return replicas
