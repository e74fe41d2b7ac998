"""Whether brokers can be reached where they say they are: real sockets on loopback."""

import asyncio
import socket

from agent.adapters.kafka.brokers import without_connection


async def test_only_closed_addresses_are_named_with_the_error() -> None:
    """A listener that takes the connection is left out; a closed port is named with its address
    and why.
    """
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    open_port = server.sockets[0].getsockname()[1]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed_port = probe.getsockname()[1]
        async with server:
            found = await without_connection(
                {31: ("127.0.0.1", open_port), 32: ("127.0.0.1", closed_port)}
            )
    assert list(found) == [32]
    assert found[32].startswith(f"127.0.0.1:{closed_port}: ")
    assert len(found[32]) > len(f"127.0.0.1:{closed_port}: ")
