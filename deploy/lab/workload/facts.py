"""What Kafka itself shows of a cluster, read with an admin client of its own: for judging a
migration from outside.

Used by the demo and by tests. Must use nothing of the agent: what it says of itself is not proof.
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
    """One partition as the metadata has it."""

    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """A cluster at one moment."""

    racks: dict[int, str]
    partitions: dict[Name, PartitionFacts]
    log_dirs: dict[int, dict[Name, int]]  # live broker -> replica on its disks -> bytes
    reassignments: int  # in flight
    throttles: tuple[str, ...]  # dynamic throttle settings, wherever they are

    def assigned_to(self, broker_ids: Collection[int]) -> int:
        """Replicas that the assignment names there, whatever still lies on their disks."""
        return sum(1 for p in self.partitions.values() for r in p.replicas if r in broker_ids)

    def replicas_on(self, broker_ids: Collection[int]) -> int:
        """Assigned to these brokers, or lying on their disks, whichever is more."""
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
        """Replicas that came, or whose copy grew, where they were not at home: (broker, partition).

        By the disks, which do not lag as metadata does. A copy that is there anew and empty, of a
        partition that is not assigned there, has not moved: a broker that is behind the controller
        still obeys what was cancelled long ago, and the leader refuses its first fetch.
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
        # With more replicas than it had it is between two assignments, or was, by the word of a
        # broker that is behind.
        settled = now is not None and (then is None or len(now.replicas) <= len(then.replicas))
        at_home = settled and now is not None and broker_id in now.replicas
        return had is None if at_home else size > (had or 0)

    @property
    def out_of_sync(self) -> int:
        """Partitions without full ISR."""
        return sum(1 for p in self.partitions.values() if set(p.replicas) != set(p.isr))

    @property
    def not_led_by_preferred(self) -> int:
        return sum(1 for p in self.partitions.values() if p.leader != p.replicas[0])

    def az_spread(self) -> dict[Name, tuple[str, ...]]:
        """The AZs of each partition's replicas, sorted: the same before and after a migration."""
        return {
            name: tuple(sorted(self.racks.get(r, "?") for r in p.replicas))
            for name, p in self.partitions.items()
        }


def look(to: str | KafkaConnection) -> Facts:
    """Ask Kafka for everything.

    Blocking, seconds; raises KafkaError when the cluster does not answer.
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
    """What Kafka is busy with copying at one moment."""

    reassignments: int
    bytes_copied: int  # of these, lying on the brokers that are to hold them
    bytes_to_come: int


def in_flight(to: str | KafkaConnection) -> Flight:
    """Ask Kafka for its reassignments and how far each of them is. Blocking."""
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
    """Each copy against the largest replica of its partition: what has ended since the list was
    read counts nothing.
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
