"""The assignment before the start, in the compacted snapshots topic, in pieces: implements SnapshotPort.

A piece is a message of some thousand partitions, zlib-compressed; the last one, a manifest, says how many there are.
"""

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Tp
from aiokafka.errors import KafkaError

from agent.adapters.connection import KafkaConnection
from agent.adapters.ports import PortError
from agent.core.cluster import Partition, TopicPartition
from agent.core.reasons import Code

PARTITIONS_PER_PIECE = 5_000  # about 100 kB of JSON each, far below 1 MB, compressed further


class SnapshotTopic:
    """One cluster's snapshots. Keys: `<cluster>/<migration_id>/<piece>` and `.../manifest`."""

    def __init__(self, connection: KafkaConnection, topic: str, cluster: str) -> None:
        self._arguments = connection.for_aiokafka()
        self._topic = topic
        self._cluster = cluster

    async def save(self, migration_id: str, partitions: Sequence[Partition]) -> None:
        """Write the pieces, then the manifest: what has no manifest does not count."""
        rows = [(p.topic, p.partition, p.origin) for p in partitions]
        pieces = [rows[n : n + PARTITIONS_PER_PIECE] for n in range(0, len(rows), PARTITIONS_PER_PIECE)]
        producer = AIOKafkaProducer(**self._arguments, acks="all", enable_idempotence=True)
        try:
            await producer.start()
            partition = 0  # one partition keeps pieces and manifest in order
            for n, piece in enumerate(pieces):
                await producer.send_and_wait(
                    self._topic, key=self._key(migration_id, n), value=_pack(piece), partition=partition
                )
            manifest = json.dumps({"pieces": len(pieces), "partitions": len(rows)}).encode()
            await producer.send_and_wait(
                self._topic, key=self._key(migration_id, "manifest"), value=manifest, partition=partition
            )
        except KafkaError as error:
            raise PortError(f"the snapshot could not be saved: {error!r}", Code.SNAPSHOT_MISSING) from error
        finally:
            await producer.stop()

    async def load(self, migration_id: str) -> Mapping[TopicPartition, tuple[int, ...]] | None:
        """Read it back; None if the manifest or a piece is missing."""
        prefix = self._key(migration_id, "")
        found: dict[bytes, bytes] = {}
        consumer = AIOKafkaConsumer(**self._arguments, enable_auto_commit=False)
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
            raise PortError(f"the snapshot could not be read: {error!r}", Code.SNAPSHOT_MISSING) from error
        finally:
            await consumer.stop()
        manifest = found.pop(self._key(migration_id, "manifest"), None)
        if manifest is None:
            return None
        told = json.loads(manifest)
        wanted = [self._key(migration_id, n) for n in range(told["pieces"])]
        if not all(key in found for key in wanted):
            return None
        return {
            TopicPartition(topic, partition): tuple(replicas)
            for key in wanted
            for topic, partition, replicas in _unpack(found[key])
        }

    def _key(self, migration_id: str, piece: int | str) -> bytes:
        return f"{self._cluster}/{migration_id}/{piece}".encode()


def _pack(rows: Sequence[tuple[str, int, tuple[int, ...]]]) -> bytes:
    """By topic, so that a name is written once."""
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for topic, partition, replicas in rows:
        by_topic[topic].append([partition, *replicas])
    return zlib.compress(json.dumps(by_topic, separators=(",", ":")).encode())


def _unpack(data: bytes) -> list[tuple[str, int, list[int]]]:
    by_topic = json.loads(zlib.decompress(data))
    return [(topic, row[0], row[1:]) for topic, rows in by_topic.items() for row in rows]
