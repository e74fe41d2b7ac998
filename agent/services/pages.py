"""The small HTTP server of the processes beside the agent: /ready and /metrics, and what they add.

On aiohttp.
"""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent.config.settings import SettingsError

STOP_SECONDS = 5.0


def pages(trouble: Callable[[], str], body_bytes_max: int = 65_536) -> web.Application:
    """An application with both pages. `trouble`: why it is not ready; empty when it is."""

    async def ready(_request: web.Request) -> web.Response:
        why_not = trouble()
        return web.json_response(
            {"ready": not why_not, "trouble": why_not}, status=503 if why_not else 200
        )

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application(client_max_size=body_bytes_max)
    application.router.add_get("/ready", ready)
    application.router.add_get("/metrics", metrics)
    return application


@asynccontextmanager
async def served(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve until the block ends; requests under way are answered.

    Raises SettingsError when the port is taken.
    """
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another port"
            ) from error
        yield
    finally:
        await runner.cleanup()


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and Ctrl-C. To be called within the loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
