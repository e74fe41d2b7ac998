"""The lease (implements LeasePort) and the watch of registered brokers, in the cluster's ZooKeeper.

kazoo works in threads. held() and holder() only read, from any thread; callbacks run in the event
loop.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, KazooException, LockTimeout, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.recipe.lock import Lock

from agent.adapters import identity
from agent.adapters.zookeeper.access import ZooKeeperAccess

log = logging.getLogger("kafka_migration.zookeeper")

LOCK_PATH = "/kafka-migration/driver"
BROKERS_PATH = "/brokers/ids"
SESSION_SECONDS = 10.0
ACQUIRE_SECONDS = 5.0  # of one attempt; between attempts, `closing` is checked
PAUSE_SECONDS = 1.0
POLL_SECONDS = 0.2  # how often the watch checks `closing`
# ZooKeeper gives the lock to another agent when it has heard nothing for a session's time. So the
# lease counts as held for this share of that time after each request that ZooKeeper answered,
# whatever has happened to the connection or to this process since.
LEASE_SAFETY_SHARE = 0.6
CHECKS_PER_SESSION = 10


class _Sessions:
    """Opens one ZooKeeper session after another in a thread of its own, until close()."""

    def __init__(
        self, hosts: str, session_seconds: float, purpose: str, access: ZooKeeperAccess | None
    ) -> None:
        self.hosts = hosts
        self._access = access or ZooKeeperAccess()
        self.session_seconds = session_seconds
        self.closing = threading.Event()
        self.in_doubt = threading.Event()  # no connection now
        self.is_lost = threading.Event()  # the session is over
        self._thread = threading.Thread(target=self._run, name=f"{purpose} {hosts}", daemon=True)

    def start(self) -> None:
        """Start the thread; never blocks."""
        self._thread.start()

    def close(self) -> None:
        """End the session in an orderly way. Blocks for one or two requests, at most 10 s."""
        self.closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=ACQUIRE_SECONDS * 2)

    def serve(self, client: KazooClient) -> None:
        """Use a session; return when it is over, or when `closing` is set."""
        raise NotImplementedError

    def connected(self) -> None:
        """Handle a new connection; called in one of kazoo's threads, so it must not block."""

    def disconnected(self, why: str) -> None:
        """Handle the loss of the connection; called in one of kazoo's threads: must not block."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self.closing.is_set():
            client = KazooClient(
                hosts=self.hosts, timeout=self.session_seconds, **self._access.for_kazoo()
            )
            client.add_listener(self._listen)
            self.is_lost.clear()
            try:
                client.start(timeout=self.session_seconds)
                self.serve(client)
            except (KazooException, KazooTimeoutError, OSError) as trouble:
                also = " or refuses our login" if self._access.username else ""
                self.disconnected(f"ZooKeeper does not answer{also} ({trouble!r})")
            finally:
                self._end(client)
            self.closing.wait(PAUSE_SECONDS)

    def _end(self, client: KazooClient) -> None:
        try:
            client.stop()
            client.close()
        # The session then ends by its time-out, and a new one is opened.
        except (KazooException, OSError):
            log.warning("%s: a ZooKeeper session could not be closed", self.hosts, exc_info=True)

    def _listen(self, state: KazooState) -> None:
        if state == KazooState.CONNECTED:
            self.in_doubt.clear()
            self.connected()
            return
        self.in_doubt.set()
        if state == KazooState.LOST:
            self.is_lost.set()
        self.disconnected(f"the connection to ZooKeeper is {str(state).lower()}")


class ZooKeeperLease(_Sessions):
    """Acquires and keeps the lock in a thread of its own, from start() to close()."""

    def __init__(
        self,
        hosts: str,
        session_seconds: float = SESSION_SECONDS,
        access: ZooKeeperAccess | None = None,
    ) -> None:
        """`hosts` has the form of zookeeper.connect, with the chroot if there is one."""
        super().__init__(hosts, session_seconds, "lease", access)
        self._identity = identity.own_identity()
        self._held_until = 0.0  # monotonic
        self._other = "nobody yet"

    def held(self) -> bool:
        """Whether this agent holds the lease now.

        False as soon as the connection is in doubt, and after a pause of this process.
        """
        return time.monotonic() < self._held_until

    def holder(self) -> str:
        """Return who holds the lock, as a text for people."""
        if self.held():
            return f"this agent ({self._identity})"
        return f"the lease at {self.hosts} is held by {self._other}"

    def close(self) -> None:
        """Release the lock; held() is False from now on. Blocks for at most 10 s."""
        self._held_until = 0.0
        super().close()

    def disconnected(self, why: str) -> None:
        """Count the lease as not held; never blocks."""
        self._held_until = 0.0
        self._other = f"unknown: {why}"

    def serve(self, client: KazooClient) -> None:
        """Acquire the lock and keep it until the session is over or `closing` is set."""
        self._delete_locks_of_dead(client)
        lock = Lock(client, LOCK_PATH, identifier=self._identity)
        while not (self.closing.is_set() or self.is_lost.is_set()):
            if self._acquired(lock):
                self._keep(client, lock)
                return

    def _delete_locks_of_dead(self, client: KazooClient) -> None:
        """Delete the locks of processes that have certainly ended, such as our last one."""
        with contextlib.suppress(NoNodeError):  # it has ended by itself, or nobody ever held it
            for node in client.get_children(LOCK_PATH):
                path = f"{LOCK_PATH}/{node}"
                holder = client.get(path)[0].decode(errors="replace")
                if identity.is_dead(holder):
                    log.info("%s: process %s has ended: its lock is deleted", self.hosts, holder)
                    client.delete(path)

    def _acquired(self, lock: Lock) -> bool:
        try:
            return bool(lock.acquire(timeout=ACQUIRE_SECONDS))
        except LockTimeout:
            contenders = lock.contenders()
            self._other = contenders[0] if contenders else "nobody yet"
            return False

    def _keep(self, client: KazooClient, lock: Lock) -> None:
        """Confirm the lock again and again until it is lost.

        While the connection is lost, held() is False; the session and the lock outlive a short
        loss.
        """
        log.info("%s: this agent drives (%s)", self.hosts, self._identity)
        while not (self.closing.is_set() or self.is_lost.is_set()):
            asked = time.monotonic()
            with contextlib.suppress(ConnectionLoss):  # the session may still go on
                if not self.in_doubt.is_set():
                    if not self._is_ours(client, lock):
                        break
                    if not self.in_doubt.is_set() and not self.closing.is_set():
                        self._held_until = asked + self.session_seconds * LEASE_SAFETY_SHARE
            self.closing.wait(self.session_seconds / CHECKS_PER_SESSION)
        self._held_until = 0.0
        self._other = "nobody yet"
        if not (self.is_lost.is_set() or self.in_doubt.is_set()):
            lock.release()

    def _is_ours(self, client: KazooClient, lock: Lock) -> bool:
        found = client.exists_async(f"{LOCK_PATH}/{lock.node}").get(timeout=self.session_seconds)
        return found is not None and found.ephemeralOwner == client.client_id[0]


class BrokerWatch(_Sessions):
    """Reports the registered brokers at each change; None while ZooKeeper does not answer."""

    def __init__(
        self,
        hosts: str,
        on_change: Callable[[frozenset[int] | None], Awaitable[None]],
        session_seconds: float = SESSION_SECONDS,
        access: ZooKeeperAccess | None = None,
    ) -> None:
        """Needs a running event loop, in which `on_change` is awaited for one change at a time."""
        super().__init__(hosts, session_seconds, "brokers", access)
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._changes: asyncio.Queue[frozenset[int] | None] = asyncio.Queue()
        self._look = threading.Event()
        self._reporter: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start watching; the first report has the brokers that are registered now."""
        self._reporter = asyncio.create_task(
            self._report_changes(), name=f"broker watch {self.hosts}"
        )
        super().start()

    async def stop(self) -> None:
        """Stop watching; nothing is reported afterwards."""
        if self._reporter is not None:
            self._reporter.cancel()
        await asyncio.to_thread(self.close)

    def serve(self, client: KazooClient) -> None:
        """Read the registered brokers at each change, and after each new connection.

        ZooKeeper's watches fire once, and kazoo does not set them again when it reconnects.
        """
        while not (self.closing.is_set() or self.is_lost.is_set()):
            self._look.clear()
            if not self.in_doubt.is_set():
                with contextlib.suppress(ConnectionLoss):
                    asked = client.get_children_async(
                        BROKERS_PATH, watch=lambda _event: self._look.set()
                    )
                    self._post(
                        frozenset(int(child) for child in asked.get(timeout=self.session_seconds))
                    )
            while not (self._look.is_set() or self.closing.is_set() or self.is_lost.is_set()):
                self._look.wait(POLL_SECONDS)

    def connected(self) -> None:
        """Read the brokers again; never blocks."""
        self._look.set()

    def disconnected(self, why: str) -> None:
        """Report None to `on_change`; never blocks."""
        log.warning("%s: %s; the loss of a broker would not be seen here", self.hosts, why)
        self._post(None)
        self._look.set()

    def _post(self, brokers: frozenset[int] | None) -> None:
        if not (self.closing.is_set() or self._loop.is_closed()):
            self._loop.call_soon_threadsafe(self._changes.put_nowait, brokers)

    async def _report_changes(self) -> None:
        reported: Any = ()  # neither a set nor None, so that the first value is always reported
        while True:
            brokers = await self._changes.get()
            if brokers != reported:
                reported = brokers
                await self._on_change(brokers)
