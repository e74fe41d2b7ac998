"""A broker in one process that speaks Kafka's wire protocol, for clusters larger than a machine can
hold.

It answers ApiVersions, Metadata, ListPartitionReassignments and DescribeConfigs, as any broker of a
healthy or sick cluster of so many partitions would; every listed broker is this one. The bytes are
made once a situation.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kafka.protocol.admin import (
    DescribeConfigsRequest,
    DescribeConfigsResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
)
from kafka.protocol.metadata import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    MetadataRequest,
    MetadataResponse,
)

Topic = MetadataResponse.MetadataResponseTopic
Resource = DescribeConfigsResponse.DescribeConfigsResult
Moving = ListPartitionReassignmentsResponse.OngoingTopicReassignment

AZS = 3
WHOLE_VERSION = 9  # of Metadata, whose bytes are kept
NOT_ASKED = {31}  # how the library writes "no authorized operations asked for"
# Of Kafka 3.9, as far as they are answered here.
VERSIONS = {
    ApiVersionsRequest.API_KEY: (0, 3),
    MetadataRequest.API_KEY: (0, 12),
    DescribeConfigsRequest.API_KEY: (1, 4),
    ListPartitionReassignmentsRequest.API_KEY: (0, 0),
}


@dataclass(frozen=True)
class Situation:
    """What the cluster looks like. `moving`: so many partitions are given one new replica."""

    topics: int = 2_000
    partitions: int = 100  # of each topic
    brokers: int = 99
    down: frozenset[int] = frozenset()
    moving: int = 0
    min_isr: int = 2

    def replicas(self, topic: int, partition: int) -> list[int]:
        in_az = self.brokers // AZS
        place = topic * self.partitions + partition
        return [AZS * ((place + az * 7) % in_az) + az for az in range(AZS)]

    def adding(self, topic: int, partition: int) -> list[int]:
        """A broker of the first AZ that does not hold it yet."""
        if topic * self.partitions + partition >= self.moving:
            return []
        return [(self.replicas(topic, partition)[0] + AZS) % self.brokers]


class WireBroker:
    """Serves one situation on one loopback port."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self._situation = Situation()
        self._prepared: dict[Situation, bytes] = {}
        self._answers: dict[int, tuple[type[Any], Callable[[Any], Any]]] = {
            ApiVersionsRequest.API_KEY: (ApiVersionsRequest, self._api_versions),
            MetadataRequest.API_KEY: (MetadataRequest, self._metadata),
            DescribeConfigsRequest.API_KEY: (DescribeConfigsRequest, self._configs),
            ListPartitionReassignmentsRequest.API_KEY: (
                ListPartitionReassignmentsRequest,
                self._reassignments,
            ),
        }

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()

    def prepare(self, situation: Situation) -> None:
        """Make the bytes of the whole cluster, which takes seconds for a large one."""
        response = self._metadata_of(situation, range(situation.topics))
        self._prepared[situation] = _encoded(response, WHOLE_VERSION, 0)

    def become(self, situation: Situation) -> None:
        """From the next answer on."""
        self._situation = situation

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                writer.write(self._answer(await reader.readexactly(size)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, data: bytes) -> bytes:
        key, version = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        kind, answer = self._answers[key]
        request = kind.decode(data, version=version, header=True)
        correlation_id = request.header.correlation_id
        self.asked.append(kind.__name__)
        if kind is MetadataRequest and request.topics is None and version == WHOLE_VERSION:
            whole = self._prepared[self._situation]
            return whole[:4] + correlation_id.to_bytes(4, "big") + whole[8:]
        return _encoded(answer(request), version, correlation_id)

    def _api_versions(self, _request: Any) -> Any:
        keys = [
            ApiVersionsResponse.ApiVersion(api_key=key, min_version=low, max_version=high)
            for key, (low, high) in VERSIONS.items()
        ]
        return ApiVersionsResponse(error_code=0, api_keys=keys, throttle_time_ms=0)

    def _metadata(self, request: Any) -> Any:
        wanted = None if request.topics is None else {t.name for t in request.topics}
        numbers = range(self._situation.topics)
        some = [n for n in numbers if wanted is None or _name(n) in wanted]
        return self._metadata_of(self._situation, some)

    def _metadata_of(self, one: Situation, topics: Iterable[int]) -> Any:
        brokers = [
            MetadataResponse.MetadataResponseBroker(
                node_id=b, host="127.0.0.1", port=self.port, rack=f"az-{b % AZS}"
            )
            for b in range(one.brokers)
            if b not in one.down
        ]
        return MetadataResponse(
            throttle_time_ms=0,
            brokers=brokers,
            cluster_id="wire",
            controller_id=brokers[0].node_id,
            topics=[_topic(one, t) for t in topics],
            authorized_operations=NOT_ASKED,
        )

    def _configs(self, request: Any) -> Any:
        entry = Resource.DescribeConfigsResourceResult(
            name="min.insync.replicas",
            value=str(self._situation.min_isr),
            read_only=False,
            config_source=1,
            is_sensitive=False,
            synonyms=[],
            config_type=3,
            documentation=None,
        )
        results = [
            Resource(
                error_code=0,
                error_message=None,
                resource_type=2,
                resource_name=r.resource_name,
                configs=[entry],
            )
            for r in request.resources
        ]
        return DescribeConfigsResponse(throttle_time_ms=0, results=results)

    def _reassignments(self, _request: Any) -> Any:
        one = self._situation
        topics = []
        for t in range(-(-one.moving // one.partitions)):
            moving = [p for p in range(one.partitions) if one.adding(t, p)]
            spots = [
                Moving.OngoingPartitionReassignment(
                    partition_index=p,
                    replicas=one.replicas(t, p) + one.adding(t, p),
                    adding_replicas=one.adding(t, p),
                    removing_replicas=one.replicas(t, p)[:1],
                )
                for p in moving
            ]
            topics.append(Moving(name=_name(t), partitions=spots))
        return ListPartitionReassignmentsResponse(
            throttle_time_ms=0, error_code=0, error_message=None, topics=topics
        )


def _name(topic: int) -> str:
    return f"topic-with-a-name-of-usual-length-{topic:05d}"


def _topic(one: Situation, topic: int) -> Any:
    partitions = []
    for p in range(one.partitions):
        old, new = one.replicas(topic, p), one.adding(topic, p)
        alive = [b for b in old if b not in one.down]
        partitions.append(
            Topic.MetadataResponsePartition(
                error_code=0 if alive else 5,
                partition_index=p,
                leader_id=alive[0] if alive else -1,
                leader_epoch=3,
                replica_nodes=old + new,
                isr_nodes=alive or old[-1:],
                offline_replicas=[b for b in old if b in one.down],
            )
        )
    return Topic(
        error_code=0,
        name=_name(topic),
        is_internal=False,
        partitions=partitions,
        authorized_operations=NOT_ASKED,
    )


def _encoded(response: Any, version: int, correlation_id: int) -> bytes:
    response.API_VERSION = version
    response.with_header(correlation_id=correlation_id)
    encoded: bytes = response.encode(header=True, framed=True)
    return encoded
