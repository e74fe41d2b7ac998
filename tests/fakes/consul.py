"""A Consul in memory that follows its documented HTTP API as far as we call it: agent services,
catalog, health, ACLs.

A real server on loopback, with several agents; its TCP checks really connect. What it does not know
is a 404.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

CONSUL = web.AppKey("consul", "FakeConsul")  # type: ignore[var-annotated]
NODE = web.AppKey("node", str)


@dataclass
class Instance:
    """One entry of the catalog; `owner`: the agent whose own it is, else nobody's."""

    node: str
    service: dict[str, Any]
    owner: str | None
    checks: list[dict[str, Any]] = field(default_factory=list)
    tcp: str = ""  # what the owner connects to


@dataclass
class FakeConsul:
    """One datacenter. `token`: what every request must bear; None: no ACLs."""

    token: str | None = None
    down: bool = False
    instances: list[Instance] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # method and path

    def put(self, instance: Instance) -> None:
        self.instances = [
            i for i in self.instances if not _same(i, instance.node, instance.service["ID"])
        ]
        self.instances.append(instance)

    def remove(self, node: str, service_id: str, *, owned_by: str | None) -> bool:
        """Anti-entropy: what an agent has of its own, it puts back; so only that agent can take
        it out.
        """
        found = [i for i in self.instances if _same(i, node, service_id)]
        if not found or found[0].owner != owned_by:
            return False
        self.instances.remove(found[0])
        return True

    def named(self, service: str) -> list[str]:
        return sorted(i.service["ID"] for i in self.instances if i.service["Service"] == service)

    @contextlib.asynccontextmanager
    async def agent(self, node: str) -> AsyncIterator[str]:
        """The HTTP API of one agent; yields its URL."""
        app = web.Application(middlewares=[_guarded])
        app[CONSUL], app[NODE] = self, node
        app.add_routes(
            [
                web.put("/v1/agent/service/register", _agent_register),
                web.put("/v1/agent/service/deregister/{id}", _agent_deregister),
                web.get("/v1/agent/services", _agent_services),
                web.put("/v1/catalog/register", _catalog_register),
                web.put("/v1/catalog/deregister", _catalog_deregister),
                web.get("/v1/health/service/{name}", _health),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _same(instance: Instance, node: str, service_id: str) -> bool:
    return (instance.node, instance.service["ID"]) == (node, service_id)


@web.middleware
async def _guarded(request: web.Request, handler: Any) -> web.StreamResponse:
    consul = request.app[CONSUL]
    consul.requests.append(f"{request.method} {request.path}")
    if consul.down:
        return web.Response(status=500, text="No cluster leader")
    if consul.token is not None and request.headers.get("X-Consul-Token") != consul.token:
        return web.Response(
            status=403, text="Permission denied: token lacks permission 'service:write'"
        )
    response: web.StreamResponse = await handler(request)
    return response


async def _agent_register(request: web.Request) -> web.Response:
    consul, node, body = request.app[CONSUL], request.app[NODE], await request.json()
    check = body.get("Check") or {}
    service = {
        "ID": body.get("ID") or body["Name"],
        "Service": body["Name"],
        "Address": body.get("Address", ""),
        "Port": body.get("Port", 0),
        "Tags": body.get("Tags") or [],
        "Meta": body.get("Meta") or {},
    }
    # A check is critical until it has run for the first time.
    checks = (
        [{"CheckID": f"service:{service['ID']}", "Status": check.get("Status") or "critical"}]
        if check
        else []
    )
    consul.put(Instance(node, service, owner=node, checks=checks, tcp=check.get("TCP", "")))
    return web.Response()


async def _agent_deregister(request: web.Request) -> web.Response:
    consul, node, service_id = request.app[CONSUL], request.app[NODE], request.match_info["id"]
    if not consul.remove(node, service_id, owned_by=node):
        return web.Response(
            status=404,
            text=f'Unknown service ID "{service_id}". Ensure that the service ID is passed',
        )
    return web.Response()


async def _agent_services(request: web.Request) -> web.Response:
    consul, node = request.app[CONSUL], request.app[NODE]
    return web.json_response(
        {i.service["ID"]: i.service for i in consul.instances if i.owner == node}
    )


async def _catalog_register(request: web.Request) -> web.Response:
    consul, body = request.app[CONSUL], await request.json()
    if not body.get("Node") or not body.get("Address"):
        return web.Response(status=500, text="Must provide address if SkipNodeUpdate is not set")
    given = body["Service"]
    service = {
        "ID": given.get("ID") or given["Service"],
        "Address": "",
        "Tags": [],
        "Meta": {},
    } | given
    check = body.get("Check")
    consul.put(Instance(body["Node"], service, owner=None, checks=[check] if check else []))
    return web.json_response(data=True)


async def _catalog_deregister(request: web.Request) -> web.Response:
    consul, body = request.app[CONSUL], await request.json()
    consul.remove(body["Node"], body["ServiceID"], owned_by=None)
    return web.json_response(data=True)


async def _health(request: web.Request) -> web.Response:
    consul, name = request.app[CONSUL], request.match_info["name"]
    told = []
    for i in [i for i in consul.instances if i.service["Service"] == name]:
        serf = [{"CheckID": "serfHealth", "Status": "passing", "ServiceID": ""}] if i.owner else []
        checks = [*serf, *({"CheckID": c["CheckID"], "Status": c["Status"]} for c in i.checks)]
        told.append(
            {
                "Node": {"Node": i.node, "Address": "10.9.9.9"},
                "Service": i.service,
                "Checks": checks,
            }
        )
        for check in i.checks if i.tcp else ():  # for the next time, as an interval would have it
            check["Status"] = "passing" if await _connects(i.tcp) else "critical"
    return web.json_response(told)


async def _connects(place: str) -> bool:
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
