"""Why the agent does not move: a code for every refusal, pause and block, and what to do about it.

The runbook (deploy/runbook.md) has one paragraph for each code; a test compares the two.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Code(StrEnum):
    """Stable codes. They appear in events, logs, metrics and the runbook; none is ever given
    another meaning.
    """

    # commands that are refused
    UNREADABLE_COMMAND = "UNREADABLE_COMMAND"
    UNKNOWN_CLUSTER = "UNKNOWN_CLUSTER"
    UNKNOWN_BROKER = "UNKNOWN_BROKER"
    UNKNOWN_AZ = "UNKNOWN_AZ"
    UNKNOWN_PLAN = "UNKNOWN_PLAN"
    PLAN_OUTDATED = "PLAN_OUTDATED"
    NOTHING_TO_MOVE = "NOTHING_TO_MOVE"
    BROKER_SETS_OVERLAP = "BROKER_SETS_OVERLAP"
    PAIRS_UNEVEN = "PAIRS_UNEVEN"
    LANES_NEED_PAIRS = "LANES_NEED_PAIRS"
    WAVE_BOUNDS_NEED_ZONE = "WAVE_BOUNDS_NEED_ZONE"
    ALREADY_RUNNING = "ALREADY_RUNNING"
    ALREADY_CONSIDERING = "ALREADY_CONSIDERING"
    NO_MIGRATION = "NO_MIGRATION"
    NOT_IN_THIS_PHASE = "NOT_IN_THIS_PHASE"
    NOT_PAUSED_BY_OPERATOR = "NOT_PAUSED_BY_OPERATOR"
    ALREADY_PAUSED = "ALREADY_PAUSED"
    THROTTLE_NOT_OURS_TO_TUNE = "THROTTLE_NOT_OURS_TO_TUNE"
    NOTHING_TO_ROLL_BACK = "NOTHING_TO_ROLL_BACK"
    WAVE_TOO_LARGE_FOR_STATE = "WAVE_TOO_LARGE_FOR_STATE"

    # the cluster is not ready
    BROKER_DOWN = "BROKER_DOWN"
    AZ_MISMATCH = "AZ_MISMATCH"
    RACK_UNKNOWN = "RACK_UNKNOWN"
    OFFLINE_PARTITION = "OFFLINE_PARTITION"
    UNDER_REPLICATED = "UNDER_REPLICATED"
    UNDER_MIN_ISR = "UNDER_MIN_ISR"
    FOREIGN_REASSIGNMENT = "FOREIGN_REASSIGNMENT"
    ORPHANED_MOVES = "ORPHANED_MOVES"
    KAFKA_UNREACHABLE = "KAFKA_UNREACHABLE"
    KAFKA_LOGIN_REFUSED = "KAFKA_LOGIN_REFUSED"
    RF_EQUALS_MIN_ISR = "RF_EQUALS_MIN_ISR"
    DISK_HEADROOM = "DISK_HEADROOM"
    DESTINATION_CAPACITY = "DESTINATION_CAPACITY"
    FOREIGN_THROTTLE = "FOREIGN_THROTTLE"
    STATIC_THROTTLE = "STATIC_THROTTLE"
    BROKER_SETTINGS_DIFFER = "BROKER_SETTINGS_DIFFER"
    LISTENER_UNREACHABLE = "LISTENER_UNREACHABLE"
    REPLICAS_PER_AZ = "REPLICAS_PER_AZ"
    ROLLBACK_IMPOSSIBLE = "ROLLBACK_IMPOSSIBLE"
    THROTTLE_TOO_LOW = "THROTTLE_TOO_LOW"
    BROKER_ID_GENERATED = "BROKER_ID_GENERATED"

    # Cruise Control is not ready
    CRUISE_CONTROL_UNREACHABLE = "CRUISE_CONTROL_UNREACHABLE"
    CRUISE_CONTROL_LOGIN_REFUSED = "CRUISE_CONTROL_LOGIN_REFUSED"
    CRUISE_CONTROL_BUSY = "CRUISE_CONTROL_BUSY"
    CRUISE_CONTROL_NOT_READY = "CRUISE_CONTROL_NOT_READY"
    CRUISE_CONTROL_REJECTED = "CRUISE_CONTROL_REJECTED"
    SELF_HEALING_ON = "SELF_HEALING_ON"
    EXECUTION_STOPPED_BY_OTHERS = "EXECUTION_STOPPED_BY_OTHERS"
    REPORTER_MISSING = "REPORTER_MISSING"

    # how clients find the brokers
    CONSUL_UNREACHABLE = "CONSUL_UNREACHABLE"
    CONSUL_LOGIN_REFUSED = "CONSUL_LOGIN_REFUSED"
    CONSUL_REJECTED = "CONSUL_REJECTED"
    ENDPOINT_NOT_READY = "ENDPOINT_NOT_READY"
    CLIENTS_CONNECTED = "CLIENTS_CONNECTED"
    CENSUS_UNREACHABLE = "CENSUS_UNREACHABLE"
    CENSUS_LOGIN_REFUSED = "CENSUS_LOGIN_REFUSED"

    # a wave is blocked or failed its verification
    NOT_DRAINED = "NOT_DRAINED"
    NO_PROGRESS = "NO_PROGRESS"
    WAVE_NOT_VERIFIED = "WAVE_NOT_VERIFIED"
    REPLICATION_FACTOR_CHANGED = "REPLICATION_FACTOR_CHANGED"
    AZ_SPREAD_CHANGED = "AZ_SPREAD_CHANGED"
    END_OFFSET_LOST = "END_OFFSET_LOST"
    STALLED = "STALLED"
    COORDINATOR_LOADING = "COORDINATOR_LOADING"
    THROTTLE_NOT_IN_FORCE = "THROTTLE_NOT_IN_FORCE"

    # metrics
    METRIC_BEYOND_THRESHOLD = "METRIC_BEYOND_THRESHOLD"
    METRIC_INCONCLUSIVE = "METRIC_INCONCLUSIVE"
    METRIC_CLEAR = "METRIC_CLEAR"
    FLAPPING = "FLAPPING"

    # readiness, as the monitor sees it
    NOTHING_VISIBLE = "NOTHING_VISIBLE"
    NOT_HEALTHY_FOR_LONG = "NOT_HEALTHY_FOR_LONG"
    LOOK_OVERDUE = "LOOK_OVERDUE"
    NO_MIN_ISR_SLACK = "NO_MIN_ISR_SLACK"

    # the agent itself
    OTHER_DRIVER = "OTHER_DRIVER"
    SNAPSHOT_MISSING = "SNAPSHOT_MISSING"
    SNAPSHOT_FROM_NEWER_VERSION = "SNAPSHOT_FROM_NEWER_VERSION"
    RECORD_FROM_NEWER_VERSION = "RECORD_FROM_NEWER_VERSION"
    RECORD_UNREADABLE = "RECORD_UNREADABLE"
    EFFECT_FAILED = "EFFECT_FAILED"

    # migration from ZooKeeper to KRaft
    KRAFT_RUNNING = "KRAFT_RUNNING"
    KRAFT_NOT_CONFIGURED = "KRAFT_NOT_CONFIGURED"
    KRAFT_NOT_CONFIRMED = "KRAFT_NOT_CONFIRMED"
    KRAFT_NO_WAY_BACK = "KRAFT_NO_WAY_BACK"
    KRAFT_VERSION = "KRAFT_VERSION"
    KRAFT_BROKER_MODE = "KRAFT_BROKER_MODE"
    KRAFT_NODE_IDS = "KRAFT_NODE_IDS"
    KRAFT_ABSENT_BROKER = "KRAFT_ABSENT_BROKER"
    KRAFT_REASSIGNMENT = "KRAFT_REASSIGNMENT"
    KRAFT_LEFTOVER = "KRAFT_LEFTOVER"
    KRAFT_ZOOKEEPER_UNREACHABLE = "KRAFT_ZOOKEEPER_UNREACHABLE"
    KRAFT_CONTROLLER_ABSENT = "KRAFT_CONTROLLER_ABSENT"
    KRAFT_CONTROLLER_DOWN = "KRAFT_CONTROLLER_DOWN"
    KRAFT_NO_QUORUM = "KRAFT_NO_QUORUM"
    KRAFT_VOTER_BEHIND = "KRAFT_VOTER_BEHIND"
    KRAFT_METADATA_VERSION = "KRAFT_METADATA_VERSION"
    KRAFT_STATE = "KRAFT_STATE"
    KRAFT_WRITE_BEHIND = "KRAFT_WRITE_BEHIND"
    KRAFT_CONTROLLER_EPOCH = "KRAFT_CONTROLLER_EPOCH"
    KRAFT_REGISTRATION = "KRAFT_REGISTRATION"
    KRAFT_GHOST = "KRAFT_GHOST"
    KRAFT_METADATA_ERRORS = "KRAFT_METADATA_ERRORS"
    KRAFT_SOAK = "KRAFT_SOAK"
    KRAFT_DRILL = "KRAFT_DRILL"
    KRAFT_NODES_LEFT = "KRAFT_NODES_LEFT"
    KRAFT_NODE_AWAITED = "KRAFT_NODE_AWAITED"


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause for not moving: what was seen and what is needed, in words for an operator at
    night.
    """

    code: Code
    seen: str
    needed: str = ""

    def __str__(self) -> str:
        """The whole sentence, with the code first so that it can be found in the runbook."""
        needed = f" (needed: {self.needed})" if self.needed else ""
        return f"{self.code}: {self.seen}{needed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedWave:
    """What blocks one wave of a plan, and not the others."""

    wave: int
    reasons: tuple[Reason, ...]


TEXT_CHARACTERS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    `passing`: a failure clears by itself, so that the agent waits for that instead of pausing.
    """

    code: Code
    ok: bool
    seen: str
    needed: str = ""
    passing: bool = False
    title: str = ""  # what was checked, in a few words
    unknown: bool = False  # it could not be checked: neither passed nor a reason

    @property
    def reason(self) -> Reason:
        """The result as a reason not to move."""
        return Reason(self.code, self.seen, self.needed)


def shortened(text: str) -> str:
    """The text, cut to TEXT_CHARACTERS_MAX characters, since check results travel in events."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"
