"""What an operator may ask of a migration, and what a cluster's policy says; both are plain values.

`Options` travel in a start or plan command and are kept in the migration's state; `Policy` comes
from clusters.yaml.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.kraft.options import KraftOptions
from agent.core.metrics.rules import Rule


class Mode(StrEnum):
    """Which brokers move (contract, from the article)."""

    BROKERS = "brokers"  # named source brokers to named destination brokers
    AZ = "az"  # all source brokers of one AZ to that AZ's destination brokers
    FULL = "full"  # everything, AZ by AZ


class Pairing(StrEnum):
    """How source and destination brokers of an AZ are matched."""

    ONE_TO_ONE = "one_to_one"  # exact and exactly reversible; one pair moves at a time
    ZONE = "zone"  # the AZ's brokers in one request; parallel, reversible to the AZ only


class ThrottleBy(StrEnum):
    """Who sets KIP-73's throttle."""

    AGENT = "agent"  # changeable while moving, and a few requests cheap
    CRUISE_CONTROL = "cruise_control"  # the article's call to the letter


class InternalTopics(StrEnum):
    """When Kafka's internal topics move, where the group and transaction coordinators are."""

    WITH_OTHERS = "with_others"  # no matter when
    FIRST = "first"  # of each pair, slowly, by the agent; the rest goes to Cruise Control
    LAST = "last"  # after all others, which the agent moves; slowly, by Cruise Control


class Approval(StrEnum):
    """Where an operator's `approve` is awaited."""

    NONE = "none"
    AZ = "az"  # before each AZ after the first
    WAVE = "wave"  # before each wave after the first


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of one migration. Empty broker sets mean: those of the cluster's policy."""

    mode: Mode = Mode.FULL
    source_broker_ids: tuple[int, ...] = ()
    destination_broker_ids: tuple[int, ...] = ()
    az: str | None = None
    az_order: tuple[str, ...] = ()
    pairing: Pairing = Pairing.ONE_TO_ONE
    throttle_bytes_per_second: int | None = None  # None: no throttle
    throttle_by: ThrottleBy = ThrottleBy.AGENT
    partition_movements_per_broker: int | None = None  # None: chosen for the wave's size
    # None: as many as the brokers of a wave may have
    partition_movements_in_cluster: int | None = None
    progress_check_interval_ms: int | None = None  # None: chosen for the wave's size
    soak_seconds: float = 0.0  # rest after each wave
    approval: Approval = Approval.NONE
    # so many of the smallest partitions go first, in a wave of their own
    canary_partitions: int = 0
    # partitions of at least this size get a wave of their own
    large_partition_bytes: int | None = None
    internal_topics: InternalTopics = InternalTopics.WITH_OTHERS
    internal_throttle_bytes_per_second: int | None = None  # None: a tenth of the throttle
    wave_brokers_max: int | None = None  # pairing `zone`: so many brokers in a wave
    # pairing `zone`: so many bytes in a wave, but one broker at least
    wave_bytes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a destination broker can carry, where someone knows it. None: no limit is checked."""

    replicas_max: int | None = None  # 4,000 is what Kafka's authors advise for ZooKeeper mode
    # what comes in: the throttle, and what is written to its logs
    network_bytes_per_second_max: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A cluster's standing orders (clusters.yaml).

    Defaults suit a large cluster; the lab shortens some.
    """

    source_broker_ids: tuple[int, ...] = ()  # what modes `az` and `full` mean by source
    destination_broker_ids: tuple[int, ...] = ()
    # 100 MB/s, the article's rate, is what `pause --slow` divides by ten.
    slow_bytes_per_second: int = 10_000_000
    busy_retry_seconds: float = 1.0  # how soon a busy Cruise Control is asked again
    unreachable_retry_seconds: float = 2.0
    # after that long of Busy or Unreachable a wave is called blocked
    busy_patience_seconds: float = 900.0
    recheck_seconds: float = 5.0  # how often a paused migration looks whether it is safe again
    # how long a safety reason must be gone before it lifts its pause
    resume_delay_seconds: float = 10.0
    # how long under-replication must last before it pauses a running move
    grace_seconds: float = 30.0
    # requests for one wave that move nothing before it is called blocked
    attempts_without_progress: int = 3
    # source not empty though nothing moves: stale metadata gets this long
    settle_seconds: float = 6.0
    stall_seconds: float = 120.0  # moving without a byte or a replica for this long is told
    # full ISR and preferred leaders may take this long after a wave
    verify_patience_seconds: float = 120.0
    # a drained source must stay empty this long before it may be shut down
    quiet_seconds: float = 30.0
    discovery: bool = False  # clients find brokers in a service registry, which we keep true
    # the clients' metadata.max.age.ms (stock): after it they know where to go
    discovery_grace_seconds: float = 300.0
    # ZooKeeper to KRaft; without controllers: not configured
    kraft: KraftOptions = field(default_factory=KraftOptions)
    progress_seconds: float = 5.0  # how often progress is told while nothing else happens
    rules: tuple[Rule, ...] = ()  # what samples are judged by
    limits: Limits = field(default_factory=Limits)  # of each destination broker
    # after a human's `resume` no metric and no alert pauses again for so long
    hold_off_seconds: float = 30.0
    # an outside alert that has paused so often within the window waits for an operator
    flaps_max: int = 5
    flap_window_seconds: float = 3_600.0
    adapt_seconds: float = 10.0  # how often a throttle that follows the headroom may change
