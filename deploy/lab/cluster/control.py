"""How Lab talks to its supervisor.

Request and answer are one line of JSON each, over a Unix socket in the lab's folder that only the
owner of the folder can reach. Requests are served one at a time, and each side has a timeout.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 20.0
BYTES_MAX = 4 * 1024 * 1024


class NotReachedError(ConnectionError):
    """No supervisor answers at the socket."""


@contextlib.contextmanager
def _short_path(path: Path) -> Iterator[str]:
    """A short path to the socket, through the file descriptor of its folder.

    The path of a socket may have at most 107 bytes.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Listen on a new socket at `path`, which replaces a dead one."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_path(path) as short:
        server.bind(short)
    path.chmod(0o600)
    server.listen(8)
    return server


def answer(server: socket.socket, obey: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Accept one connection, pass its request to `obey`, and send back the result."""
    link, _ = server.accept()
    with link:
        link.settimeout(TIMEOUT_SECONDS)
        try:
            reply = obey(dict(json.loads(_read_line(link))))
        except ValueError as error:
            reply = {"refused": f"not a request: {error}"}
        link.sendall(json.dumps(reply).encode() + b"\n")


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one request and return the answer. Raises NotReachedError when nobody listens."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link, _short_path(path) as short:
            link.settimeout(TIMEOUT_SECONDS)
            link.connect(short)
            link.sendall(json.dumps(request).encode() + b"\n")
            return dict(json.loads(_read_line(link)))
    except OSError as error:
        raise NotReachedError(f"no lab answers at {path}: {error}") from error


def _read_line(link: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = link.recv(65536)
        if not piece or len(received) > BYTES_MAX:
            raise ValueError("the line does not end")
        received += piece
    return bytes(received)
