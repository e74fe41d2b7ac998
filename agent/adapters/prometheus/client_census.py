"""Counts the connections of clients to brokers, from Prometheus: implements ClientCensus.

It counts TCP connections to a listener by the broker's own metric (connection-count of
socket-server-metrics), so it also sees clients that only fetch metadata. It cannot tell whose they
are: brokers, exporters and tools on the same listener count as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.adapters.prometheus.server import (
    PrometheusConnection,
    PrometheusError,
    PrometheusServer,
    Trouble,
)
from agent.core.model.reasons import Code
from agent.performer.ports import PortError


@dataclass(frozen=True, slots=True, kw_only=True)
class CensusConnection:
    """Where and how connections are counted."""

    prometheus: PrometheusConnection
    query: str  # PromQL with one value for each broker
    broker_label: str = "broker"  # the label with the broker's id
    allowed: int = 0  # connections to each broker that do not belong to clients


class PrometheusCensus:
    """Counts the connections to one cluster's brokers."""

    def __init__(
        self, connection: CensusConnection, server: PrometheusServer | None = None
    ) -> None:
        self._c = connection
        self._server = server or PrometheusServer(connection.prometheus)

    async def close(self) -> None:
        """Close the connections to Prometheus."""
        await self._server.close()

    async def connections(self, broker_ids: Iterable[int]) -> Mapping[int, int]:
        """Return the number of connections beyond the allowed ones, by broker id.

        Brokers without a value are left out. Raises PortError.
        """
        wanted = {str(b): b for b in broker_ids}
        if not wanted:
            return {}
        try:
            found = await self._server.query(self._c.query)
        except PrometheusError as error:
            refused = error.trouble is Trouble.REFUSED
            code = Code.CENSUS_LOGIN_REFUSED if refused else Code.CENSUS_UNREACHABLE
            raise PortError(f"the census: {error}", code) from error
        return {
            wanted[name]: max(round(s.value) - self._c.allowed, 0)
            for s in found
            if (name := s.labels.get(self._c.broker_label, "")) in wanted and s.value == s.value
        }
