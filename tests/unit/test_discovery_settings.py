"""Settings of Consul, the census and ZooKeeper's login in clusters.yaml: read, checked, and
their secrets kept.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from agent.cli.app import app
from agent.config.cluster_settings import ClusterSettings, read_clusters
from agent.config.errors import SettingsError

SECRET = "s3cret-of-somebody"
ENDPOINTS = {1: "proxy-1:9092", 101: ["proxy-101:9092", "proxy-102:9092"]}


def _read(folder: Path, **changes: Any) -> ClusterSettings:
    """A cluster of brokers 1 and 101 with these sections."""
    cluster = {
        "bootstrap_servers": "k:9092",
        "cruise_control": {"url": "http://cc:9090"},
        "source_broker_ids": [1],
        "destination_broker_ids": [101],
        **changes,
    }
    file = folder / "clusters.yaml"
    file.write_text(yaml.safe_dump({"clusters": {"orders": cluster}}))
    return read_clusters(file)["orders"]


def _consul(**changes: Any) -> dict[str, Any]:
    return {"url": "https://consul:8501", "service": "kafka", "endpoints": ENDPOINTS, **changes}


def test_consul_is_read(tmp_path: Path) -> None:
    """One or several proxies a broker, the token from its file, and the policy knows of it;
    without, it does not.
    """
    (tmp_path / "token").write_text(SECRET + "\n")
    cluster = _read(tmp_path, consul=_consul(token_file=str(tmp_path / "token"), grace_seconds=600))
    assert cluster.consul is not None
    connection = cluster.consul.connection(None)
    assert connection.token == SECRET
    assert connection.endpoints == {1: ("proxy-1:9092",), 101: ("proxy-101:9092", "proxy-102:9092")}
    assert connection.by_agent
    policy = cluster.core_policy()
    assert (policy.discovery, policy.discovery_grace_seconds) == (True, 600)
    assert not _read(tmp_path).core_policy().discovery


@pytest.mark.parametrize(
    ("consul", "says"),
    [
        (_consul(endpoints={1: "proxy-1:9092"}), "none for brokers 101"),
        (_consul(endpoints={1: "p:1", 101: "p:1"}), "p:1 named for two brokers"),
        (_consul(endpoints={1: "proxy", 101: "p:1"}), "endpoints"),
        (_consul(url="consul:8500"), "url"),
        (_consul(url=f"http://me:{SECRET}@consul"), "url"),
        (_consul(register_by="magic"), "register_by"),
        (_consul(password="x"), "password"),
        (_consul(grace_seconds=-1), "grace_seconds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, consul: dict[str, Any], says: str) -> None:
    """The field is told with its cluster, and never what was given, which may be a secret."""
    with pytest.raises(SettingsError, match="orders") as raised:
        _read(tmp_path, consul=consul)
    assert says in str(raised.value)
    assert SECRET not in str(raised.value)


def test_the_census_asks_for_this_cluster(tmp_path: Path) -> None:
    """Its query is the brokers' own count of connections, of the cluster's series, unless
    another is given.
    """
    census = {"url": "http://prometheus:9090", "connections_allowed": 6}
    cluster = _read(tmp_path, consul=_consul(census=census))
    assert cluster.consul is not None
    assert cluster.consul.census is not None
    connection = cluster.consul.census.connection("orders")
    assert 'connection_count{cluster="orders"}' in connection.query
    assert connection.allowed == 6


def test_zookeeper_security_is_read(tmp_path: Path) -> None:
    """A login and TLS, the password from its file; kazoo gets both, and only the agent may
    touch what it makes.
    """
    (tmp_path / "password").write_text(SECRET)
    security = {
        "username": "agent",
        "password_file": str(tmp_path / "password"),
        "tls": True,
        "ca_file": "/ca.pem",
    }
    access = _read(tmp_path, zookeeper_security=security).zookeeper_security.access()
    given = access.for_kazoo()
    assert given["sasl_options"] == {
        "mechanism": "DIGEST-MD5",
        "username": "agent",
        "password": SECRET,
    }
    assert (given["use_ssl"], given["verify_certs"], given["ca"]) == (True, True, "/ca.pem")
    assert {acl.id.scheme for acl in given["default_acl"]} == {"auth", "world"}
    assert SECRET not in repr(access)
    assert _read(tmp_path).zookeeper_security.access().for_kazoo() == {}


@pytest.mark.parametrize(
    ("security", "says"),
    [({"username": "agent"}, "needs password_file"), ({"ca_file": "/ca.pem"}, "need tls: true")],
)
def test_half_a_login_is_refused(tmp_path: Path, security: dict[str, Any], says: str) -> None:
    """Nobody believes that a line is safe that is not."""
    with pytest.raises(SettingsError, match=says):
        _read(tmp_path, zookeeper_security=security)


@pytest.mark.parametrize(
    "command", [["status"], ["acls"], ["collector", "--once"], ["plan", "orders"]]
)
def test_wrong_settings_are_told_without_what_was_given(command: list[str]) -> None:
    """A password without its mechanism ends a command with the field's name, and the password
    is not printed.
    """
    environment = {
        "KAFKA_MIGRATION_BOOTSTRAP_SERVERS": "k:9092",
        "KAFKA_MIGRATION_SECURITY__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_MIGRATION_SECURITY__PASSWORD": SECRET,
        "KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL": f"http://me:{SECRET}@prometheus",
        "COLUMNS": "300",
    }
    told = CliRunner().invoke(app, command, env=environment)
    assert told.exit_code == 2
    assert "SECURITY" in told.output
    assert SECRET not in told.output


def test_broken_yaml_is_told_without_its_text(tmp_path: Path) -> None:
    """The line and the trouble are named; the line itself may hold a secret."""
    file = tmp_path / "clusters.yaml"
    file.write_text(f"clusters:\n  orders:\n    security: {{password: {SECRET}: x}}\n")
    with pytest.raises(SettingsError, match="line 3") as raised:
        read_clusters(file)
    assert SECRET not in str(raised.value)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """Given as values they are kept out of repr, at every place that has one."""
    cluster = _read(
        tmp_path,
        security={
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "username": "me",
            "password": SECRET,
        },
        zookeeper_security={"username": "me", "password": SECRET},
        cruise_control={"url": "http://cc:9090", "username": "me", "password": SECRET},
        consul=_consul(
            token=SECRET, census={"url": "http://p:9090", "username": "me", "password": SECRET}
        ),
    )
    assert cluster.consul is not None
    assert cluster.consul.census is not None
    shown = (
        cluster,
        cluster.security.connection("k"),
        cluster.zookeeper_security.access(),
        cluster.cruise_control.connection(),
        cluster.consul.connection(None),
        cluster.consul.census.connection("orders"),
    )
    assert SECRET not in "".join(f"{one!r}{one}" for one in shown)
