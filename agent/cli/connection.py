"""Finds the control Kafka: the one of the option, else of the environment, else of the lab here."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.terminal import Exit, fail
from agent.client import ControlClient
from agent.config.errors import SettingsError
from agent.config.settings import Settings

Cluster = Annotated[
    str,
    typer.Argument(
        envvar="KAFKA_MIGRATION_CLUSTER",
        help="The cluster's name in clusters.yaml, such as `lab`.",
    ),
]
MaybeCluster = Annotated[
    str | None, typer.Argument(help="The cluster's name; all clusters when left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,...",
        help="The Kafka of the control topics; when left out, that of "
        "KAFKA_MIGRATION_BOOTSTRAP_SERVERS or the lab's.",
    ),
]
TopicPrefix = Annotated[
    str | None,
    typer.Option(
        "--topic-prefix",
        help="The prefix of the control topics; when left out, that of the settings.",
    ),
]


@dataclass(frozen=True)
class Connection:
    """A client of the control topics, and the Kafka that it uses."""

    client: ControlClient
    bootstrap_servers: str


def connect(servers: str | None, prefix: str | None, *, as_json: bool) -> Connection:
    """Returns a client of the control topics; `servers` and `prefix` come from the options.

    Ends with exit code 2 when no control Kafka is named and no lab runs here.
    """
    servers = servers or os.environ.get("KAFKA_MIGRATION_BOOTSTRAP_SERVERS") or _lab_servers()
    if not servers:
        fail(
            Exit.USAGE,
            "no control Kafka is named: give --bootstrap-servers or "
            "KAFKA_MIGRATION_BOOTSTRAP_SERVERS, or start a lab "
            f"here with `kafka-migration lab up` (none runs in {lab_directory()})",
            as_json=as_json,
        )
    try:
        settings = Settings.read(bootstrap_servers=servers)
        arguments = settings.connection().for_aiokafka()
    except (SettingsError, OSError) as error:
        fail(
            Exit.USAGE, f"the KAFKA_MIGRATION_... settings cannot be used: {error}", as_json=as_json
        )
    return Connection(ControlClient(arguments, prefix or settings.topic_prefix), servers)


def lab_directory() -> Path:
    """Returns the folder in which `kafka-migration lab` keeps its files."""
    return Path(os.environ.get("KAFKA_MIGRATION_LAB_DIR") or ".lab")


def _lab_servers() -> str | None:
    """Returns the control Kafka of the lab that runs in this folder; None when none runs.

    In a secure lab a command logs in as the operator, unless the environment names another user.
    """
    lab = running_lab()
    if lab is None:
        return None
    for name, value in lab["logins"]["operator"].items():
        os.environ.setdefault(name, value)
    return str(lab["control_bootstrap_servers"])


def lab_settings(user: str = "agent") -> dict[str, str]:
    """Returns the variables that connect a program to the lab in this folder.

    Empty when no lab runs, or when the environment names another control Kafka. `user` is who logs
    in to a secure lab.
    """
    lab = None if "KAFKA_MIGRATION_BOOTSTRAP_SERVERS" in os.environ else running_lab()
    if lab is None:
        return {}
    given: dict[str, str] = lab["settings"] | lab["logins"][user]
    return {name: value for name, value in given.items() if name not in os.environ}


def running_lab() -> dict[str, Any] | None:
    """Returns the content of `environment.json` in the lab's folder; None when no lab runs there.

    The lab writes this file when it starts, and holds a lock on `lab.lock` while it runs.
    """
    directory = lab_directory()
    try:
        content = json.loads((directory / "environment.json").read_text(encoding="utf-8"))
        lock = (directory / "lab.lock").open("rb")
    except FileNotFoundError:
        return None
    import fcntl

    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return dict(content)
    return None
