"""Connects the admin client of a cluster, and sends requests that keep their error codes.

The library's public calls drop those codes. Called by the modules beside it, in the thread of
admin_thread.py. What this agent may not see must never look like something that does not exist, so
every error code is raised that does not mean "deleted".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import AlterConfigOp, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    for_code,
)
from kafka.net.compat import KafkaNetClient
from kafka.protocol.admin import (
    DescribeConfigsRequest,
    DescribeLogDirsRequest,
    IncrementalAlterConfigsRequest,
)
from kafka.protocol.metadata import MetadataRequest

from agent.adapters.kafka.connection import KafkaConnection

CLIENT_ID = "kafka-migration"
# The library may spend the whole bootstrap time-out on one random broker that hangs, so the time is
# divided among several attempts.
BOOTSTRAP_ATTEMPTS = 3
METADATA_AGE_MS = 5_000  # only the list of brokers is refreshed: no topic is tracked
BACKOFF_MS_MAX = 1_000
WORDS_CHARACTERS_MAX = 300
TOPICS_PER_CHANGE = 10
RIGHTS = "Describe, DescribeConfigs, Alter and AlterConfigs on the cluster and on every topic"

# The broker answered and refused the login: another attempt at once would not help.
LOGIN_REFUSED = (SaslAuthenticationFailedError, UnsupportedSaslMechanismError)

Operations = Mapping[str, tuple[AlterConfigOp, str | None]]


class Answers(NamedTuple):
    """The responses of several brokers by broker id, and for the others the error."""

    given: dict[int, Any]
    failed: dict[int, Exception]


def connect(connection: KafkaConnection) -> KafkaAdminClient:
    """Return a connected client.

    Raises KafkaError when no broker answers; no thread or socket is left open then.
    """
    seconds = connection.request_timeout_seconds / BOOTSTRAP_ATTEMPTS
    for attempt in range(1, BOOTSTRAP_ATTEMPTS + 1):
        try:
            return _connect(connection, int(seconds * 1_000))
        except KafkaError as error:
            if attempt == BOOTSTRAP_ATTEMPTS or isinstance(
                error, (AuthorizationError, *LOGIN_REFUSED)
            ):
                raise
    raise AssertionError("unreachable")


def _connect(connection: KafkaConnection, connect_timeout_ms: int) -> KafkaAdminClient:
    made: list[KafkaNetClient] = []

    def net_client(**config: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**config, socket_connection_setup_timeout_ms=connect_timeout_ms))
        return made[-1]

    try:
        return KafkaAdminClient(
            **{**connection.for_kafka_python(), "bootstrap_timeout_ms": connect_timeout_ms},
            client_id=CLIENT_ID,
            reconnect_backoff_max_ms=BACKOFF_MS_MAX,
            metadata_max_age_ms=METADATA_AGE_MS,
            kafka_client=net_client,
        )
    except BaseException:
        for client in made:  # its thread and sockets stay open when the constructor fails
            client.close()
        raise


def ask(admin: KafkaAdminClient, request: Any, broker_id: int | None = None) -> Any:
    """Send one request to a broker, or to any if None, and return its response.

    Raises KafkaError.
    """
    manager = admin._manager  # noqa: SLF001  # the public calls drop error codes
    return manager.run(lambda: manager.send(request, node_id=broker_id))


def ask_each(admin: KafkaAdminClient, requests: Mapping[int, Any]) -> Answers:
    """Send each broker its own request, all concurrently; a failure is part of the result.

    So brokers that hang delay the call by one time-out only.
    """
    manager = admin._manager  # noqa: SLF001
    answers = Answers({}, {})

    async def send_all() -> None:
        # A broker that has just joined is not yet in the client's metadata.
        if any(manager.cluster.broker_metadata(b) is None for b in requests):
            await manager.cluster.refresh_metadata()
        waiting = {}
        for b, request in requests.items():
            try:
                waiting[b] = manager.send(request, node_id=b)
            except (KafkaError, OSError) as error:
                answers.failed[b] = error
        for b, future in waiting.items():
            try:
                answers.given[b] = await future
            except (KafkaError, OSError) as error:
                answers.failed[b] = error

    if requests:
        manager.run(send_all)
    return answers


def error(code: int, message: str | None, of_what: str) -> KafkaError:
    """Return the library's error for a code, with a text that names what it is about."""
    kind = for_code(code)
    return kind(f"{of_what}: {message or kind.__name__}")


