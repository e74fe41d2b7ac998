"""Logs and Prometheus metrics, both made from events. Called by app.py and main.py."""

import logging
import time

import orjson
from prometheus_client import Counter, Gauge

from agent.core.migration import Phase
from schemas.events import DETAIL_EVENTS, ProgressEvent
from schemas.state import MigrationStatus

log = logging.getLogger("kafka_migration")

# Faust, mode and aiokafka spend a sixth of the main thread on log records that nobody prints
# (measured).
NOISY_LOGGERS = ("faust", "aiokafka", "mode", "kafka", "kazoo", "httpx", "httpcore")

EVENTS = Counter("kafka_migration_events", "Progress events published", ["cluster", "type"])
REFUSALS = Counter(
    "kafka_migration_reasons", "Reasons for not moving, by code", ["cluster", "code"]
)
REJECTED = Counter("kafka_migration_rejected", "Messages that could not be read", ["topic"])
PHASE = Gauge(
    "kafka_migration_phase", "1 for the phase in which the migration is", ["cluster", "phase"]
)
LEFT = Gauge("kafka_migration_left_bytes", "Bytes still on source brokers of the plan", ["cluster"])
REPLICAS_LEFT = Gauge(
    "kafka_migration_left_replicas", "Replicas still on source brokers of the plan", ["cluster"]
)
LEASE = Gauge(
    "kafka_migration_lease_held", "1 while this agent is the one driver of the cluster", ["cluster"]
)
MOVED = Gauge("kafka_migration_moved_ratio", "What has moved, 0 to 1, in every phase", ["cluster"])
RATE = Gauge(
    "kafka_migration_rate_bytes_per_second", "Smoothed rate of the current wave", ["cluster"]
)

SAMPLES = Counter(
    "kafka_migration_samples",
    "Metric samples read of clusters that are driven here, and judged where a rule is",
    ["cluster"],
)
SAMPLES_LATE = Counter(
    "kafka_migration_samples_late",
    "Samples out of order, doubled, or of a wrong clock",
    ["cluster"],
)
SAMPLES_DROPPED = Counter(
    "kafka_migration_samples_dropped", "Messages of samples that newer ones superseded unread"
)


class _PlainFormatter(logging.Formatter):
    """One line a record, UTC, with the logger's last name."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's own name
        return time.strftime(datefmt or "", time.gmtime(record.created))


class _JsonFormatter(logging.Formatter):
    """One object a line; an event's fields beside its sentence."""

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
    """The same line of code speaks of the same thing at most once in so many seconds.

    A lost broker makes a library say 24,000 lines, and a broken sender may send as many commands.
    Ours name what they speak of, a cluster or a topic, first. Events are never left out.
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
    """Ours at `level`, libraries at WARNING and seldom. `form`: text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if form == "json" else _PlainFormatter())
    handler.addFilter(_OncePerSeconds(5.0))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # A take-over lasts longer than a tick: Faust waits for it, and says so each time.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)


def record_event(event: ProgressEvent) -> None:
    """An event was published."""
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
    """The status has changed."""
    for phase in Phase:
        PHASE.labels(status.cluster, phase).set(phase == status.phase)
    LEFT.labels(status.cluster).set(status.bytes_left)
    REPLICAS_LEFT.labels(status.cluster).set(status.replicas_left)
    MOVED.labels(status.cluster).set(status.share)
    RATE.labels(status.cluster).set(status.rate_bytes_per_second)
