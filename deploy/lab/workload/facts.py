"""What Kafka itself shows of a cluster, to judge a migration from outside.

The demo and tests use it. It reads with an admin client of its own and must use nothing of the
agent, because what the agent says about itself is no proof.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.cluster.readiness import admin_client

TIMEOUT_SECONDS = 30.0
Name = tuple[str, int]
_RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
_LISTS = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")
_DYNAMIC = ("DYNAMIC_BROKER_CONFIG", "DYNAMIC_TOPIC_CONFIG")


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition as the metadata show it."""

    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster at one moment."""

    racks: dict[int, str]
    partitions: dict[Name, PartitionFacts]
    # The bytes of each replica on its disks, for each broker that is alive.
    log_dirs: dict[int, dict[Name, int]]
    reassignments: int  # in flight
    throttles: tuple[str, ...]  # all dynamic throttle settings

    def assigned_to(self, broker_ids: Collection[int]) -> int:
        """Replicas that the assignment places on these brokers, whatever is on their disks."""
        return sum(1 for p in self.partitions.values() for r in p.replicas if r in broker_ids)

    def replicas_on(self, broker_ids: Collection[int]) -> int:
        """Replicas assigned to these brokers or lying on their disks, whichever are more."""
        lying = sum(
            len(held) for broker_id, held in self.log_dirs.items() if broker_id in broker_ids
        )
        return max(self.assigned_to(broker_ids), lying)

    def leaders_on(self, broker_ids: Collection[int]) -> int:
        return sum(1 for p in self.partitions.values() if p.leader in broker_ids)

    def bytes_on(self, broker_ids: Collection[int]) -> int:
        return sum(
            sum(held.values())
            for broker_id, held in self.log_dirs.items()
            if broker_id in broker_ids
        )

    def arrived_since(self, before: "Facts") -> list[tuple[int, Name]]:
        """Replicas (broker, partition) that came to a broker, or whose copy grew, since `before`.

        Copies on brokers to which the partition is assigned do not count, unless it is between two
        assignments. The disks decide, since they do not lag as metadata do. A new and empty copy of
        a partition that is not assigned there has not moved: a broker that lags behind the
        controller still starts what was cancelled long ago, and the leader refuses its first fetch.
        """
        return [
            (broker_id, name)
            for broker_id, held in sorted(self.log_dirs.items())
            for name, size in sorted(held.items())
            if self._moved(broker_id, name, size, before)
        ]

    def _moved(self, broker_id: int, name: Name, size: int, before: "Facts") -> bool:
        had = before.log_dirs.get(broker_id, {}).get(name)
        now, then = self.partitions.get(name), before.partitions.get(name)
        # With more replicas than before it is between two assignments, or it was and the
        # broker that answers lags behind.
        settled = now is not None and (then is None or len(now.replicas) <= len(then.replicas))
        at_home = settled and now is not None and broker_id in now.replicas
        return had is None if at_home else size > (had or 0)

    @property
    def out_of_sync(self) -> int:
        """Partitions whose ISR lacks a replica."""
        return sum(1 for p in self.partitions.values() if set(p.replicas) != set(p.isr))

    @property
    def not_led_by_preferred(self) -> int:
        return sum(1 for p in self.partitions.values() if p.leader != p.replicas[0])

    def az_spread(self) -> dict[Name, tuple[str, ...]]:
        """The sorted AZs of each partition's replicas, which a migration must not change."""
        return {
            name: tuple(sorted(self.racks.get(r, "?") for r in p.replicas))
            for name, p in self.partitions.items()
        }


def look(to: str | KafkaConnection) -> Facts:
    """Ask Kafka for everything.

    Blocks for seconds. Raises KafkaError when the cluster does not answer.
    """
    with admin_client(to, TIMEOUT_SECONDS) as admin:
        racks = {int(b["broker_id"]): str(b["rack"]) for b in admin.describe_cluster()["brokers"]}
        topics = admin.describe_topics()
        partitions = {
            (str(topic["name"]), int(p["partition_index"])): PartitionFacts(
                int(p["leader_id"]), tuple(p["replica_nodes"]), tuple(p["isr_nodes"])
            )
            for topic in topics
            for p in topic["partitions"]
        }
        everything = {
            str(t["name"]): [p["partition_index"] for p in t["partitions"]] for t in topics
        }
        flying = admin.list_partition_reassignments(timeout_ms=int(TIMEOUT_SECONDS * 1000))
        return Facts(
            racks=racks,
            partitions=partitions,
            log_dirs={broker_id: _lying_on(admin, everything, broker_id) for broker_id in racks},
            reassignments=len(flying),
            throttles=_throttles(admin, list(racks), list(everything)),
        )


@dataclass(frozen=True, slots=True)
class Flight:
    """What Kafka is copying at one moment."""

    reassignments: int
    bytes_copied: int  # the part of these that is on the brokers that will hold them
    bytes_to_come: int


def in_flight(to: str | KafkaConnection) -> Flight:
    """Ask Kafka for its reassignments and their progress. Blocks."""
    with admin_client(to, TIMEOUT_SECONDS) as admin:
        flying = {
            (str(name.topic), int(name.partition)): one
            for name, one in admin.list_partition_reassignments(
                timeout_ms=int(TIMEOUT_SECONDS * 1000)
            ).items()
        }
        asked: dict[str, list[int]] = {}
        for topic, partition in flying:
            asked.setdefault(topic, []).append(partition)
        involved = sorted({b for one in flying.values() for b in one["replicas"]})
        return flight_of(flying, {b: _lying_on(admin, asked, b) for b in involved})


def flight_of(
    flying: Mapping[Name, Mapping[str, Collection[int]]], lying: Mapping[int, Mapping[Name, int]]
) -> Flight:
    """Compare each copy with the largest replica of its partition.

    A reassignment that has ended since the list was read does not count.
    """
    copied = to_come = 0
    for name, one in flying.items():
        whole = max((lying[b].get(name, 0) for b in one["replicas"]), default=0)
        for b in one["adding_replicas"]:
            copied += lying[b].get(name, 0)
            to_come += whole - lying[b].get(name, 0)
    return Flight(reassignments=len(flying), bytes_copied=copied, bytes_to_come=to_come)


def _lying_on(admin: Any, everything: dict[str, list[int]], broker_id: int) -> dict[Name, int]:
    return {
        (str(topic["name"]), int(p["partition_index"])): int(p["partition_size"])
        for answer in admin.describe_log_dirs(everything, [broker_id])
        for folder in answer["log_dirs"]
        for topic in folder["topics"]
        for p in topic["partitions"]
        if not p["is_future_key"]
    }


def _throttles(admin: Any, broker_ids: list[int], topics: list[str]) -> tuple[str, ...]:
    from kafka.admin import ConfigFilterType, ConfigResource, ConfigResourceType

    resources = [
        ConfigResource(ConfigResourceType.BROKER, str(b), list(_RATES)) for b in broker_ids
    ]
    resources += [ConfigResource(ConfigResourceType.TOPIC, t, list(_LISTS)) for t in topics]
    found = admin.describe_configs(resources, config_filter=ConfigFilterType.ALL)
    return tuple(
        f"{kind} {name}: {key}={entry['value']}"
        for kind, named in sorted(found.items())
        for name, entries in sorted(named.items())
        for key, entry in entries.items()
        if entry["value"] and str(entry["config_source"]) in _DYNAMIC
    )
