"""The JSON bodies with the recorded keys: values in, dictionaries out."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from deploy.lab.standin.cluster import NO_LEADER, ClusterView, LogDirs, Partition, TopicPartition
from deploy.lab.standin.model import BrokerLoad, ClusterModel
from deploy.lab.standin.plan import Plan, Proposal
from deploy.lab.standin.tasks import Progress, TaskState, UserTask

JSON_VERSION = 1
_BROKER_DEAD = ["broker_dead"]


def versioned(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "version": JSON_VERSION}


# ---- kafka_cluster_state


def kafka_cluster_state(
    view: ClusterView,
    log_dirs: LogDirs,
    min_in_sync: Mapping[str, int],
    shown: Collection[TopicPartition],
    *,
    verbose: bool,
) -> dict[str, Any]:
    """`shown` are the requested partitions. The counts are always those of the whole cluster."""
    return versioned(
        {
            "KafkaPartitionState": _partition_state(view, min_in_sync, shown, verbose=verbose),
            "KafkaBrokerState": _broker_state(view, log_dirs),
        }
    )


def _partition_state(
    view: ClusterView,
    min_in_sync: Mapping[str, int],
    shown: Collection[TopicPartition],
    *,
    verbose: bool,
) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {
        "offline": [],
        "urp": [],
        "with-offline-replicas": [],
        "under-min-isr": [],
    }
    others = []
    for tp in sorted(shown):
        partition = view.partitions[tp]
        row = _partition_row(partition, min_in_sync.get(tp.topic, 1))
        belongs = {
            "offline": partition.leader == NO_LEADER,
            # A partition that moves counts as well, which misleads readers of this field.
            "urp": len(partition.in_sync) != len(partition.replicas),
            "with-offline-replicas": bool(partition.offline),
            "under-min-isr": len(partition.in_sync) < row["min-isr"],
        }
        for group, is_member in belongs.items():
            if is_member:
                groups[group].append(row)
        if not any(belongs.values()):
            others.append(row)
    return {**groups, "other": others} if verbose else groups


def _partition_row(partition: Partition, min_in_sync: int) -> dict[str, Any]:
    return {
        "topic": partition.tp.topic,
        "partition": partition.tp.partition,
        "leader": partition.leader,
        "replicas": list(partition.replicas),
        "in-sync": list(partition.in_sync),
        "out-of-sync": [broker for broker in partition.replicas if broker not in partition.in_sync],
        "offline": list(partition.offline),
        "min-isr": min_in_sync,
    }


def _broker_state(view: ClusterView, log_dirs: LogDirs) -> dict[str, Any]:
    leaders: Counter[int] = Counter()
    replicas: Counter[int] = Counter()
    out_of_sync: Counter[int] = Counter()
    offline: Counter[int] = Counter()
    for partition in view.partitions.values():
        if partition.leader != NO_LEADER:
            leaders[partition.leader] += 1
        replicas.update(partition.replicas)
        out_of_sync.update(set(partition.replicas) - set(partition.in_sync))
        offline.update(partition.offline)
    for broker in view.brokers:
        if broker not in replicas:  # only brokers without any replica have an entry of zero
            for count in (leaders, replicas, out_of_sync, offline):
                count[broker] = 0
    everyone = sorted(replicas)
    return {
        "ReplicaCountByBrokerId": _by_id(replicas),
        "LeaderCountByBrokerId": _by_id(leaders),
        "OutOfSyncCountByBrokerId": _by_id(out_of_sync),
        "OfflineReplicaCountByBrokerId": _by_id(offline),
        "IsController": {str(broker): broker == view.controller for broker in everyone},
        "OnlineLogDirsByBrokerId": {
            str(b): _directories(view, log_dirs.directories, b) for b in everyone
        },
        "OfflineLogDirsByBrokerId": {
            str(b): _directories(view, log_dirs.offline_directories, b) for b in everyone
        },
        "BrokerSetByBrokerId": {},
        "Summary": _summary(view, replicas, leaders),
    }


def _directories(view: ClusterView, found: Mapping[int, tuple[str, ...]], broker: int) -> list[str]:
    return list(found.get(broker, ())) if broker in view.brokers else _BROKER_DEAD


def _by_id(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(broker): counts[broker] for broker in sorted(counts)}


def _summary(
    view: ClusterView, replicas: Mapping[int, int], leaders: Mapping[int, int]
) -> dict[str, Any]:
    brokers = len(replicas) or 1
    average_leaders = sum(leaders.values()) / brokers
    average_replicas = sum(replicas.values()) / brokers
    return {
        "Brokers": len(replicas),
        "Topics": len({tp.topic for tp in view.partitions}),
        "Replicas": sum(replicas.values()),
        "Leaders": sum(leaders.values()),
        "AvgReplicationFactor": sum(replicas.values()) / (len(view.partitions) or 1),
        "AvgReplicasPerBroker": average_replicas,
        "AvgLeadersPerBroker": average_leaders,
        "MaxReplicasPerBroker": max(replicas.values(), default=0),
        "MaxLeadersPerBroker": max(leaders.values(), default=0),
        "StdReplicasPerBroker": _deviation(replicas.values(), average_replicas, brokers),
        "StdLeadersPerBroker": _deviation(leaders.values(), average_leaders, brokers),
    }


def _deviation(values: Iterable[int], average: float, count: int) -> float:
    return math.sqrt(sum((value - average) ** 2 for value in values) / count)


# ---- load


def load(
    model: ClusterModel, disk_capacity_mb: float, network_capacity_kb: float
) -> dict[str, Any]:
    """The load without the version, because the same object is part of proposals."""
    rows = [
        _broker_load(model, row, disk_capacity_mb, network_capacity_kb) for row in model.loads()
    ]
    hosts: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["Host"].startswith("UNKNOWN_HOST"):
            continue
        host = hosts.setdefault(row["Host"], {"Host": row["Host"], "Rack": row["Rack"]})
        for key, value in row.items():
            if isinstance(value, int | float) and key not in {"Broker", "DiskPct"}:
                host[key] = host.get(key, 0) + value
        host["DiskPct"] = (
            100.0 * host["DiskMB"] / host["DiskCapacityMB"] if host["DiskCapacityMB"] else -1.0
        )
    return {"brokers": rows, "hosts": list(hosts.values())}


def _broker_load(
    model: ClusterModel, row: BrokerLoad, disk_mb: float, network_kb: float
) -> dict[str, Any]:
    known = model.view.brokers.get(row.broker)
    return {
        "Broker": row.broker,
        "BrokerState": "ALIVE" if row.alive else "DEAD",
        "Host": known.host if known else "UNKNOWN_HOST-0",
        "Rack": model.view.rack(row.broker),
        "Leaders": row.leaders,
        "Replicas": row.replicas,
        "NumCore": 1.0 if row.alive else 0.0,
        "CpuPct": 0.0,
        "DiskMB": row.disk_mb,
        "DiskCapacityMB": disk_mb if row.alive else 0.0,
        "DiskPct": 100.0 * row.disk_mb / disk_mb if row.alive else -1.0,
        "LeaderNwInRate": row.leader_in_kb,
        "FollowerNwInRate": row.follower_in_kb,
        "NetworkInCapacity": network_kb if row.alive else 0.0,
        "NwOutRate": row.out_kb,
        "PnwOutRate": row.potential_out_kb,
        "NetworkOutCapacity": network_kb if row.alive else 0.0,
    }


def partition_load(model: ClusterModel, resource: str, entries: int) -> dict[str, Any]:
    records = []
    for tp, partition in model.view.partitions.items():
        rate = model.bytes_in_per_second.get(tp, 0.0) / 1024
        records.append(
            {
                "topic": tp.topic,
                "partition": tp.partition,
                "leader": partition.leader,
                "followers": [
                    broker for broker in partition.replicas if broker != partition.leader
                ],
                "cpu": 0.0,
                "disk": model.size_bytes.get(tp, 0) / (1024 * 1024),
                "networkInbound": rate,
                "networkOutbound": rate * (len(partition.replicas) - 1),
                "msg_in": 0.0,
            }
        )
    records.sort(key=lambda record: -record[resource])  # type: ignore[operator]  # every resource is a number
    return versioned({"records": records[:entries]})


# ---- proposals


def optimization_result(
    plan: Plan,
    *,
    excluded: Collection[int],
    recent_windows: int,
    disk_capacity_mb: float,
    network_capacity_kb: float,
    verbose: bool,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "summary": {
            "numReplicaMovements": plan.replica_movements,
            "dataToMoveMB": plan.data_to_move_mb,
            "numIntraBrokerReplicaMovements": 0,
            "intraBrokerDataToMoveMB": 0,
            "numLeaderMovements": plan.leader_movements,
            "recentWindows": recent_windows,
            "monitoredPartitionsPercentage": 100.0,
            "excludedTopics": [],
            "excludedBrokersForReplicaMove": list(excluded),
            "excludedBrokersForLeadership": [],
            "onDemandBalancednessScoreBefore": plan.balancedness_before,
            "onDemandBalancednessScoreAfter": plan.balancedness_after,
            "provisionStatus": "RIGHT_SIZED",
            "provisionRecommendation": "",
        }
    }
    if verbose:
        body["proposals"] = [proposal(p) for p in plan.proposals]
        body["loadBeforeOptimization"] = load(plan.before, disk_capacity_mb, network_capacity_kb)
    statistics = {
        "metadata": {
            "brokers": len(plan.after.brokers()),
            "replicas": sum(len(p.replicas) for p in plan.after.view.partitions.values()),
            "topics": len({tp.topic for tp in plan.after.view.partitions}),
        },
        "statistics": plan.after.statistics(),
    }
    body["goalSummary"] = [
        {
            "goal": goal,
            "status": plan.goal_status[goal],
            "optimizationTimeMs": 0,
            "clusterModelStats": statistics,
        }
        for goal in plan.goals
    ]
    body["loadAfterOptimization"] = load(plan.after, disk_capacity_mb, network_capacity_kb)
    return versioned(body)


def proposal(value: Proposal) -> dict[str, Any]:
    return {
        "topicPartition": {
            "topic": value.tp.topic,
            "partition": value.tp.partition,
            "hash": java_hash(value.tp),
        },
        "oldLeader": value.old_leader,
        "oldReplicas": list(value.old_replicas),
        "newReplicas": list(value.new_replicas),
    }


def java_hash(tp: TopicPartition) -> int:
    """The `hashCode()` of Kafka's TopicPartition."""
    topic = 0
    for character in tp.topic:
        topic = (31 * topic + ord(character)) & 0xFFFFFFFF
    value = (31 * (31 + tp.partition) + topic) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


# ---- user tasks


def user_task(task: UserTask, original_response: str | None) -> dict[str, Any]:
    body = {
        "UserTaskId": task.id,
        "Status": task.state.value,
        "RequestURL": task.method_and_url,
        "ClientIdentity": task.client,
        "StartMs": str(int(task.started * 1000)),
    }
    if original_response is not None and task.state is not TaskState.ACTIVE:
        body["originalResponse"] = original_response
    return body


def progress(value: Progress, now: float) -> dict[str, Any]:
    steps = [
        {
            "step": step.name,
            "description": step.description,
            "time-in-ms": int(((step.ended or now) - step.started) * 1000),
            "completionPercentage": 100.0,
        }
        for step in value.steps
    ]
    return versioned({"progress": [{"operation": value.operation, "operationProgress": steps}]})
