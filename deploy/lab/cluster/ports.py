"""Finds free ports on the loopback address.

A port that is free now may be taken a moment later. The lab then says so.
"""

import random
import socket
from collections.abc import Iterable

from deploy.lab.cluster.config import HOST, PORTS_PER_LAB, LabConfig


class PortTakenError(RuntimeError):
    """A port that the lab needs is in use. The text names the port and the node that needs it."""


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now.

    Sockets in TIME_WAIT do not count, as for a JVM.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def require_free(ports: dict[int, str]) -> None:
    """Raise PortTakenError, which names every taken port and the node that needs it.

    `ports` maps each port to the node.
    """
    taken = [
        f"port {port} (for {name})" for port, name in sorted(ports.items()) if not is_free(port)
    ]
    if taken:
        verb = "is" if len(taken) == 1 else "are"
        raise PortTakenError(
            f"{', '.join(taken)} {verb} in use by another program on {HOST}: stop it (is another "
            "lab running?), or choose another base port (--base-port)"
        )


def free_ports(count: int) -> list[int]:
    """As many free ports as requested, chosen by the system."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def free_base_port(attempts_max: int = 50) -> int:
    """A base port with which a lab finds all its ports free, for labs side by side.

    Raises PortTakenError when there is none.
    """
    candidates: Iterable[int] = random.sample(range(20_000, 32_000, PORTS_PER_LAB), k=attempts_max)
    for base in candidates:
        if all(is_free(port) for port in LabConfig(base_port=base).ports):
            return base
    raise PortTakenError(
        f"no free block of {PORTS_PER_LAB} ports between 20000 and 32000 after {attempts_max} "
        "attempts"
    )
