"""The aiohttp server of the collector, the webhook, the monitor and the console.

It gives each of them /ready and /metrics, and serves the routes that it adds.
"""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agent.config.errors import SettingsError

STOP_SECONDS = 5.0
Handler = Callable[[web.Request], Awaitable[web.Response]]


def json_response(content: Any, status: int = 200) -> web.Response:
    """Returns a response whose body is the content as one line of JSON."""
    return web.Response(
        body=orjson.dumps(content) + b"\n", status=status, content_type="application/json"
    )


def status_page(report: Callable[[], dict[str, Any]], healthy: str = "ready") -> Handler:
    """Returns a handler that shows the report.

    Its status is 200 when the report's field named by `healthy` is true, else 503.
    """

    async def page(_request: web.Request) -> web.Response:
        content = report()
        return json_response(content, 200 if content[healthy] else 503)

    return page


def pages(trouble: Callable[[], str], body_bytes_max: int = 65_536) -> web.Application:
    """Returns an application with /ready and /metrics.

    `trouble` returns why the process is not ready, or an empty text when it is ready. Requests
    with a larger body than `body_bytes_max` are refused.
    """

    def report() -> dict[str, Any]:
        why_not = trouble()
        return {"ready": not why_not, "trouble": why_not}

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application(client_max_size=body_bytes_max)
    application.router.add_get("/ready", status_page(report))
    application.router.add_get("/metrics", metrics)
    return application


@asynccontextmanager
async def served(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serves the application until the block ends; requests under way are still answered.

    Raises SettingsError when it cannot listen on that host and port.
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


def stop_on_signal() -> asyncio.Event:
    """Returns an event that SIGTERM or Ctrl-C sets. To be called while the event loop runs."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
