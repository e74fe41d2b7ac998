"""Debian's Prometheus and node exporter beside the brokers, where they are installed.

`apt-get install prometheus` installs both. Without them the collector reads the brokers' exporters
directly, and the load average that the JVMs report is the only sample of the system. lab.py,
launch.py and supervisor.py use this.
"""

import json
import shutil
from pathlib import Path

import yaml

from deploy.lab.cluster.config import Kind, LabConfig, Node, Role
from deploy.lab.cluster.files import write_atomically

CLUSTER_NAME = "lab"  # as in description.py
SCRAPE_SECONDS = 2
PROGRAMS = {
    # Each program has a name in Debian and an upstream name.
    "node-exporter": ("prometheus-node-exporter", "node_exporter"),
    "prometheus": ("prometheus",),
}
# Only what the mapping needs, which makes a page of 60 lines instead of 1,500.
NODE_COLLECTORS = ("cpu", "filesystem", "loadavg")
PLATFORMS = {Role.SOURCE: "ec2", Role.DESTINATION: "k8s"}  # the platforms that they represent


def found() -> tuple[str, ...]:
    """The names of the nodes whose programs are installed on this machine."""
    return tuple(name for name, programs in PROGRAMS.items() if any(map(shutil.which, programs)))


def command(config: LabConfig, node: Node, settings: Path, data: Path) -> list[str]:
    """Write the files of the node, and return the command that runs it."""
    program = next(path for name in PROGRAMS[node.name] if (path := shutil.which(name)))
    if node.kind is Kind.NODE_EXPORTER:
        only = [f"--collector.{name}" for name in NODE_COLLECTORS]
        return [
            program,
            f"--web.listen-address={node.address}",
            "--collector.disable-defaults",
            *only,
        ]
    file = settings / "prometheus.yml"
    write_atomically(file, yaml.safe_dump(_prometheus(config), sort_keys=False))
    return [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={node.address}",
        "--log.level=warn",
    ]


def write_targets(config: LabConfig) -> None:
    """Write targets.json in the format of file_sd_configs.

    Prometheus reads it, or a collector where there is no Prometheus. All brokers run on one
    machine, so its node exporter is scraped once for each of them.
    """
    groups = []
    node_exporter = next((n for n in config.monitor_nodes if n.kind is Kind.NODE_EXPORTER), None)
    for node in config.broker_nodes:
        if node.broker is None:
            continue
        labels = {
            "cluster": CLUSTER_NAME,
            "broker": str(node.broker.id),
            "platform": PLATFORMS[node.broker.role],
        }
        kafka = f"{node.address.rpartition(':')[0]}:{node.metrics_port}"
        groups.append({"targets": [kafka], "labels": {"job": "kafka", **labels}})
        if node_exporter is not None:
            groups.append({"targets": [node_exporter.address], "labels": {"job": "node", **labels}})
    write_atomically(_targets_file(config), json.dumps(groups, indent=2) + "\n")


def _prometheus(config: LabConfig) -> dict[str, object]:
    every = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "scrape_configs": [
            {"job_name": "lab", "file_sd_configs": [{"files": [str(_targets_file(config))]}]}
        ],
    }


def _targets_file(config: LabConfig) -> Path:
    return config.directory.resolve() / "targets.json"
