"""The identity of a lease holder, from which others can prove that its process has ended.

Called by sessions.py and lease.py.

A killed process keeps its lock until its ZooKeeper session ends. An agent that is restarted on the
same machine need not wait for that, if it can prove that the previous process has ended.

The proof is the name of an abstract Unix socket. Each process binds one for as long as it lives and
writes the name into its identity. The kernel frees the name when the process ends, for whatever
reason. Such names belong to a network namespace, so a name that is free in the same network
namespace was that of a process that has ended.

Other proofs are weaker. In a restarted container the new process has id 1, as the dead one had. A
file lock depends on the file system, and a network file system may drop it while its holder lives.

The containers of a pod share a network namespace that outlives them. A new pod, or a container that
gets a new network at each start, has another namespace. Nothing can be proved there, and the agent
waits until the session ends.
"""

import functools
import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NETWORK_NAMESPACE = Path("/proc/self/ns/net")
_PROOF = re.compile(r"([0-9a-f]{12})-([0-9a-f]{16})")


def own_identity() -> str:
    """Return this process's identity, `host/pid/start/namespace-name`; `start` is in epoch seconds.

    The last part is empty where the system cannot prove that a process has ended.
    """
    names, (name, bound) = _names(), _own()
    proof = f"{names}-{name}" if names and bound else ""
    return f"{socket.gethostname()}/{os.getpid()}/{time.time():.0f}/{proof}"


def is_dead(identity: str) -> bool:
    """Return True only if the process with this identity has certainly ended."""
    proof = _PROOF.fullmatch(identity.rpartition("/")[2])
    if proof is None or proof[1] != _names():
        return False
    found = _bind(proof[2])
    if found is None:
        return False
    found.close()
    return True


@functools.cache
def _own() -> tuple[str, socket.socket | None]:
    """The name of this process and the socket that binds it.

    The cache keeps the socket open until the process ends.
    """
    name = secrets.token_hex(8)
    return name, _bind(name)


def _bind(name: str) -> socket.socket | None:
    """Bind the name; None when another process holds it or the system has no such names."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(f"\0kafka-migration/{name}")
    except OSError:
        held.close()
        return None
    return held


def _names() -> str:
    """A hash of machine, boot and network namespace; empty where the system does not show them.

    The number of a namespace is reused only after the namespace and all of its processes are gone.
    """
    try:
        names = f"{_BOOT_ID.read_text(encoding='ascii').strip()}-{_NETWORK_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""
    return hashlib.sha256(names.encode()).hexdigest()[:12]
