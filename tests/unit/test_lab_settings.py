"""What the lab's nodes are told, and where they stand: pure functions."""

from pathlib import Path
from typing import Any

import pytest

from deploy.lab import BrokerSpec, CruiseControlKind, LabConfig, Role
from deploy.lab.cluster import properties, real_cruise_control
from deploy.lab.cluster.internal_topics import missing, specifications
from deploy.lab.cluster.launch import Folders, settings_of

REAL = LabConfig(
    cruise_control_class_path="/opt/cc/cruise-control-metrics-reporter-2.5.143.jar:/opt/cc/kafka.jar"
)


def test_every_node_has_a_port_of_its_own() -> None:
    """No two nodes of a lab share a port, and all ports lie in the lab's block of one hundred."""
    config = LabConfig(base_port=29000)
    assert len(config.ports) == len(config.nodes) + 1  # the control Kafka has two
    assert all(29000 <= port < 29100 for port in config.ports)


def test_two_labs_share_no_port() -> None:
    """Labs whose base ports are one block apart can run side by side."""
    assert not LabConfig(base_port=29000).ports.keys() & LabConfig(base_port=29100).ports.keys()


def test_each_zone_has_a_source_and_a_destination() -> None:
    """A broker can be moved to its own AZ: both sides have the same racks."""
    racks = {role: sorted(b.rack for b in LabConfig().brokers if b.role is role) for role in Role}
    assert racks[Role.SOURCE] == racks[Role.DESTINATION] == ["az-a", "az-b", "az-c"]


def test_class_path_chooses_the_real_cruise_control() -> None:
    """AUTO means the real Cruise Control when its class path is given, else the stand-in."""
    assert REAL.cruise_control_kind is CruiseControlKind.REAL
    assert LabConfig(cruise_control_class_path="").cruise_control_kind is CruiseControlKind.STAND_IN


def test_unsafe_shortcuts_are_not_taken(tmp_path: Path) -> None:
    """What concerns safety is as in a real cluster: no unclean election, controlled shutdown,
    no topic by accident.
    """
    config = LabConfig(directory=tmp_path)
    settings = settings_of(config, config.node("broker-12"))
    assert settings["unclean.leader.election.enable"] == "false"
    assert settings["controlled.shutdown.enable"] == "true"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["transaction.state.log.min.isr"] == "2"
    assert (settings["broker.id"], settings["broker.rack"]) == ("12", "az-b")
    assert settings["inter.broker.protocol.version"] == "3.9"


def test_reporter_runs_only_beside_the_real_cruise_control(tmp_path: Path) -> None:
    """Brokers load Cruise Control's metrics reporter when, and only when, the real one will
    read it.
    """
    with_real = REAL.model_copy(update={"directory": tmp_path})
    stand_in = LabConfig(directory=tmp_path, cruise_control_class_path="")
    reporter = {"metric.reporters": real_cruise_control.REPORTER_CLASS}
    assert settings_of(with_real, with_real.node("broker-11")).items() >= reporter.items()
    assert "metric.reporters" not in settings_of(stand_in, stand_in.node("broker-11"))


def test_reporter_brings_none_of_the_other_jars(tmp_path: Path) -> None:
    """Of Cruise Control's class path a broker gets the reporter alone, also when it is written
    as a folder.
    """
    for name in ("cruise-control-metrics-reporter-2.5.143.jar", "kafka-clients-3.9.1.jar"):
        (tmp_path / name).touch()
    assert real_cruise_control.reporter_class_path(f"{tmp_path}/*") == str(
        tmp_path / "cruise-control-metrics-reporter-2.5.143.jar"
    )
    with pytest.raises(ValueError, match="metrics reporter"):
        real_cruise_control.reporter_class_path("/opt/cc/kafka.jar")


def _cruise_control(tmp_path: Path, **chosen: Any) -> properties.Properties:
    config = REAL.model_copy(update={"directory": tmp_path, **chosen})
    return settings_of(config, config.cruise_control_node)


def test_real_cruise_control_keeps_its_stock_limits(tmp_path: Path) -> None:
    """The lab sets no limit of Cruise Control: of user tasks, of movements, of how often it
    looks.
    """
    limits = (
        "max.",
        "completed.",
        "num.concurrent.",
        "execution.",
        "min.execution.",
        "webserver.request.",
        "auto.",
    )
    assert [key for key in _cruise_control(tmp_path) if key.startswith(limits)] == []


def test_real_cruise_control_heals_when_told(tmp_path: Path) -> None:
    """Cruise Control's own SelfHealingNotifier runs, switched off: the default one would never
    heal, whatever is on.
    """
    settings = _cruise_control(tmp_path)
    assert settings["anomaly.notifier.class"].endswith(".SelfHealingNotifier")
    assert settings["self.healing.enabled"] == "false"


