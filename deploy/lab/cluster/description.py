"""`lab.json` and `clusters.yaml`, which tell other programs how to use a running lab.

The supervisor writes them and Lab reads them. `lab.json` alone does not prove that the lab runs;
the lock does (see lab.py).
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from deploy.lab.cluster import client_security, proxies, security
from deploy.lab.cluster.config import HOST, LabConfig, Metrics, Role
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.jars import Installation
from deploy.lab.cluster.launch import Folders
from deploy.lab.cluster.processes import ManagedProcess

CLUSTER_NAME = "lab"
# What takes minutes on a large cluster takes seconds in a lab.
POLICY = {"quiet_seconds": 10.0, "resume_delay_seconds": 5.0, "progress_seconds": 2.0}


class LabState(StrEnum):
    """The state of the whole lab."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPING = "stopping"
    DOWN = "down"


def describe(
    config: LabConfig,
    installation: Installation | None,
    processes: Mapping[str, ManagedProcess],
    **progress: Any,
) -> dict[str, Any]:
    """The content of lab.json.

    `progress` holds state, step, error, supervisor_pid, started_at and ready_after_seconds.
    """
    folders = Folders(config.directory)
    url = config.cruise_control_url
    return {
        **progress,
        "bootstrap_servers": config.bootstrap_servers,
        "control_bootstrap_servers": config.control_kafka.address,
        "zookeeper": None if config.kraft else config.zookeeper.address,
        "cruise_control_url": url,
        "secure": config.secure,
        "prometheus_url": config.prometheus_url,
        "targets_file": str(folders.targets_file) if config.metrics is not Metrics.NONE else None,
        "admin_security": client_security.kafka_settings(config, security.ADMIN),
        "proxies": {str(b): place for b, place in proxies.endpoints(config).items()}
        if config.proxies
        else {},
        "cruise_control": str(config.cruise_control_kind),
        "kafka_version": config.kafka_version,
        "class_path": installation.class_path if installation else None,
        "java": str(installation.java) if installation else None,
        "class_archive": str(installation.archive)
        if installation and installation.archive
        else None,
        "brokers": {
            str(node.broker.id): {
                "name": node.name,
                "port": node.port,
                "metrics_port": node.metrics_port if config.metrics is not Metrics.NONE else None,
                "rack": node.broker.rack,
                "role": str(node.broker.role),
                "log_dir": str(folders.data(node.name)),
                "pid": processes[node.name].pid if node.name in processes else None,
            }
            for node in config.broker_nodes
            if node.broker
        },
        "processes": {
            node.name: {
                "kind": str(node.kind),
                "port": node.port,
                "pid": process.pid,
                "state": str(process.state),
                "exit_code": process.exit_code,
                "starts": process.starts,
                "log": str(folders.log(node.name)),
                "output": str(folders.output(node.name)),
            }
            for node in config.nodes
            if (process := processes.get(node.name))
        },
    }


def write(folders: Folders, description: Mapping[str, Any]) -> None:
    """Replace lab.json in one step."""
    write_atomically(folders.lab_file, json.dumps(description, indent=2) + "\n")


def read(directory: Path) -> dict[str, Any] | None:
    """The content of lab.json, or None when there is none."""
    try:
        content = json.loads(Folders(directory).lab_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return dict(content)


def _kraft(config: LabConfig) -> dict[str, Any]:
    """The section `kraft` of clusters.yaml, with short times.

    The supervisor of the lab restarts the nodes.
    """
    return {
        "controllers": [
            {
                "id": node.controller_id,
                "address": node.address,
                "metrics_url": f"http://{HOST}:{node.metrics_port}/metrics",
            }
            for node in config.controller_nodes
        ],
        "restart_by": "lab",
        "lab_directory": str(Folders(config.directory).root),
        "soak_seconds": 20.0,
        "restart_patience_seconds": 60.0,
        "stuck_seconds": 15.0,
        "look_seconds": 1.0,
    }


def write_clusters(config: LabConfig) -> None:
    """Write clusters.yaml, the agent's list of clusters, with this lab as its only cluster."""
    destinations = [broker.id for broker in config.brokers if broker.role is Role.DESTINATION]
    cluster: dict[str, Any] = {
        "bootstrap_servers": config.bootstrap_servers,
        **({} if config.kraft else {"zookeeper": config.zookeeper.address}),
        **(
            {"security": client_security.kafka_settings(config, security.AGENT)}
            if config.secure
            else {}
        ),
        **(
            {"zookeeper_security": client_security.zookeeper_settings(config)}
            if config.secure
            else {}
        ),
        "cruise_control": {
            "url": config.cruise_control_url or f"http://{config.cruise_control_node.address}",
            **client_security.cruise_control_settings(config),
        },
        "source_broker_ids": list(config.source_ids),
        "destination_broker_ids": destinations,
        "policy": dict(POLICY),
    }
    if config.controller_nodes and not config.kraft:
        cluster["kraft"] = _kraft(config)
    text = yaml.safe_dump({"clusters": {CLUSTER_NAME: cluster}}, sort_keys=False)
    write_atomically(Folders(config.directory).clusters_file, text)
