"""Which keys each node's settings need for each step from ZooKeeper to KRaft and back (KIP-866,
Kafka 3.9).

Pure; called by the performer that restarts nodes, and by `kraft plan`. The keys are those of
Kafka's own procedure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MIGRATION_FLAG = "zookeeper.metadata.migration.enable"
_AUTHORIZERS = {
    "kafka.security.authorizer.AclAuthorizer": (
        "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    ),
}
# What a broker's settings may keep of ZooKeeper in none of KRaft's modes.
_ONLY_ZOOKEEPER = (
    "inter.broker.protocol.version",
    "control.plane.listener.name",
    "broker.id",
    MIGRATION_FLAG,
)


class NodeMode(StrEnum):
    """What a node's settings make of it."""

    ZOOKEEPER = "zookeeper"  # a broker as it always was
    # ZooKeeper still, and known to the KRaft controllers; or a controller that migrates
    MIGRATION = "migration"
    KRAFT = "kraft"
    STOPPED = "stopped"  # a controller that has been taken away
    UNKNOWN = "unknown"  # not seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """The controllers to come, as each node's settings name them."""

    voters: tuple[tuple[int, str], ...]  # (node id, host:port)
    listener_name: str = "CONTROLLER"
    security_protocol: str = "PLAINTEXT"
    inter_broker_listener_name: str = "PLAINTEXT"

    @property
    def property_value(self) -> str:
        """`controller.quorum.voters`: the static form, which a migration requires."""
        return ",".join(f"{node}@{address}" for node, address in self.voters)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """The exact keys to set and to remove in one node's settings; `before` has the values that
    were there.
    """

    node_id: int
    is_controller: bool
    target: NodeMode
    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    # its copy of __cluster_metadata is of a migration that was undone
    wipe_metadata_log: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the node needs no change."""
        return not self.set and not self.remove

    def instructions(self) -> str:
        """For people, in a line or two."""
        kind = "controller" if self.is_controller else "broker"
        if self.target is NodeMode.STOPPED:
            return f"stop {kind} {self.node_id} and take it away"
        says = f"restart {kind} {self.node_id} in mode {self.target}"
        if self.is_empty:
            return f"{says}, with the keys that it has"
        if self.set:
            says += f"; set {', '.join(f'{k}={v}' for k, v in self.set)}"
        if self.remove:
            says += f"; remove {', '.join(self.remove)}"
        if self.wipe_metadata_log:
            what = (
                "format its folder anew"
                if self.is_controller
                else "delete its folder __cluster_metadata-0"
            )
            says += f"; while it is down {what}, if there is one"
        return says

    def properties_diff(self) -> str:
        """As a diff of the properties file: `-` goes, `+` comes."""
        old = dict(self.before)
        lines = [f"-{key}={old.get(key, '')}" for key in self.remove]
        for key, value in self.set:
            if key in old:
                lines.append(f"-{key}={old[key]}")
            lines.append(f"+{key}={value}")
        return "\n".join(lines)

    def kubernetes_patch(self) -> str:
        """As a strategic merge patch (JSON) of the pod template of a workload whose image reads
        KAFKA_... variables.
        """
        env: list[dict[str, str]] = [
            {"name": _variable(key), "value": value} for key, value in self.set
        ]
        env += [{"name": _variable(key), "$patch": "delete"} for key in self.remove]
        container = {"name": "kafka", "env": env}
        return json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})


def _variable(key: str) -> str:
    """Kafka's images: dots become `_`, `_` becomes `__`, `-` becomes `___`."""
    return "KAFKA_" + key.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def broker_mode(settings: Mapping[str, str]) -> NodeMode:
    """What a broker is by the settings that it shows."""
    if not settings:
        return NodeMode.UNKNOWN
    if settings.get("process.roles"):
        return NodeMode.KRAFT
    return NodeMode.MIGRATION if settings.get(MIGRATION_FLAG) == "true" else NodeMode.ZOOKEEPER


def as_in_file(settings: Mapping[str, str]) -> dict[str, str]:
    """Kafka shows node.id and broker.id for one another, whichever of them the file has: keep the
    mode's own.
    """
    shown_only = "broker.id" if settings.get("process.roles") else "node.id"
    return {k: v for k, v in settings.items() if k != shown_only}


