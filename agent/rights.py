"""Who needs which rights (Kafka ACLs): one table, for `kafka-migration acls` and for the secure
lab.

Pure. What stands here is tested in a cluster that grants nothing else.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What a right is about; the value is the option of Kafka's own `kafka-acls`."""

    CLUSTER = "cluster"
    TOPIC = "topic"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Grant:
    """Some operations on one resource, or on all whose names begin with `name`."""

    resource: Resource
    name: str  # "*": all of them
    operations: tuple[str, ...]  # as kafka-acls spells them
    prefixed: bool = False


DRIVER_GROUP = "kafka-migration-driver"
METRICS_TOPIC = "__CruiseControlMetrics"
_SEE = ("Describe", "DescribeConfigs")
_CHANGE = (*_SEE, "Alter", "AlterConfigs")


def control(prefix: str, app_id: str) -> dict[str, tuple[Grant, ...]]:
    """Roles on the control Kafka.

    Whoever may write `commands` moves data; whoever may write `metrics` can pause it.

    `prefix`: of the control topics; `app_id`: the agent's.
    """
    reads = tuple(_topic(prefix + name, "Describe", "Read") for name in ("events", "status"))
    owned = ("inbox", "events", "status", "rejected", "snapshots")
    return {
        "agent": (
            *(
                _topic(prefix + name, *_SEE, "Create", "Read", "Write", "AlterConfigs")
                for name in owned
            ),
            *(_topic(prefix + name, *_SEE, "Create", "Read") for name in ("commands", "metrics")),
            # Faust's table
            Grant(Resource.TOPIC, f"{app_id}-", (*_SEE, "Create", "Read", "Write"), prefixed=True),
            Grant(Resource.GROUP, app_id, ("Describe", "Read")),
        ),
        "operator": (_topic(f"{prefix}commands", "Describe", "Write"), *reads),
        "observer": (*reads, _topic(f"{prefix}rejected", "Describe", "Read")),
        "metrics": (_topic(f"{prefix}metrics", "Describe", "Write"),),
    }


def cluster() -> dict[str, tuple[Grant, ...]]:
    """Roles on a migrated cluster.

    No role of ours may read or write its messages: brokers' metrics are none.
    """
    changes = (
        Grant(Resource.CLUSTER, "kafka-cluster", _CHANGE),
        Grant(Resource.TOPIC, "*", _CHANGE),
    )
    sees = (Grant(Resource.CLUSTER, "kafka-cluster", _SEE), Grant(Resource.TOPIC, "*", _SEE))
    own = ("Create", "Read", "Write")
    return {
        # Without ZooKeeper its place in this group is the lease: one driver a cluster.
        "agent": (
            *changes,
            Grant(Resource.GROUP, DRIVER_GROUP, ("Describe", "Read")),
            # how far groups are behind, before and after a wave
            Grant(Resource.GROUP, "*", ("Describe",)),
            # does each destination report to Cruise Control
            Grant(Resource.TOPIC, METRICS_TOPIC, ("Read",)),
        ),
        "cruise-control": (
            *changes,
            Grant(Resource.TOPIC, METRICS_TOPIC, own),
            Grant(Resource.TOPIC, "__KafkaCruiseControl", own, prefixed=True),
            Grant(Resource.GROUP, "*", ("Describe", "Read")),
        ),
        "watcher": sees,
    }


def commands(
    roles: Mapping[str, Iterable[Grant]],
    principals: Mapping[str, Iterable[str]],
    bootstrap_servers: str,
    config: str,
) -> list[str]:
    """As `kafka-acls` commands for a shell.

    `principals`: role -> who has it; `config`: the admin's client settings.
    """
    lines = []
    for role, grants in roles.items():
        for principal in principals.get(role, ()):
            for grant in grants:
                words = ["kafka-acls", "--bootstrap-server", bootstrap_servers]
                words += ["--command-config", config] if config else []
                words += ["--add", "--allow-principal", principal]
                words += [
                    word for operation in grant.operations for word in ("--operation", operation)
                ]
                words += (
                    ["--cluster"]
                    if grant.resource is Resource.CLUSTER
                    else [f"--{grant.resource}", grant.name]
                )
                words += ["--resource-pattern-type", "prefixed"] if grant.prefixed else []
                lines.append(shlex.join(words))
    return lines


def _topic(name: str, *operations: str) -> Grant:
    return Grant(Resource.TOPIC, name, operations)
