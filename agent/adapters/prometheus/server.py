"""Reads measured values: from a Prometheus server by PromQL, or from the pages of exporters.

Called by services/collector and client_census.py. Returns what was found and what failed; the
collector's mapping says what it means.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.adapters.http_client import HttpConnection

QUERY_PATH = "/api/v1/query"
# Room for the page of a broker with every per-partition series; the needed part is some kilobytes.
PAGE_BYTES_MAX = 20_000_000
AT_ONCE_MAX = 16
TEXT_FORMAT = "text/plain;version=0.0.4"


class Trouble(StrEnum):
    """Why nothing was read; a label of the collector's counter."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"  # wrong or missing credentials
    QUERY = "query"  # the server refuses the PromQL
    UNREADABLE = "unreadable"


class PrometheusError(Exception):
    """Nothing was read; the text says from where, why, and what to check."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusConnection(HttpConnection):
    """Where a Prometheus server is, and our credentials there or at exporters."""

    # with or without a path, such as http://prometheus:9090; not used for exporters
    url: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One value with its labels; `at` is the time of the evaluation in epoch seconds."""

    labels: Mapping[str, str]
    value: float
    at: float


class PrometheusServer:
    """A Prometheus server, or whatever speaks its HTTP API (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(
        self, connection: PrometheusConnection, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = connection.url.rstrip("/")
        self._timeout_seconds = connection.timeout_seconds
        self._client = connection.client(transport)
        self._turn = asyncio.Semaphore(AT_ONCE_MAX)

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._client.aclose()

    async def query(self, promql: str) -> list[Series]:
        """Evaluate `promql` now and return its instant vector.

        A scalar becomes one series without labels. Raises PrometheusError.
        """
        parameters = {"query": promql, "timeout": f"{self._timeout_seconds:.0f}s"}
        async with self._turn:
            try:
                response = await self._client.get(self._url + QUERY_PATH, params=parameters)
            except httpx.HTTPError as error:
                raise PrometheusError(
                    Trouble.UNREACHABLE, f"{self._url} does not answer: {error!r}"
                ) from error
        if response.status_code in {401, 403}:
            why = (
                "it does not know who asks"
                if response.status_code == 401
                else "this user may not ask for it"
            )
            what = "set its token_file, or username and password_file"
            says = f"{self._url} answers {response.status_code}, {why}: {what}"
            raise PrometheusError(Trouble.REFUSED, says)
        try:
            body = response.json()
            if body["status"] != "success":
                raise PrometheusError(
                    Trouble.QUERY, f"{body.get('errorType')}: {body.get('error')} in `{promql}`"
                )
            return list(_vector(body["data"]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            says = (
                f"{self._url} answers {response.status_code}, and not in Prometheus' form "
                f"({error!r}); check the URL"
            )
            raise PrometheusError(Trouble.UNREADABLE, says) from error


def _vector(data: Mapping[str, Any]) -> Iterator[Series]:
    if data["resultType"] == "scalar":
        at, value = data["result"]
        yield Series({}, float(value), float(at))
        return
    if data["resultType"] != "vector":
        raise ValueError(f"a {data['resultType']} where an instant vector was asked for")
    for found in data["result"]:
        if "value" in found:  # a native histogram has another field and no single value
            at, value = found["value"]
            yield Series(found["metric"], float(value), float(at))


@dataclass(frozen=True, slots=True)
class Target:
    """An exporter's page and the labels that its series get, as in Prometheus' scrape targets."""

    address: str  # host:port, or a whole URL
    labels: Mapping[str, str]

    @property
    def url(self) -> str:
        """The page's URL; for an address without a scheme, `/metrics` by HTTP."""
        return self.address if "://" in self.address else f"http://{self.address}/metrics"


@dataclass(frozen=True, slots=True)
class Page:
    """What one exporter showed.

    The series include `up`, as in Prometheus: 1, or 0 with an `error` when nothing was read.
    """

    target: Target
    series: Sequence[Series]
    error: PrometheusError | None = None


class Exporters:
    """Several exporters that are read directly, without a Prometheus server."""

    def __init__(
        self,
        targets: Sequence[Target],
        connection: PrometheusConnection,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._targets = targets
        self._client = connection.client(transport)
        self._turn = asyncio.Semaphore(AT_ONCE_MAX)

    async def close(self) -> None:
        """Close the connections to the exporters."""
        await self._client.aclose()

    async def read(self) -> list[Page]:
        """Read all pages concurrently; never raises: a page that failed has `error` set."""
        return list(await asyncio.gather(*map(self._page, self._targets)))

    async def _page(self, target: Target) -> Page:
        async with self._turn:
            at = time.time()
            try:
                text = await self._get(target.url)
                series = [_with_labels(s, target.labels) for s in parse_page(text, at)]
            except PrometheusError as error:
                return Page(target, [Series({"__name__": "up", **target.labels}, 0.0, at)], error)
        return Page(target, [*series, Series({"__name__": "up", **target.labels}, 1.0, at)])

    async def _get(self, url: str) -> str:
        try:
            async with self._client.stream("GET", url, headers={"Accept": TEXT_FORMAT}) as response:
                if response.status_code in {401, 403}:
                    raise PrometheusError(
                        Trouble.REFUSED,
                        f"{url} answers {response.status_code}: set its credentials",
                    )
                if response.status_code != httpx.codes.OK:
                    raise PrometheusError(
                        Trouble.UNREADABLE, f"{url} answers {response.status_code}"
                    )
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > PAGE_BYTES_MAX:
                        says = (
                            f"{url} shows more than {PAGE_BYTES_MAX} bytes: narrow its "
                            "exporter's rules"
                        )
                        raise PrometheusError(Trouble.UNREADABLE, says)
        except httpx.HTTPError as error:
            raise PrometheusError(
                Trouble.UNREACHABLE, f"{url} does not answer: {error!r}"
            ) from error
        return body.decode(errors="replace")


def parse_page(text: str, at: float) -> list[Series]:
    """Return every sample of a page in the exposition format; `at` is in epoch seconds.

    Raises PrometheusError with the parser's message.
    """
    try:
        return [
            Series({"__name__": sample.name, **sample.labels}, sample.value, at)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
    except (ValueError, IndexError, KeyError) as error:
        raise PrometheusError(
            Trouble.UNREADABLE, f"not Prometheus' exposition format: {error}"
        ) from error


def _with_labels(series: Series, given: Mapping[str, str]) -> Series:
    """Add the target's labels; labels of the page with the same names become `exported_...`.

    Prometheus does the same when it scrapes.
    """
    own = {
        (f"exported_{name}" if name in given else name): value
        for name, value in series.labels.items()
    }
    return Series({**own, **given}, series.value, series.at)
