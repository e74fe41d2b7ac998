"""One thread and the admin client that only it uses. Called by cluster.py.

The library is synchronous, not made for several threads at once, and has calls that never come back
(seen under load): such a call costs this thread, which is abandoned, and nothing else.
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
    """Connects with the first call, and anew after each failure."""

    def __init__(self, connection: KafkaConnection, admin: KafkaAdminClient | None = None) -> None:
        """`admin`: a client that is connected already."""
        self._connection = connection
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-admin")
        self._admin = admin
        self._is_abandoned = False

    async def call(self, ask: Callable[[KafkaAdminClient], T], seconds_max: float) -> T:
        """Run `ask` in the thread.

        Raises what the library raises, or TimeoutError, after which this thread is to be abandoned.
        """
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._in_thread, ask)
        async with asyncio.timeout(seconds_max):
            return await work

    def _in_thread(self, ask: Callable[[KafkaAdminClient], T]) -> T:
        if self._is_abandoned:  # it stood behind the call that hung
            raise KafkaConnectionError("the call before it never came back")
        try:
            if self._admin is None:
                self._admin = admin_requests.connect(self._connection)
            return ask(self._admin)
        except (KafkaError, OSError, RuntimeError):
            self._disconnect()
            raise

    async def close(self) -> None:
        """Disconnect, after the calls that are waiting."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def abandon_thread(self) -> None:
        """Give the thread up at once.

        Closing the client ends what waits for it; if closing hangs as well, nothing waits for that.
        """
        self._is_abandoned = True
        self._thread.shutdown(wait=False)
        threading.Thread(target=self._disconnect, name="kafka-admin given up", daemon=True).start()

    def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()
