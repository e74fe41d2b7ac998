"""Cruise Control's metric records: who told them."""

import struct

from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.kafka.metrics_reporters import reporter_of, reporting


def test_the_broker_id_stands_after_class_version_metric_and_time() -> None:
    """The same place in broker, topic and partition metrics; whatever follows it."""
    head = struct.pack(">bbbqi", 1, 0, 41, 1_795_500_000_000, 31)
    assert reporter_of(head + struct.pack(">d", 0.5)) == 31
    assert reporter_of(head + b"\x00\x05topic" + struct.pack(">d", 0.5)) == 31


def test_what_is_no_metric_tells_nothing() -> None:
    """A tombstone, or something short."""
    assert reporter_of(None) is None
    assert reporter_of(b"hello") is None


def test_a_cluster_that_is_away_tells_nothing() -> None:
    """It is a look of its own, and its failure is no failure of the survey."""
    nowhere = KafkaConnection(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=1.0)
    assert reporting(nowhere, [11]) is None
