"""Checks whether a node can serve, by the requests that its clients make.

The supervisor and Lab use it. Calls block for a short time and have a timeout. False means "not
yet"; no call raises an exception for that.
"""

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.cluster import client_security, security
from deploy.lab.cluster.config import HOST, Kind, LabConfig, Node

CALL_TIMEOUT_SECONDS = 3.0


def is_ready(config: LabConfig, node: Node) -> bool:
    """Whether that node serves now.

    A broker serves when it answers and its own metadata lists it as alive.
    """
    if not _listens(node):
        return False
    if node.kind is Kind.ZOOKEEPER:
        return _zookeeper_serves(config, node)
    if node.kind is Kind.PROXY:
        return True
    if node.kind is Kind.CRUISE_CONTROL:
        return _cruise_control_serves(config)
    if node.kind is Kind.NODE_EXPORTER:
        return True
    if node.kind is Kind.PROMETHEUS:
        return _answers(f"http://{node.address}/-/ready")
    if node.kind is Kind.CONTROLLER:
        return _shows_metrics(node)
    own_id = node.broker.id if node.broker else 1
    return own_id in live_brokers(config, node)


def live_brokers(config: LabConfig, asked: Node | None = None) -> frozenset[int]:
    """The ids of the brokers that the answering broker takes for alive.

    It is empty when none answers.
    """
    from kafka.errors import KafkaError

    servers = asked.address if asked else None
    on_control = asked is not None and asked.kind is Kind.CONTROL_KAFKA
    with (
        contextlib.suppress(KafkaError, OSError),
        lab_admin(config, on_control=on_control, servers=servers) as admin,
    ):
        return frozenset(int(broker["broker_id"]) for broker in admin.describe_cluster()["brokers"])
    return frozenset()


def lab_admin(
    config: LabConfig,
    timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    *,
    on_control: bool = False,
    servers: str | None = None,
) -> contextlib.AbstractContextManager[Any]:
    """An admin client of a plain or a secure lab, with the rights to do everything.

    `servers` replaces the addresses of all brokers.
    """
    return admin_client(
        client_security.kafka_connection(
            config, security.ADMIN, on_control=on_control, servers=servers
        ),
        timeout_seconds,
    )


@contextlib.contextmanager
def admin_client(
    to: str | KafkaConnection, timeout_seconds: float = CALL_TIMEOUT_SECONDS
) -> Iterator[Any]:
    """A kafka-python admin client, which is closed at the end of the block.

    `to` is the bootstrap servers of a plain lab, or a connection.
    """
    from kafka.admin import KafkaAdminClient

    connection = KafkaConnection(bootstrap_servers=to) if isinstance(to, str) else to
    timed = replace(connection, request_timeout_seconds=timeout_seconds)
    admin = KafkaAdminClient(**timed.for_kafka_python(), client_id="kafka-migration-lab")
    try:
        yield admin
    finally:
        admin.close()


def broker_is_registered(config: LabConfig, broker_id: int) -> bool:
    """Whether ZooKeeper still holds the ephemeral node of the broker.

    A broker that restarts before this node is gone fails.
    """
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    access = client_security.zookeeper_access(config).for_kazoo()
    client = KazooClient(hosts=config.zookeeper.address, timeout=CALL_TIMEOUT_SECONDS, **access)
    try:
        client.start(timeout=CALL_TIMEOUT_SECONDS)
        return client.exists(f"/brokers/ids/{broker_id}") is not None
    except (KazooException, KazooTimeoutError):
        return False  # unknown, but the broker waits for ZooKeeper by itself
    finally:
        client.stop()
        client.close()


def cluster_id(zookeeper_address: str) -> str:
    """The id of a cluster with ZooKeeper.

    Raises ValueError when it has none yet or ZooKeeper does not answer.
    """
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    client = KazooClient(hosts=zookeeper_address, timeout=CALL_TIMEOUT_SECONDS)
    try:
        client.start(timeout=CALL_TIMEOUT_SECONDS)
        return str(json.loads(client.get("/cluster/id")[0])["id"])
    except (KazooException, KazooTimeoutError, KeyError) as error:
        raise ValueError(
            f"ZooKeeper at {zookeeper_address} does not tell the cluster's id: {error!r}"
        ) from error
    finally:
        client.stop()
        client.close()


def _shows_metrics(node: Node) -> bool:
    import httpx

    try:
        page = httpx.get(
            f"http://127.0.0.1:{node.metrics_port}/metrics",
            timeout=CALL_TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.HTTPError:
        return False
    return page.status_code == httpx.codes.OK and "kafkacontroller_" in page.text.lower()


def _listens(node: Node) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", node.port), timeout=CALL_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False


def _zookeeper_serves(config: LabConfig, node: Node) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", node.port), CALL_TIMEOUT_SECONDS) as link,
    ):
        link.settimeout(CALL_TIMEOUT_SECONDS)
        if config.secure:
            trusted = ssl.create_default_context(cafile=str(security.Vault(config).authority))
            with trusted.wrap_socket(link, server_hostname=HOST) as wrapped:
                return _says_standalone(wrapped)
        return _says_standalone(link)
    return False


def _says_standalone(link: socket.socket) -> bool:
    link.sendall(b"srvr")
    return b"Mode: standalone" in link.recv(4096)


def _cruise_control_serves(config: LabConfig) -> bool:
    return _answers(
        f"{config.cruise_control_url}/state?json=true", **client_security.http_client(config)
    )


def _answers(url: str, **given: Any) -> bool:
    import httpx

    try:
        answer = httpx.get(url, timeout=CALL_TIMEOUT_SECONDS, trust_env=False, **given)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
