"""Every knob of the stand-in.

Defaults are those of the recorded Cruise Control, else its stock ones.
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
    """execution.progress.check.interval.ms: used when the request names none."""

    throttle_broker_seconds: float = 10.0
    """One broker takes so long when a throttle is set (but the first) or cleared: the article's call took 315 s."""  # noqa: E501

    throttle_topic_seconds: float = 0.1
    """The same for one topic."""

    metadata_max_age_ms: int = 5_000
    """Metadata older than this are read anew before it plans (recorded; stock 55000)."""

    metric_sampling_interval_ms: int = 10_000
    """Metadata are read anew so often when nobody plans: kafka_cluster_state may be so old (stock 120000)."""  # noqa: E501

    window_warmup_seconds: float = 10.0
    """No valid window so long after the start. A real one with windows of 20 s needed 24 s."""

    window_refill_seconds: float = 6.0
    """No valid window so long after an execution that moved something (recorded: 6 to 17 s)."""

    loading_seconds: float = 0.0
    """The monitor says LOADING so long after the start, as a real one does that finds its samples in Kafka."""  # noqa: E501

    concurrent_partition_movements_per_broker: int = 5
    max_partition_movements_in_cluster: int = 1_250
    max_active_user_tasks: int = 5
    """max.active.user.tasks, its stock value (recorded with 50). Whatever is asked counts until the next scan."""  # noqa: E501

    user_task_scan_seconds: float = 5.0
    """How often finished user tasks stop to count as active."""

    max_cached_completed_user_tasks: int = 25
    """Per kind of endpoint; what falls out is an unknown User-Task-ID."""

    request_max_block_ms: int = 10_000
    """webserver.request.maxBlockTimeMs: after so long a request is answered with 202 and its progress."""  # noqa: E501

    session_expiry_seconds: float = 60.0
    removal_history_seconds: float = 336 * 3600.0
    """How long a broker counts as recently removed."""

    self_healing_notifier: bool = False
    """anomaly.notifier.class is SelfHealingNotifier: what `admin` switches on heals (stock NoopNotifier: never)."""  # noqa: E501

    self_healing_delay_seconds: float = 8.0
    """A violated goal is healed when nothing has been executed for so long (seen: 8 s after a stop)."""  # noqa: E501

    disk_capacity_mb: float = 100_000.0
    network_capacity_kb_per_second: float = 2_000_000.0
    replica_capacity: int = 10_000
    disk_capacity_threshold: float = 0.8
    two_step_verification: bool = False
    accounts: dict[str, Account] = field(default_factory=dict)
    """Basic authentication; empty: none is asked for."""

    faults_enabled: bool = True
    """Whether /lab/faults answers."""