def words(trouble: Exception) -> str:
    """Return the text of an error for people, with advice about missing rights.

    It is shortened to WORDS_CHARACTERS_MAX, because the library quotes whole requests.
    """
    text = str(trouble) or repr(trouble)
    text = text if len(text) <= WORDS_CHARACTERS_MAX else text[:WORDS_CHARACTERS_MAX] + "…"
    return (
        f"{text} (grant this agent's user {RIGHTS})"
        if isinstance(trouble, AuthorizationError)
        else text
    )


def is_gone(code: int) -> bool:
    """Whether an error code means that the topic no longer exists."""
    return bool(code == UnknownTopicOrPartitionError.errno)


def topics(admin: KafkaAdminClient, names: Sequence[str] | None) -> list[Any]:
    """Return the metadata of these topics (None: of all) as the library's structs.

    Deleted topics are left out. Raises KafkaError.
    """
    wanted = (
        None
        if names is None
        else [MetadataRequest.MetadataRequestTopic(name=name) for name in names]
    )
    response = ask(admin, MetadataRequest(topics=wanted, allow_auto_topic_creation=False))
    found = [topic for topic in response.topics if not is_gone(topic.error_code)]
    for topic in found:
        if topic.error_code:
            raise error(topic.error_code, None, f"topic {topic.name}")
    return found


def taken(answers: list[Any]) -> Iterator[Any]:
    """Yield the items of a list in order and empty it on the way.

    Freeing all of them at once would block the event loop.
    """
    answers.reverse()
    while answers:
        yield answers.pop()


def log_dirs(
    admin: KafkaAdminClient, brokers: Iterable[int], only: Mapping[str, Sequence[int]] | None = None
) -> Answers:
    """Return each broker's log dirs (KIP-113), asked of the broker itself.

    `only`: partitions by topic; None means all. A broker with a dir that cannot be read is in
    `failed`. Raises KafkaError when this agent may not see the log dirs.
    """
    topics = None if only is None else list(only.items())
    answers = ask_each(admin, {b: DescribeLogDirsRequest(topics=topics) for b in brokers})
    for b, response in list(answers.given.items()):
        # The replicas in an unreadable dir are missing from the answer, so it counts as failed.
        codes = [
            getattr(response, "error_code", 0),
            *(log_dir.error_code for log_dir in response.results),
        ]
        trouble = next(
            (error(code, None, f"the log dirs of broker {b}") for code in codes if code), None
        )
        if isinstance(trouble, AuthorizationError):
            raise trouble
        if trouble is not None:
            answers.failed[b] = trouble
            del answers.given[b]
    return answers


