"""Why we do not move: every refusal, pause and block has a code here, a sentence, and a way out.

The runbook (deploy/runbook.md) has one paragraph for each code; a test holds the two together.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Code(StrEnum):
    """Stable codes: they appear in events, logs, metrics and the runbook, and are never reused
    for another meaning.
    """

    # commands that cannot be obeyed
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

    # the cluster is not fit
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

    # the wave does not end well
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

    # the monitor is not ready, for reasons of its own
    NOTHING_VISIBLE = "NOTHING_VISIBLE"
    NOT_HEALTHY_FOR_LONG = "NOT_HEALTHY_FOR_LONG"
    LOOK_OVERDUE = "LOOK_OVERDUE"
    NO_MIN_ISR_SLACK = "NO_MIN_ISR_SLACK"

    # who drives
    OTHER_DRIVER = "OTHER_DRIVER"
    SNAPSHOT_MISSING = "SNAPSHOT_MISSING"
    SNAPSHOT_FROM_NEWER_VERSION = "SNAPSHOT_FROM_NEWER_VERSION"
    RECORD_FROM_NEWER_VERSION = "RECORD_FROM_NEWER_VERSION"
    RECORD_UNREADABLE = "RECORD_UNREADABLE"
    EFFECT_FAILED = "EFFECT_FAILED"

    # ZooKeeper to KRaft
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
    """One cause for not moving: what was seen, and what was needed, in words an operator reads
    at night.
    """

    code: Code
    seen: str
    needed: str = ""

    def __str__(self) -> str:
        """The whole sentence, with the code first so that it can be searched in the runbook."""
        needed = f" (needed: {self.needed})" if self.needed else ""
        return f"{self.code}: {self.seen}{needed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedWave:
    """What stands in the way of one wave of a plan, and not of the others."""

    wave: int
    reasons: tuple[Reason, ...]


TEXT_CHARACTERS_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check's answer.

    `passing`: it clears by itself, so that one waits for it instead of pausing.
    """

    code: Code
    ok: bool
    seen: str
    needed: str = ""
    passing: bool = False
    title: str = ""  # what was looked at, in a few words
    unknown: bool = False  # nobody could look: not green, and no reason of its own

    @property
    def reason(self) -> Reason:
        return Reason(self.code, self.seen, self.needed)


def shortened(text: str) -> str:
    """At most TEXT_CHARACTERS_MAX characters: a verdict travels in an event."""
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"


