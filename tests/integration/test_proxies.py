"""Clients that find the proxies of brokers in a registry.

HAProxy runs in front of real brokers, and Consul is in memory. A client that knows only two source
proxies stays connected through a whole migration.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web
from aiokafka import AIOKafkaProducer

from agent.client import ControlClient
from deploy.lab import Lab, LabConfig, free_base_port
from deploy.lab.cluster import proxies
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.demo.agent_process import AgentProcess
from tests.fakes.consul import FakeConsul, Instance

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(500),
    pytest.mark.skipif(proxies.program() is None, reason=proxies.MISSING),
]

TOPIC, SERVICE = "behind-proxies", "kafka"
SOURCES, DESTINATIONS = (11, 12, 13), (31, 32, 33)
SESSIONS = re.compile(r'haproxy_frontend_current_sessions\{proxy="broker-(\d+)"\} (\d+)')


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with proxies, and a topic on its source brokers."""
    config = LabConfig(
        directory=tmp_path_factory.mktemp("proxies"),
        base_port=free_base_port(),
        proxies=True,
        kraft=False,
    )
    with Lab(config).running(progress=lambda step: print(f"lab: {step}")) as running:
        with admin_client(config.bootstrap_servers, 20) as admin:
            assignments = {p: [[11, 12, 13], [12, 13, 11], [13, 11, 12]][p % 3] for p in range(6)}
            admin.create_topics(
                {TOPIC: {"assignments": assignments, "configs": {"min.insync.replicas": "2"}}}
            )
        yield running


async def _sessions(lab: Lab) -> dict[int, int]:
    """How many clients each proxy has, by its own word."""
    async with httpx.AsyncClient() as http:
        page = await http.get(f"http://{lab.config.proxy_node.address}/metrics")
    return {int(broker): int(count) for broker, count in SESSIONS.findall(page.text)}


@asynccontextmanager
async def _prometheus(lab: Lab) -> AsyncIterator[str]:
    """Answers the census as a Prometheus that scrapes HAProxy would."""

    async def query(_request: web.Request) -> web.Response:
        found = (await _sessions(lab)).items()
        result = [
            {"metric": {"broker": str(broker)}, "value": [0.0, str(count)]}
            for broker, count in found
        ]
        return web.json_response(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        )

    app = web.Application()
    app.add_routes([web.get("/api/v1/query", query)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _configure(lab: Lab, consul: str, prometheus: str) -> None:
    content = yaml.safe_load(lab.folders.clusters_file.read_text())
    content["clusters"]["lab"]["consul"] = {
        "url": consul,
        "service": SERVICE,
        "endpoints": proxies.endpoints(lab.config),
        "grace_seconds": 5,
        "census": {"url": prometheus, "query": "haproxy_frontend_current_sessions"},
    }
    lab.folders.clusters_file.write_text(yaml.safe_dump(content))


def _stock(consul: FakeConsul, places: dict[int, str]) -> None:
    """The service as it is before: the source brokers' proxies."""
    for broker in SOURCES:
        host, _, port = places[broker].rpartition(":")
        service = {
            "ID": f"ec2-{broker}",
            "Service": SERVICE,
            "Address": host,
            "Port": int(port),
            "Tags": ["ec2"],
        }
        consul.put(Instance("node-1", service, owner="node-1"))


class Client:
    """Knows two source proxies, and writes all the time."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self.written = 0
        self.errors: list[Exception] = []

    async def run(self, stop: asyncio.Event) -> None:
        # As stock clients do, only sooner: 4 s instead of 5 min for news (of any broker), 2 s
        # instead of 9 min for an idle connection: so each source has moments without one.
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            metadata_max_age_ms=4_000,
            connections_max_idle_ms=2_000,
            acks="all",
        )
        await producer.start()
        try:
            while not stop.is_set():
                try:
                    await producer.send_and_wait(TOPIC, b"x" * 1_000, partition=self.written % 6)
                    self.written += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the client has suffered
                    self.errors.append(error)
                await asyncio.sleep(0.05)
        finally:
            await producer.stop()


async def _when(
    client: ControlClient, kind: str, seen: list[dict[str, Any]], seconds: float = 200.0
) -> dict[str, Any]:
    """Wait for the next event of a kind; all that came are kept in `seen`."""
    async with asyncio.timeout(seconds):
        async for event in client.events("lab", from_start=True):
            if event["sequence"] > (seen[-1]["sequence"] if seen else -1):
                seen.append(event)
                if event["type"] == kind:
                    return event
    raise AssertionError("unreachable")


async def test_nobody_is_cut_off(lab: Lab, tmp_path: Path) -> None:
    """Destinations are found before anything moves; a source with a client stays found; the
    client never fails.
    """
    places = proxies.endpoints(lab.config)
    consul, stop = FakeConsul(), asyncio.Event()
    client, seen = Client(f"{places[11]},{places[12]}"), []
    agent = AgentProcess(lab, tmp_path / "agent.log")
    async with consul.agent("node-1") as url, _prometheus(lab) as prometheus:
        _stock(consul, places)
        _configure(lab, url, prometheus)
        idle = await asyncio.open_connection(*_place(places[11]))
        writing = asyncio.create_task(client.run(stop))
        agent.start()
        control = ControlClient({"bootstrap_servers": lab.status()["control_bootstrap_servers"]})
        try:
            await _start(control, agent)
            await _when(control, "ExecutionStarted", seen)
            registered = next(e for e in seen if e["type"] == "EndpointsRegistered")
            assert registered["data"]["broker_ids"] == list(DESTINATIONS)
            assert [o["service_id"] for o in registered["data"]["others"]] == [
                f"ec2-{b}" for b in SOURCES
            ]
            assert set(consul.named(SERVICE)) == {f"ec2-{b}" for b in SOURCES} | {
                f"kafka-{b}" for b in DESTINATIONS
            }
            assert (await _sessions(lab))[11] >= 1
            await _when(control, "MigrationDrained", seen)
            await _until_waiting(control, seen)
            assert "ec2-11" in consul.named(SERVICE)
            idle[1].close()
            while not {11, 12, 13} <= {
                e["data"]["broker_id"] for e in seen if e["type"] == "SourceMayBeShutDown"
            }:
                await _when(control, "SourceMayBeShutDown", seen)
            assert consul.named(SERVICE) == [f"kafka-{b}" for b in DESTINATIONS]
            now = await _sessions(lab)
            assert sum(now[b] for b in DESTINATIONS) >= 1
        finally:
            stop.set()
            await asyncio.gather(writing, return_exceptions=True)
            agent.stop()
    assert client.errors == []
    assert client.written > 100


async def _start(control: ControlClient, agent: AgentProcess) -> None:
    """Once an agent answers and the cluster is fit."""
    async with asyncio.timeout(120):
        while True:
            try:
                answer = await control.send_command({"type": "start", "cluster": "lab"}, 20.0)
            except Exception:  # noqa: BLE001 - not up yet, in whatever way
                assert agent.is_running, agent.last_words()
                await asyncio.sleep(1)
                continue
            if answer["type"] == "CommandAccepted":
                return
            await asyncio.sleep(2)


async def _until_waiting(control: ControlClient, seen: list[dict[str, Any]]) -> None:
    while True:
        event = await _when(control, "Waiting", seen)
        if any(
            r["code"] == "CLIENTS_CONNECTED" and "broker 11" in r["seen"]
            for r in event["data"]["reasons"]
        ):
            return


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
