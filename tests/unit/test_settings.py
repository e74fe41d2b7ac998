"""Settings: what is read, and that every error names its file, its cluster and its field, and
shows no secret.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config.cluster_settings import ClusterSettings, PolicySettings, read_clusters
from agent.config.connections import KafkaSecurity
from agent.config.errors import SettingsError
from agent.config.settings import Settings
from agent.core.metrics.rules import Action, Brokers, Rule, Side
from agent.core.planning.policy import Policy

ROOT = Path(__file__).parents[2]
CLUSTER: dict[str, Any] = {
    "bootstrap_servers": "kafka-1:9092,kafka-2:9092",
    "zookeeper": "zk-1:2181",
    "cruise_control": {"url": "http://cc:9090"},
    "source_broker_ids": [11, 12],
    "destination_broker_ids": [31, 32],
    "policy": {"grace_seconds": 5, "slow_bytes_per_second": 5_000_000},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clusters.yaml"


def write(file: Path, name: Any = "lab", **changes: Any) -> Path:
    file.write_text(yaml.safe_dump({"clusters": {name: {**CLUSTER, **changes}}}))
    return file


def test_a_cluster_is_read_with_its_policy(file: Path) -> None:
    """Brokers and overrides reach the core's policy; what is not overridden keeps the core's
    default.
    """
    policy = read_clusters(write(file))["lab"].core_policy()
    assert policy == Policy(
        source_broker_ids=(11, 12),
        destination_broker_ids=(31, 32),
        grace_seconds=5.0,
        slow_bytes_per_second=5_000_000,
    )


def test_every_standing_order_can_be_overridden() -> None:
    """clusters.yaml knows each field of the core's policy, by the same name."""
    of_core = {f.name for f in dataclasses.fields(Policy)} - {
        "source_broker_ids",
        "destination_broker_ids",
        "discovery",  # has a section of its own
        "discovery_grace_seconds",
        "kraft",  # so has this
    }
    assert set(PolicySettings.model_fields) == of_core


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"zookeper": "zk:2181"}, "zookeper: Extra inputs are not permitted"),
    "no Cruise Control": ({"cruise_control": {}}, "cruise_control.url: Field required"),
    "policy's name": ({"policy": {"grace": 5}}, "policy.grace: Extra inputs are not permitted"),
    "policy's value": (
        {"policy": {"grace_seconds": -1}},
        "policy.grace_seconds: Input should be greater than",
    ),
    "broker's id": (
        {"source_broker_ids": ["a"]},
        "source_broker_ids.0: Input should be a valid integer",
    ),
    "broker on both sides": (
        {"destination_broker_ids": [31, 11]},
        "destination_broker_ids: [11] named twice",
    ),
    "half a login": (
        {"security": {"security_protocol": "SASL_SSL"}},
        "security: Value error, security_protocol SASL",
    ),
    "no user": (
        {
            "security": {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "password": "hush-hush",
            }
        },
        "SASL needs username and password_file",
    ),
}


