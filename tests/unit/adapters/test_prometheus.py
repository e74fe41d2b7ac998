"""The Prometheus adapter against the HTTP API as documented and the exposition format, through
httpx' transport.
"""

import math
from collections.abc import Callable

import httpx
import pytest

from agent.adapters.prometheus.server import (
    PAGE_BYTES_MAX,
    Exporters,
    PrometheusConnection,
    PrometheusError,
    PrometheusServer,
    Target,
    Trouble,
    parse_page,
)

Handler = Callable[[httpx.Request], httpx.Response]
CONNECTION = PrometheusConnection(url="http://prometheus:9090/", token="secret-token")
# As in Prometheus' documentation of /api/v1/query.
VECTOR = {
    "status": "success",
    "data": {
        "resultType": "vector",
        "result": [
            {
                "metric": {"__name__": "up", "job": "kafka", "broker": "11"},
                "value": [1435781451.781, "1"],
            },
            {
                "metric": {"__name__": "up", "job": "kafka", "broker": "12"},
                "value": [1435781451.781, "NaN"],
            },
            {
                "metric": {"__name__": "up", "job": "kafka", "broker": "13"},
                "value": [1435781451.781, "+Inf"],
            },
            {
                "metric": {"__name__": "native", "broker": "13"},
                "histogram": [1435781451.781, {"count": "1"}],
            },
        ],
    },
    "warnings": ["a replica is missing"],
}


def _server(handler: Handler) -> PrometheusServer:
    return PrometheusServer(CONNECTION, httpx.MockTransport(handler))


async def _trouble(handler: Handler) -> PrometheusError:
    with pytest.raises(PrometheusError) as caught:
        await _server(handler).query("up")
    return caught.value


async def test_a_vector_is_read_with_its_labels() -> None:
    """Each element of an instant vector becomes a series; NaN and infinity stay what they are;
    warnings do not harm.
    """
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=VECTOR)

    found = await _server(answer).query('up{job="kafka"}')
    assert [s.labels["broker"] for s in found] == ["11", "12", "13"]
    assert found[0].value == 1.0
    assert math.isnan(found[1].value)
    assert math.isinf(found[2].value)
    assert found[0].at == 1435781451.781
    assert asked[0].url.path == "/api/v1/query"
    assert asked[0].url.params["query"] == 'up{job="kafka"}'
    assert asked[0].headers["Authorization"] == "Bearer secret-token"


async def test_a_scalar_is_one_series() -> None:
    """`scalar(...)` has a value and no labels."""
    body = {
        "status": "success",
        "data": {"resultType": "scalar", "result": [1435781460.781, "4.5"]},
    }
    found = await _server(lambda _: httpx.Response(200, json=body)).query("scalar(x)")
    assert [(dict(s.labels), s.value) for s in found] == [({}, 4.5)]


async def test_a_wrong_query_is_told_with_prometheus_own_words() -> None:
    """400 with errorType bad_data names the error and the query."""
    body = {
        "status": "error",
        "errorType": "bad_data",
        "error": 'invalid parameter "query": parse error',
    }
    error = await _trouble(lambda _: httpx.Response(400, json=body))
    assert error.trouble is Trouble.QUERY
    assert "parse error" in str(error)
    assert "`up`" in str(error)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_name_the_setting(status: int) -> None:
    """A refusal says which settings carry credentials, and shows none."""
    error = await _trouble(lambda _: httpx.Response(status, text="Unauthorized"))
    assert error.trouble is Trouble.REFUSED
    assert "token_file" in str(error)
    assert "secret-token" not in str(error) + repr(CONNECTION)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>login</html>"),
        httpx.Response(502, text="bad gateway"),
        httpx.Response(200, json=[]),
        httpx.Response(
            200, json={"status": "success", "data": {"resultType": "matrix", "result": []}}
        ),
        httpx.Response(
            200,
            json={
                "status": "success",
                "data": {"resultType": "vector", "result": [{"metric": {}}]},
            },
        ),
    ],
)
async def test_what_is_not_the_api_is_told_or_empty(response: httpx.Response) -> None:
    """A login page, a proxy's error, another type of result: an error that says so, and never a
    wrong value.
    """
    try:
        assert await _server(lambda _: response).query("up") == []
    except PrometheusError as error:
        assert error.trouble is Trouble.UNREADABLE  # noqa: PT017 - either is right, a value is not


async def test_a_server_that_is_down_is_unreachable() -> None:
    """No connection, no answer in time: unreachable, with the URL."""

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("timed out", request=request)

    error = await _trouble(down)
    assert error.trouble is Trouble.UNREACHABLE
    assert "http://prometheus:9090" in str(error)


async def test_each_exporter_has_a_page_also_one_that_is_down() -> None:
    """One exporter's failure does not hide the others; `up` tells both, with the target's
    labels.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.port == 2:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, text='# TYPE a gauge\na{broker="its own",x="y"} 4\n')

    targets = [Target("host:1", {"broker": "11"}), Target("host:2", {"broker": "12"})]
    pages = await Exporters(targets, PrometheusConnection(), httpx.MockTransport(answer)).read()
    assert pages[0].error is None
    assert [dict(s.labels) for s in pages[0].series] == [
        {"__name__": "a", "exported_broker": "its own", "x": "y", "broker": "11"},
        {"__name__": "up", "broker": "11"},
    ]
    assert pages[1].error is not None
    assert pages[1].error.trouble is Trouble.UNREACHABLE
    assert [(s.labels["broker"], s.value) for s in pages[1].series] == [("12", 0.0)]


async def test_a_page_without_end_is_cut() -> None:
    """An exporter that shows more than 20 MB is an error, and its body is not kept."""
    body = b"a 1\n" * (PAGE_BYTES_MAX // 4 + 1)
    targets = [Target("host:1", {})]
    (page,) = await Exporters(
        targets,
        PrometheusConnection(),
        httpx.MockTransport(lambda _: httpx.Response(200, content=body)),
    ).read()
    assert page.error is not None
    assert "narrow" in str(page.error)


@pytest.mark.parametrize("text", ['a{b="c" 1\n', "a one\n", "<html></html>\n"])
def test_a_page_in_another_format_is_an_error(text: str) -> None:
    """What is not the exposition format is told as such."""
    with pytest.raises(PrometheusError) as caught:
        parse_page(text, 0.0)
    assert caught.value.trouble is Trouble.UNREADABLE
