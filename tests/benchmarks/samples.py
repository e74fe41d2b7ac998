"""Batches of samples as the collector publishes them, many and fast.

Used by reaction.py and events.py.
"""

from datetime import UTC, datetime

from schemas.metrics import Sample, Samples

BATCH = 200
METRICS = {
    "produce_latency_p99_ms": ("ms", 50.0),
    "request_handler_idle_ratio": ("ratio", 0.8),
    "network_processor_idle_ratio": ("ratio", 0.8),
    "under_min_isr_partitions": ("partitions", 0.0),
    "offline_partitions": ("partitions", 0.0),
    "disk_used_ratio": ("ratio", 0.4),
    "bytes_in_per_second": ("bytes/s", 1e7),
    "bytes_out_per_second": ("bytes/s", 3e7),
    "replication_lag_messages": ("messages", 10.0),
    "cpu_pressure_ratio": ("ratio", 0.3),
}
BROKERS = BATCH // len(METRICS)


def batch(cluster: str, first_broker: int, at: float, latency_ms: float = 50.0) -> bytes:
    """All metrics of so many brokers at one time; more than half of them are judged by some
    rule.
    """
    time = datetime.fromtimestamp(at, UTC)
    samples = tuple(
        Sample(
            metric=metric,
            value=latency_ms if metric == "produce_latency_p99_ms" else value + broker / 1_000,
            unit=unit,
            time=time,
            broker=broker,
            platform="ec2",
            source="jmx",
        )
        if value or metric == "produce_latency_p99_ms"
        else Sample(metric=metric, value=0.0, unit=unit, time=time, broker=broker, platform="ec2")
        for broker in range(first_broker, first_broker + BROKERS)
        for metric, (unit, value) in METRICS.items()
    )
    return Samples(type="samples", cluster=cluster, samples=samples).model_dump_json().encode()
