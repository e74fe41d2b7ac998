"""Logs and Prometheus metrics of the agent, both made from its events and statuses."""

import logging
import time

import orjson
from prometheus_client import Counter, Gauge

from agent.core.migration import Phase
from schemas.events import DETAIL_EVENTS, ProgressEvent
from schemas.state import MigrationStatus

log = logging.getLogger("kafka_migration")

# Faust, mode and aiokafka were measured to spend a sixth of the main thread's time on log records
# that nobody prints.
NOISY_LOGGERS = ("faust", "aiokafka", "mode", "kafka", "kazoo", "httpx", "httpcore")

EVENTS = Counter("kafka_migration_events", "Progress events published", ["cluster", "type"])
REFUSALS = Counter(
    "kafka_migration_reasons", "Reasons why nothing moves, by code", ["cluster", "code"]
)
REJECTED = Counter("kafka_migration_rejected", "Messages that could not be read", ["topic"])
PHASE = Gauge(
    "kafka_migration_phase", "1 for the migration's current phase, else 0", ["cluster", "phase"]
)
LEFT = Gauge("kafka_migration_left_bytes", "Bytes still on the plan's source brokers", ["cluster"])
REPLICAS_LEFT = Gauge(
    "kafka_migration_left_replicas", "Replicas still on the plan's source brokers", ["cluster"]
)
LEASE = Gauge(
    "kafka_migration_lease_held", "1 while only this agent may drive the cluster", ["cluster"]
)
MOVED = Gauge(
    "kafka_migration_moved_ratio", "How much has moved, from 0 to 1, in every phase", ["cluster"]
)
RATE = Gauge(
    "kafka_migration_rate_bytes_per_second", "Smoothed rate of the current wave", ["cluster"]
)

SAMPLES = Counter(
    "kafka_migration_samples",
    "Metric samples that were read for clusters that this agent drives",
    ["cluster"],
)
SAMPLES_LATE = Counter(
    "kafka_migration_samples_late",
    "Samples that are out of order, repeated, or have a wrong time",
    ["cluster"],
)
SAMPLES_DROPPED = Counter(
    "kafka_migration_samples_dropped",
    "Messages of samples that were dropped unread because newer ones had come",
)


class _PlainFormatter(logging.Formatter):
    """Formats a record as one line of text, with its time in UTC."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    # The name is that of the method in logging.Formatter.
    def formatTime(  # noqa: N802
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        return time.strftime(datefmt or "", time.gmtime(record.created))


class _JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object, which holds an event's fields beside its sentence."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class _OncePerSeconds(logging.Filter):
    """Lets the same line of code log about the same subject at most once in `seconds`.

    When a broker is lost, a library may log 24,000 lines, and a broken sender may send as many
    commands. The agent's own records name their subject, a cluster or a topic, first. Events are
    never left out.
    """

    PLACES_MAX = 10_000

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == log.name:
            return True
        ours = record.name.startswith(f"{log.name}.")
        subject = (
            str(record.args[0]) if ours and isinstance(record.args, tuple) and record.args else ""
        )
        place, now = (record.pathname, record.lineno, subject), time.monotonic()
        if now - self._last.get(place, float("-inf")) < self._seconds:
            return False
        if len(self._last) >= self.PLACES_MAX:
            self._last.clear()
        self._last[place] = now
        return True


def configure_logging(level: str, form: str = "text") -> None:
    """Logs to stderr: the agent from `level` on, and libraries from WARNING on.

    `form` is text or json.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if form == "json" else _PlainFormatter())
    handler.addFilter(_OncePerSeconds(5.0))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Taking over a cluster takes longer than a tick of Faust's timers, which would warn each time.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)


def record_event(event: ProgressEvent) -> None:
    """Counts and logs an event that was published."""
    EVENTS.labels(event.cluster, event.type).inc()
    for reason in event.data.get("reasons") or ():
        REFUSALS.labels(event.cluster, reason["code"]).inc()
    level = logging.DEBUG if event.type in DETAIL_EVENTS else logging.INFO
    fields = {
        "cluster": event.cluster,
        "id": event.id,
        "type": event.type,
        "phase": event.phase,
        "stage": event.stage,
    }
    log.log(
        level,
        "%s %s %s: %s",
        event.cluster,
        event.id,
        event.type,
        event.summary,
        extra={"fields": fields},
    )


def record_status(status: MigrationStatus) -> None:
    """Updates the gauges to a new status."""
    for phase in Phase:
        PHASE.labels(status.cluster, phase).set(phase == status.phase)
    LEFT.labels(status.cluster).set(status.bytes_left)
    REPLICAS_LEFT.labels(status.cluster).set(status.replicas_left)
    MOVED.labels(status.cluster).set(status.share)
    RATE.labels(status.cluster).set(status.rate_bytes_per_second)