def topic_configs(
    admin: KafkaAdminClient, names: Sequence[str], keys: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """Return topic -> key -> entry (value, config_source, ...); `keys` None means all.

    Deleted topics are left out. Raises KafkaError.
    """
    return _configs(ask(admin, _describe(ConfigResourceType.TOPIC, names, keys)))


def each_brokers_topic_configs(
    admin: KafkaAdminClient, brokers: Iterable[int], names: Sequence[str], keys: Sequence[str]
) -> dict[int, dict[str, dict[str, Any]]]:
    """Return broker -> topic -> key -> entry, as each broker has them.

    In KRaft a broker may lag behind the controllers. Brokers that do not answer are left out.
    """
    answers = ask_each(
        admin, {b: _describe(ConfigResourceType.TOPIC, names, keys) for b in brokers}
    )
    return {b: _configs(response) for b, response in answers.given.items()}


def known_brokers(admin: KafkaAdminClient) -> list[int]:
    """Return the ids of the brokers in the client's metadata; sends no request."""
    return [b.node_id for b in admin._manager.cluster.brokers()]  # noqa: SLF001


def broker_configs(
    admin: KafkaAdminClient, brokers: Iterable[int], keys: Sequence[str] | None
) -> Answers:
    """Return each broker's settings, key -> entry, asked of the broker itself.

    `keys` None means all.
    """
    requests = {b: _describe(ConfigResourceType.BROKER, [str(b)], keys) for b in brokers}
    answers = ask_each(admin, requests)
    return Answers(
        {b: _configs(r).get(str(b), {}) for b, r in answers.given.items()}, answers.failed
    )


def alter_topics(
    admin: KafkaAdminClient, changes: Mapping[str, Operations]
) -> dict[str, KafkaError]:
    """Change the settings of topics; return the errors of those that were refused, by topic.

    All keys of a topic change together or not at all. The changes must be safe to make twice.

    Each change writes to ZooKeeper, which takes tens of milliseconds. So the topics are divided
    among the brokers, and the part of a broker that does not answer is given to another one. Raises
    KafkaError or OSError when no broker is left.
    """
    names = sorted(changes)
    parts = [
        names[start : start + TOPICS_PER_CHANGE]
        for start in range(0, len(names), TOPICS_PER_CHANGE)
    ]
    brokers = known_brokers(admin)
    refused: dict[str, KafkaError] = {}
    while parts:
        given = dict(zip(brokers, parts, strict=False))
        requests = {
            b: _alter(ConfigResourceType.TOPIC, {name: changes[name] for name in part})
            for b, part in given.items()
        }
        answers = ask_each(admin, requests)
        for response in answers.given.values():
            refused |= _refusals(response)
        brokers = [b for b in brokers if b not in answers.failed]
        if not brokers:
            raise next(iter(answers.failed.values()), KafkaConnectionError("no broker is known"))
        parts = [given[b] for b in answers.failed] + parts[len(given) :]
    return refused


def alter_brokers(
    admin: KafkaAdminClient, changes: Mapping[int, Operations]
) -> dict[int, Exception]:
    """Change the settings of brokers; return the errors by broker.

    Kafka requires that each broker gets the request about itself.
    """
    answers = ask_each(
        admin, {b: _alter(ConfigResourceType.BROKER, {str(b): ops}) for b, ops in changes.items()}
    )
    refused = {b: refusals[str(b)] for b, r in answers.given.items() if (refusals := _refusals(r))}
    return {**answers.failed, **refused}


def _describe(
    kind: ConfigResourceType, names: Iterable[str], keys: Sequence[str] | None
) -> DescribeConfigsRequest:
    return DescribeConfigsRequest(
        resources=[(kind, name, None if keys is None else list(keys)) for name in names]
    )


def _configs(response: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for result in response.results:
        if is_gone(result.error_code):
            continue
        if result.error_code:
            raise error(
                result.error_code, result.error_message, f"the settings of {result.resource_name}"
            )
        found[result.resource_name] = {entry.name: entry for entry in result.configs}
    return found


def _alter(
    kind: ConfigResourceType, changes: Mapping[str, Operations]
) -> IncrementalAlterConfigsRequest:
    return IncrementalAlterConfigsRequest(
        resources=[
            (kind, name, [(key, op.value, value) for key, (op, value) in operations.items()])
            for name, operations in changes.items()
        ],
        validate_only=False,
    )


def _refusals(response: Any) -> dict[str, KafkaError]:
    return {
        r.resource_name: error(r.error_code, r.error_message, f"the settings of {r.resource_name}")
        for r in response.responses
        if r.error_code
    }
