"""The command line: what it sends, how it complains, how it ends.

A closed port stands for a Kafka that is away.
"""

import json
import re
import socket
from pathlib import Path

import pytest
from click.testing import Result
from pydantic import ValidationError
from typer.testing import CliRunner

from agent.cli.app import app
from agent.cli.commands import command_for
from agent.cli.flags import Sender, typed_options, wrong_fields
from agent.cli.quantities import bytes_of, ids_of, seconds_of
from agent.config.cluster_settings import read_clusters
from agent.core.handlers.answers import COMMAND_NAMES
from schemas.commands import COMMANDS

ORDERS = sorted(set(COMMAND_NAMES.values()) - {"command"})
LOOKS = ["status", "watch", "events", "doctor"]


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BOOTSTRAP_SERVERS", "LAB_DIR", "CLUSTER"):
        monkeypatch.delenv(f"KAFKA_MIGRATION_{name}", raising=False)


@pytest.fixture
def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.mark.parametrize("word", [*ORDERS, *LOOKS])
def test_help_teaches_by_example(word: str) -> None:
    """Each command's help shows at least one line that can be typed, and offers --json."""
    result = invoke(word, "--help")
    assert result.exit_code == 0
    assert f"kafka-migration {word}" in result.output
    assert "--json" in result.output


def test_every_order_of_the_control_topic_can_be_given() -> None:
    """There is a command for each word of the control topic."""
    shown = invoke("--help").output
    assert [word for word in ORDERS if not re.search(rf"\b{word}\b +\S", shown)] == []


@pytest.mark.parametrize("word", [*ORDERS, "watch", "doctor"])
def test_unreachable_is_exit_code_3(word: str, closed_port: str) -> None:
    """A control Kafka that is away ends a command with code 3 and one line that names it."""
    extra = ["--throttle", "50MB"] if word == "tune" else []
    where = ["plan", "lab"] if word == "kraft" else ["lab"]
    result = invoke(word, *where, "--bootstrap-servers", closed_port, *extra)
    assert result.exit_code == 3, result.output
    assert closed_port in result.stderr
    assert "Traceback" not in result.output


def test_unreachable_in_json(closed_port: str) -> None:
    """With --json even an error is one JSON value on stdout."""
    result = invoke("status", "--json", "--bootstrap-servers", closed_port)
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["exit_code"] == 3
    assert closed_port in told["error"]


def test_without_a_control_kafka_it_says_how_to_name_one() -> None:
    """No option, no variable, no lab: usage error that names all three."""
    result = invoke("status")
    assert result.exit_code == 2
    for way in ("--bootstrap-servers", "KAFKA_MIGRATION_BOOTSTRAP_SERVERS", "lab up"):
        assert way in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["start", "lab", "--throttle", "5x"], "--throttle"),
        (["start", "lab", "--throttle", "10"], "--throttle"),
        (["start", "lab", "--source", "eleven"], "--source"),
        (["start", "lab", "--soak", "soon"], "--soak"),
        (["start", "lab", "--mode", "half"], "--mode"),
        (["start", "lab", "--concurrency", "5000"], "--concurrency"),
        (["start", "lab", "--plan", "p1", "--throttle", "5MB"], "--plan"),
        (["start", "lab", "--az", "x" * 101], "--az"),
        (["tune", "lab"], "--throttle"),
        (["pause", "lab", "--command-id", "not an id"], "--command-id"),
        (["start"], "cluster"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_names_the_option(
    arguments: list[str], named: str, closed_port: str
) -> None:
    """What the agent could not read is refused before it is sent: code 2, with the option in
    the text.
    """
    result = invoke(*arguments, "--bootstrap-servers", closed_port)
    assert result.exit_code == 2, result.output
    assert named in result.stderr


def test_off_leaves_the_throttle_at_none_and_is_no_internal_throttle() -> None:
    """`--throttle off` asks for no throttle; where zero means something else, it is sent, and
    refused.
    """
    assert typed_options({"throttle_bytes_per_second": 0}) == {}
    assert typed_options({"internal_throttle_bytes_per_second": 0}) != {}


def test_options_become_the_fields_of_the_command() -> None:
    """Only what was typed is sent, under the schema's names, and the sender is named."""
    options = typed_options(
        {
            "az": None,
            "source_broker_ids": [11, 12],
            "destination_broker_ids": [31, 32],
            "throttle_bytes_per_second": 100_000_000,
            "partition_movements_per_broker": 20,
            "soak_seconds": 300.0,
        }
    )
    command = command_for("start", "lab", Sender(reason="why"), options=options)
    assert command["options"] == {
        "source_broker_ids": [11, 12],
        "destination_broker_ids": [31, 32],
        "throttle_bytes_per_second": 100_000_000,
        "partition_movements_per_broker": 20,
        "soak_seconds": 300.0,
    }
    assert "@" in command["issued_by"]
    assert COMMANDS.validate_python(command).type == "start"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100MB", 100_000_000), ("50MB/s", 50_000_000), ("1.5GB", 1_500_000_000),
     ("64MiB", 67_108_864), ("off", 0), ("250000", 250_000)],
)  # fmt: skip
def test_sizes_are_decimal(text: str, expected: int) -> None:
    """MB is a million bytes and MiB is 2^20, with or without `/s`."""
    assert bytes_of(text) == expected


def test_times_and_ids() -> None:
    """Durations come in ms, s, m and h; ids with commas; both say how to write them when they
    are wrong.
    """
    assert [seconds_of(t) for t in ("30", "30s", "5m", "1h", "500ms")] == [30, 30, 300, 3600, 0.5]
    assert ids_of("11, 12,13") == [11, 12, 13]
    with pytest.raises(ValueError, match="write 30s"):
        seconds_of("soon")
    with pytest.raises(ValueError, match="write 11,12"):
        ids_of("a")


def test_wrong_fields_are_named_as_options() -> None:
    """A schema's complaint names the option to correct, not the model's path."""
    with pytest.raises(ValidationError) as caught:
        COMMANDS.validate_python(
            {
                "type": "start",
                "command_id": "c",
                "cluster": "lab",
                "options": {"throttle_bytes_per_second": 1},
            }
        )
    assert wrong_fields(caught.value).startswith("--throttle: ")


def test_readme_shows_what_the_agent_reads(tmp_path: Path) -> None:
    """The README's clusters.yaml and its command are read without complaint, and every command
    it types exists.
    """
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    file = tmp_path / "clusters.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)[0])
    assert read_clusters(file)["orders-eu"].core_policy().quiet_seconds == 300
    command = COMMANDS.validate_json(re.findall(r"```json\n(.*?)```", readme, re.DOTALL)[0])
    assert (command.type, command.cluster) == ("start", "orders-eu")
    for typed in re.findall(r"^kafka-migration ([^#\n]+)", readme, re.MULTILINE):
        words = [word for word in typed.split() if not word.startswith("-")]
        depth = 2 if words[0] == "lab" else 1
        assert invoke(*words[:depth], "--help").exit_code == 0, typed
