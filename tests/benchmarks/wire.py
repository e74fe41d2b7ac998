"""kafka-python's admin client with everything but the socket: a large cluster answers in Kafka's
own bytes.

Used by plan.py. Each answer is encoded, counted and decoded by the library, as it would be from a
connection.
"""

import inspect
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kafka import KafkaAdminClient
from kafka.future import Future
from kafka.protocol.admin import (
    DescribeClusterResponse,
    DescribeConfigsResponse,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    IncrementalAlterConfigsResponse,
    ListGroupsResponse,
    ListPartitionReassignmentsResponse,
    ListTransactionsResponse,
)
from kafka.protocol.metadata import MetadataRequest, MetadataResponse

from agent.core.model.cluster import Partition
from tests.benchmarks.large import (
    FREE_BYTES,
    PARTITIONS,
    PARTITIONS_PER_TOPIC,
    RACKS,
    SOURCES,
    TOPICS,
    LargeCluster,
    topic,
)

_NUMBER_OF = {topic(n): n for n in range(TOPICS)}
UNKNOWN_TOPIC = 3  # UNKNOWN_TOPIC_OR_PARTITION
_Topic = MetadataResponse.MetadataResponseTopic
_Dir = DescribeLogDirsResponse.DescribeLogDirsResult
_Flying = ListPartitionReassignmentsResponse.OngoingTopicReassignment
_Config = DescribeConfigsResponse.DescribeConfigsResult


