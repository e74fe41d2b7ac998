"""A listener that answers ApiVersions as a broker does, and one that does not.

For tests of who looks at endpoints.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def listener(*, is_kafka: bool = True, port: int = 0) -> AsyncIterator[str]:
    """Yields host:port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            api_key, _, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            body = struct.pack(">ihihhh", correlation, 0, 1, api_key, 0, 4)
            answer = struct.pack(">i", len(body)) + body
            writer.write(
                answer if is_kafka and api_key == 18 else b"HTTP/1.1 400 Bad Request\r\n\r\n"
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
