"""The Kafka ACLs that each role needs, for `kafka-migration acls` and for the secure lab.

Pure. Tests run in a secure lab that grants nothing but these.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """The kind of a resource; the value is the option's name in Kafka's own `kafka-acls`."""

    CLUSTER = "cluster"
    TOPIC = "topic"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for operations on one resource, or on all whose names begin with `name`."""

    resource: Resource
    name: str  # "*" means all resources of this kind
    operations: tuple[str, ...]  # spelled as in kafka-acls
    prefixed: bool = False


DRIVER_GROUP = "kafka-migration-driver"
METRICS_TOPIC = "__CruiseControlMetrics"
_SEE = ("Describe", "DescribeConfigs")
_CHANGE = (*_SEE, "Alter", "AlterConfigs")


def control(prefix: str, app_id: str) -> dict[str, tuple[Grant, ...]]:
    """Returns the grants of each role on the control Kafka.

    `prefix` is that of the control topics, and `app_id` the agent's consumer group. Whoever may
    write to `commands` can move data; whoever may write to `metrics` can pause a migration.
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
    """Returns the grants of each role on a cluster that is migrated.

    None of them allows reading or writing the messages of applications.
    """
    changes = (
        Grant(Resource.CLUSTER, "kafka-cluster", _CHANGE),
        Grant(Resource.TOPIC, "*", _CHANGE),
    )
    sees = (Grant(Resource.CLUSTER, "kafka-cluster", _SEE), Grant(Resource.TOPIC, "*", _SEE))
    own = ("Create", "Read", "Write")
    return {
        # Without ZooKeeper, membership in this group is the lease that allows one driver only.
        "agent": (
            *changes,
            Grant(Resource.GROUP, DRIVER_GROUP, ("Describe", "Read")),
            # to compare the lag of consumer groups before and after a wave
            Grant(Resource.GROUP, "*", ("Describe",)),
            # to check that each destination broker reports its metrics to Cruise Control
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
    """Returns the grants as `kafka-acls` commands for a shell.

    `principals` names who has each role, and `config` is the file of the admin's client settings.
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
