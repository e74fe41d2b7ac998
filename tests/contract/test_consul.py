"""The Consul adapter against its documented API: one in memory, and a real one where
CONSUL_HTTP_ADDR names it.
"""

import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
import pytest

from agent.adapters.consul import BROKER_META, Consul, ConsulConnection
from agent.adapters.prometheus.client_census import CensusConnection, PrometheusCensus
from agent.adapters.prometheus.server import PrometheusConnection, PrometheusServer
from agent.core.model.endpoints import Endpoint
from agent.core.model.reasons import Code
from agent.performer.ports import PortError
from tests.fakes.consul import FakeConsul, Instance
from tests.fakes.kafka_listener import listener

REAL = os.environ.get("CONSUL_HTTP_ADDR", "")
TOKEN = "let-me-in"


@dataclass
class Stage:
    """A Consul with a service, and brokers 11 (in the service) and 31 (not yet), whose proxies
    answer.
    """

    connection: ConsulConnection
    fake: FakeConsul | None

    @contextlib.asynccontextmanager
    async def client(self, **changes: object) -> AsyncIterator[Consul]:
        made = Consul(replace(self.connection, **changes))
        try:
            yield made
        finally:
            await made.close()


@pytest.fixture(params=["memory", "real"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Both kinds of Consul."""
    if request.param == "real" and not REAL:
        pytest.skip("CONSUL_HTTP_ADDR names no Consul")
    service = f"kafka-{uuid.uuid4().hex[:8]}"
    async with contextlib.AsyncExitStack() as stack:
        endpoints = {b: (await stack.enter_async_context(listener()),) for b in (11, 31)}
        if request.param == "real":
            fake, url, token = (
                None,
                REAL if "://" in REAL else f"http://{REAL}",
                os.environ.get("CONSUL_HTTP_TOKEN"),
            )
        else:
            fake = FakeConsul(token=TOKEN)
            url, token = await stack.enter_async_context(fake.agent("node-1")), TOKEN
        stage = Stage(
            ConsulConnection(url=url, service=service, endpoints=endpoints, token=token), fake
        )
        async with stage.client() as consul:
            await _until_ready(consul, 11)
            yield stage
            await consul.deregister([11, 31])


async def _until_ready(consul: Consul, broker: int, restore: tuple[Endpoint, ...] = ()) -> None:
    """A check is made for the first time some seconds after it was registered."""
    import asyncio

    for _ in range(60):
        if not await consul.register([broker], restore):
            return
        await asyncio.sleep(0.5 if REAL else 0.01)
    raise AssertionError(f"broker {broker} does not come to pass")


async def test_an_endpoint_is_registered_in_the_existing_service(stage: Stage) -> None:
    """It is not called there before Consul's own check passes; registering again changes
    nothing.
    """
    async with stage.client() as consul:
        first = await consul.register([31], ())
        assert [r.code for r in first] == [Code.ENDPOINT_NOT_READY]
        await _until_ready(consul, 31)
        (entry,) = await consul.endpoints_of([31])
        assert f"{entry.address}:{entry.port}" == stage.connection.endpoints[31][0]
        assert dict(entry.meta)[BROKER_META] == "31"
        assert [e.broker_id for e in await consul.endpoints_of([11, 31])] == [11, 31]
        if stage.fake:
            before = stage.fake.requests.count("PUT /v1/agent/service/register")
            assert await consul.register([11, 31], ()) == []
            assert stage.fake.requests.count("PUT /v1/agent/service/register") == before


async def test_what_was_taken_out_is_put_back_as_it_was(stage: Stage) -> None:
    """Id, tags and meta come back; taking out what is out is no error."""
    place = stage.connection.endpoints[11][0]
    async with stage.client() as consul:
        assert await consul.deregister([11]) == []
        assert await consul.deregister([11]) == []
        assert await consul.endpoints_of([11]) == []
        host, _, port = place.rpartition(":")
        old = Endpoint(
            broker_id=11,
            service_id="by-hand-11",
            node="node-1",
            address=host,
            port=int(port),
            tags=("primary", "v3"),
            meta=(("team", "storage"),),
        )
        await _until_ready(consul, 11, (old,))
        (back,) = await consul.endpoints_of([11])
        assert (back.service_id, back.tags, dict(back.meta)["team"]) == (
            "by-hand-11",
            ("primary", "v3"),
            "storage",
        )


@pytest.mark.parametrize("kind", ["nobody", "no Kafka"])
async def test_a_dead_proxy_is_not_registered(stage: Stage, kind: str) -> None:
    """No client is sent where no broker answers: the port is closed, or something else listens."""
    async with contextlib.AsyncExitStack() as stack:
        place = (
            _closed_port()
            if kind == "nobody"
            else await stack.enter_async_context(listener(is_kafka=False))
        )
        async with stage.client(endpoints={31: (place,)}) as consul:
            (reason,) = await consul.register([31], ())
            assert reason.code is Code.ENDPOINT_NOT_READY
            assert place in reason.seen
            assert await consul.endpoints_of([31]) == []


async def test_catalog_entries(stage: Stage) -> None:
    """By the catalog an entry belongs to a node without a Consul agent, and passes once we have
    seen it answer.
    """
    async with stage.client(by_agent=False) as consul:
        assert await consul.register([31], ()) == []
        (entry,) = await consul.endpoints_of([31])
        assert entry.node == stage.connection.node
        assert await consul.deregister([31]) == []
        assert await consul.endpoints_of([31]) == []


def _closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


# ── what only the one in memory can be made to do ─────────────────────────────────────────────────
@pytest.fixture
async def fake() -> AsyncIterator[tuple[FakeConsul, ConsulConnection]]:
    """With broker 11 registered by the agent of another node."""
    consul = FakeConsul(token=TOKEN)
    async with consul.agent("node-1") as url, consul.agent("node-2") as other, listener() as place:
        host, _, port = place.rpartition(":")
        service = {
            "ID": "k11",
            "Service": "kafka",
            "Address": host,
            "Port": int(port),
            "Tags": [],
            "Meta": {},
        }
        consul.put(Instance("node-2", service, owner="node-2"))
        yield (
            consul,
            ConsulConnection(
                url=url,
                service="kafka",
                endpoints={11: (place,)},
                token=TOKEN,
                agent_urls={11: other},
            ),
        )


async def test_an_entry_of_another_agent_is_left_to_it(
    fake: tuple[FakeConsul, ConsulConnection],
) -> None:
    """Its agent would put it back: without that agent's address it is not touched, and that is
    told.
    """
    consul, connection = fake
    stranger = Consul(replace(connection, agent_urls={}))
    (reason,) = await stranger.deregister([11])
    assert "node-2" in reason.seen
    assert "agent_urls" in reason.seen
    assert consul.named("kafka") == ["k11"]
    owner = Consul(connection)
    assert await owner.deregister([11]) == []
    assert consul.named("kafka") == []
    await stranger.close()
    await owner.close()


async def test_refusals_are_told_apart_from_silence(
    fake: tuple[FakeConsul, ConsulConnection],
) -> None:
    """A wrong token is CONSUL_LOGIN_REFUSED; an error of Consul's own and a closed port are
    CONSUL_UNREACHABLE.
    """
    consul, connection = fake
    for wrong, code in (
        (replace(connection, token="stale"), Code.CONSUL_LOGIN_REFUSED),
        (replace(connection, url=f"http://{_closed_port()}"), Code.CONSUL_UNREACHABLE),
    ):
        client = Consul(wrong)
        with pytest.raises(PortError) as raised:
            await client.endpoints_of([11])
        assert raised.value.code is code
        assert "stale" not in str(raised.value)
        await client.close()
    consul.down = True
    client = Consul(connection)
    with pytest.raises(PortError, match="No cluster leader") as raised:
        await client.register([11], ())
    assert raised.value.code is Code.CONSUL_UNREACHABLE
    await client.close()


def test_the_token_is_not_told() -> None:
    """Neither repr nor str of the connection shows it."""
    connection = ConsulConnection(url="http://c:8500", service="kafka", endpoints={}, token=TOKEN)
    assert TOKEN not in repr(connection)
    assert TOKEN not in str(connection)


def _prometheus(*series: tuple[str, float]) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "connection_count" in request.url.params["query"]
        result = [{"metric": {"broker": b}, "value": [1.0, str(n)]} for b, n in series]
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    return httpx.MockTransport(answer)


async def test_connections_are_counted_by_broker() -> None:
    """What is allowed does not count, and a broker of which nothing is told is left out, never
    taken for free.
    """
    connection = CensusConnection(
        prometheus=PrometheusConnection(url="http://p"), query="connection_count", allowed=2
    )
    series = _prometheus(("11", 5.0), ("12", 2.0), ("13", float("nan")), ("99", 7.0))
    census = PrometheusCensus(connection, PrometheusServer(connection.prometheus, series))
    assert await census.connections([11, 12, 13, 14]) == {11: 3, 12: 0}
    assert await census.connections([]) == {}
    await census.close()


async def test_a_blind_census_is_told() -> None:
    """A Prometheus that does not answer is CENSUS_UNREACHABLE, not a broker without clients."""
    prometheus = PrometheusConnection(url=f"http://{_closed_port()}", timeout_seconds=1)
    census = PrometheusCensus(CensusConnection(prometheus=prometheus, query="up"))
    with pytest.raises(PortError) as raised:
        await census.connections([11])
    assert raised.value.code is Code.CENSUS_UNREACHABLE
    await census.close()


async def test_an_entry_of_old_is_checked_too(fake: tuple[FakeConsul, ConsulConnection]) -> None:
    """Passing by Consul's word is not enough: a proxy that was registered by hand must lead to
    a broker as well.
    """
    consul, connection = fake
    async with listener(is_kafka=False) as place:
        host, _, port = place.rpartition(":")
        service = {
            "ID": "k31",
            "Service": "kafka",
            "Address": host,
            "Port": int(port),
            "Tags": [],
            "Meta": {},
        }
        consul.put(Instance("node-1", service, owner="node-1"))
        client = Consul(replace(connection, endpoints={31: (place,)}))
        (reason,) = await client.register([31], ())
        assert reason.code is Code.ENDPOINT_NOT_READY
        await client.close()


async def test_an_unnamed_broker_is_told() -> None:
    """A broker without an entry in `endpoints` cannot be registered, and that is said before
    Consul is asked.
    """
    async with FakeConsul().agent("node-1") as url:
        client = Consul(ConsulConnection(url=url, service="kafka", endpoints={}))
        (reason,) = await client.register([31], ())
        assert "endpoints" in reason.seen
        await client.close()