# What to do about each, in one line; the runbook says it at length.
WHAT_TO_DO: dict[Code, str] = {
    Code.UNREADABLE_COMMAND: "Correct the named field and publish the command again.",
    Code.UNKNOWN_CLUSTER: (
        "Add the cluster to the agent's clusters.yaml, or correct the `cluster` field."
    ),
    Code.UNKNOWN_BROKER: "Name brokers that are members of the cluster now.",
    Code.UNKNOWN_AZ: "Name an AZ (broker.rack) in which source and destination brokers live.",
    Code.UNKNOWN_PLAN: "Ask for a new plan; only the last plans of a cluster are kept.",
    Code.PLAN_OUTDATED: (
        "The cluster has changed since the plan: ask for a new plan and start that."
    ),
    Code.NOTHING_TO_MOVE: "Nothing to do: the source brokers hold no replica.",
    Code.BROKER_SETS_OVERLAP: "Name each broker once, as source or as destination.",
    Code.PAIRS_UNEVEN: (
        "Give each AZ as many destination brokers as source brokers, or use pairing `zone`."
    ),
    Code.LANES_NEED_PAIRS: (
        "Use pairing `one_to_one`, or leave canary, large partitions and internal topics out."
    ),
    Code.WAVE_BOUNDS_NEED_ZONE: "Use pairing `zone`, or leave the bounds out.",
    Code.ALREADY_RUNNING: "One migration a cluster: let it end, cancel it, or roll it back first.",
    Code.ALREADY_CONSIDERING: "Another start or plan is being examined: wait for its answer.",
    Code.NO_MIGRATION: "Start a migration first.",
    Code.NOT_IN_THIS_PHASE: (
        "See `status` for the phase; ARCHITECTURE.md shows which command is valid where."
    ),
    Code.NOT_PAUSED_BY_OPERATOR: (
        "The causes named lift themselves when they clear; `status` shows them."
    ),
    Code.ALREADY_PAUSED: "It is paused by an operator already; `resume` lifts that.",
    Code.THROTTLE_NOT_OURS_TO_TUNE: (
        "Start with `throttle_by: agent` to change the rate while moving."
    ),
    Code.NOTHING_TO_ROLL_BACK: "No wave has moved anything yet: use `cancel`.",
    Code.WAVE_TOO_LARGE_FOR_STATE: "Split the migration: start one AZ at a time.",
    Code.BROKER_DOWN: "Bring the broker back, or take it out of the sets.",
    Code.AZ_MISMATCH: "Pair brokers of the same AZ; correct broker.rack if it is wrong.",
    Code.RACK_UNKNOWN: "Set broker.rack on the named brokers.",
    Code.OFFLINE_PARTITION: (
        "Bring back a broker that holds an in-sync replica of the named partitions."
    ),
    Code.UNDER_REPLICATED: "Wait for the named partitions to catch up, or repair their brokers.",
    Code.UNDER_MIN_ISR: (
        "Repair at once: producers with acks=all are failing on the named partitions."
    ),
    Code.FOREIGN_REASSIGNMENT: "Let the other tool's reassignment end, or cancel it there.",
    Code.ORPHANED_MOVES: (
        "Nothing: moves that Cruise Control has forgotten are left to finish, then we go on."
    ),
    Code.KAFKA_UNREACHABLE: "Check the network and the listeners from where the agent runs.",
    Code.KAFKA_LOGIN_REFUSED: (
        "Put the right password into the cluster's password_file; the agent reads it anew."
    ),
    Code.RF_EQUALS_MIN_ISR: (
        "Raise the replication factor of the named topics, or lower min.insync.replicas."
    ),
    Code.DISK_HEADROOM: "Give the named brokers more disk, or shorten retention before the move.",
    Code.DESTINATION_CAPACITY: (
        "Use more or larger destinations, lower the throttle, or correct `limits`."
    ),
    Code.FOREIGN_THROTTLE: (
        "Clear it with kafka-configs.sh (see the runbook), or let the tool that set it end."
    ),
    Code.STATIC_THROTTLE: (
        "Take the throttled.rate lines out of the named brokers' server.properties."
    ),
    Code.BROKER_SETTINGS_DIFFER: (
        "Give both sides the same value of the named settings, then restart those brokers."
    ),
    Code.LISTENER_UNREACHABLE: (
        "Open the named address to the agent's network, or correct advertised.listeners."
    ),
    Code.REPLICAS_PER_AZ: (
        "Spread the named partitions over the AZs, or add a destination that holds none of them."
    ),
    Code.ROLLBACK_IMPOSSIBLE: (
        "Bring the named brokers back, or give them room; or `cancel`, and start without them."
    ),
    Code.THROTTLE_TOO_LOW: "Raise the throttle, or move fewer partitions at once.",
    Code.BROKER_ID_GENERATED: (
        "Set broker.id on the named destinations before anything moves to them."
    ),
    Code.REPORTER_MISSING: (
        "Add Cruise Control's metrics reporter to the named brokers and restart them."
    ),
    Code.CRUISE_CONTROL_UNREACHABLE: "Start Cruise Control, or correct its URL.",
    Code.CRUISE_CONTROL_LOGIN_REFUSED: (
        "Put the right password or token into its file, or give the user role ADMIN."
    ),
    Code.CRUISE_CONTROL_BUSY: (
        "Nothing: we ask again. Stop the other execution if it is not wanted."
    ),
    Code.CRUISE_CONTROL_NOT_READY: (
        "Nothing: it needs metric windows; check its reporter on the brokers if it lasts."
    ),
    Code.CRUISE_CONTROL_REJECTED: "Read Cruise Control's own words, mend the cause, then `retry`.",
    Code.SELF_HEALING_ON: (
        "Switch it off: POST admin?disable_self_healing_for=... with the types named."
    ),
    Code.EXECUTION_STOPPED_BY_OTHERS: (
        "Ask whoever is named why, then `resume`; nothing moves before that."
    ),
    Code.CONSUL_UNREACHABLE: "Start Consul, or correct its address or certificate authority.",
    Code.CONSUL_LOGIN_REFUSED: (
        "Put a token with service:write into its token_file; the agent reads it anew."
    ),
    Code.CONSUL_REJECTED: (
        "Read Consul's own words, and correct the service's name or its endpoints."
    ),
    Code.ENDPOINT_NOT_READY: (
        "Mend the named proxy: it must take connections and lead to its broker; we look again."
    ),
    Code.CLIENTS_CONNECTED: (
        "Nothing: they are counted again. If they stay, find who still names that broker."
    ),
    Code.CENSUS_UNREACHABLE: (
        "Start the Prometheus named, or correct the census' query: we ask again."
    ),
    Code.CENSUS_LOGIN_REFUSED: (
        "Put the right password or token into the census' file; the agent reads it anew."
    ),
    Code.NOT_DRAINED: "Nothing: the rest is asked for again.",
    Code.NO_PROGRESS: "See Cruise Control's log and the partitions named, then `retry` or `skip`.",
    Code.WAVE_NOT_VERIFIED: "See what differs, mend it, then `retry`, or `skip` to accept it.",
    Code.REPLICATION_FACTOR_CHANGED: (
        "Find who changed the replication factor; mend it, then `retry`."
    ),
    Code.AZ_SPREAD_CHANGED: (
        "Move the named replicas to brokers of the AZ they came from, then `retry`."
    ),
    Code.END_OFFSET_LOST: (
        "Find out what was cut off (see the runbook); `skip` accepts it, "
        "`rollback` undoes the move."
    ),
    Code.STALLED: "Check the named brokers' disks, network and throttle.",
    Code.COORDINATOR_LOADING: (
        "Wait; if it lasts, see the named brokers' disks and the size of the internal topics."
    ),
    Code.THROTTLE_NOT_IN_FORCE: "Another tool removed the throttle: it is set again.",
    Code.METRIC_BEYOND_THRESHOLD: (
        "Relieve the named broker; the rule lets go by itself when it is calm."
    ),
    Code.METRIC_INCONCLUSIVE: (
        "Mend the collector or the exporter of the named brokers: nobody can tell how they are."
    ),
    Code.METRIC_CLEAR: "Nothing: the rule has let go.",
    Code.FLAPPING: (
        "Find out what comes and goes, then `resume`; or give the rule a wider clear level."
    ),
    Code.NOTHING_VISIBLE: "Give the monitor's user Describe on the cluster and on every topic.",
    Code.NOT_HEALTHY_FOR_LONG: (
        "Nothing: it waits, so that a flap does not open the disruption budget."
    ),
    Code.LOOK_OVERDUE: (
        "See the monitor's log: the cluster is slow to answer, or the monitor is starved of CPU."
    ),
    Code.NO_MIN_ISR_SLACK: "Wait for the named partitions to catch up, or repair their brokers.",
    Code.OTHER_DRIVER: "Stop the other agent, or let it drive: one driver a cluster.",
    Code.SNAPSHOT_MISSING: (
        "The assignment at the start cannot be read: restore the snapshots topic."
    ),
    Code.SNAPSHOT_FROM_NEWER_VERSION: "Run the newer agent again: this one cannot read it.",
    Code.RECORD_FROM_NEWER_VERSION: "Run the newer agent again: this one leaves the record alone.",
    Code.RECORD_UNREADABLE: "Run the agent that wrote the record, or restore it from a backup.",
    Code.EFFECT_FAILED: "A bug or an unforeseen answer: see the agent's log; it is tried again.",
    Code.KRAFT_RUNNING: "Let the way to KRaft end, or roll it back, before replicas are moved.",
    Code.KRAFT_NOT_CONFIGURED: (
        "Name the controllers under `kraft` in the cluster's entry of clusters.yaml."
    ),
    Code.KRAFT_NOT_CONFIRMED: "Say `kraft finalize --i-know` when you are sure.",
    Code.KRAFT_NO_WAY_BACK: "Nothing: go on; the cluster lives in KRaft.",
    Code.KRAFT_VERSION: "Bring every broker to Kafka 3.9 with inter.broker.protocol.version=3.9.",
    Code.KRAFT_BROKER_MODE: (
        "Give the named brokers the mode that is needed, one restart at a time."
    ),
    Code.KRAFT_NODE_IDS: "Choose ids that are free, explicit and within reserved.broker.max.id.",
    Code.KRAFT_ABSENT_BROKER: "Bring the named brokers back, or move what is assigned to them.",
    Code.KRAFT_REASSIGNMENT: "Let the reassignments end, or cancel them.",
    Code.KRAFT_LEFTOVER: "Save, then delete, ZooKeeper's /migration.",
    Code.KRAFT_ZOOKEEPER_UNREACHABLE: "Bring ZooKeeper back: until the end it is the way back.",
    Code.KRAFT_CONTROLLER_ABSENT: "Look at /controller in ZooKeeper and at the controllers' logs.",
    Code.KRAFT_CONTROLLER_DOWN: "Start the named controllers; see their logs.",
    Code.KRAFT_NO_QUORUM: "Look at the controllers' logs: a majority must elect one.",
    Code.KRAFT_VOTER_BEHIND: "Wait; if it lasts, see the named controllers' logs and disks.",
    Code.KRAFT_METADATA_VERSION: (
        "See `kafka-features.sh describe`; format the controllers with this Kafka's tool."
    ),
    Code.KRAFT_STATE: "Wait; if it lasts, read the active controller's log.",
    Code.KRAFT_WRITE_BEHIND: "Wait until ZooKeeper has caught up.",
    Code.KRAFT_CONTROLLER_EPOCH: (
        "Raise /controller_epoch in ZooKeeper by hand to the number named."
    ),
    Code.KRAFT_REGISTRATION: "Wait for the named brokers to be registered and unfenced.",
    Code.KRAFT_GHOST: (
        "Unregister what is gone: `kafka-cluster.sh unregister --id N`; on the way back wait."
    ),
    Code.KRAFT_METADATA_ERRORS: "Read the controllers' logs for metadata errors before going on.",
    Code.KRAFT_SOAK: "Wait; `kraft status` tells how long the signals have held.",
    Code.KRAFT_DRILL: "Wait for the drills; by hand, restart the node named in KraftNodeAsked.",
    Code.KRAFT_NODES_LEFT: "Wait until each node of this phase has been restarted.",
    Code.KRAFT_NODE_AWAITED: "Restart the named node with the keys in KraftNodeAsked.",
}
