"""Where measured values are read: a Prometheus server by PromQL, or exporters' own pages.

Called by services/collector.

Says what was found and what failed; what it means is in the collector's mapping.
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
# a broker with every per-partition series; what it needs is some kilobytes
PAGE_BYTES_MAX = 20_000_000
AT_ONCE_MAX = 16
TEXT_FORMAT = "text/plain;version=0.0.4"


class Trouble(StrEnum):
    """Why nothing was read; a label of the collector's counter."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"  # credentials
    QUERY = "query"  # the PromQL
    UNREADABLE = "unreadable"


class PrometheusError(Exception):
    """Nothing was read; the text says of what, why, and what to look at."""

    def __init__(self, trouble: Trouble, text: str) -> None:
        super().__init__(text)
        self.trouble = trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusConnection(HttpConnection):
    """Where a Prometheus (or exporters) is, and who we are there."""

    # with or without a path, such as http://prometheus:9090; not needed for exporters
    url: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One value with its labels; `at`: epoch seconds of the evaluation."""

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
        await self._client.aclose()

    async def query(self, promql: str) -> list[Series]:
        """The instant vector this evaluates to now; a scalar is one series without labels.

        Raises PrometheusError.
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
        if "value" in found:  # a native histogram has another field, and no one value
            at, value = found["value"]
            yield Series(found["metric"], float(value), float(at))


@dataclass(frozen=True, slots=True)
class Target:
    """An exporter's page, and the labels that its series get, as in Prometheus' own list of
    targets.
    """

    address: str  # host:port, or a whole URL
    labels: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.address if "://" in self.address else f"http://{self.address}/metrics"


@dataclass(frozen=True, slots=True)
class Page:
    """What one exporter showed.

    `up`, as Prometheus has it: 0 when it showed nothing, and then `error` says why.
    """

    target: Target
    series: Sequence[Series]
    error: PrometheusError | None = None


class Exporters:
    """Several exporters, read without a Prometheus server."""

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
        await self._client.aclose()

    async def read(self) -> list[Page]:
        """Every page, read at the same time; an exporter that does not answer has one that says
        so.
        """
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
    """Every sample of a page in the exposition format.

    Raises PrometheusError with the parser's words.
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
    """The target's labels count before the page's own, which are kept as `exported_...` (as
    Prometheus does it).
    """
    own = {
        (f"exported_{name}" if name in given else name): value
        for name, value in series.labels.items()
    }
    return Series({**own, **given}, series.value, series.at)
