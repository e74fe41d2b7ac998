"""Settings of client discovery: the section `consul` of a cluster in clusters.yaml."""

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
    """How the clients' connections are counted: by a Prometheus server that scrapes the brokers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=URL, description="The Prometheus server")
    query: str | None = Field(
        default=None,
        description="PromQL that gives one value for each broker; by default the sum of "
        "connection-count of socket-server-metrics. When brokers use a listener of their own "
        "among themselves, restrict the query to the clients' listener",
    )
    broker_label: str = Field(default="broker", description="The label that holds the broker's id")
    connections_allowed: int = Field(
        default=0,
        ge=0,
        description="How many of the counted connections to each broker are not of clients but of "
        "other brokers, exporters and tools",
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
        """Returns what the adapter needs to count the connections of this cluster's clients.

        Raises OSError when the file of a secret cannot be read.
        """
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
        description="The proxies of each source and destination broker, by the broker's id"
    )
    register_by: Literal["agent", "catalog"] = Field(
        default="agent",
        description="agent: register with a Consul agent, which checks the endpoint; catalog: "
        "write to the catalog, for a node without a Consul agent",
    )
    agent_urls: dict[BrokerId, Annotated[str, Field(pattern=URL)]] = Field(
        default_factory=dict,
        description="The Consul agent that holds a broker's entries, by the broker's id, where it "
        "is not the one at `url`",
    )
    node: str = Field(
        default="kafka-migration-external", description="The node that catalog entries belong to"
    )
    tags: tuple[str, ...] = Field(
        default=(), description="Tags of the entries that the agent creates"
    )
    datacenter: str | None = None
    namespace: str | None = Field(default=None, description="For Consul Enterprise only")
    partition: str | None = Field(default=None, description="For Consul Enterprise only")
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
        default=None, description="Leave it out and connections are not counted"
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
        """Returns the proxies of a broker as host:port; empty when none is named."""
        found = self.endpoints.get(broker_id, ())
        return (found,) if isinstance(found, str) else found

    def without(self, broker_ids: tuple[int, ...]) -> list[int]:
        """Returns those of the given brokers for which no endpoint is named, in order."""
        return sorted(b for b in broker_ids if not self.places(b))

    def connection(self, probe_tls: ssl.SSLContext | None) -> ConsulConnection:
        """Returns what the Consul adapter needs to connect.

        `probe_tls` is the TLS context with which the adapter probes the brokers' proxies; None
        when the clients' listener uses no TLS. Raises OSError when the token file cannot be read.
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
