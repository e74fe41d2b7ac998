"""Scans the bytes of a Metadata response (v9): skips healthy partitions, returns the doubtful ones.

Called by health.py, in its thread. As the library's structs, 200,000 partitions take 0.7 s and
80 MB each time. Here a regular expression matches runs of partitions of the same shape, which takes
0.02 s. Kafka 2.4 to 4.x support v9, which has topic names but no topic ids.
"""

import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaProtocolError
from kafka.protocol.metadata import MetadataRequest, MetadataResponse

from agent.adapters.kafka import admin_requests
from agent.core.checks.readiness import ReplicaDeficit
from agent.core.model.cluster import Partition

VERSION = 9
_IDS_MAX = 8  # a partition with longer arrays of broker ids is read field by field
_HEAD = struct.Struct(">hiii")  # of a partition: error, index, leader, leader epoch
_LEADER = 6  # the offset of the leader's id in a partition, in bytes
_INT = struct.Struct(">i")

# By topic, the partitions that are always returned as objects.
Wanted = Mapping[str, AbstractSet[int]]


@dataclass(slots=True)
class Scan:
    """The contents of one response.

    A partition is doubtful if it has no leader, fewer replicas in sync than replicas, or a replica
    on a dead broker. `doubtful` has the wanted partitions, and doubtful ones up to the given
    maximum; `rest` counts the other doubtful ones.
    """

    broker_ids: tuple[int, ...] = ()
    controller_id: int = -1
    topics: int = 0
    partitions: int = 0
    first_topic: str = ""
    doubtful: list[Partition] = field(default_factory=list)
    rest: Counter[ReplicaDeficit] = field(default_factory=Counter)


def scan(
    admin: KafkaAdminClient,
    names: Sequence[str] | None,
    broker_id: int | None,
    wanted: Wanted,
    objects_max: int,
) -> Scan:
    """Ask a broker (None: any) about these topics (None: all), and scan its response.

    `wanted`: partitions that are returned as objects in any case. `objects_max`: how many doubtful
    partitions are returned as objects; more are counted. Deleted topics are left out. Raises
    KafkaError.
    """
    found: Scan = admin_requests.ask(admin, _ScannedRequest(names, wanted, objects_max), broker_id)
    return found


def decode(data: bytes, wanted: Wanted, objects_max: int) -> Scan:
    """Scan the bytes of a MetadataResponse v9; the arguments are those of `scan`.

    Raises KafkaError when a topic has an error, or when the bytes are not such a response.
    """
    try:
        return _Reader(data, wanted, objects_max).response()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise KafkaProtocolError(f"the Metadata answer cannot be read: {error}") from error


class _ScannedRequest:
    """Behaves like the library's MetadataRequest, but its response is decoded as a Scan."""

    API_VERSION = VERSION

    def __init__(self, names: Sequence[str] | None, wanted: Wanted, objects_max: int) -> None:
        asked = (
            None
            if names is None
            else [MetadataRequest.MetadataRequestTopic(name=name) for name in names]
        )
        self._request = MetadataRequest(
            version=VERSION, topics=asked, allow_auto_topic_creation=False
        )
        self._wanted, self._objects_max = wanted, objects_max
        self.header: Any = None

    def expect_response(self) -> bool:
        return True

    def with_header(self, correlation_id: int, client_id: str) -> None:
        self._request.with_header(correlation_id=correlation_id, client_id=client_id)
        self.header = _InFlight(correlation_id, self._wanted, self._objects_max)

    def encode(self, **how: Any) -> bytes:
        encoded: bytes = self._request.encode(**how)
        return encoded


class _InFlight(NamedTuple):
    """The attributes of a request in flight, and of its response class, that the library uses."""

    correlation_id: int
    wanted: Wanted
    objects_max: int
    api_key: int = MetadataRequest.API_KEY
    api_version: int = VERSION

    def get_response_class(self) -> "_InFlight":
        return self

    def parse_header(self, data: Any) -> Any:
        return MetadataResponse[VERSION].parse_header(data)

    def decode(self, data: Any) -> Scan:
        return decode(data.read(), self.wanted, self.objects_max)


class _Shape(NamedTuple):
    """What the partitions of a run have in common: the lengths of their arrays, and `led`.

    `led` is whether they have a leader.
    """

    replicas: int
    isr: int
    offline: int
    led: bool

    @property
    def size(self) -> int:
        return _HEAD.size + 3 + 4 * (self.replicas + self.isr + self.offline) + 1

    @property
    def is_healthy(self) -> bool:
        return self.led and self.isr == self.replicas and not self.offline


@cache
def _run_of(shape: _Shape) -> re.Pattern[bytes]:
    """A pattern for consecutive partitions of this shape.

    In all of them, no offline replica is the leader or in the ISR. The fields have fixed places:
    error, index, leader, epoch, three arrays (length + 1 in one byte), and no tagged field. The
    repetition is possessive, so that the engine stores no positions for backtracking.
    """
    lengths = [re.escape(bytes([n + 1])) for n in shape[:3]]
    error = b"\\x00\\x00" if shape.is_healthy else b".."
    leader = (b"[\\x00-\\x7f]" if shape.led else b"[\\x80-\\xff]") + b".{3}"
    isr, offline = b".{%d}" % (4 * shape.isr), b""
    if shape.offline:
        leader, isr = b"(" + leader + b")", b"(.{4})" * shape.isr
        in_use = b"|".join(b"\\%d" % (group + 1) for group in range(1 + shape.isr))
        offline = (b"(?!" + in_use + b").{4}") * shape.offline
    fields = [
        error,
        b".{4}",
        leader,
        b".{4}",
        lengths[0],
        b".{%d}" % (4 * shape.replicas),
        lengths[1],
        isr,
    ]
    return re.compile(b"(?:" + b"".join([*fields, lengths[2], offline]) + b"\\x00)++", re.DOTALL)


