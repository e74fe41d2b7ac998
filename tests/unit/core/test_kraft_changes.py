"""The keys of each step are those of Kafka's procedure, and the way back restores the file as
it was.
"""

import pytest

from agent.core.kraft.node_config import (
    NodeMode,
    Quorum,
    as_in_file,
    broker_change,
    broker_mode,
    controller_change,
    migration_keys_of,
)

QUORUM = Quorum(voters=((71, "c1:9093"), (72, "c2:9093")))
FILE = {
    "broker.id": "11",
    "node.id": "11",  # Kafka shows it though the file has only broker.id
    "zookeeper.connect": "zk:2181",
    "zookeeper.session.timeout.ms": "6000",
    "inter.broker.protocol.version": "3.9",
    "control.plane.listener.name": "CP",
    "log.dirs": "/data",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CP:SSL",
    "authorizer.class.name": "kafka.security.authorizer.AclAuthorizer",
}


def apply(file: dict[str, str], change: object) -> dict[str, str]:
    kept = {k: v for k, v in as_in_file(file).items() if k not in change.remove}  # type: ignore[attr-defined]
    return {**kept, **dict(change.set)}  # type: ignore[attr-defined]


def test_into_migration_mode() -> None:
    """The flag, the quorum and the controller listener come; nothing goes."""
    change = broker_change(11, NodeMode.MIGRATION, FILE, {}, QUORUM)
    assert change.remove == ()
    assert dict(change.set) == {
        "zookeeper.metadata.migration.enable": "true",
        "controller.quorum.voters": "71@c1:9093,72@c2:9093",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CP:SSL,CONTROLLER:PLAINTEXT",
    }


def test_into_kraft_mode() -> None:
    """All of ZooKeeper goes, broker.id becomes node.id, the authorizer is KRaft's; what is not
    ours stays.
    """
    hybrid = apply(FILE, broker_change(11, NodeMode.MIGRATION, FILE, {}, QUORUM))
    file = apply(hybrid, broker_change(11, NodeMode.KRAFT, hybrid, migration_keys_of(FILE), QUORUM))
    assert not [k for k in file if k.startswith("zookeeper.")]
    assert "broker.id" not in file
    assert "inter.broker.protocol.version" not in file
    assert "control.plane.listener.name" not in file
    assert (file["process.roles"], file["node.id"], file["log.dirs"]) == ("broker", "11", "/data")
    assert (
        file["authorizer.class.name"] == "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    )


@pytest.mark.parametrize(
    "via", [(NodeMode.MIGRATION,), (NodeMode.MIGRATION, NodeMode.KRAFT, NodeMode.MIGRATION)]
)
def test_the_way_back_restores_the_file(via: tuple[NodeMode, ...]) -> None:
    """From migration mode, and from KRaft by way of it: the very file from before."""
    file, original = dict(FILE), migration_keys_of(FILE)
    for mode in (*via, NodeMode.ZOOKEEPER):
        file = apply(file, broker_change(11, mode, file, original, QUORUM))
        assert broker_mode(file) is mode
    assert file == as_in_file(FILE)


def test_what_is_that_already_needs_no_change() -> None:
    """Asked again after a crash, the change is empty."""
    hybrid = apply(FILE, broker_change(11, NodeMode.MIGRATION, FILE, {}, QUORUM))
    assert broker_change(11, NodeMode.MIGRATION, hybrid, migration_keys_of(FILE), QUORUM).is_empty


def test_a_controller_from_first_start_to_the_end() -> None:
    """All it needs before its first start; at the end only ZooKeeper's keys go."""
    first = dict(controller_change(72, NodeMode.MIGRATION, "zk:2181", QUORUM).set)
    assert (first["process.roles"], first["listeners"]) == ("controller", "CONTROLLER://c2:9093")
    assert (first["zookeeper.connect"], first["zookeeper.metadata.migration.enable"]) == (
        "zk:2181",
        "true",
    )
    last = controller_change(72, NodeMode.KRAFT, "zk:2181", QUORUM)
    assert last.set == ()
    assert set(last.remove) == {"zookeeper.connect", "zookeeper.metadata.migration.enable"}
