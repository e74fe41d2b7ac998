"""What the lab adds to the agent: by entry points and by a file, never by an import."""

import fcntl
import json
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import connection
from agent.config.extensions import COMMANDS, RESTARTS, NotInstalledError, extension, extensions
from agent.config.settings import read_clusters
from agent.core.kraft.node_config import NodeChange, NodeMode
from agent.performer.ports import PortError
from deploy.lab import LabConfig
from deploy.lab.cluster import environment, security
from deploy.lab.cluster.description import describe, write_clusters
from deploy.lab.cluster.launch import Folders

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
DECLARED = [
    EntryPoint(name, value, group)
    for group, entries in PROJECT["entry-points"].items()
    for name, value in entries.items()
]


def test_the_declared_commands_are_the_lab_s_command_line() -> None:
    """The entry point that pyproject.toml declares loads a command line that can be mounted."""
    app = typer.Typer()
    for name, entry in extensions(COMMANDS, DECLARED).items():
        app.add_typer(entry.load(), name=name)
    app.command("other")(lambda: None)
    told = CliRunner().invoke(app, ["lab", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert told.exit_code == 0
    for word in ("up", "down", "status", "fill", "demo", "demo-kraft"):
        assert f" {word} " in told.output


async def test_the_declared_restarts_ask_the_lab_of_their_folder(tmp_path: Path) -> None:
    """The lab's way to restart nodes is made for a folder, and says that no lab is in it."""
    restarts = extension(RESTARTS, "lab", DECLARED)(tmp_path)
    change = NodeChange(node_id=71, is_controller=True, target=NodeMode.STOPPED)
    with pytest.raises(PortError, match="no lab in"):
        await restarts.restart("kraft-1", change)
    await restarts.close()


def test_what_nobody_installed_is_named() -> None:
    """A name that no entry point offers is an error which names it and its group."""
    with pytest.raises(NotInstalledError, match=f"`lab` in {RESTARTS}"):
        extension(RESTARTS, "lab", [])


def test_clusters_of_a_lab_name_the_lab_as_who_restarts(tmp_path: Path) -> None:
    """What the lab writes into clusters.yaml says that the lab restarts nodes, and where it is."""
    config = LabConfig(directory=tmp_path, controller_ids=(71,))
    write_clusters(config)
    kraft = read_clusters(Folders(tmp_path).clusters_file)["lab"].kraft
    assert kraft is not None
    assert (kraft.restart_by, kraft.lab_directory) == ("lab", tmp_path)


@pytest.mark.parametrize("secure", [False, True])
def test_a_command_finds_the_lab_that_runs_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    """The file that the lab writes gives the settings of each user, while the lab holds its lock
    and not a moment longer.
    """
    monkeypatch.setenv("KAFKA_MIGRATION_LAB_DIR", str(tmp_path))
    monkeypatch.delenv("KAFKA_MIGRATION_BOOTSTRAP_SERVERS", raising=False)
    config = LabConfig(directory=tmp_path, secure=secure)
    folders = Folders(tmp_path)
    folders.settings_file.write_text(config.model_dump_json())
    assert connection.running_lab() is None
    environment.write(config)
    assert connection.running_lab() is None
    with folders.lock_file.open("w") as lock:
        assert connection.running_lab() is None
        fcntl.flock(lock, fcntl.LOCK_EX)
        lab = connection.running_lab()
        assert lab is not None
        assert lab["bootstrap_servers"] == config.bootstrap_servers
        for user in security.ON_CONTROL:
            wanted = environment.lab_environment(describe(config, None, {}), tmp_path, user=user)
            assert connection.lab_settings(user) == wanted
        assert "password" not in json.dumps(lab).replace("password_file", "").lower() or secure
    assert connection.running_lab() is None
