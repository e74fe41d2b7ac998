"""Stores the assignment before the start in the compacted snapshots topic: implements SnapshotPort.

The assignment is split into pieces, zlib-compressed messages of some thousand partitions each. The
manifest, which is written last, says how many pieces there are.
"""

import asyncio
import json
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Tp
from aiokafka.errors import KafkaError

from agent.adapters.kafka.connection import KafkaConnection
from agent.core.model.client_positions import Positions
from agent.core.model.cluster import Partition, TopicPartition
from agent.core.model.reasons import Code
from agent.performer.ports import PortError

SCHEMA_VERSION = 1  # of manifest, pieces and end offsets: docs/schema-versions.md
PARTITIONS_PER_PIECE = 5_000  # about 100 kB of JSON each, far below 1 MB, compressed further


class SnapshotTopic:
    """The snapshots of one cluster.

    The keys are `<cluster>/<migration_id>/<piece>`, `.../manifest` and `.../positions-<wave>`.
    """

    def __init__(self, connection: KafkaConnection, topic: str, cluster: str) -> None:
        self._connection = connection
        self._topic = topic
        self._cluster = cluster

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        """Write the pieces, then the manifest; pieces without a manifest do not count.

        Raises PortError.
        """
        producer = AIOKafkaProducer(
            **self._connection.for_aiokafka(), acks="all", enable_idempotence=True
        )
        try:
            await producer.start()
            partition = 0  # one partition keeps pieces and manifest in order
            pieces = 0
            async for piece in packed(partitions):
                await producer.send_and_wait(
                    self._topic,
                    key=self._key(migration_id, pieces),
                    value=piece,
                    partition=partition,
                )
                pieces += 1
            await producer.send_and_wait(
                self._topic,
                key=self._key(migration_id, "manifest"),
                value=pack_manifest(pieces, len(partitions)),
                partition=partition,
            )
        except KafkaError as error:
            raise PortError(
                f"the snapshot could not be saved: {error!r}", Code.SNAPSHOT_MISSING
            ) from error
        finally:
            await producer.stop()

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        """Return the replicas of each partition in order; None if manifest or a piece is missing.

        Raises PortError when Kafka does not answer, or a newer version of the agent saved it.
        """
        found = await self._read(self._key(migration_id, ""))
        manifest = found.pop(self._key(migration_id, "manifest"), None)
        if manifest is None:
            return None
        wanted = [self._key(migration_id, n) for n in range(unpack_manifest(manifest))]
        if not all(key in found for key in wanted):
            return None
        return await asyncio.to_thread(unpack, [found[key] for key in wanted])

    async def save_positions(self, migration_id: str, wave: int, positions: Positions) -> None:
        """Store a wave's positions in one message; their number is limited (offsets.py).

        Raises PortError.
        """
        producer = AIOKafkaProducer(
            **self._connection.for_aiokafka(), acks="all", enable_idempotence=True
        )
        key = self._key(migration_id, f"positions-{wave}")
        try:
            await producer.start()
            await producer.send_and_wait(
                self._topic, key=key, value=pack_positions(positions), partition=0
            )
        except KafkaError as error:
            raise PortError(
                f"the end offsets could not be saved: {error!r}", Code.SNAPSHOT_MISSING
            ) from error
        finally:
            await producer.stop()

    async def load_positions(self, migration_id: str, wave: int) -> Positions | None:
        """Return the stored positions of a wave; None if there are none.

        Raises PortError when Kafka does not answer, or a newer version of the agent saved them.
        """
        key = self._key(migration_id, f"positions-{wave}")
        found = await self._read(key)
        return unpack_positions(found[key]) if key in found else None

    async def _read(self, prefix: bytes) -> dict[bytes, bytes]:
        """The newest value of every key that begins with `prefix`."""
        found: dict[bytes, bytes] = {}
        consumer = AIOKafkaConsumer(**self._connection.for_aiokafka(), enable_auto_commit=False)
        try:
            await consumer.start()
            tp = Tp(self._topic, 0)
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(tp, timeout_ms=1_000)).values():
                    found |= {r.key: r.value for r in records if r.key and r.key.startswith(prefix)}
        except KafkaError as error:
            raise PortError(
                f"the snapshot could not be read: {error!r}", Code.SNAPSHOT_MISSING
            ) from error
        finally:
            await consumer.stop()
        return found

    def _key(self, migration_id: str, piece: int | str) -> bytes:
        return f"{self._cluster}/{migration_id}/{piece}".encode()


