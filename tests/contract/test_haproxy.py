"""What the lab's HAProxy does to whoever looks at endpoints: the real program, with listeners
for brokers behind it.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from agent.adapters.kafka import probe
from deploy.lab import LabConfig, free_base_port
from deploy.lab.cluster import proxies
from tests.fakes.kafka_listener import listener

pytestmark = pytest.mark.skipif(proxies.program() is None, reason=proxies.MISSING)


@dataclass
class Fronts:
    """A running HAProxy."""

    config: LabConfig

    async def trouble(self, broker: int) -> str:
        return await probe.trouble("127.0.0.1", proxies.proxy_port(self.config, broker), None, 5.0)

    async def sessions(self, broker: int) -> int:
        async with httpx.AsyncClient() as http:
            page = await http.get(f"http://{self.config.proxy_node.address}/metrics")
        found = re.search(
            rf'haproxy_frontend_current_sessions{{proxy="broker-{broker}"}} (\d+)', page.text
        )
        assert found is not None, page.text[:500]
        return int(found[1])


@pytest.fixture
async def fronts(tmp_path: Path) -> AsyncIterator[Fronts]:
    """HAProxy as the lab runs it, and a broker's listener behind the proxy of broker 11 alone."""
    config = LabConfig(base_port=free_base_port(), proxies=True)
    file = tmp_path / "haproxy.cfg"
    file.write_text(proxies.configuration(config))
    process = subprocess.Popen([proxies.program() or "", "-db", "-f", str(file)])  # noqa: ASYNC220 - ended below
    try:
        async with listener(port=config.base_port + 11 + proxies.CLIENT_OFFSET):
            made = Fronts(config)
            async with asyncio.timeout(20):
                while await made.trouble(11):  # noqa: ASYNC110 - it lives in another process
                    await asyncio.sleep(0.1)
            yield made
    finally:
        process.kill()
        process.wait()


async def test_a_proxy_is_judged_by_what_is_behind_it(fronts: Fronts) -> None:
    """A proxy takes connections also when its broker is away: only an answer counts."""
    assert await fronts.trouble(11) == ""
    assert "no broker behind it" in await fronts.trouble(12)


async def test_a_proxy_counts_the_clients_of_its_broker(fronts: Fronts) -> None:
    """A client that is connected and says nothing counts, until it goes: the census of a lab
    with proxies.
    """
    _, writer = await asyncio.open_connection("127.0.0.1", proxies.proxy_port(fronts.config, 11))
    await asyncio.sleep(0.2)
    assert (await fronts.sessions(11), await fronts.sessions(12)) == (1, 0)
    writer.close()
    async with asyncio.timeout(10):
        while await fronts.sessions(11):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
