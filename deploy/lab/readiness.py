"""Whether a node can serve, asked the way its clients ask. Used by the supervisor and by Lab.

Blocking, short calls; each has a timeout. False means "not yet", never an exception.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from deploy.lab.config import Kind, LabConfig, Node

CALL_TIMEOUT_SECONDS = 3.0


def is_ready(config: LabConfig, node: Node) -> bool:
    """Whether that node serves now. A broker serves when it answers and its own metadata names it as alive."""
    if not _listens(node):
        return False
    if node.kind is Kind.ZOOKEEPER:
        return _zookeeper_serves(node)
    if node.kind is Kind.CRUISE_CONTROL:
        return _cruise_control_serves(config)
    own_id = node.broker.id if node.broker else 1
    return own_id in live_brokers(node.address)


def live_brokers(bootstrap_servers: str) -> frozenset[int]:
    """The ids of the brokers that are alive in the eyes of the one that answers; empty when none answers."""
    from kafka.errors import KafkaError

    with contextlib.suppress(KafkaError, OSError), admin_client(bootstrap_servers) as admin:
        return frozenset(int(broker["broker_id"]) for broker in admin.describe_cluster()["brokers"])
    return frozenset()


@contextlib.contextmanager
def admin_client(bootstrap_servers: str, timeout_seconds: float = CALL_TIMEOUT_SECONDS) -> Iterator[Any]:
    """A kafka-python admin client, closed at the end."""
    from kafka.admin import KafkaAdminClient

    timeout_ms = int(timeout_seconds * 1000)
    admin = KafkaAdminClient(
        bootstrap_servers=bootstrap_servers.split(","),
        client_id="kafka-migration-lab",
        request_timeout_ms=timeout_ms,
        bootstrap_timeout_ms=timeout_ms,
    )
    try:
        yield admin
    finally:
        admin.close()


def broker_is_registered(zookeeper_address: str, broker_id: int) -> bool:
    """Whether ZooKeeper still holds the broker's ephemeral node: a broker that restarts before it is gone fails."""
    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException
    from kazoo.handlers.threading import KazooTimeoutError

    client = KazooClient(hosts=zookeeper_address, timeout=CALL_TIMEOUT_SECONDS)
    try:
        client.start(timeout=CALL_TIMEOUT_SECONDS)
        return client.exists(f"/brokers/ids/{broker_id}") is not None
    except (KazooException, KazooTimeoutError):
        return False  # nobody to ask: the broker will wait for ZooKeeper by itself
    finally:
        client.stop()
        client.close()


def _listens(node: Node) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", node.port), timeout=CALL_TIMEOUT_SECONDS):
            return True
    except OSError:
        return False


def _zookeeper_serves(node: Node) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.port), CALL_TIMEOUT_SECONDS) as link:
        link.settimeout(CALL_TIMEOUT_SECONDS)
        link.sendall(b"srvr")
        return b"Mode: standalone" in link.recv(4096)
    return False


def _cruise_control_serves(config: LabConfig) -> bool:
    import httpx

    try:
        answer = httpx.get(
            f"{config.cruise_control_url}/state?json=true", timeout=CALL_TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