async def packed(partitions: Sequence[Partition]) -> AsyncIterator[bytes]:
    """Yield one piece after the other, each packed off the event loop."""
    for start in range(0, len(partitions), PARTITIONS_PER_PIECE):
        yield await asyncio.to_thread(pack, partitions[start : start + PARTITIONS_PER_PIECE])


def pack_manifest(pieces: int, partitions: int) -> bytes:
    """Return the manifest: the schema version and the numbers of pieces and partitions."""
    manifest = {"schema_version": SCHEMA_VERSION, "pieces": pieces, "partitions": partitions}
    return json.dumps(manifest).encode()


def unpack_manifest(value: bytes) -> int:
    """Return the number of pieces. Raises PortError if this agent cannot read the version."""
    manifest = json.loads(value)
    _check_version(manifest)
    return int(manifest["pieces"])


def _check_version(stored: Mapping[str, Any]) -> None:
    version = stored.get("schema_version", 0)
    if version > SCHEMA_VERSION:
        raise PortError(
            f"the snapshot has schema_version {version}; this agent reads {SCHEMA_VERSION}",
            Code.SNAPSHOT_FROM_NEWER_VERSION,
        )
    if version < 1:
        raise PortError("the snapshot has no schema_version", Code.SNAPSHOT_MISSING)


def pack(partitions: Sequence[Partition]) -> bytes:
    """Return one piece; it is grouped by topic, so that each name is written once."""
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for p in partitions:
        by_topic[p.topic].append([p.partition, *p.origin])
    return zlib.compress(json.dumps(by_topic, separators=(",", ":")).encode())


def unpack(pieces: Sequence[bytes]) -> dict[TopicPartition, tuple[int, ...]]:
    """Return the replicas of every partition in these pieces; equal lists share one tuple."""
    shared: dict[tuple[int, ...], tuple[int, ...]] = {}
    found: dict[TopicPartition, tuple[int, ...]] = {}
    for piece in pieces:
        for topic, rows in json.loads(zlib.decompress(piece)).items():
            for partition, *held in rows:
                replicas = tuple(held)
                found[TopicPartition(topic, partition)] = shared.setdefault(replicas, replicas)
    return found


def pack_positions(positions: Positions) -> bytes:
    """Return positions as one message, grouped by topic as pieces are."""
    ends: dict[str, list[list[int]]] = defaultdict(list)
    for (topic, partition), end in positions.ends.items():
        ends[topic].append([partition, end])
    stored = {
        "schema_version": SCHEMA_VERSION,
        "partitions": positions.partitions,
        "ends": ends,
        "lags": dict(positions.lags),
        "groups_unreadable": positions.groups_unreadable,
    }
    return zlib.compress(json.dumps(stored, separators=(",", ":")).encode())


def unpack_positions(value: bytes) -> Positions:
    """Return the positions in a message of pack_positions.

    Raises PortError if this agent cannot read the version.
    """
    stored = json.loads(zlib.decompress(value))
    _check_version(stored)
    ends = {
        TopicPartition(topic, p): end for topic, rows in stored["ends"].items() for p, end in rows
    }
    return Positions(
        partitions=stored["partitions"],
        ends=ends,
        lags=stored["lags"],
        groups_unreadable=stored["groups_unreadable"],
    )
