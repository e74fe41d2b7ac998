"""Checks whether a Kafka broker answers at an address. Called by consul.py.

Sends one ApiVersions request, which needs no login. It is encoded here because client libraries
would go on to the broker's advertised address.
"""

import asyncio
import ssl
import struct

API_VERSIONS = 18
CORRELATION_ID = 7
CLIENT_ID = b"kafka-migration"
ANSWER_BYTES_MAX = 100_000
UNSUPPORTED_VERSION = 35  # this error, too, comes from a Kafka broker


async def trouble(host: str, port: int, tls: ssl.SSLContext | None, timeout_seconds: float) -> str:
    """Return why no broker answers there, as a text; empty when one does.

    `tls` is for a listener with TLS. Never raises for a failed connection.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            try:
                return await _asked(reader, writer)
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {timeout_seconds:.0f} s"
    except asyncio.IncompleteReadError:
        return (
            "the connection was closed without an answer: the proxy has no broker behind "
            "it, or this is no Kafka broker"
        )
    except OSError as error:
        return error.strerror or str(error)


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Send version 0 of the request, which every broker knows, and check the answer."""
    request = struct.pack(">hhih", API_VERSIONS, 0, CORRELATION_ID, len(CLIENT_ID)) + CLIENT_ID
    writer.write(struct.pack(">i", len(request)) + request)
    await writer.drain()
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    if not 6 <= size <= ANSWER_BYTES_MAX:
        return "what answers is not a Kafka broker"
    correlation, error = struct.unpack(">ih", (await reader.readexactly(size))[:6])
    if correlation != CORRELATION_ID or error not in (0, UNSUPPORTED_VERSION):
        return f"the answer is not that of a Kafka broker (error {error})"
    return ""
