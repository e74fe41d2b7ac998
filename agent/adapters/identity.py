"""Who holds a lease, in a line that tells whether that process can still live.

Called by sessions.py.

A killed process keeps its lock until its ZooKeeper session ends. Only where its death is certain
may it be cut short: an agent that is restarted acts again at once.

The proof is a name. Each process binds an abstract Unix socket for as long as it lives, and tells
the name in its identity; the kernel takes the name away when the process ends, however it ends.
Such names belong to a network namespace. So a name that is free in the same network namespace was
that of a process that has ended. A process id proves less: in a container that is restarted the new
process is number 1, as the dead one was, in a process table that is new as well. The containers of
a pod share a network namespace that outlives them. A new pod, or a container whose engine gives it
a new network at each start, has another one: there nothing is certain, and the session's end is
awaited. A lock on a file would depend on the file system: a network's may let it go while its
holder lives.
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
    """`host/pid/start/names-name`; the last is empty where the system cannot prove a death."""
    names, (name, bound) = _names(), _own()
    proof = f"{names}-{name}" if names and bound else ""
    return f"{socket.gethostname()}/{os.getpid()}/{time.time():.0f}/{proof}"


def is_dead(identity: str) -> bool:
    """True only if the process that bore it is known to have ended."""
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
    """The name of this process, and what binds it: kept until the process ends, and never given
    up before.
    """
    name = secrets.token_hex(8)
    return name, _bind(name)


def _bind(name: str) -> socket.socket | None:
    """None when it cannot be had: another process has it, or the system knows no such names."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(f"\0kafka-migration/{name}")
    except OSError:
        held.close()
        return None
    return held


def _names() -> str:
    """Which network namespace of which boot of which machine this is; empty where the system does
    not tell.

    A namespace's number is given again only when the namespace is gone, and all of its processes
    with it.
    """
    try:
        names = f"{_BOOT_ID.read_text(encoding='ascii').strip()}-{_NETWORK_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""
    return hashlib.sha256(names.encode()).hexdigest()[:12]
