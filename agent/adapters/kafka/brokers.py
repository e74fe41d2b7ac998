"""The settings of brokers, and whether their advertised addresses can be reached.

Called by cluster.py.
"""

import asyncio
from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient

from agent.adapters.kafka import admin_requests

CONNECT_SECONDS = 3.0
CONNECTIONS_MAX = 50  # at once


def settings(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return all settings of these brokers, each asked of the broker itself.

    Secrets and brokers that do not answer are left out.
    """
    answers = admin_requests.broker_configs(admin, brokers, None)
    # Kafka does not send the values of secrets.
    return {
        b: {name: entry.value for name, entry in entries.items() if entry.value is not None}
        for b, entries in answers.given.items()
    }


_STATIC = 4  # Kafka's number for settings that come from the broker's properties file
HIDDEN = "<hidden>"  # stands for the value of a secret, which Kafka does not send


def file_settings(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return the settings in the properties file of each broker, asked of the broker itself.

    The value of a secret is HIDDEN. Brokers that do not answer are left out.
    """
    answers = admin_requests.broker_configs(admin, brokers, None)
    return {
        b: {
            name: HIDDEN if e.value is None else e.value
            for name, e in entries.items()
            if e.config_source == _STATIC
        }
        for b, entries in answers.given.items()
    }


def addresses(admin: KafkaAdminClient) -> dict[int, tuple[str, int]]:
    """Return host and port of each registered broker on the listener that this agent uses."""
    return {b["broker_id"]: (b["host"], b["port"]) for b in admin.describe_cluster()["brokers"]}


async def without_connection(where: Mapping[int, tuple[str, int]]) -> dict[int, str]:
    """Return the brokers that accept no TCP connection within CONNECT_SECONDS.

    The values are texts with address and error, by broker id.
    """
    places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def trouble(host: str, port: int) -> str:
        async with places:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, writer = await asyncio.open_connection(host, port)
            except TimeoutError:
                return f"{host}:{port}: no answer within {CONNECT_SECONDS:.0f} s"
            except OSError as error:
                return f"{host}:{port}: {error.strerror or error}"
            writer.close()
            return ""

    found = await asyncio.gather(*(trouble(*where[b]) for b in where))
    return {b: why for b, why in zip(where, found, strict=True) if why}
