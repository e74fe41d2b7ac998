"""The settings of the stand-in.

The defaults are those of the Cruise Control whose answers were recorded, or else stock values.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    VIEWER = "VIEWER"
    USER = "USER"
    ADMIN = "ADMIN"


@dataclass(frozen=True)
class Account:
    password: str
    role: Role


@dataclass(frozen=True)
class Settings:
    min_progress_check_interval_ms: int = 5_000
    """min.execution.progress.check.interval.ms: an execution that asks for less is refused."""

    progress_check_interval_ms: int = 10_000
    """execution.progress.check.interval.ms, used when the request names no interval."""

    throttle_broker_seconds: float = 10.0
    """How long it takes to clear the throttle of one broker, or to set it (except on the first
    broker). The article's call took 315 s."""

    throttle_topic_seconds: float = 0.1
    """How long it takes to set or to clear the throttle of one topic."""

    metadata_max_age_ms: int = 5_000
    """Metadata that are older than this are read again before a plan is made. This is the recorded
    value; the stock value is 55000."""

    metric_sampling_interval_ms: int = 10_000
    """How often metadata are read while nobody plans, which is also how old the answer of
    kafka_cluster_state may be. The stock value is 120000."""

    window_warmup_seconds: float = 10.0
    """How long after the start there is no valid window. A real Cruise Control with windows of 20 s
    needed 24 s."""

    window_refill_seconds: float = 6.0
    """How long there is no valid window after an execution that moved something. Recordings show 6
    to 17 s."""

    loading_seconds: float = 0.0
    """How long the monitor reports LOADING after the start, as a real one does while it reads its
    samples from Kafka."""

    concurrent_partition_movements_per_broker: int = 5
    max_partition_movements_in_cluster: int = 1_250
    max_active_user_tasks: int = 5
    """max.active.user.tasks, with its stock value; the recordings were made with 50. A finished
    task counts as active until the next scan."""

    user_task_scan_seconds: float = 5.0
    """How often the stand-in scans for finished user tasks, which then no longer count as
    active."""

    max_cached_completed_user_tasks: int = 25
    """How many finished user tasks are kept for each kind of endpoint. The User-Task-ID of a
    dropped task is unknown."""

    request_max_block_ms: int = 10_000
    """webserver.request.maxBlockTimeMs: a request that takes longer is answered with status 202 and
    its progress."""

    session_expiry_seconds: float = 60.0
    removal_history_seconds: float = 336 * 3600.0
    """How long a broker counts as recently removed."""

    self_healing_notifier: bool = False
    """Whether anomaly.notifier.class is SelfHealingNotifier, with which the healing that `admin`
    switches on takes place. With the stock NoopNotifier it never does."""

    self_healing_delay_seconds: float = 8.0
    """A violated goal is healed when nothing has been executed for this long. A real one was seen
    to heal 8 s after a stop."""

    disk_capacity_mb: float = 100_000.0
    network_capacity_kb_per_second: float = 2_000_000.0
    replica_capacity: int = 10_000
    disk_capacity_threshold: float = 0.8
    two_step_verification: bool = False
    accounts: dict[str, Account] = field(default_factory=dict)
    """The accounts of basic authentication, by user name; when empty, no login is needed."""

    faults_enabled: bool = True
    """Whether /lab/faults is served."""
