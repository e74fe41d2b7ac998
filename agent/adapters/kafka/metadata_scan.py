"""Metadata (v9) of a whole cluster, from its bytes: what is healthy is stepped over, what is not is
counted and named.

Called by health.py, in its thread. 200,000 partitions as the library's structs cost 0.7 s and 80 MB
a look; here runs of partitions that look alike are matched in C: 0.02 s. Kafka 2.4 to 4.x answer
v9; it has names, no topic ids.
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
_IDS_MAX = 8  # in an array; beyond, a partition is read field by field
_HEAD = struct.Struct(">hiii")  # of a partition: error, index, leader, leader epoch
_LEADER = 6  # from the start of a partition
_INT = struct.Struct(">i")

# Which partitions of a topic are always wanted as objects.
Wanted = Mapping[str, AbstractSet[int]]


@dataclass(slots=True)
class Scan:
    """What one answer held.

    Doubtful is: no leader, fewer in sync than replicas, or a replica on a dead broker.

    `doubtful` has as many as were asked for, and all that were wanted; `rest` counts the others.
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
    """Ask that broker (None: any) of these topics (None: of all).

    What is gone is left out. Raises KafkaError.
    """
    found: Scan = admin_requests.ask(admin, _ScannedRequest(names, wanted, objects_max), broker_id)
    return found


def decode(data: bytes, wanted: Wanted, objects_max: int) -> Scan:
    """Read a MetadataResponse v9.

    Raises KafkaError when a topic cannot be described, or on broken bytes.
    """
    try:
        return _Reader(data, wanted, objects_max).response()
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise KafkaProtocolError(f"the Metadata answer cannot be read: {error}") from error


class _ScannedRequest:
    """The library's MetadataRequest, but for what is made of the answer."""

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
    """What the library's connection asks of a request in flight, and of the class of its answer."""

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
    """What partitions have in common that are read in one go: the lengths of their arrays, and
    whether they are led.
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
    """Partitions of this shape, one after another, none of whose offline replicas is leader or in
    the ISR.

    Every field has its place: error, index, leader, epoch, then three arrays (length + 1 in a byte)
    and no tagged field. Anchored where it is matched, and possessive, so that the engine keeps no
    way back.
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
    """The flexible encoding of KIP-482, as far as Metadata uses it."""

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
            raise IndexError(f"{len(self._data)} bytes, of which {self._at} make sense")
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
                # What follows the topic's last partition cannot look like one more, but need not be
                # trusted for that.
                alike = min((run.end() - self._at) // shape.size, count)
                self._alike(topic, shape, alike)
            else:
                alike = 1
                self._single(topic, wanted)
            count -= alike

    def _shape(self) -> _Shape | None:
        """Of the partition that begins here; None for one that is too unusual to have any."""
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
        """Step over so many partitions of a shape; the first ones of a doubtful shape become
        objects.
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
        # A replica on a dead broker is not in sync, though the controller may not have shrunk the
        # ISR yet.
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
        """Of an array or a string: written plus one, so that 0 says null."""
        return max(self._varint() - 1, 0)

    def _tags(self) -> None:
        for _ in range(self._varint()):
            self._varint()  # which
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
