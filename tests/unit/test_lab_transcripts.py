"""What Kafka's verifiable clients print, read line by line."""

import json
from pathlib import Path

from deploy.lab.workload.accounting import Position
from deploy.lab.workload.tools import (
    Burst,
    ConsumerTranscript,
    Lines,
    ProducerTranscript,
    parse_burst,
)


def success(number: int, at_ms: int = 1000) -> dict[str, object]:
    """A VerifiableProducer's line for a confirmed send."""
    return {
        "timestamp": at_ms,
        "name": "producer_send_success",
        "key": "3",
        "value": f"7.{number}",
        "topic": "clients",
        "partition": 0,
        "offset": number,
    }


def test_lines_half_written(tmp_path: Path) -> None:
    """A line is read once and whole: the half of a line waits, what is no JSON object is
    counted and skipped.
    """
    output = tmp_path / "producer.jsonl"
    first, second = json.dumps(success(0)), json.dumps(success(1))
    lines = Lines(output)
    output.write_text(f"OpenJDK warning: something\n{first}\n{second[:20]}")
    assert list(lines.new()) == [success(0)]
    assert list(lines.new()) == []
    output.write_text(f"OpenJDK warning: something\n{first}\n{second}\n12\n")
    assert list(lines.new()) == [success(1)]
    assert lines.unreadable == 2


def test_producer_transcript() -> None:
    """Confirmed sends are positions, failed ones causes; other lines say nothing about messages."""
    said = ProducerTranscript()
    for event in (
        {"name": "startup_complete", "timestamp": 1},
        success(4),
        _failure("TimeoutException", 2000),
    ):
        said.apply(event)
    assert said.acknowledged == [Position("clients", 0, 4, "7.4", 1000)]
    assert said.errors_before(5000) == {"TimeoutException: no": 1}


def test_refusals_after_the_order_to_stop() -> None:
    """Only the refusal of a producer that is closing is left out, and only after the order to
    stop.
    """
    said = ProducerTranscript()
    for event in (
        _failure("IllegalStateException", 6000),
        _failure("IllegalStateException", 4000),
        _failure("TimeoutException", 6000),
    ):
        said.apply(event)
    assert said.errors_before(5000) == {"IllegalStateException: no": 1, "TimeoutException: no": 1}


def _failure(kind: str, at_ms: int) -> dict[str, object]:
    exception = f"class org.apache.kafka.common.errors.{kind}"
    return {
        "name": "producer_send_error",
        "timestamp": at_ms,
        "exception": exception,
        "message": "no",
        "value": "7.1",
    }


def test_consumer_transcript() -> None:
    """Deliveries, rebalances and failed commits are kept; a redelivery is a second delivery,
    not a second value.
    """
    said = ConsumerTranscript()
    record = {**success(4), "name": "record_data"}
    partitions = [{"topic": "clients", "partition": p} for p in range(3)]
    commit = {
        "name": "offsets_committed",
        "timestamp": 1,
        "offsets": [],
        "success": False,
        "error": "gone",
    }
    for event in (
        {"name": "partitions_assigned", "timestamp": 1, "partitions": partitions},
        record,
        record,
        commit,
        {**commit, "success": True},
    ):
        said.apply(event)
    assert len(said.deliveries) == 2
    assert said.received == {"7.4"}
    assert (said.assignments, said.partitions, said.failed_commits) == (1, 3, {"gone": 1})


def test_parse_burst() -> None:
    """The summary line gives the figures, not one of the interim lines before it."""
    printed = (
        "2500 records sent, 499.9 records/sec (4.77 MB/sec), 9.1 ms avg latency, 300.0 ms max "
        "latency.\n"
        "5000 records sent, 498.802873 records/sec (4.76 MB/sec), 51.96 ms avg latency, 503.00 "
        "ms max latency, "
        "10 ms 50th, 304 ms 95th, 424 ms 99th, 500 ms 99.9th.\n"
    )
    assert parse_burst(printed) == Burst(5000, 498.802873, 4.76, 51.96, 503.0, 10.0, 304.0, 424.0)
    assert parse_burst("org.apache.kafka.common.errors.TimeoutException") is None
