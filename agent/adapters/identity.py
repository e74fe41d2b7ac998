"""Who holds a lease, in a line that tells whether that process can still live. Called by zookeeper.py.

A killed process keeps its lock until its ZooKeeper session ends. Only where its death is certain, in the same process
table of the same boot of the same machine, may it be cut short: an agent that is restarted acts again at once.
"""

import hashlib
import os
import socket
import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_DEAD_STATES = frozenset("ZX")


def mine() -> str:
    """`host/pid/start/process table`; the last is empty where the system does not tell."""
    return f"{socket.gethostname()}/{os.getpid()}/{time.time():.0f}/{_process_table()}"


def is_dead(identity: str) -> bool:
    """True only if the process that bore it is known to have ended."""
    _host, pid, _start, table = (*identity.split("/"), "", "", "", "")[:4]
    if not table or table != _process_table() or not pid.isdecimal():
        return False
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
    return after_name.split()[0] in _DEAD_STATES


def _process_table() -> str:
    try:
        table = f"{_BOOT_ID.read_text(encoding='ascii').strip()}-{_PID_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""
    return hashlib.sha256(table.encode()).hexdigest()[:12]
