"""Does a Kafka broker answer at this address?

One ApiVersions request, which needs no login. Called by consul.py.

Written out because client libraries bootstrap: they would go on to where the broker says it is.
"""

import asyncio
import ssl
import struct

API_VERSIONS = 18
CORRELATION_ID = 7
CLIENT_ID = b"kafka-migration"
ANSWER_BYTES_MAX = 100_000
UNSUPPORTED_VERSION = 35  # an answer all the same


async def trouble(host: str, port: int, tls: ssl.SSLContext | None, timeout_seconds: float) -> str:
    """Why no broker answers there, in words; empty: one does. `tls`: for a TLS listener."""
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
            "it, or it is no Kafka"
        )
    except OSError as error:
        return error.strerror or str(error)


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Version 0 of the request and of its answer: any broker knows them."""
    request = struct.pack(">hhih", API_VERSIONS, 0, CORRELATION_ID, len(CLIENT_ID)) + CLIENT_ID
    writer.write(struct.pack(">i", len(request)) + request)
    await writer.drain()
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    if not 6 <= size <= ANSWER_BYTES_MAX:
        return "what answers is no Kafka broker"
    correlation, error = struct.unpack(">ih", (await reader.readexactly(size))[:6])
    if correlation != CORRELATION_ID or error not in (0, UNSUPPORTED_VERSION):
        return f"the answer is not that of a Kafka broker (error {error})"
    return ""
