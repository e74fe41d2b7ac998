"""The table of rights: nobody has more than his part needs, and what is printed can be typed."""

import shlex
from dataclasses import astuple

import pytest
from typer.testing import CliRunner

from agent import rights
from agent.adapters.kafka import lease, metrics_reporters
from agent.cli.app import app
from agent.rights import Grant, Resource
from agent.topics import Topics

CONTROL = rights.control("km.", "app")
NAMES = Topics.named("km.")


def _may(role: str, topic: str, operation: str) -> bool:
    return any(
        operation in g.operations and (topic.startswith(g.name) if g.prefixed else topic == g.name)
        for g in CONTROL[role]
        if g.resource is Resource.TOPIC
    )


@pytest.mark.parametrize(
    ("topic", "writers", "readers"),
    [
        ("commands", {"operator"}, {"agent"}),
        ("metrics", {"metrics"}, {"agent"}),
        ("events", {"agent"}, {"agent", "operator", "observer"}),
        ("status", {"agent"}, {"agent", "operator", "observer"}),
        ("rejected", {"agent"}, {"agent", "observer"}),
        ("inbox", {"agent"}, {"agent"}),
        ("snapshots", {"agent"}, {"agent"}),
    ],
)
def test_who_may_write_and_read(topic: str, writers: set[str], readers: set[str]) -> None:
    """Each control topic has the writers and readers that the contract names, and no other."""
    assert {role for role in CONTROL if _may(role, f"km.{topic}", "Write")} == writers
    assert {role for role in CONTROL if _may(role, f"km.{topic}", "Read")} == readers


def test_every_control_topic_is_in_the_table() -> None:
    """A topic that is added to the contract gets its rights too."""
    assert {g.name for g in CONTROL["agent"] if g.name.startswith("km.")} == set(astuple(NAMES))


def test_nobody_of_ours_reads_the_messages_of_a_cluster() -> None:
    """On a migrated cluster none may read or write topics but Cruise Control its own; the agent
    reads its metrics.
    """
    for role, grants in rights.cluster().items():
        for grant in grants:
            if grant.resource is Resource.TOPIC and {"Read", "Write"} & set(grant.operations):
                reads = role == "agent" and (grant.name, grant.operations) == (
                    metrics_reporters.TOPIC,
                    ("Read",),
                )
                assert reads or (role, grant.name.startswith("__")) == ("cruise-control", True)


def test_the_agent_may_hold_the_lease() -> None:
    """The group of the lease on a cluster without ZooKeeper is the one in the table."""
    groups = {
        g.name: g.operations for g in rights.cluster()["agent"] if g.resource is Resource.GROUP
    }
    # For the groups of others it reads only their lag.
    assert groups == {lease.GROUP: ("Describe", "Read"), "*": ("Describe",)}


def test_commands_can_be_typed() -> None:
    """A right is one line for a shell, with every word quoted as it needs."""
    roles = {
        "agent": (
            Grant(Resource.TOPIC, "*", ("Describe", "Alter")),
            Grant(Resource.CLUSTER, "kafka-cluster", ("Alter",)),
        )
    }
    first, second = rights.commands(roles, {"agent": ["User:my agent"]}, "k:9092", "")
    assert "--topic '*'" in first
    words = shlex.split(first)
    assert words[:3] == ["kafka-acls", "--bootstrap-server", "k:9092"]
    assert words[words.index("--allow-principal") + 1] == "User:my agent"
    assert words.count("--operation") == 2
    assert second.endswith("--cluster")


def test_the_command_prints_what_was_asked_for() -> None:
    """Only the roles that are granted are printed; a role that there is not is told with those
    there are.
    """
    environment = {"KAFKA_MIGRATION_BOOTSTRAP_SERVERS": "control:9093"}
    shown = CliRunner().invoke(app, ["acls", "--grant", "metrics=User:collector"], env=environment)
    assert shown.exit_code == 0
    (line,) = shown.output.strip().splitlines()
    assert "--bootstrap-server control:9093" in line
    assert "--topic kafka-migration.metrics" in line
    wrong = CliRunner().invoke(app, ["acls", "--grant", "boss=User:me"], env=environment)
    assert wrong.exit_code == 2
    assert "operator" in wrong.output