@pytest.mark.parametrize(("changes", "says"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_cluster_is_told_by_file_cluster_and_field(
    file: Path, changes: dict[str, Any], says: str
) -> None:
    """The error names where to look, and shows nothing that may be a secret."""
    with pytest.raises(SettingsError) as caught:
        read_clusters(write(file, **changes))
    text = str(caught.value)
    assert text.startswith(f"{file}, cluster lab: ")
    assert says in text
    assert "hush-hush" not in text


@pytest.mark.parametrize("name", ["with blank", "a/b", "", "x" * 101, "ö"])
def test_a_name_that_would_break_ids_is_refused(file: Path, name: str) -> None:
    """A cluster's name is a key and a part of Cruise Control's `reason`: no blanks, no slashes."""
    with pytest.raises(SettingsError, match="String should match pattern"):
        read_clusters(write(file, name))


@pytest.mark.parametrize(
    ("text", "says"),
    [("clusters: [", "is not YAML"), ("", "must have a mapping `clusters`"),
     ("clusters: {}", "must have a mapping"), ("clusters: {lab: 5}", "cluster lab: the entry"),
     ("- lab", "must have a mapping `clusters`")],
)  # fmt: skip
def test_a_file_of_another_form_is_told(file: Path, text: str, says: str) -> None:
    """What is not a mapping of clusters is said in words, not as a traceback."""
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_clusters(file)
    assert says in str(caught.value)


def test_a_missing_file_is_told_with_the_variable_that_names_it(tmp_path: Path) -> None:
    """The fix is in the error."""
    with pytest.raises(SettingsError, match="KAFKA_MIGRATION_CLUSTERS_FILE"):
        read_clusters(tmp_path / "none.yaml")


def test_passwords_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    """A password's file is read without its last line break; neither form appears when settings
    are printed.
    """
    (tmp_path / "password").write_text("hush-hush\n")
    by_file = KafkaSecurity(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="u",
        password_file=tmp_path / "password",
    )
    assert by_file.connection("k:9092").password == "hush-hush"
    assert "hush-hush" not in repr(by_file.connection("k:9092"))
    given = ClusterSettings.model_validate(
        {
            **CLUSTER,
            "cruise_control": {"url": "http://cc", "username": "u", "password": "hush-hush"},
        }
    )
    assert given.cruise_control.connection().password == "hush-hush"
    assert "hush-hush" not in repr(given)
    assert "hush-hush" not in repr(given.cruise_control.connection())


def test_the_environment_is_read_also_inside_security(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """KAFKA_MIGRATION_..., with two underscores for what is inside another."""
    (tmp_path / "password").write_text("hush-hush")
    for name, value in {
        "BOOTSTRAP_SERVERS": "control:9092",
        "TOPIC_PARTITIONS": "8",
        "SECURITY__SECURITY_PROTOCOL": "SASL_SSL",
        "SECURITY__SASL_MECHANISM": "SCRAM-SHA-512",
        "SECURITY__USERNAME": "agent",
        "SECURITY__PASSWORD_FILE": str(tmp_path / "password"),
    }.items():
        monkeypatch.setenv(f"KAFKA_MIGRATION_{name}", value)
    settings = Settings.read()
    connection = settings.connection()
    assert (connection.bootstrap_servers, settings.topic_partitions) == ("control:9092", 8)
    assert (connection.sasl_mechanism, connection.username, connection.password) == (
        "SCRAM-SHA-512",
        "agent",
        "hush-hush",
    )


def test_a_wrong_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error bears the variable's own name; what was given may be a secret."""
    monkeypatch.setenv("KAFKA_MIGRATION_TOPIC_PARTITIONS", "many")
    monkeypatch.setenv("KAFKA_MIGRATION_SECURITY__PASSWORD", "hush-hush")
    monkeypatch.setenv("KAFKA_MIGRATION_SECURITY__SASL_MECHANISM", "PLAIN")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert "KAFKA_MIGRATION_TOPIC_PARTITIONS: Input should be a valid integer" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_defaults_stay_on_this_machine() -> None:
    """Unless told otherwise the worker's pages are served to nobody else."""
    assert Settings.model_fields["web_host"].default == "127.0.0.1"


# ── metric rules ──────────────────────────────────────────────────────────────────────────────────
RULE: dict[str, Any] = {"name": "p99", "metric": "p99_ms", "above": 500}


def test_a_rule_reaches_the_core_with_its_defaults(file: Path) -> None:
    """Silence pauses by default, but not for a rule that only notifies; `ignore` says so."""
    rules = [
        RULE,
        {
            "name": "idle",
            "metric": "idle",
            "below": 0.1,
            "clear": 0.3,
            "brokers": "source",
            "action": "slow",
        },
        {**RULE, "name": "told", "action": "notify"},
        {**RULE, "name": "deaf", "on_missing": "ignore"},
    ]
    policy = read_clusters(write(file, policy={"rules": rules}))["lab"].core_policy()
    assert policy.rules == (
        Rule(name="p99", metric="p99_ms", threshold=500),
        Rule(
            name="idle",
            metric="idle",
            threshold=0.1,
            side=Side.BELOW,
            clear=0.3,
            brokers=Brokers.SOURCE,
            action=Action.SLOW,
        ),
        Rule(
            name="told",
            metric="p99_ms",
            threshold=500,
            action=Action.NOTIFY,
            on_missing=Action.NOTIFY,
        ),
        Rule(name="deaf", metric="p99_ms", threshold=500, on_missing=None),
    )


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([{"name": "x", "metric": "m"}], "a rule needs one of `above` and `below`"),
        ([{**RULE, "below": 1}], "a rule needs one of `above` and `below`"),
        ([{**RULE, "clear": 600}], "clear 600 is on the bad side of the threshold"),
        ([RULE, RULE], "['p99'] named twice"),
        (
            [{**RULE, "action": "stop"}],
            "policy.rules.0.action: Input should be 'notify', 'slow' or 'pause'",
        ),
        ([{**RULE, "flaps_max": 0}], "policy.rules.0.flaps_max"),
        (
            [{**RULE, "above": float("nan")}],
            "policy.rules.0.above: Input should be a finite number",
        ),
    ],
)
def test_a_wrong_rule_names_itself(file: Path, rules: list[dict[str, Any]], says: str) -> None:
    """Which rule, which field, and what it should be."""
    with pytest.raises(SettingsError) as error:
        read_clusters(write(file, policy={"rules": rules}))
    assert says in str(error.value)


def test_the_example_can_be_read_and_its_metrics_are_what_the_collector_sends() -> None:
    """Each rule of deploy/clusters.example.yaml is over a metric of the shipped mapping."""
    policy = read_clusters(ROOT / "deploy/clusters.example.yaml")["orders-eu"].core_policy()
    mapping = yaml.safe_load((ROOT / "agent/services/collector/mapping.yaml").read_text())
    assert {r.metric for r in policy.rules} <= {m["name"] for m in mapping["metrics"]}
    assert {r.action for r in policy.rules} == set(Action)
    assert (policy.limits.replicas_max, policy.limits.network_bytes_per_second_max) == (
        4_000,
        600_000_000,
    )


KRAFT = {
    "controllers": [{"id": 71, "address": "c1:9093", "metrics_url": "http://c1:9404/metrics"}],
    "soak_seconds": 60,
    "gates": "auto",
}


def test_kraft_settings_become_the_cores_options(tmp_path: Path) -> None:
    """What clusters.yaml says of the way to KRaft arrives in the core, with the cluster's
    ZooKeeper.
    """
    file = tmp_path / "clusters.yaml"
    entry = {
        "bootstrap_servers": "k:9092", "zookeeper": "zk:2181",
        "cruise_control": {"url": "http://cc:9090"}, "kraft": KRAFT,
    }  # fmt: skip
    file.write_text(yaml.safe_dump({"clusters": {"prod": entry}}))
    options = read_clusters(file)["prod"].core_policy().kraft
    assert (options.zookeeper, options.controller_ids, options.soak_seconds) == (
        "zk:2181",
        (71,),
        60.0,
    )
    assert (str(options.gates), str(options.restart_by)) == ("auto", "manual")
    assert options.quorum.property_value == "71@c1:9093"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"restart_by": "lab"}, "lab_directory"),
        ({"restart_by": "webhook"}, "webhook_url"),
        ({"controllers": []}, "controllers"),
        ({"restart_by": "magic"}, "restart_by"),
    ],
)
def test_wrong_kraft_settings_are_named(
    tmp_path: Path, wrong: dict[str, object], named: str
) -> None:
    """An incomplete or unknown way of restarting is refused when the file is read, not in the
    middle of a roll.
    """
    file = tmp_path / "clusters.yaml"
    entry = {
        "bootstrap_servers": "k:9092",
        "cruise_control": {"url": "http://cc:9090"},
        "kraft": {**KRAFT, **wrong},
    }
    file.write_text(yaml.safe_dump({"clusters": {"prod": entry}}))
    with pytest.raises(SettingsError, match=named):
        read_clusters(file)