class _Reader:
    """Reads the flexible encoding of KIP-482, as far as Metadata uses it."""

    def __init__(self, data: bytes, wanted: Wanted, objects_max: int) -> None:
        self._data = data
        self._at = 0
        self._wanted, self._objects_max = wanted, objects_max
        self._scan = Scan()

    def response(self) -> Scan:
        self._at += 4  # throttle time
        self._scan.broker_ids = tuple(self._broker() for _ in range(self._length()))
        self._string()  # cluster id
        self._scan.controller_id = self._int()
        for _ in range(self._length()):
            self._topic()
        self._at += 4  # authorized operations
        self._tags()
        if self._at != len(self._data):
            raise IndexError(f"of {len(self._data)} bytes, {self._at} were read")
        return self._scan

    def _broker(self) -> int:
        broker_id = self._int()
        self._string()  # host
        self._at += 4  # port
        self._string()  # rack
        self._tags()
        return broker_id

    def _topic(self) -> None:
        error = int.from_bytes(self._data[self._at : self._at + 2], "big", signed=True)
        self._at += 2
        name = self._string()
        self._at += 1  # is it internal
        count = self._length()
        if error and not admin_requests.is_gone(error):
            raise admin_requests.error(error, None, f"topic {name}")
        self._partitions(name, count)
        self._at += 4  # authorized operations
        self._tags()
        if not error:
            self._scan.topics += 1
            self._scan.partitions += count
            self._scan.first_topic = self._scan.first_topic or name

    def _partitions(self, topic: str, count: int) -> None:
        wanted = self._wanted.get(topic, frozenset())
        while count:
            shape = self._shape()
            run = (
                shape
                and (shape.is_healthy or not wanted)
                and _run_of(shape).match(self._data, self._at)
            )
            if shape and run:
                # The bytes after the topic's last partition cannot look like another one; `count`
                # makes sure.
                alike = min((run.end() - self._at) // shape.size, count)
                self._alike(topic, shape, alike)
            else:
                alike = 1
                self._single(topic, wanted)
            count -= alike

    def _shape(self) -> _Shape | None:
        """The shape of the partition that begins here; None if an array is null or too long."""
        data, at = self._data, self._at + _HEAD.size
        lengths = []
        for _ in range(3):
            lengths.append(length := data[at] - 1)
            if not 0 <= length <= _IDS_MAX:
                return None
            at += 1 + 4 * length
        replicas, isr, offline = lengths
        return _Shape(replicas, isr, offline, led=data[self._at + _LEADER] < 0x80)

    def _alike(self, topic: str, shape: _Shape, count: int) -> None:
        """Skip `count` partitions of a shape.

        Those of a doubtful shape become objects until there are `objects_max`.
        """
        if not shape.is_healthy:
            named = min(count, max(self._objects_max - len(self._scan.doubtful), 0))
            self._scan.doubtful += [self._partition(topic) for _ in range(named)]
            count -= named
            if count:
                self._scan.rest[
                    ReplicaDeficit(topic, shape.replicas, shape.isr, not shape.led)
                ] += count
        self._at += count * shape.size

    def _single(self, topic: str, wanted: AbstractSet[int]) -> None:
        p = self._partition(topic)
        if p.partition in wanted or len(self._scan.doubtful) < self._objects_max:
            self._scan.doubtful.append(p)
        elif (lack := ReplicaDeficit.of(p)).is_deficient:
            self._scan.rest[lack] += 1

    def _partition(self, topic: str) -> Partition:
        _error, index, leader, _epoch = _HEAD.unpack_from(self._data, self._at)
        self._at += _HEAD.size
        replicas, isr, offline = self._ids(), self._ids(), self._ids()
        self._tags()
        # A replica on a dead broker is not in sync, even if the controller has not yet shrunk the
        # ISR.
        return Partition(
            topic=topic,
            partition=index,
            leader=leader if leader not in offline else -1,
            replicas=replicas,
            isr=tuple(b for b in isr if b not in offline) if offline else isr,
        )

    def _ids(self) -> tuple[int, ...]:
        count = self._length()
        ids: tuple[int, ...] = struct.unpack_from(f">{count}i", self._data, self._at)
        self._at += 4 * count
        return ids

    def _int(self) -> int:
        value: int = _INT.unpack_from(self._data, self._at)[0]
        self._at += 4
        return value

    def _string(self) -> str:
        size = self._length()
        start, self._at = self._at, self._at + size
        return self._data[start : self._at].decode()

    def _length(self) -> int:
        """The length of an array or a string; it is encoded as length + 1, and 0 means null."""
        return max(self._varint() - 1, 0)

    def _tags(self) -> None:
        for _ in range(self._varint()):
            self._varint()  # the tag
            self._at += self._varint()

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
