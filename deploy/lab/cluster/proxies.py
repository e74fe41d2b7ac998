"""HAProxy in front of the brokers' client listeners (`LabConfig.proxies`), where it is installed.

Each broker has a port of its own. Clients know only the proxies, as in a migration whose brokers
move to another network. launch.py uses this.
"""

import shutil

from deploy.lab.cluster.config import HOST, LabConfig, Node

CLIENT_OFFSET = 4  # broker 11 has its client listener on base port + 15
PROXY_OFFSET = 7  # and its proxy on base port + 18
_PLACES = ("/usr/sbin", "/usr/local/sbin")  # folders that are not on the PATH of every user
MISSING = "HAProxy is not installed (Debian: apt-get install haproxy)"


def program() -> str | None:
    """The HAProxy to run, or None where there is none."""
    return shutil.which("haproxy") or next(
        (p for d in _PLACES if (p := shutil.which("haproxy", path=d))), None
    )


def proxy_port(config: LabConfig, broker_id: int) -> int:
    """The port at which clients reach that broker."""
    return config.base_port + broker_id + PROXY_OFFSET


def endpoints(config: LabConfig) -> dict[int, str]:
    """The address of the proxy of each broker."""
    return {broker.id: f"{HOST}:{proxy_port(config, broker.id)}" for broker in config.brokers}


def ports(config: LabConfig) -> dict[int, str]:
    """The ports that are used besides those of the nodes."""
    if not config.proxies:
        return {}
    clients = {
        config.base_port + b.id + CLIENT_OFFSET: f"broker-{b.id} (clients)" for b in config.brokers
    }
    return clients | {proxy_port(config, b.id): f"haproxy (broker {b.id})" for b in config.brokers}


def overlay(config: LabConfig, node: Node) -> dict[str, str]:
    """The second listener of a broker.

    Clients are sent to its proxy, while brokers and the agent connect directly.
    """
    if not config.proxies or node.broker is None:
        return {}
    client = f"{HOST}:{node.port + CLIENT_OFFSET}"
    proxy = f"{HOST}:{proxy_port(config, node.broker.id)}"
    return {
        "listeners": f"PLAINTEXT://{node.address},CLIENT://{client}",
        "advertised.listeners": f"PLAINTEXT://{node.address},CLIENT://{proxy}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CLIENT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }


def configuration(config: LabConfig) -> str:
    """The content of haproxy.cfg.

    Its metrics count the clients of each broker (haproxy_frontend_current_sessions).
    """
    lines = [
        "global",
        "  maxconn 4000",
        "defaults",
        "  mode tcp",
        "  timeout connect 3s",
        "  retries 1",
        "  timeout client 1h",
        "  timeout server 1h",
        "frontend metrics",
        f"  bind {HOST}:{config.proxy_node.port}",
        "  mode http",
        "  timeout client 10s",
        "  http-request use-service prometheus-exporter if { path /metrics }",
    ]
    for broker in config.brokers:
        lines += [
            f"listen broker-{broker.id}",
            f"  bind {HOST}:{proxy_port(config, broker.id)}",
            f"  server broker {HOST}:{config.base_port + broker.id + CLIENT_OFFSET}",
        ]
    return "\n".join(lines) + "\n"
