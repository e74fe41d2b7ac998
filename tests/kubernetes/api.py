"""A real Kubernetes API on loopback: etcd, kube-apiserver, kube-controller-manager, and a client of
a few verbs.

No kubelet and no scheduler: what a node would say of a pod, the test says for it (run.py).
"""

import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TOKEN = "of-a-test-on-loopback"
CONTROLLERS = "statefulset,deployment,replicaset,job,disruption"
START_SECONDS = 180.0

Object = dict[str, Any]


class KubernetesError(Exception):
    """The API refused what the test needs, or a process ended."""


class Api:
    """Apply, read, patch a status, evict."""

    def __init__(self, url: str, certificate: Path) -> None:
        context = ssl.create_default_context(cafile=certificate)
        self._http = httpx.Client(
            base_url=url, verify=context, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30.0
        )
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def apply(self, one: Object) -> None:
        """Server-side apply, as `kubectl apply --server-side` does it."""
        path = f"{self._path(one)}?fieldManager=test-kubernetes&force=true"
        self._done(
            self._http.patch(
                path, json=one, headers={"Content-Type": "application/apply-patch+yaml"}
            )
        )

    def get(self, path: str) -> Object:
        """One object or list."""
        return self._done(self._http.get(path))

    def patch_status(self, pod: Object, status: Object) -> None:
        """What a kubelet would tell of its pod."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        self._done(self._http.patch(path, json={"status": status}, headers=headers))

    def evict(self, namespace: str, pod: str) -> tuple[int, str]:
        """The eviction API: its status code, and what it said."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
        }
        response = self._http.post(
            f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", json=eviction
        )
        said = response.json()
        causes = [c["message"] for c in said.get("details", {}).get("causes", [])]
        return response.status_code, " ".join([said.get("message", ""), *causes]).strip()

    def _path(self, one: Object) -> str:
        version, kind = one["apiVersion"], one["kind"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._kinds:
            for known in self.get(base)["resources"]:
                if "/" not in known["name"]:
                    self._kinds[version, known["kind"]] = (known["name"], known["namespaced"])
        plural, namespaced = self._kinds[version, kind]
        meta = one["metadata"]
        return (
            f"{base}/namespaces/{meta['namespace']}/{plural}/{meta['name']}"
            if namespaced
            else f"{base}/{plural}/{meta['name']}"
        )

    def _done(self, response: httpx.Response) -> Object:
        if response.is_error:
            raise KubernetesError(
                f"{response.request.method} {response.request.url.path}: {response.text[:1000]}"
            )
        done: Object = response.json()
        return done


@contextmanager
def kubernetes(binaries: Path, folder: Path) -> Iterator[Api]:
    """The three processes while the block runs; their logs stay in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    etcd, peers, secure = _free_ports(3)
    key = folder / "service-accounts.key"
    _run("openssl", "genrsa", "-out", str(key), "2048")
    (folder / "tokens.csv").write_text(f'{TOKEN},test,test,"system:masters"\n')
    certificate = folder / "certificates" / "apiserver.crt"
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen([*command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            )

    try:
        start(
            "etcd",
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peers}",
        )
        start(
            "kube-apiserver",
            str(binaries / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--cert-dir={certificate.parent}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
        )
        url = f"https://127.0.0.1:{secure}"
        until(
            "the API server answers",
            lambda: certificate.exists() and _is_ready(url, certificate),
            started,
        )
        (folder / "kubeconfig").write_text(json.dumps(_kubeconfig(url, certificate)))
        start(
            "kube-controller-manager",
            str(binaries / "kube-controller-manager"),
            f"--kubeconfig={folder / 'kubeconfig'}",
            f"--controllers={CONTROLLERS}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
        )
        yield Api(url, certificate)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def until(
    what: str,
    holds: Callable[[], bool],
    processes: list[subprocess.Popen[bytes]] | None = None,
    seconds: float = START_SECONDS,
) -> float:
    """Wait until it holds; how long it took, in seconds.

    Raises KubernetesError when it does not, or a process ends.
    """
    began = time.monotonic()
    while not holds():
        if ended := [p.args for p in processes or () if p.poll() is not None]:
            raise KubernetesError(f"{what}: not, as {ended[0]} ended; see its log")
        if time.monotonic() - began > seconds:
            raise KubernetesError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.3)
    return time.monotonic() - began


def _is_ready(url: str, certificate: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=certificate)
        return httpx.get(
            f"{url}/readyz", verify=context, headers={"Authorization": f"Bearer {TOKEN}"}
        ).is_success
    except (httpx.TransportError, ssl.SSLError):
        return False


def _kubeconfig(url: str, certificate: Path) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "c", "cluster": {"server": url, "certificate-authority": str(certificate)}}
        ],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise KubernetesError(f"{' '.join(command)}: {done.stderr.decode()[-500:]}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
