"""The disruption budget on a real Kubernetes API, with a real monitor and a broker that is really
killed.

`make test-kubernetes`. Applies the overlay `lab` to an API server built from source, and shows: a
broker's pod can be evicted while the monitor is ready, and cannot while an EC2 broker is down.
Writes build/kubernetes/report.json.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from deploy.lab import CruiseControlKind, Lab, LabConfig, free_base_port
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.readiness import admin_client
from tests.kubernetes.api import Api, KubernetesError, Object, kubernetes, until

ROOT = Path(__file__).parent.parent.parent
MODULE = ROOT / "tests/kubernetes"
FOLDER = ROOT / "build/kubernetes"
OVERLAY = ROOT / "deploy/k8s/overlays/lab"
PROGRAMS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
VERSION = "v1.34.4"
NAMESPACE = "kafka-migration"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
BUDGET = f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/kafka"
BROKER_OF_POD = {"kafka-a-0": 31, "kafka-b-0": 32, "kafka-c-0": 33}
LOST = 11  # a source broker, on EC2 in the story
READY_AFTER_SECONDS = 6.0
MONITOR = {
    "INTERVAL_SECONDS": "1",
    "READY_AFTER_SECONDS": str(READY_AFTER_SECONDS),
    "LOG_FORMAT": "text",
}


class Story:
    """What happened, printed and kept; a check that fails is told with the rest, and makes the
    run fail.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.lines: list[str] = []
        self.failed: list[str] = []

    def tell(self, text: str) -> None:
        line = f"{time.monotonic() - self._began:6.1f} s  {text}"
        self.lines.append(line)
        print(line, flush=True)

    def check(self, text: str, holds: bool) -> None:
        self.tell(f"{'ok ' if holds else 'NOT'} {text}")
        if not holds:
            self.failed.append(text)


class Kubelet:
    """In place of one: tells the API which pods are ready, as the real monitor and the lab's
    brokers are.
    """

    def __init__(self, api: Api, lab: Lab, monitor_url: str) -> None:
        self._api, self._lab, self._monitor_url = api, lab, monitor_url
        self._told: dict[str, bool] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            try:
                for pod in self._api.get(PODS)["items"]:
                    self._tell(pod)
            except (KubernetesError, httpx.TransportError) as trouble:
                print(f"kubelet: {trouble}", flush=True)

    def _tell(self, pod: Object) -> None:
        uid, ready = pod["metadata"]["uid"], self._is_ready(pod)
        if ready is None or self._told.get(uid) == ready:
            return
        status = "True" if ready else "False"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": status, "lastTransitionTime": now}
            for kind in ("Ready", "ContainersReady")
        ]
        self._api.patch_status(pod, {"phase": "Running", "conditions": conditions})
        self._told[uid] = ready

    def _is_ready(self, pod: Object) -> bool | None:
        """None: not one of those that the story is about."""
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "monitor":
            probe = pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]
            try:
                return httpx.get(self._monitor_url + probe["path"], timeout=3.0).is_success
            except httpx.TransportError:
                return False
        broker_id = BROKER_OF_POD.get(pod["metadata"]["name"])
        if broker_id is None:
            return None
        try:
            socket.create_connection(
                ("127.0.0.1", _node(self._lab, broker_id).port), timeout=3.0
            ).close()
        except OSError:
            return False
        return True


def play(api: Api, lab: Lab, monitor_url: str, story: Story) -> None:
    """The acts, one after another."""

    def budget_allows(number: int) -> bool:
        status = api.get(BUDGET)["status"]
        return bool(status.get("expectedPods") == 4 and status.get("disruptionsAllowed") == number)

    def evict(pod: str, expected: int, why: str) -> None:
        code, said = api.evict(NAMESPACE, pod)
        story.check(f"evict {pod}, {why}: {code} {said}", code == expected)

    def monitor() -> dict[str, Any]:
        body: dict[str, Any] = httpx.get(f"{monitor_url}/ready", timeout=5.0).json()
        return body

    def monitor_pod() -> str:
        pods = api.get(f"{PODS}?labelSelector=app.kubernetes.io/name=monitor")["items"]
        return str(pods[0]["metadata"]["name"]) if pods else ""

    took = until(
        "the monitor is ready, and the budget allows a disruption", lambda: budget_allows(1)
    )
    story.tell(
        f"the monitor is ready ({monitor()['seen']}); the budget allows 1 disruption ({took:.1f} s)"
    )
    before = _uid(api, "kafka-b-0")
    evict("kafka-b-0", 201, "all is well")
    until("the StatefulSet makes the pod anew", lambda: _uid(api, "kafka-b-0") not in ("", before))
    until("the budget allows a disruption again", lambda: budget_allows(1))

    lab.kill(_node(lab, LOST).name)
    story.tell(f"broker {LOST}, on EC2, is killed (SIGKILL)")
    took = until("the budget is closed", lambda: budget_allows(0))
    told = monitor()
    story.tell(
        "the monitor is not ready: "
        f"{'; '.join(r['code'] + ': ' + r['seen'] for r in told['reasons'])}"
    )
    story.tell(f"the first of its partitions: {json.dumps(told['partitions'][0])}")
    story.check(f"from the kill to the closed budget: {took:.1f} s, 30 at most", took <= 30)
    for pod in BROKER_OF_POD:
        evict(pod, 429, f"broker {LOST} is down")
    # A node must be drained of a monitor that is not ready: the next one is not ready either.
    evict(monitor_pod(), 201, "the monitor itself does not hold up a drain")
    until(
        "the Deployment makes another monitor's pod",
        lambda: budget_allows(0) and bool(monitor_pod()),
    )
    evict("kafka-c-0", 429, "the new monitor is not ready either")

    lab.start(_node(lab, LOST).name)
    story.tell(f"broker {LOST} is started again")
    took = until("the budget opens", lambda: budget_allows(1))
    story.check(
        f"it opens {took:.1f} s later, and not before {READY_AFTER_SECONDS:g} s of health",
        took >= READY_AFTER_SECONDS - 1,
    )
    evict("kafka-a-0", 201, "all is well again")