@pytest.mark.parametrize(
    "chosen", [{"kraft": True}, {"controller_ids": (71, 72, 73)}, {"secure": True}]
)
def test_real_cruise_control_needs_no_zookeeper_to_see_brokers_fail(
    tmp_path: Path, chosen: dict[str, Any]
) -> None:
    """Where ZooKeeper is absent, will be stopped or asks for a login, Cruise Control asks Kafka
    for broker failures.
    """
    config = REAL.model_copy(update={"directory": tmp_path, **chosen})
    settings = real_cruise_control.cruise_control_properties(config, tmp_path)
    assert settings["kafka.broker.failure.detection.enable"] == "true"
    assert "zookeeper.connect" not in settings


def test_real_cruise_control_of_a_zookeeper_cluster_is_stock(tmp_path: Path) -> None:
    """With ZooKeeper there for good, Cruise Control watches it for broker failures, as it does
    by default.
    """
    settings = _cruise_control(tmp_path)
    assert settings["zookeeper.connect"] == REAL.zookeeper.address
    assert "kafka.broker.failure.detection.enable" not in settings


def test_overrides_set_and_remove(tmp_path: Path) -> None:
    """Settings of the config and of the last start are laid over the lab's own; None removes a
    key.
    """
    config = LabConfig(
        directory=tmp_path, properties={"broker-11": {"num.io.threads": "9", "broker.rack": None}}
    )
    node = config.node("broker-11")
    assert settings_of(config, node)["num.io.threads"] == "9"
    assert "broker.rack" not in settings_of(config, node)
    Folders(tmp_path).overrides("broker-11").parent.mkdir(parents=True)
    Folders(tmp_path).overrides("broker-11").write_text('{"num.io.threads": "3"}')
    assert settings_of(config, node)["num.io.threads"] == "3"
    assert settings_of(config, config.node("broker-12"))["num.io.threads"] != "3"


def placed_by(config: LabConfig) -> dict[str, list[list[int]]]:
    """Internal topic -> the replicas of its partitions, as the lab asks Kafka to create it."""
    return {
        name: list(asked["assignments"].values())
        for name, asked in missing(config, existing=frozenset()).items()
    }


def test_internal_topics_are_spread_over_the_source_alone() -> None:
    """Every internal topic has its leaders and replicas on all source brokers evenly, none on a
    destination broker.
    """
    placed = placed_by(REAL)
    for name, (partitions, replicas, _) in specifications(REAL).items():
        assert len(placed[name]) == partitions
        assert all(
            len(set(brokers)) == replicas and set(brokers) <= {11, 12, 13}
            for brokers in placed[name]
        )
        leaders = [brokers[0] for brokers in placed[name]]
        assert max(map(leaders.count, (11, 12, 13))) - min(map(leaders.count, (11, 12, 13))) == 0


def test_internal_topics_know_azs_that_are_uneven() -> None:
    """Where an AZ has more brokers than another, no two replicas of an internal partition are
    in the same AZ.
    """
    racks = {11: "az-a", 12: "az-a", 13: "az-a", 14: "az-b", 15: "az-c"}
    sources = tuple(
        BrokerSpec(id=number, rack=rack, role=Role.SOURCE) for number, rack in racks.items()
    )
    config = REAL.model_copy(
        update={"brokers": (*sources, BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION))}
    )
    for name, partitions in placed_by(config).items():
        for brokers in partitions:
            assert len({racks[broker_id] for broker_id in brokers}) == len(brokers), (name, brokers)


def test_internal_topics_that_are_there_are_not_created_again() -> None:
    """Of the internal topics only those that are missing are asked for."""
    wanted = missing(REAL, existing=frozenset({"__consumer_offsets"}))
    assert set(wanted) == set(specifications(REAL)) - {"__consumer_offsets"}


def test_a_lab_of_one_source_broker_is_possible() -> None:
    """Replication factors never ask for more source brokers than there are."""
    config = LabConfig(brokers=(BrokerSpec(id=1, rack="a", role=Role.SOURCE),))
    assert {replicas for _, replicas, _ in specifications(config).values()} == {1}


def test_formatting_keeps_an_old_identity(tmp_path: Path) -> None:
    """A folder that was formatted before keeps its cluster id, or kept data would be refused."""
    properties.format_kraft_directory(tmp_path, node_id=1)
    before = (tmp_path / "meta.properties").read_text()
    properties.format_kraft_directory(tmp_path, node_id=1)
    assert (tmp_path / "meta.properties").read_text() == before
    assert "node.id=1" in before


def test_unknown_node_is_named_with_the_known_ones() -> None:
    """A wrong node name is answered with the right ones."""
    with pytest.raises(KeyError, match=r"no node 'broker-1'.*broker-11.*broker-33"):
        LabConfig().node("broker-1")
