"""Reads the metrics pages of KRaft controllers: implements ControllerMetricsPort.

The pages come from the JMX exporter, or from any exporter that shows Kafka's gauges.
"""

import asyncio
from collections.abc import Iterable, Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.core.kraft.facts import ControllerFacts
from agent.core.kraft.options import KraftController

TIMEOUT_SECONDS = 3.0
BYTES_MAX = 5_000_000
# The rules of an exporter decide the names of its samples. A gauge's own name is always the end of
# the sample's name, or of its label `name`.
_GAUGES = (
    "ActiveControllerCount",
    "ZkMigrationState",
    "MigratingZkBrokerCount",
    "ZkWriteBehindLag",
    "ActiveBrokerCount",
    "FencedBrokerCount",
    "MetadataErrorCount",
)
STARTED = "process_start_time_seconds"


class ControllerMetrics:
    """Reads the metrics page of each controller."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` is for tests."""
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, trust_env=False, transport=transport
        )

    async def facts(self, controllers: Iterable[KraftController]) -> tuple[ControllerFacts, ...]:
        """Return the facts on each controller's page; never raises: see `reachable`."""
        return tuple(await asyncio.gather(*(self._one(c) for c in controllers)))

    async def close(self) -> None:
        """Close the connections to the exporters."""
        await self._http.aclose()

    async def _one(self, controller: KraftController) -> ControllerFacts:
        nothing = ControllerFacts(node_id=controller.node_id, reachable=False)
        try:
            page = await self._http.get(controller.metrics_url)
            if page.status_code != httpx.codes.OK or len(page.content) > BYTES_MAX:
                return nothing
            return read(controller.node_id, page.text)
        except (httpx.HTTPError, ValueError):
            return nothing


def read(node_id: int, page: str) -> ControllerFacts:
    """Return the facts on one page.

    A page without a migration state, as during a start, counts as not reachable. Raises ValueError
    when `page` is not in the exposition format.
    """
    found = _gauges(page)
    if "ZkMigrationState" not in found:
        return ControllerFacts(node_id=node_id, reachable=False)
    return ControllerFacts(
        node_id=node_id,
        reachable=True,
        is_active=found.get("ActiveControllerCount", 0) == 1,
        state=int(found["ZkMigrationState"]),
        migrating_brokers=int(found.get("MigratingZkBrokerCount", 0)),
        write_behind_lag=int(found.get("ZkWriteBehindLag", 0)),
        active_brokers=int(found.get("ActiveBrokerCount", 0)),
        fenced_brokers=int(found.get("FencedBrokerCount", 0)),
        metadata_errors=int(found.get("MetadataErrorCount", 0)),
        started_at=found.get(STARTED, 0.0),
    )


def _gauges(page: str) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == STARTED:
                found[STARTED] = sample.value
                continue
            name = (
                f"{sample.name} {sample.labels.get('name', '')}".lower()
                .removesuffix("_value")
                .replace("_value ", " ")
            )
            for gauge in _GAUGES:
                if name.strip().endswith(gauge.lower()):
                    found[gauge] = sample.value
    return found
