"""The settings of programs that run beside a lab, as environment variables.

The lab writes them to `environment.json` in its folder. A `kafka-migration` command that names no
Kafka reads them from there and so uses the lab that runs in `.lab`. The command line of the agent
knows nothing else of the lab.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.lab.cluster import client_security, security
from deploy.lab.cluster.config import LabConfig
from deploy.lab.cluster.description import CLUSTER_NAME, describe
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.launch import Folders

COLLECT_SECONDS = 2.0
WINDOW_SECONDS = 6  # three scrapes of the lab's Prometheus


def lab_environment(
    description: Mapping[str, Any],
    directory: Path,
    web_port: int | None = None,
    user: str = security.AGENT,
) -> dict[str, str]:
    """The settings of a program that works with this lab and logs in as `user`.

    `description` is the content of lab.json and `directory` the folder of the lab.
    """
    environment = _common(description, directory) | security_environment(directory, user)
    if web_port is not None:
        environment["KAFKA_MIGRATION_WEB_PORT"] = str(web_port)
    return environment


def metrics_environment(description: Mapping[str, Any]) -> dict[str, str]:
    """Where a collector finds the metrics of this lab.

    This is its Prometheus if it runs one, and otherwise its exporters.
    """
    environment = {
        "KAFKA_MIGRATION_COLLECTOR_INTERVAL_SECONDS": f"{COLLECT_SECONDS:g}",
        "KAFKA_MIGRATION_COLLECTOR_WINDOW_SECONDS": f"{WINDOW_SECONDS}",
    }
    if description.get("prometheus_url"):
        environment["KAFKA_MIGRATION_COLLECTOR_PROMETHEUS_URL"] = str(description["prometheus_url"])
    elif description.get("targets_file"):
        environment["KAFKA_MIGRATION_COLLECTOR_TARGETS_FILE"] = str(description["targets_file"])
    return environment


def security_environment(directory: Path, user: str) -> dict[str, str]:
    """How `user` logs in at the control Kafka of the lab; empty for a plain lab.

    Passwords are given as names of files.
    """
    return _login(Lab.at(directory).config, user)


def write(config: LabConfig) -> None:
    """Write environment.json with the cluster, its settings and the login of each user."""
    folders = Folders(config.directory)
    description = describe(config, None, {})
    content = {
        "cluster": CLUSTER_NAME,
        "bootstrap_servers": config.bootstrap_servers,
        "control_bootstrap_servers": config.control_kafka.address,
        "settings": _common(description, config.directory),
        "logins": {user: _login(config, user) for user in security.ON_CONTROL},
    }
    write_atomically(folders.environment_file, json.dumps(content, indent=2) + "\n")


def _common(description: Mapping[str, Any], directory: Path) -> dict[str, str]:
    folders = Folders(directory)
    return {
        "KAFKA_MIGRATION_BOOTSTRAP_SERVERS": str(description["control_bootstrap_servers"]),
        "KAFKA_MIGRATION_CLUSTERS_FILE": str(folders.clusters_file),
        "KAFKA_MIGRATION_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_MIGRATION_DATA_FOLDER": str(folders.root / "agent"),
        **metrics_environment(description),
    }


def _login(config: LabConfig, user: str) -> dict[str, str]:
    if not config.secure:
        return {}
    given = client_security.kafka_settings(config, user, on_control=True)
    servers = client_security.control_servers(config, user)
    return {"KAFKA_MIGRATION_BOOTSTRAP_SERVERS": servers} | {
        f"KAFKA_MIGRATION_SECURITY__{name.upper()}": value for name, value in given.items()
    }