def apply_all(api: Api, story: Story) -> None:
    """The overlay, as it is."""
    built = subprocess.run(
        [FOLDER / "kustomize", "build", OVERLAY],
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
    ).stdout
    objects = [o for o in yaml.safe_load_all(built) if o]
    for one in objects:
        api.apply(one)
    kinds = ", ".join(
        f"{n} {kind}" for kind, n in sorted(Counter(o["kind"] for o in objects).items())
    )
    story.tell(f"applied {OVERLAY.relative_to(ROOT)}: {kinds}")
    # The namespace enforces the pod security standard `restricted`: a pod that breaks it is never
    # made.
    wanted = {
        "agent-0",
        "agent-1",
        *BROKER_OF_POD,
        "monitor-",
        "collector-",
        "console-",
        "webhook-",
        "topics-",
    }

    def made() -> bool:
        names = [p["metadata"]["name"] for p in api.get(PODS)["items"]]
        return all(any(n.startswith(w) for n in names) for w in wanted)

    took = until("the controllers make every pod", made, seconds=60)
    story.check(f"every pod was admitted under `restricted` ({took:.1f} s)", made())


@contextmanager
def monitoring(lab: Lab) -> Iterator[str]:
    """A real `kafka-migration monitor` that looks at the lab; its URL."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    given = {
        "BOOTSTRAP_SERVERS": lab.config.bootstrap_servers,
        "CLUSTER": "lab",
        "PORT": str(port),
        **MONITOR,
    }
    environment = os.environ | {
        f"KAFKA_MIGRATION_MONITOR_{name}": value for name, value in given.items()
    }
    with (FOLDER / "monitor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.cli", "monitor"],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def make_topics(lab: Lab) -> None:
    """On both sides: what is lost with broker 11 is on EC2, and on Kubernetes brokers too."""
    spots = {
        "orders": [[11, 12, 13], [12, 13, 11], [13, 11, 12]],
        "payments": [[31, 12, 13], [11, 32, 33], [31, 32, 33]],
    }
    with admin_client(lab.config.bootstrap_servers, timeout_seconds=30) as admin:
        admin.create_topics(
            {
                name: {
                    "assignments": dict(enumerate(some)),
                    "configs": {"min.insync.replicas": "2"},
                }
                for name, some in spots.items()
            },
            wait_for_metadata=True,
        )


def build(story: Story) -> None:
    """The programs, by Go; minutes the first time, seconds after."""
    major, minor, _ = VERSION[1:].split(".")
    told = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    flags = "-s -w " + " ".join(
        f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items()
    )
    environment = os.environ | {"CGO_ENABLED": "0"}
    for name, package in PROGRAMS.items():
        began = time.monotonic()
        subprocess.run(
            [
                "go",
                "build",
                "-mod=readonly",
                "-trimpath",
                "-ldflags",
                flags,
                "-o",
                f"{FOLDER}/",
                package,
            ],
            cwd=MODULE,
            env=environment,
            check=True,
        )
        story.tell(f"built {name} ({time.monotonic() - began:.0f} s)")


def missing() -> str:
    """Why it cannot be run here; empty when it can."""
    wanted = {
        "go": "the Go tool, 1.24 or later",
        "etcd": "Debian's etcd-server",
        "openssl": "openssl",
    }
    return "; ".join(
        f"{name} is not installed ({what})"
        for name, what in wanted.items()
        if not shutil.which(name)
    )


def main() -> int:
    """0: all checks held, or it was skipped with its reason."""
    if why := missing():
        print(f"skipped: {why}")
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    story = Story()
    build(story)
    config = LabConfig(
        directory=FOLDER / "lab", base_port=free_base_port(), cruise_control=CruiseControlKind.NONE
    )
    try:
        with kubernetes(FOLDER, FOLDER / "api") as api:
            story.tell(
                f"Kubernetes {api.get('/version')['gitVersion']} answers; no kubelet, no scheduler"
            )
            apply_all(api, story)
            with Lab(config).running() as lab:
                make_topics(lab)
                story.tell(
                    "the lab runs: brokers "
                    f"{', '.join(str(n.broker.id) for n in config.broker_nodes if n.broker)}"
                )
                with monitoring(lab) as url, Kubelet(api, lab, url):
                    play(api, lab, url, story)
    except KubernetesError as trouble:
        story.check(str(trouble), holds=False)
    write_atomically(
        FOLDER / "report.json",
        json.dumps({"failed": story.failed, "story": story.lines}, indent=2) + "\n",
    )
    story.tell("all held" if not story.failed else f"failed: {'; '.join(story.failed)}")
    return 1 if story.failed else 0


def _node(lab: Lab, broker_id: int) -> Any:
    return next(n for n in lab.config.broker_nodes if n.broker and n.broker.id == broker_id)


def _uid(api: Api, pod: str) -> str:
    """Empty while there is none."""
    items = api.get(PODS)["items"]
    return next((str(p["metadata"]["uid"]) for p in items if p["metadata"]["name"] == pod), "")


if __name__ == "__main__":
    sys.exit(main())
