"""The monitor's Prometheus metrics, in a registry of their own. Called by service.py."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from agent.core.checks.readiness import HealthObservation, Readiness, ReadinessResult
from agent.core.model.reasons import Code

COUNTED = (Code.OFFLINE_PARTITION, Code.UNDER_MIN_ISR, Code.UNDER_REPLICATED, Code.NO_MIN_ISR_SLACK)


class MonitorMetrics:
    """The metrics of one cluster: gauges of the last check, and a counter of all checks."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._ready = self._gauge("ready", "1 while the cluster could lose a broker")
        self._age = self._gauge("look_age_seconds", "Time since the last check ended")
        self._seconds = self._gauge("look_seconds", "How long the last check took")
        self._visible = self._gauge("visible", "1 when the last check succeeded")
        self._brokers = self._gauge("brokers", "Live brokers")
        self._partitions = self._gauge("partitions", "Partitions that the last check saw")
        self._reassigning = self._gauge("reassigning_partitions", "Reassignments in flight")
        self._sick = self._gauge(
            "partitions_against", "Partitions that count against readiness, by reason", "code"
        )
        self._looks = Counter(
            "kafka_migration_monitor_looks",
            "Checks, by how they ended",
            ["cluster", "ended"],
            registry=self._registry,
        )

    def record_check(
        self, look: HealthObservation | None, found: ReadinessResult, seconds: float
    ) -> None:
        """Records a check that took so many seconds.

        `look` is what it saw, or None when it failed; then the gauges of the cluster keep the
        values of the last check that succeeded.
        """
        self._seconds.labels(self._cluster).set(seconds)
        self._visible.labels(self._cluster).set(look is not None)
        self._looks.labels(self._cluster, "failed" if look is None else "seen").inc()
        if look is None:
            return
        self._brokers.labels(self._cluster).set(len(look.broker_ids))
        self._partitions.labels(self._cluster).set(look.partitions)
        self._reassigning.labels(self._cluster).set(look.reassigning)
        for code in COUNTED:
            self._sick.labels(self._cluster, code).set(found.by_code.get(code, 0))

    def page(self, readiness: Readiness, now: float) -> tuple[bytes, str]:
        """Returns the page for Prometheus and its content type; `now` is the monotonic clock."""
        self._ready.labels(self._cluster).set(readiness.ready)
        if readiness.looked_at is not None:
            self._age.labels(self._cluster).set(now - readiness.looked_at)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(
            f"kafka_migration_monitor_{name}", text, ["cluster", *labels], registry=self._registry
        )
