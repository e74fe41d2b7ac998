"""The lab starts, is what it says, obeys, and leaves nothing behind: against real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from deploy.lab import CruiseControlKind, Lab, LabConfig, LabError
from deploy.lab.cli import lab_app
from deploy.lab.cluster.config import HOST
from deploy.lab.cluster.ports import is_free
from deploy.lab.cluster.readiness import admin_client, is_ready, live_brokers

pytestmark = [pytest.mark.lab, pytest.mark.slow]

BROKER_IDS = {11, 12, 13, 31, 32, 33}


def is_alive(pid: int) -> bool:
    """A zombie that nobody collects is not alive."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def pids(lab: Lab) -> list[int]:
    return [node["pid"] for node in lab.status()["processes"].values() if node["pid"]]


def eventually(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def replicas_by_broker(lab: Lab) -> dict[int, int]:
    counts: dict[int, int] = {}
    with admin_client(lab.config.bootstrap_servers) as admin:
        for topic in admin.describe_topics():
            for partition in topic["partitions"]:
                for broker_id in partition["replica_nodes"]:
                    counts[broker_id] = counts.get(broker_id, 0) + 1
    return counts


def test_starts_real_brokers_in_their_zones(lab: Lab) -> None:
    """A started lab is six real brokers in three AZs, as lab.json says."""
    content = lab.status()
    print(
        f"lab ready after {content['ready_after_seconds']} s with Cruise Control "
        f"{content['cruise_control']}"
    )
    assert content["running"]
    assert content["state"] == "ready"
    assert {node["state"] for node in content["processes"].values()} == {"running"}
    with admin_client(content["bootstrap_servers"]) as admin:
        seen = {
            str(broker["broker_id"]): (broker["port"], broker["rack"])
            for broker in admin.describe_cluster()["brokers"]
        }
    assert seen == {
        name: (broker["port"], broker["rack"]) for name, broker in content["brokers"].items()
    }
    assert set(seen) == {str(broker_id) for broker_id in BROKER_IDS}


def test_destination_is_empty_at_the_start(lab: Lab) -> None:
    """Kafka's own topics are on the source brokers, so that a migration starts from empty
    destination brokers.
    """
    counts = replicas_by_broker(lab)
    assert all(counts.get(broker_id, 0) > 0 for broker_id in lab.config.source_ids)
    assert not any(counts.get(broker_id, 0) for broker_id in (31, 32, 33))


def test_control_kafka_is_another_cluster(lab: Lab) -> None:
    """The agent's own topics live in a cluster that the migration does not touch."""
    assert live_brokers(lab.config, lab.config.control_kafka) == {1}


def test_cruise_control_answers(lab: Lab) -> None:
    """The lab is ready only when Cruise Control is."""
    assert is_ready(lab.config, lab.config.cruise_control_node)


def test_clusters_file_names_the_lab(lab: Lab) -> None:
    """`up` writes the agent's list of clusters."""
    clusters = yaml.safe_load(lab.folders.clusters_file.read_text())["clusters"]
    assert clusters["lab"]["bootstrap_servers"] == lab.config.bootstrap_servers


def test_killed_broker_is_lost_and_comes_back(lab: Lab) -> None:
    """A killed broker vanishes from the cluster; started again it is the same broker with the
    same data.
    """
    before = replicas_by_broker(lab)
    lab.kill("broker-13")
    assert lab.status()["processes"]["broker-13"]["state"] == "killed"
    survivors = "broker-11"
    assert eventually(
        lambda: live_brokers(lab.config, lab.config.node(survivors)) == BROKER_IDS - {13}
    )
    lab.start("broker-13")
    assert live_brokers(lab.config, lab.config.node(survivors)) == BROKER_IDS
    assert replicas_by_broker(lab) == before


def test_paused_node_is_deaf_and_recovers(lab: Lab) -> None:
    """A paused node keeps its port and answers nothing, until it is unpaused."""
    lab.pause("zookeeper")
    try:
        with socket.create_connection((HOST, lab.config.zookeeper.port), timeout=2) as link:
            link.settimeout(1)
            link.sendall(b"ruok")
            with pytest.raises(TimeoutError):
                link.recv(4)
        assert lab.status()["processes"]["zookeeper"]["state"] == "paused"
    finally:
        lab.unpause("zookeeper")
    assert eventually(lambda: is_ready(lab.config, lab.config.zookeeper))


def test_settings_given_at_a_start_hold_until_taken_back(lab: Lab) -> None:
    """A broker restarts with changed settings, and with the lab's own when asked: what a
    rolling change needs.
    """

    from kafka.admin import ConfigResource

    def io_threads() -> str:
        with admin_client(lab.config.node("broker-33").address) as admin:
            described: dict[str, Any] = admin.describe_configs(
                [ConfigResource("BROKER", "33")], config_filter="all"
            )
        return str(described["broker"]["33"]["num.io.threads"]["value"])

    lab.restart("broker-33", {"num.io.threads": "3"})
    assert io_threads() == "3"
    lab.restart("broker-33", {})
    assert io_threads() == "4"


def test_status_command_tells_programs(lab: Lab) -> None:
    """`lab status --json` prints lab.json; its exit code tells whether all nodes run."""
    result = CliRunner().invoke(lab_app, ["status", "--json", "--dir", str(lab.folders.root)])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["bootstrap_servers"] == lab.config.bootstrap_servers


def test_second_start_in_one_folder_is_refused(lab: Lab) -> None:
    """Two labs never share a folder."""
    with pytest.raises(LabError, match=r"runs in .* already"):
        Lab(LabConfig(directory=lab.folders.root)).up()


def test_wrong_orders_are_refused_with_the_reason(lab: Lab) -> None:
    """An order that cannot be carried out says why, and changes nothing."""
    with pytest.raises(KeyError, match=r"broker-99.*there are: zookeeper"):
        lab.kill("broker-99")
    with pytest.raises(LabError, match="running already"):
        lab.start("control-kafka")


def test_taken_port_is_named(small_lab: Lab) -> None:
    """A taken port stops the start before any process begins, naming the port and the node that
    needs it.
    """
    port = small_lab.config.node("broker-31").port
    refusal = rf"port {port} \(for broker-31\) is in use"
    with socket.create_server((HOST, port)), pytest.raises(LabError, match=refusal):
        small_lab.up()
    assert not small_lab.is_running
    assert pids(small_lab) == []


def test_node_that_cannot_start_is_told_with_its_last_words(small_lab: Lab) -> None:
    """A node that ends while starting fails the start at once, with its name, its reason and
    its log; nothing stays.
    """
    broken = {"broker-31": {"min.insync.replicas": "none"}}
    lab = Lab(small_lab.config.model_copy(update={"properties": broken}))
    with pytest.raises(
        LabError,
        match=r"broker-31 ended while starting[\s\S]*min\.insync\.replicas[\s\S]*broker-31\.log",
    ):
        lab.up()
    assert not lab.is_running
    assert all(is_free(port) for port in lab.config.ports)


def test_down_leaves_nothing(small_lab: Lab) -> None:
    """After `down` no process and no port of the lab is left; a detached lab runs until then."""
    small_lab.up()
    another_object = Lab.at(small_lab.folders.root)
    running = [*pids(another_object), another_object.status()["supervisor_pid"]]
    assert len(running) == len(small_lab.config.nodes) + 1
    assert all(is_alive(pid) for pid in running)
    small_lab.down()
    assert not [pid for pid in running if is_alive(pid)]
    assert all(is_free(port) for port in small_lab.config.ports)
    assert small_lab.status()["state"] == "down"


def test_killed_supervisor_leaves_nothing(small_lab: Lab) -> None:
    """kill -9 of the supervisor ends every node of its lab, a paused one too."""
    content = small_lab.up()
    small_lab.pause("broker-31")
    running = pids(small_lab)
    os.kill(content["supervisor_pid"], signal.SIGKILL)
    assert eventually(lambda: not [pid for pid in running if is_alive(pid)])
    assert eventually(lambda: all(is_free(port) for port in small_lab.config.ports))
    status = small_lab.status()
    assert (status["running"], status["state"]) == (False, "failed")


def test_attached_lab_ends_with_its_owner(small_lab: Lab) -> None:
    """kill -9 of the program that an attached lab belongs to ends the whole lab."""
    owner = """
import sys, time
from deploy.lab import Lab, LabConfig
lab = Lab(LabConfig.model_validate_json(sys.argv[1]))
lab.up(attached=True)
print('up', flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", owner, small_lab.config.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        running = pids(small_lab)
        assert running
        process.kill()
    assert eventually(lambda: not small_lab.is_running)
    assert not [pid for pid in running if is_alive(pid)]


def test_data_can_be_kept(small_lab: Lab) -> None:
    """With keep_data a lab goes on where it ended; without, it begins empty."""
    small_lab.up()
    with admin_client(small_lab.config.bootstrap_servers, 20) as admin:
        admin.create_topics({"orders": {"num_partitions": 1, "replication_factor": 1}})
    for keep, expected in ((True, True), (False, False)):
        small_lab.down()
        small_lab = Lab(small_lab.config.model_copy(update={"keep_data": keep}))
        small_lab.up()
        with admin_client(small_lab.config.bootstrap_servers) as admin:
            assert ("orders" in admin.list_topics()) is expected
    small_lab.down()


def test_real_cruise_control_needs_its_class_path(tmp_path: Path) -> None:
    """Asking for the real Cruise Control without saying where it is fails before anything
    starts.
    """
    config = LabConfig(
        directory=tmp_path, cruise_control=CruiseControlKind.REAL, cruise_control_class_path=""
    )
    with pytest.raises(LabError, match="CRUISE_CONTROL_CLASSPATH"):
        Lab(config).up()


def test_kafka_without_zookeeper_is_refused(tmp_path: Path) -> None:
    """A version that cannot run with ZooKeeper is refused before anything is fetched."""
    with pytest.raises(LabError, match=r"4\.1\.0 knows no ZooKeeper"):
        Lab(LabConfig(directory=tmp_path, kafka_version="4.1.0")).up()