class Wire:
    """Stands where kafka-python's connection manager stands.

    `requests`, `received_bytes`: by kind of request.
    """

    def __init__(self, large: LargeCluster) -> None:
        self.large = large
        self.requests: Counter[str] = Counter()
        self.received_bytes: Counter[str] = Counter()
        self.port = 9092  # every broker is on loopback
        self.cluster = SimpleNamespace(
            broker_metadata=lambda b: SimpleNamespace(node_id=b),
            brokers=lambda: [SimpleNamespace(node_id=b) for b in RACKS],
        )
        self._kept: dict[Any, bytes] = {}

    def forget(self) -> None:
        """The cluster has changed, or another count begins."""
        self.requests.clear()
        self.received_bytes.clear()

    def prepare(self) -> None:
        """Encode what does not change and is long; the cluster has just been changed."""
        self._kept.clear()
        for request, brokers in (
            (MetadataRequest(topics=None), [None]),
            (DescribeLogDirsRequest(topics=None), RACKS),
        ):
            for b in brokers:
                self.send(request, b)
        self.forget()

    def run(self, ask: Callable[..., Any], *args: Any) -> Any:
        """As the library's: a coroutine function or one that returns a future; every answer is
        there at once.
        """
        asked = ask(*args)
        if inspect.iscoroutine(asked):
            try:
                asked.send(None)
            except StopIteration as end:
                return end.value
            raise AssertionError("a request was not answered at once")
        return asked.value

    def send(self, request: Any, node_id: int | None = None) -> Any:
        name = type(request).__name__.partition("Request")[0]
        kind, make = {
            "Metadata": (MetadataResponse, self._metadata),
            "DescribeCluster": (DescribeClusterResponse, self._brokers),
            "ListPartitionReassignments": (ListPartitionReassignmentsResponse, self._reassignments),
            "DescribeLogDirs": (DescribeLogDirsResponse, self._log_dirs),
            "DescribeConfigs": (DescribeConfigsResponse, self._configs),
            "IncrementalAlterConfigs": (IncrementalAlterConfigsResponse, self._altered),
            "ListGroups": (ListGroupsResponse, self._groups),
            "ListTransactions": (ListTransactionsResponse, self._transactions),
        }[name]
        version = min(request.max_version, kind.max_version)
        request = type(request).decode(request.encode(version=version), version=version)
        # What does not change is encoded once: the broker's work is not what is measured.
        wanted = getattr(request, "topics", ())
        whole = wanted is None and name in ("Metadata", "DescribeLogDirs")
        key = (name, node_id, len(self.large.flying), len(self.large.moved)) if whole else None
        data = self._kept.get(key) if key else None
        if data is None:
            data = make(request, node_id).encode(version=version)
            if key:
                self._kept[key] = data
        self.requests[name] += 1
        self.received_bytes[name] += len(data)
        return Future().success(kind.decode(data, version=version))

    def _brokers(self, _: Any, __: int | None) -> Any:
        broker = DescribeClusterResponse.DescribeClusterBroker
        return DescribeClusterResponse(
            error_code=0,
            error_message=None,
            endpoint_type=1,
            cluster_id="large",
            controller_id=SOURCES[0],
            brokers=[
                broker(broker_id=b, host="127.0.0.1", port=self.port, rack=az, is_fenced=False)
                for b, az in RACKS.items()
            ],
        )

    def _groups(self, _: Any, __: int | None) -> Any:
        return ListGroupsResponse(throttle_time_ms=0, error_code=0, groups=[])

    def _transactions(self, _: Any, __: int | None) -> Any:
        return ListTransactionsResponse(
            throttle_time_ms=0, error_code=0, unknown_state_filters=[], transaction_states=[]
        )

    def _metadata(self, request: Any, _: int | None) -> Any:
        asked = None if request.topics is None else [t.name for t in request.topics]
        wanted = (
            range(TOPICS)
            if asked is None
            else [_NUMBER_OF[name] for name in asked if name in _NUMBER_OF]
        )
        unknown = [name for name in asked or () if name not in _NUMBER_OF]
        return MetadataResponse(
            throttle_time_ms=0,
            brokers=[],
            cluster_id="large",
            controller_id=SOURCES[0],
            topics=[
                *(
                    _Topic(error_code=0, name=topic(n), partitions=self._partitions(n))
                    for n in wanted
                ),
                *(_Topic(error_code=UNKNOWN_TOPIC, name=name, partitions=[]) for name in unknown),
            ],
        )

    def _partitions(self, number: int) -> list[Any]:
        start = number * PARTITIONS_PER_TOPIC
        return [
            _partition(self.large.partition(n)) for n in range(start, start + PARTITIONS_PER_TOPIC)
        ]

    def _reassignments(self, _: Any, __: int | None) -> Any:
        by_topic: dict[str, list[Any]] = {}
        for number in self.large.flying:
            p = self.large.partition(number)
            by_topic.setdefault(p.topic, []).append(
                _Flying.OngoingPartitionReassignment(
                    partition_index=p.partition,
                    replicas=list(p.replicas),
                    adding_replicas=list(p.adding),
                    removing_replicas=list(p.removing),
                )
            )
        topics = [_Flying(name=name, partitions=found) for name, found in by_topic.items()]
        return ListPartitionReassignmentsResponse(error_code=0, error_message=None, topics=topics)

    def _log_dirs(self, request: Any, node_id: int | None) -> Any:
        assert node_id is not None
        asked = None
        if request.topics is not None:
            asked = {
                _NUMBER_OF[t.topic] * PARTITIONS_PER_TOPIC + p
                for t in request.topics
                for p in t.partitions
            }
        one, by_topic = _Dir.DescribeLogDirsTopic.DescribeLogDirsPartition, {}
        for number, size in self.large.on(node_id).items():
            if asked is None or number in asked:
                by_topic.setdefault(number // PARTITIONS_PER_TOPIC, []).append(
                    one(
                        partition_index=number % PARTITIONS_PER_TOPIC,
                        partition_size=size,
                        offset_lag=0,
                        is_future_key=False,
                    )
                )
        topics = [
            _Dir.DescribeLogDirsTopic(name=topic(n), partitions=found)
            for n, found in by_topic.items()
        ]
        log_dir = _Dir(
            error_code=0,
            log_dir="/data",
            topics=topics,
            total_bytes=FREE_BYTES * 2,
            usable_bytes=FREE_BYTES,
        )
        return DescribeLogDirsResponse(error_code=0, results=[log_dir])

    def _configs(self, request: Any, _: int | None) -> Any:
        values = {"min.insync.replicas": "2"}
        results = [
            _Config(
                error_code=0,
                error_message=None,
                resource_type=r.resource_type,
                resource_name=r.resource_name,
                configs=[
                    _Config.DescribeConfigsResourceResult(
                        name=key,
                        value=values[key],
                        read_only=False,
                        config_source=5,
                        is_sensitive=False,
                    )
                    for key in r.configuration_keys or ()
                    if key in values
                ],
            )
            for r in request.resources
        ]
        return DescribeConfigsResponse(results=results)

    def _altered(self, request: Any, _: int | None) -> Any:
        one = IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
        return IncrementalAlterConfigsResponse(
            responses=[
                one(
                    error_code=0,
                    error_message=None,
                    resource_type=r.resource_type,
                    resource_name=r.resource_name,
                )
                for r in request.resources
            ]
        )


class WireAdmin(KafkaAdminClient):  # type: ignore[misc]  # the library has no types
    """The library's own calls over `Wire`."""

    def __init__(self, wire: Wire) -> None:
        self.config = {**self.DEFAULT_CONFIG}
        self._manager = wire
        self._controller_id = SOURCES[0]
        self._closed = False

    def close(self) -> None:
        """Nothing is open."""


def _partition(p: Partition) -> Any:
    return _Topic.MetadataResponsePartition(
        error_code=0,
        partition_index=p.partition,
        leader_id=p.leader,
        leader_epoch=7,
        replica_nodes=list(p.replicas),
        isr_nodes=list(p.isr),
        offline_replicas=[],
    )


assert PARTITIONS == TOPICS * PARTITIONS_PER_TOPIC
