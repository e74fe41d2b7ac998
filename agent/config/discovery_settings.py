"""Settings of client discovery: section `consul` of a cluster in clusters.yaml."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from agent.adapters.consul import ConsulConnection
from agent.adapters.prometheus.client_census import CensusConnection
from agent.adapters.prometheus.server import PrometheusConnection
from agent.secrets import secret

URL = r"^https?://[^/@?#\s]+(/[^?#\s]*)?$"
Place = Annotated[str, Field(pattern=r"^[^\s:/]+:\d{1,5}$", description="host:port of a proxy")]
BrokerId = Annotated[int, Field(ge=0)]
CONNECTIONS = (
    "sum by (broker) (kafka_server_socket_server_metrics_connection_count{{cluster={name!r}}})"
)


class CensusSettings(BaseModel):
    """How connections of clients are counted: by a Prometheus that scrapes the brokers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=URL, description="The Prometheus server")
    query: str | None = Field(
        default=None,
        description="PromQL with one value for each broker; by default the sum of "
        "connection-count of socket-server-metrics. Restrict it to the clients' listener when "
        "brokers use another one among themselves",
    )
    broker_label: str = Field(default="broker", description="The label that holds the broker's id")
    connections_allowed: int = Field(
        default=0,
        ge=0,
        description=(
            "Connections to each broker that are not of clients: brokers, exporters and tools on "
            "that listener"
        ),
    )
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = None
    token_file: Path | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)

    def connection(self, cluster: str) -> CensusConnection:
        """The connection of the adapter. Raises OSError when a secret's file cannot be read."""
        prometheus = PrometheusConnection(
            url=self.url,
            username=self.username,
            password=secret(self.password, self.password_file),
            token=secret(None, self.token_file),
            certificate_file=self.cert_file,
            **self.model_dump(
                include={
                    "password_file",
                    "token_file",
                    "ca_file",
                    "key_file",
                    "timeout_seconds",
                }
            ),
        )
        query = self.query or CONNECTIONS.format(name=cluster).replace("'", '"')
        return CensusConnection(
            prometheus=prometheus,
            query=query,
            broker_label=self.broker_label,
            allowed=self.connections_allowed,
        )


class ConsulSettings(BaseModel):
    """The Consul service in which this cluster's clients find the brokers' proxies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        pattern=URL, description="A Consul agent or server, such as https://consul.internal:8501"
    )
    service: str = Field(min_length=1, max_length=128, description="The existing Kafka service")
    endpoints: dict[BrokerId, tuple[Place, ...] | Place] = Field(
        description="Broker id -> its proxies, for every source and destination broker"
    )
    register_by: Literal["agent", "catalog"] = Field(
        default="agent",
        description=(
            "agent: Consul checks the endpoint; catalog: for a node without a Consul agent"
        ),
    )
    agent_urls: dict[BrokerId, Annotated[str, Field(pattern=URL)]] = Field(
        default_factory=dict,
        description="Broker id -> the Consul agent that has its entries, if it is not `url`",
    )
    node: str = Field(
        default="kafka-migration-external", description="Name of the node of catalog entries"
    )
    tags: tuple[str, ...] = Field(
        default=(), description="Tags of the entries that the agent makes"
    )
    datacenter: str | None = None
    namespace: str | None = Field(default=None, description="Consul Enterprise")
    partition: str | None = Field(default=None, description="Consul Enterprise")
    token: SecretStr | None = Field(default=None, description="Prefer token_file")
    token_file: Path | None = Field(
        default=None, description="A file that holds nothing but the ACL token"
    )
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    grace_seconds: float = Field(
        default=300.0,
        ge=0,
        description="How long a source stays discoverable after it was drained: at least "
        "metadata.max.age.ms of the clients (300 s by default)",
    )
    census: CensusSettings | None = Field(
        default=None, description="Without it connections are not counted"
    )

    @model_validator(mode="after")
    def _an_endpoint_leads_to_one_broker(self) -> Self:
        places = [place for b in self.endpoints for place in self.places(b)]
        if twice := sorted({p for p in places if places.count(p) > 1}):
            raise ValueError(
                f"endpoints: {', '.join(twice)} named for two brokers; a proxy's port leads to one"
            )
        return self

    def places(self, broker_id: int) -> tuple[str, ...]:
        """The proxies of one broker."""
        found = self.endpoints.get(broker_id, ())
        return (found,) if isinstance(found, str) else found

    def without(self, broker_ids: tuple[int, ...]) -> list[int]:
        """Of these brokers, those that no endpoint is named for."""
        return sorted(b for b in broker_ids if not self.places(b))

    def connection(self, probe_tls: ssl.SSLContext | None) -> ConsulConnection:
        """The connection of the adapter; `probe_tls` for a clients' listener with TLS.

        Raises OSError when the token's file cannot be read.
        """
        return ConsulConnection(
            endpoints={b: self.places(b) for b in self.endpoints},
            by_agent=self.register_by == "agent",
            token=secret(self.token, self.token_file),
            probe_tls=probe_tls,
            **self.model_dump(
                exclude={"endpoints", "register_by", "token", "grace_seconds", "census"}
            ),
        )
