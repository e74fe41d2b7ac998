"""One driver a cluster: a kazoo lock in the cluster's own ZooKeeper (LeasePort), and a watch over its brokers.

kazoo has a thread of its own; what it tells is read from the event loop's thread as plain values.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.recipe.lock import Lock

log = logging.getLogger(__name__)

LOCK_PATH = "/kafka-migration/driver"
BROKERS_PATH = "/brokers/ids"
SESSION_SECONDS = 10.0
ACQUIRE_SECONDS = 5.0  # one try; then it is looked whether we are still wanted
PAUSE_SECONDS = 1.0


class NoLease:
    """For a cluster without a ZooKeeper: the ownership of its partition in the inbox is the fence."""

    def start(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def held(self) -> bool:
        return True

    def holder(self) -> str:
        return "this agent, by ownership of its inbox partition"


class ZooKeeperLease:
    """The lock, sought in the background for as long as the cluster is ours to drive."""

    def __init__(
        self,
        hosts: str,
        on_brokers: Callable[[frozenset[int] | None], None] | None = None,
        session_seconds: float = SESSION_SECONDS,
    ) -> None:
        """`on_brokers`: told, from kazoo's thread, the registered brokers at each change; None: not to be seen."""
        self._identity = f"{socket.gethostname()}/{os.getpid()}/{time.time():.0f}"
        self._hosts = hosts
        self._session_seconds = session_seconds
        self._on_brokers = on_brokers
        self._held = threading.Event()
        self._closing = threading.Event()
        self._other = "nobody yet"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to seek it."""
        self._thread = threading.Thread(target=self._seek, name=f"lease {self._hosts}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let it go."""
        self._closing.set()
        self._held.clear()
        if self._thread is not None:
            self._thread.join(timeout=ACQUIRE_SECONDS * 2)

    def held(self) -> bool:
        """False from the moment that the connection is in doubt."""
        return self._held.is_set()

    def holder(self) -> str:
        """Who has it, for people."""
        return (
            f"this agent ({self._identity})" if self.held() else f"the lease at {self._hosts} is held by {self._other}"
        )

    # ── kazoo's side ────────────────────────────────────────────────────────────────────────────────────────────
    def _seek(self) -> None:
        while not self._closing.is_set():
            client = KazooClient(hosts=self._hosts, timeout=self._session_seconds)
            try:
                self._hold(client)
            except (KazooException, KazooTimeoutError, OSError) as trouble:
                self._other = f"unknown: ZooKeeper does not answer ({type(trouble).__name__})"
            finally:
                self._held.clear()
                self._tell(None)
                client.stop()
                client.close()
            self._closing.wait(PAUSE_SECONDS)

    def _hold(self, client: KazooClient) -> None:
        """Get the lock and keep it until the connection is in doubt or we close."""
        in_doubt = threading.Event()

        def listen(state: KazooState) -> None:
            if state != KazooState.CONNECTED:
                self._held.clear()
                in_doubt.set()

        client.add_listener(listen)
        client.start(timeout=self._session_seconds)
        if self._on_brokers is not None:
            client.ChildrenWatch(BROKERS_PATH, self._brokers_changed)
        lock = Lock(client, LOCK_PATH, identifier=self._identity)
        while not (self._closing.is_set() or in_doubt.is_set()):
            if self._acquired(lock):
                self._held.set()
                while not (self._closing.is_set() or in_doubt.is_set()):
                    self._closing.wait(0.2)
                self._held.clear()
                if not in_doubt.is_set():
                    lock.release()
                return

    def _acquired(self, lock: Lock) -> bool:
        try:
            return bool(lock.acquire(timeout=ACQUIRE_SECONDS))
        except KazooException as trouble:
            if type(trouble).__name__ != "LockTimeout":
                raise
            contenders = lock.contenders()
            self._other = contenders[0] if contenders else "nobody yet"
            return False

    def _brokers_changed(self, children: list[str]) -> None:
        self._tell(frozenset(int(child) for child in children))

    def _tell(self, brokers: frozenset[int] | None) -> None:
        if self._on_brokers is not None:
            self._on_brokers(brokers)
