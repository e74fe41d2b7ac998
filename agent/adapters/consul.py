"""Consul's HTTP API through httpx: implements DiscoveryPort.

Registers and deregisters the endpoints of brokers in the existing Kafka service. The entries are
read before and after each change. The API is described at developer.hashicorp.com/consul/api-docs
(agent/service, catalog, health).
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from agent.adapters.http_client import HttpConnection
from agent.adapters.kafka import probe
from agent.core.model.endpoints import Endpoint
from agent.core.model.reasons import Code, Reason
from agent.performer.ports import PortError

BROKER_META = "kafka_broker_id"  # the meta key on entries that this agent makes
WORDS_CHARACTERS_MAX = 200
CHECK_INTERVAL, CHECK_TIMEOUT = "10s", "3s"
PROBES_AT_ONCE_MAX = 20
SERF = "serfHealth"  # a node that has this check runs a Consul agent of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulConnection(HttpConnection):
    """Where Consul is, our credentials there, and the endpoints of each broker."""

    service: str
    endpoints: Mapping[int, tuple[str, ...]]  # broker id -> host:port of its proxies
    # False: register in the catalog, whose entries only this agent (or consul-esm) checks
    by_agent: bool = True
    # broker id -> URL of the Consul agent that holds its entries
    agent_urls: Mapping[int, str] = field(default_factory=dict)
    datacenter: str | None = None
    namespace: str | None = None
    partition: str | None = None
    node: str = "kafka-migration-external"  # catalog entries need a node's name
    tags: tuple[str, ...] = ()
    timeout_seconds: float = 5.0
    probe_tls: ssl.SSLContext | None = None  # the brokers' client listener speaks TLS

    auth_header: ClassVar[str] = "X-Consul-Token"
    auth_prefix: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An instance of the service, as /v1/health/service shows it."""

    endpoint: Endpoint
    passing: bool
    # its node runs a Consul agent, which would restore an entry that only the catalog drops
    has_agent: bool

    @property
    def place(self) -> str:
        return f"{self.endpoint.address}:{self.endpoint.port}"


