"""Settings of brokers, and whether their advertised addresses can be reached.

Called by cluster.py.
"""

import asyncio
from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient

from agent.adapters.kafka import admin_requests

CONNECT_SECONDS = 3.0
CONNECTIONS_MAX = 50  # at once


def settings(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, dict[str, str]]:
    """All settings of these brokers, each asked itself; those that do not answer are left out."""
    answers = admin_requests.broker_configs(admin, brokers, None)
    # Kafka gives no value for what it holds to be a secret.
    return {
        b: {name: entry.value for name, entry in entries.items() if entry.value is not None}
        for b, entries in answers.given.items()
    }


# Sources of a setting, as Kafka numbers them.
_STATIC = 4
HIDDEN = "<hidden>"  # Kafka does not tell what it holds to be a secret


def file_settings(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, dict[str, str]]:
    """What each of these brokers has in its own file, asked itself; those that do not answer
    are left out.
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
    """The advertised address of each registered broker on the listener that we use."""
    return {b["broker_id"]: (b["host"], b["port"]) for b in admin.describe_cluster()["brokers"]}


async def without_connection(where: Mapping[int, tuple[str, int]]) -> dict[int, str]:
    """Brokers that take no TCP connection in time: broker id -> address and error."""
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

    told = await asyncio.gather(*(trouble(*where[b]) for b in where))
    return {b: why for b, why in zip(where, told, strict=True) if why}
