"""One thread and the admin client that only it uses. Called by cluster.py.

The library is synchronous, is not made for several threads, and has calls that never return (seen
under load). When a call hangs, its thread is abandoned and nothing else is affected.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kafka import KafkaAdminClient
from kafka.errors import KafkaConnectionError, KafkaError

from agent.adapters.kafka import admin_requests
from agent.adapters.kafka.connection import KafkaConnection

T = TypeVar("T")


class AdminThread:
    """Connects with the first call, and again with the first call after a failure."""

    def __init__(self, connection: KafkaConnection, admin: KafkaAdminClient | None = None) -> None:
        """`admin` is a client that is already connected, if there is one."""
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-admin")
        self._admin = admin
        self._is_abandoned = False

    async def call(self, ask: Callable[[KafkaAdminClient], T], seconds_max: float) -> T:
        """Run `ask` in the thread and return its result.

        Raises what the library raises, or TimeoutError after `seconds_max`; the caller then has to
        abandon this thread.
        """
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._in_thread, ask)
        async with asyncio.timeout(seconds_max):
            return await work

    def _in_thread(self, ask: Callable[[KafkaAdminClient], T]) -> T:
        if self._is_abandoned:  # this call was queued behind the one that hung
            raise KafkaConnectionError("the call before it never came back")
        try:
            if self._admin is None:
                self._admin = admin_requests.connect(self._connection)
            return ask(self._admin)
        except (KafkaError, OSError, RuntimeError):
            self._disconnect()
            raise

    async def close(self) -> None:
        """Disconnect after the queued calls have run."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def abandon_thread(self) -> None:
        """Give up the thread without waiting for it.

        The client is closed in a daemon thread, which ends pending calls; nothing waits for that.
        """
        self._is_abandoned = True
        self._thread.shutdown(wait=False)
        threading.Thread(target=self._disconnect, name="kafka-admin given up", daemon=True).start()

    def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()