class Consul:
    """One service in one Consul. The constructor raises OSError when a TLS file is not readable."""

    def __init__(
        self, connection: ConsulConnection, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._c = connection
        self._client = connection.client(transport)

    async def close(self) -> None:
        """Close the connections to Consul."""
        await self._client.aclose()

    # ── DiscoveryPort ─────────────────────────────────────────────────────────────────────────────
    async def endpoints_of(self, broker_ids: Iterable[int]) -> Sequence[Endpoint]:
        """Return the current entries of these brokers. Raises PortError."""
        return [e.endpoint for e in await self._entries(broker_ids)]

    async def register(
        self, broker_ids: Iterable[int], restore: Iterable[Endpoint]
    ) -> Sequence[Reason]:
        """Put these brokers into the service, with the entries of `restore` where there are any.

        A broker is registered only when it answers at its endpoint. Returns the reasons why some
        are not yet in the service and passing; empty when all are. Raises PortError.
        """
        ids = tuple(broker_ids)
        reasons = [
            _not_ready(b, "has no entry in `endpoints`")
            for b in ids
            if not self._c.endpoints.get(b)
        ]
        there = {e.place for e in await self._entries(ids)}
        wanted = self._wanted(ids, tuple(restore))
        for endpoint, why in zip(wanted, await self._probed(wanted), strict=True):
            if why:
                reasons.append(
                    _not_ready(endpoint.broker_id, f"at {endpoint.address}:{endpoint.port}: {why}")
                )
            elif f"{endpoint.address}:{endpoint.port}" not in there:
                await self._put_in(endpoint)
        if reasons:
            return reasons
        return [
            _not_ready(
                b,
                f"is in the service at {place} and not passing"
                if known
                else f"at {place} is not seen yet",
            )
            for b, place, known in await self._not_passing(ids)
        ]

    async def deregister(self, broker_ids: Iterable[int]) -> Sequence[Reason]:
        """Take these brokers out of the service.

        Returns the reasons why some are still in it; empty when none is. Raises PortError.
        """
        ids = tuple(broker_ids)
        reasons = []
        for entry in await self._entries(ids):
            e = entry.endpoint
            if e.service_id in await self._local(e.broker_id):
                path = f"/v1/agent/service/deregister/{quote(e.service_id, safe='')}"
                await self._ask("PUT", path, base=self._agent(e.broker_id))
            elif entry.has_agent:
                seen = (
                    f"(entry {e.service_id}) belongs to the Consul agent on node {e.node}; "
                    "name it in agent_urls"
                )
                reasons.append(_not_ready(e.broker_id, seen))
            else:
                body = self._scoped(
                    {"Node": e.node, "ServiceID": e.service_id}, "Datacenter", self._c.datacenter
                )
                await self._ask("PUT", "/v1/catalog/deregister", json=body)
        if reasons:
            return reasons
        left = await self._entries(ids)
        return [
            _not_ready(e.endpoint.broker_id, f"is still in the service at {e.place}") for e in left
        ]

    # ── entries ───────────────────────────────────────────────────────────────────────────────────
    async def _entries(self, broker_ids: Iterable[int]) -> list[_Entry]:
        wanted = frozenset(broker_ids)
        if not wanted:
            return []
        found = await self._ask("GET", f"/v1/health/service/{quote(self._c.service, safe='')}")
        broker_at = {place: b for b, places in self._c.endpoints.items() for place in places}
        entries = []
        try:
            for one in found:
                service, node, checks = one["Service"], one["Node"], one["Checks"]
                address = service["Address"] or node["Address"]
                meta = service.get("Meta") or {}
                named = meta.get(BROKER_META, "")
                broker = broker_at.get(
                    f"{address}:{service['Port']}", int(named) if named.isdecimal() else None
                )
                if broker not in wanted:
                    continue
                endpoint = Endpoint(
                    broker_id=broker,
                    service_id=service["ID"],
                    node=node["Node"],
                    address=address,
                    port=service["Port"],
                    tags=tuple(service.get("Tags") or ()),
                    meta=tuple(sorted(meta.items())),
                )
                passing = all(c["Status"] == "passing" for c in checks)
                entries.append(_Entry(endpoint, passing, any(c["CheckID"] == SERF for c in checks)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            says = f"Consul at {self._c.url} gave an answer of unknown form: {error!r}"
            raise PortError(says, Code.CONSUL_UNREACHABLE) from error
        return entries

    async def _not_passing(self, broker_ids: Sequence[int]) -> list[tuple[int, str, bool]]:
        """The places that Consul does not give to clients: broker id, host:port, is it known."""
        known = {e.place: e for e in await self._entries(broker_ids)}
        return [
            (b, place, place in known)
            for b in broker_ids
            for place in self._c.endpoints.get(b, ())
            if place not in known or not known[place].passing
        ]

    async def _local(self, broker_id: int) -> frozenset[str]:
        """The ids of the services that this broker's agent holds; empty in catalog mode."""
        if not self._c.by_agent:
            return frozenset()
        return frozenset(await self._ask("GET", "/v1/agent/services", base=self._agent(broker_id)))

    # ── registration ──────────────────────────────────────────────────────────────────────────────
    def _wanted(self, broker_ids: Sequence[int], restore: Sequence[Endpoint]) -> list[Endpoint]:
        """One entry for each place: the old one where `restore` has it, else a new one."""
        old = {f"{e.address}:{e.port}": e for e in restore}
        wanted = []
        for b in broker_ids:
            for n, place in enumerate(self._c.endpoints.get(b, ())):
                host, _, port = place.rpartition(":")
                new = Endpoint(
                    broker_id=b,
                    service_id=f"{self._c.service}-{b}" + (f"-{n}" if n else ""),
                    node=self._c.node,
                    address=host,
                    port=int(port),
                    tags=self._c.tags,
                    meta=((BROKER_META, str(b)),),
                )
                wanted.append(old.get(place, new))
        return wanted

    async def _probed(self, endpoints: Sequence[Endpoint]) -> list[str]:
        """For each endpoint, why no broker answers there; an empty string when one does."""
        turns = asyncio.Semaphore(PROBES_AT_ONCE_MAX)

        async def one(endpoint: Endpoint) -> str:
            async with turns:
                return await probe.trouble(
                    endpoint.address, endpoint.port, self._c.probe_tls, self._c.timeout_seconds
                )

        return await asyncio.gather(*map(one, endpoints))

    async def _put_in(self, endpoint: Endpoint) -> None:
        """Register an endpoint, through its agent or in the catalog."""
        tcp = f"{endpoint.address}:{endpoint.port}"
        if self._c.by_agent:
            body: dict[str, Any] = {
                "ID": endpoint.service_id,
                "Name": self._c.service,
                "Address": endpoint.address,
                "Port": endpoint.port,
                "Tags": list(endpoint.tags),
                "Meta": dict(endpoint.meta),
                "Check": {
                    "Name": f"TCP {tcp}",
                    "TCP": tcp,
                    "Interval": CHECK_INTERVAL,
                    "Timeout": CHECK_TIMEOUT,
                },
            }
            await self._ask(
                "PUT",
                "/v1/agent/service/register",
                base=self._agent(endpoint.broker_id),
                json=self._scoped(body),
            )
            return
        service = {
            "ID": endpoint.service_id,
            "Service": self._c.service,
            "Address": endpoint.address,
            "Port": endpoint.port,
            "Tags": list(endpoint.tags),
            "Meta": dict(endpoint.meta),
        }
        check = {
            "CheckID": f"{endpoint.service_id}:answers",
            "Name": f"TCP {tcp}",
            "Status": "passing",  # it has just answered the probe; consul-esm checks it from now on
            "ServiceID": endpoint.service_id,
            "Definition": {"TCP": tcp, "Interval": CHECK_INTERVAL, "Timeout": CHECK_TIMEOUT},
        }
        body = {
            "Node": endpoint.node,
            "Address": endpoint.address,
            "NodeMeta": {"external-node": "true", "external-probe": "true"},
            "SkipNodeUpdate": endpoint.node != self._c.node,
            "Service": self._scoped(service),
            "Check": self._scoped(check),
        }
        await self._ask(
            "PUT", "/v1/catalog/register", json=self._scoped(body, "Datacenter", self._c.datacenter)
        )

    # ── requests ──────────────────────────────────────────────────────────────────────────────────
    def _agent(self, broker_id: int) -> str:
        return self._c.agent_urls.get(broker_id, self._c.url)

    def _scoped(
        self, body: dict[str, Any], key: str = "", value: str | None = None
    ) -> dict[str, Any]:
        """Add namespace and partition where they are set; only Consul Enterprise knows them."""
        given = {"Namespace": self._c.namespace, "Partition": self._c.partition, key: value}
        return body | {name: v for name, v in given.items() if name and v}

    async def _ask(
        self, method: str, path: str, *, base: str | None = None, json: Any = None
    ) -> Any:
        """Return the JSON of the answer; None when it has no body.

        Raises PortError, with CONSUL_REJECTED when asking again would not help.
        """
        base = (base or self._c.url).rstrip("/")
        scope = {"dc": self._c.datacenter, "ns": self._c.namespace, "partition": self._c.partition}
        if path.startswith("/v1/agent/"):  # an agent belongs to one datacenter
            del scope["dc"]
        try:
            # httpx limits each read, not their sum
            async with asyncio.timeout(self._c.timeout_seconds * 2):
                response = await self._client.request(
                    method, base + path, params={k: v for k, v in scope.items() if v}, json=json
                )
            body = response.json() if response.is_success and response.content.strip() else None
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            says = (
                f"Consul at {base} did not answer {path}: {type(error).__name__} {error}".rstrip()
            )
            raise PortError(says, Code.CONSUL_UNREACHABLE) from error
        if response.is_success:
            return body
        says = (
            f"Consul at {base} answered {path} with {response.status_code}: "
            f"{response.text[:WORDS_CHARACTERS_MAX]}"
        )
        if response.status_code == httpx.codes.UNAUTHORIZED or "ACL not found" in response.text:
            raise PortError(f"{says}; it does not know this token", Code.CONSUL_LOGIN_REFUSED)
        if response.status_code == httpx.codes.FORBIDDEN:
            raise PortError(
                f"{says}; the token lacks a right to do this", Code.CONSUL_LOGIN_REFUSED
            )
        raise PortError(
            says, Code.CONSUL_REJECTED if response.is_client_error else Code.CONSUL_UNREACHABLE
        )


def _not_ready(broker_id: int, seen: str) -> Reason:
    return Reason(
        Code.ENDPOINT_NOT_READY,
        f"the endpoint of broker {broker_id} {seen}",
        "in the service and passing",
    )
