"""How clients log in at a secure lab, and which users and rights they need there.

In a plain lab every setting here is empty.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import rights
from agent.adapters.kafka import acls
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.zookeeper.access import ZooKeeperAccess
from deploy.lab.cluster.config import HOST, LabConfig
from deploy.lab.cluster.security import (
    ADMIN,
    AGENT,
    APP_ID,
    CERTIFICATE,
    ON_CLUSTER,
    ON_CONTROL,
    PREFIX,
    SCRAM_256,
    SCRAM_512,
    Vault,
)


# ── clients ───────────────────────────────────────────────────────────────────────────────────────
def kafka_settings(config: LabConfig, user: str, *, on_control: bool = False) -> dict[str, Any]:
    """The section `security` of this user's settings, with names of files instead of secrets.

    It is empty in a plain lab.
    """
    if not config.secure:
        return {}
    vault = Vault(config)
    mechanism = (ON_CONTROL if on_control else ON_CLUSTER)[user]
    if mechanism == CERTIFICATE:
        return {
            "security_protocol": "SSL",
            "ssl_cafile": str(vault.authority),
            "ssl_certfile": str(vault.certificate(user)),
        }
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "username": user,
        "password_file": str(vault.password_file(user)),
        "ssl_cafile": str(vault.authority),
    }


def control_servers(config: LabConfig, user: str) -> str:
    """The address at which this user reaches the control Kafka.

    Users who log in with a certificate have a port of their own.
    """
    if config.secure and ON_CONTROL[user] == CERTIFICATE:
        return f"{HOST}:{config.control_certificate_port}"
    return config.control_kafka.address


def kafka_connection(
    config: LabConfig, user: str, *, on_control: bool = False, servers: str | None = None
) -> KafkaConnection:
    """The connection of a client, in a plain and in a secure lab.

    `servers` replaces the addresses of all brokers.
    """
    where = servers or (control_servers(config, user) if on_control else config.bootstrap_servers)
    return connection_of(where, kafka_settings(config, user, on_control=on_control))


def connection_of(servers: str, settings: Mapping[str, Any]) -> KafkaConnection:
    """The connection of a client, from settings as `kafka_settings` returns them."""
    given = {name: value for name, value in settings.items() if name != "password_file"}
    file = settings.get("password_file")
    password = Path(file).read_text(encoding="utf-8").strip() if file else None
    return KafkaConnection(bootstrap_servers=servers, password=password, **given)


def zookeeper_settings(config: LabConfig) -> dict[str, Any]:
    """The section `zookeeper_security` of the agent's settings; empty in a plain lab."""
    if not config.secure:
        return {}
    vault = Vault(config)
    return {
        "username": AGENT,
        "password_file": str(vault.password_file(AGENT)),
        "tls": True,
        "ca_file": str(vault.authority),
    }


def zookeeper_access(config: LabConfig) -> ZooKeeperAccess:
    """How the lab's own administrator connects to ZooKeeper."""
    if not config.secure:
        return ZooKeeperAccess()
    vault = Vault(config)
    return ZooKeeperAccess(
        username=ADMIN, password=vault.password(ADMIN), tls=True, ca_file=str(vault.authority)
    )


def cruise_control_settings(config: LabConfig, user: str = AGENT) -> dict[str, Any]:
    """The agent's section `cruise_control` without its url; empty in a plain lab."""
    if not config.secure:
        return {}
    vault = Vault(config)
    return {
        "username": user,
        "password_file": str(vault.password_file(user)),
        "ca_file": str(vault.authority),
    }


def http_client(config: LabConfig, user: str = AGENT) -> dict[str, Any]:
    """Keyword arguments for an httpx client of the lab's Cruise Control."""
    if not config.secure:
        return {}
    vault = Vault(config)
    trusted = ssl.create_default_context(cafile=str(vault.authority))
    return {"auth": (user, vault.password(user)), "verify": trusted}


# ── once the brokers run ──────────────────────────────────────────────────────────────────────────
def admit(config: LabConfig, admin: Any, *, on_control: bool) -> bool:
    """Create the users that Kafka itself stores, and give every user its rights.

    It may be called again. Returns whether all users exist. A broker that is not the controller
    refuses users with a code that the library takes for success, and the library sends the request
    to any broker. The caller then calls again with a new client.

    Raises KafkaError.
    """
    from kafka.admin import UserScramCredentialUpsertion
    from kafka.errors import KafkaError

    vault = Vault(config)
    users = ON_CONTROL if on_control else ON_CLUSTER
    by_scram = {
        user: mechanism for user, mechanism in users.items() if mechanism in {SCRAM_256, SCRAM_512}
    }
    made = [
        UserScramCredentialUpsertion(user, mechanism, vault.password(user))
        for user, mechanism in by_scram.items()
    ]
    if refused := {
        user: why for user, why in admin.alter_user_scram_credentials(made).items() if why
    }:
        raise KafkaError(f"users could not be made: {refused}")
    there = admin.describe_user_scram_credentials(list(by_scram))
    if not all(there.get(user, {}).get("credential_infos") for user in by_scram):
        return False
    roles = rights.control(PREFIX, APP_ID) if on_control else rights.cluster()
    acls.create(admin, roles, {role: (f"User:{role}",) for role in roles if role in users})
    return True