def broker_change(
    broker_id: int,
    target: NodeMode,
    now: Mapping[str, str],
    original: Mapping[str, str],
    quorum: Quorum,
) -> NodeChange:
    """What must change in a broker's settings.

    In: its id, the wanted mode, the settings that its file has now, and the values that the keys
    had before the first change. Out: the change; empty if the broker has that mode already.
    """
    now = as_in_file(now)
    wanted = {
        **{k: v for k, v in now.items() if not _is_migration_key(k)},
        **_migration_keys(broker_id, target, now, original, quorum),
    }
    return _difference(broker_id, is_controller=False, target=target, now=now, wanted=wanted)


def _is_migration_key(key: str) -> bool:
    return key.startswith(("zookeeper.", "controller.", "process.")) or key in {
        "node.id", "authorizer.class.name", "listener.security.protocol.map", *_ONLY_ZOOKEEPER,
    }  # fmt: skip


def migration_keys_of(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that a migration may change: what has to be kept for the way back."""
    return {k: v for k, v in as_in_file(settings).items() if _is_migration_key(k)}


def _migration_keys(
    broker_id: int,
    target: NodeMode,
    now: Mapping[str, str],
    original: Mapping[str, str],
    quorum: Quorum,
) -> dict[str, str]:
    first = migration_keys_of(original or now)
    if target is NodeMode.ZOOKEEPER:
        return {k: v for k, v in first.items() if k != MIGRATION_FLAG}
    joined = {
        **first,
        "controller.quorum.voters": quorum.property_value,
        "controller.listener.names": quorum.listener_name,
        "listener.security.protocol.map": _with_listener(
            first.get("listener.security.protocol.map"), quorum
        ),
    }
    if target is NodeMode.MIGRATION:
        return {**joined, MIGRATION_FLAG: "true"}
    authorizer = joined.get("authorizer.class.name", "")
    kept = {
        k: v
        for k, v in joined.items()
        if not k.startswith("zookeeper.") and k not in _ONLY_ZOOKEEPER
    }
    if authorizer in _AUTHORIZERS:
        kept["authorizer.class.name"] = _AUTHORIZERS[authorizer]
    return {**kept, "process.roles": "broker", "node.id": str(broker_id)}


# What Kafka takes when the key is not set; a key that is set replaces all of it.
_DEFAULT_MAP = "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"


def _with_listener(value: str | None, quorum: Quorum) -> str:
    entries = [
        e for e in (value or _DEFAULT_MAP).split(",") if e.partition(":")[0] != quorum.listener_name
    ]
    return ",".join([*entries, f"{quorum.listener_name}:{quorum.security_protocol}"])


def controller_change(node_id: int, target: NodeMode, zookeeper: str, quorum: Quorum) -> NodeChange:
    """What a controller's settings must have: all of it before its first start, nothing of
    ZooKeeper at the end.
    """
    migrating = {MIGRATION_FLAG: "true", "zookeeper.connect": zookeeper}
    if target is NodeMode.STOPPED:
        return NodeChange(node_id=node_id, is_controller=True, target=target)
    if target is NodeMode.KRAFT:
        return NodeChange(
            node_id=node_id, is_controller=True, target=target,
            remove=tuple(sorted(migrating)), before=tuple(sorted(migrating.items())),
        )  # fmt: skip
    address = dict(quorum.voters)[node_id]
    wanted = {
        "process.roles": "controller",
        "node.id": str(node_id),
        "controller.quorum.voters": quorum.property_value,
        "controller.listener.names": quorum.listener_name,
        "listeners": f"{quorum.listener_name}://{address}",
        "listener.security.protocol.map": _with_listener(None, quorum),
        "inter.broker.listener.name": quorum.inter_broker_listener_name,
        **migrating,
    }
    return NodeChange(
        node_id=node_id, is_controller=True, target=target, set=tuple(sorted(wanted.items()))
    )


def _difference(
    node_id: int,
    *,
    is_controller: bool,
    target: NodeMode,
    now: Mapping[str, str],
    wanted: Mapping[str, str],
) -> NodeChange:
    changed = {k: v for k, v in wanted.items() if now.get(k) != v}
    gone = sorted(now.keys() - wanted.keys())
    return NodeChange(
        node_id=node_id,
        is_controller=is_controller,
        target=target,
        set=tuple(sorted(changed.items())),
        remove=tuple(gone),
        before=tuple((k, now[k]) for k in sorted({*changed, *gone}) if k in now),
    )
