"""A refused login is told apart from silence, at each service that knows one, and follows its
secret's file.
"""

from pathlib import Path

import httpx
import pytest
from kafka.errors import SaslAuthenticationFailedError

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.prometheus.client_census import CensusConnection, PrometheusCensus
from agent.adapters.prometheus.server import PrometheusConnection, PrometheusServer
from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.core.model.reasons import Code
from agent.performer.ports import PortError
from agent.secrets import newest


@pytest.mark.parametrize(
    ("status", "words"), [(401, "does not know who asks"), (403, "may not ask")]
)
async def test_a_census_that_is_not_let_in_says_so(status: int, words: str) -> None:
    """Prometheus' 401 and 403 have a code of their own, and the text tells them apart."""
    prometheus = PrometheusConnection(url="http://p:9090")
    server = PrometheusServer(
        prometheus, httpx.MockTransport(lambda _request: httpx.Response(status))
    )
    census = PrometheusCensus(CensusConnection(prometheus=prometheus, query="up"), server)
    with pytest.raises(PortError, match=words) as caught:
        await census.connections([11])
    assert caught.value.code is Code.CENSUS_LOGIN_REFUSED
    await census.close()


class _Admin:
    """A client that is connected; it is closed when it has failed."""

    def close(self) -> None:
        return None


async def test_a_kafka_that_is_not_let_in_says_so() -> None:
    """A broker that refuses our password is no broker that does not answer."""

    def refused(_admin: object) -> None:
        raise SaslAuthenticationFailedError("Authentication failed: Invalid username or password")

    kafka = KafkaCluster(KafkaConnection(bootstrap_servers="127.0.0.1:1"), _Admin())  # type: ignore[arg-type]
    with pytest.raises(PortError, match="Invalid username or password") as caught:
        await kafka._call("brokers", refused)
    assert caught.value.code is Code.KAFKA_LOGIN_REFUSED


async def test_a_new_connection_bears_what_the_file_holds_now(tmp_path: Path) -> None:
    """Kafka's and ZooKeeper's passwords are read anew for each client; one that cannot be read
    stays as it was.
    """
    file = tmp_path / "password"
    kafka = KafkaConnection(
        bootstrap_servers="k:9092",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        username="agent",
        password="old",
        password_file=file,
    )
    zookeeper = ZooKeeperAccess(username="agent", password="old", password_file=file)
    for text, expected in ((None, "old"), ("new\n", "new"), ("", "old")):
        if text is not None:
            file.write_text(text)
        assert kafka.for_kafka_python()["sasl_plain_password"] == expected
        assert kafka.for_aiokafka()["sasl_plain_password"] == expected
        assert zookeeper.for_kazoo()["sasl_options"]["password"] == expected
        assert newest("old", file) == expected


async def test_prometheus_is_asked_with_the_token_of_the_file(tmp_path: Path) -> None:
    """A token that changes in its file counts with the next request."""
    file, seen = tmp_path / "token", []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": []}}
        )

    server = PrometheusServer(
        PrometheusConnection(url="http://p:9090", token="old", token_file=file),
        httpx.MockTransport(answer),
    )
    for text in ("old", "new"):
        file.write_text(text)
        await server.query("up")
    assert seen == ["Bearer old", "Bearer new"]
    await server.close()
