"""What an operator does about each code, in one or two sentences; the runbook says more."""

from agent.core.model.reasons import Code

WHAT_TO_DO: dict[Code, str] = {
    Code.UNREADABLE_COMMAND: "Correct the named field and publish the command again.",
    Code.UNKNOWN_CLUSTER: (
        "Add the cluster to the agent's clusters.yaml, or correct the `cluster` field."
    ),
    Code.UNKNOWN_BROKER: "Name brokers that are members of the cluster.",
    Code.UNKNOWN_AZ: "Name an AZ (broker.rack) that has both source and destination brokers.",
    Code.UNKNOWN_PLAN: "Ask for a new plan; only the last plans of each cluster are kept.",
    Code.PLAN_OUTDATED: (
        "The cluster has changed since the plan was made: ask for a new plan, and start that one."
    ),
    Code.NOTHING_TO_MOVE: "Nothing: the source brokers hold no replica.",
    Code.BROKER_SETS_OVERLAP: "Name each broker once, either as source or as destination.",
    Code.PAIRS_UNEVEN: (
        "Give each AZ as many destination brokers as source brokers, or use pairing `zone`."
    ),
    Code.LANES_NEED_PAIRS: (
        "Use pairing `one_to_one`, or leave out the canary, large partitions and internal topics."
    ),
    Code.WAVE_BOUNDS_NEED_ZONE: "Use pairing `zone`, or leave out the bounds on waves.",
    Code.ALREADY_RUNNING: (
        "A cluster has one migration at a time: let it end, cancel it, or roll it back first."
    ),
    Code.ALREADY_CONSIDERING: (
        "Another start or plan command is being checked: wait for its answer."
    ),
    Code.NO_MIGRATION: "Start a migration first.",
    Code.NOT_IN_THIS_PHASE: (
        "See the phase in `status`; docs/phases.md shows which commands are valid in it."
    ),
    Code.NOT_PAUSED_BY_OPERATOR: (
        "No operator paused it: each cause ends its own pause when it clears; `status` shows them."
    ),
    Code.ALREADY_PAUSED: "An operator has paused it already; `resume` ends that pause.",
    Code.THROTTLE_NOT_OURS_TO_TUNE: (
        "To change the rate while replicas move, start with `throttle_by: agent`."
    ),
    Code.NOTHING_TO_ROLL_BACK: "No wave has moved anything yet: use `cancel` instead.",
    Code.WAVE_TOO_LARGE_FOR_STATE: "Split the migration: start one AZ at a time.",
    Code.BROKER_DOWN: "Start the named brokers, or remove them from the sets of brokers.",
    Code.AZ_MISMATCH: "Pair brokers of the same AZ; correct broker.rack if it is wrong.",
    Code.RACK_UNKNOWN: "Set broker.rack on the named brokers.",
    Code.OFFLINE_PARTITION: "Start a broker that holds an in-sync replica of the named partitions.",
    Code.UNDER_REPLICATED: "Wait until the named partitions are in sync, or repair their brokers.",
    Code.UNDER_MIN_ISR: (
        "Repair the brokers now: producers with acks=all fail on the named partitions."
    ),
    Code.FOREIGN_REASSIGNMENT: (
        "Let the reassignment of the other tool end, or cancel it with that tool."
    ),
    Code.ORPHANED_MOVES: (
        "Nothing: the agent waits until moves that Cruise Control no longer knows have ended."
    ),
    Code.KAFKA_UNREACHABLE: "Check network and listeners between the agent and the brokers.",
    Code.KAFKA_LOGIN_REFUSED: (
        "Put the right password into the cluster's password_file; the agent reads it again."
    ),
    Code.RF_EQUALS_MIN_ISR: (
        "Raise the replication factor of the named topics, or lower min.insync.replicas."
    ),
    Code.DISK_HEADROOM: (
        "Give the named brokers more disk, or shorten the retention before the move."
    ),
    Code.DESTINATION_CAPACITY: (
        "Use more or larger destination brokers, lower the throttle, or correct `limits`."
    ),
    Code.FOREIGN_THROTTLE: (
        "Let the tool that set the throttle end, or clear it with kafka-configs.sh (see the "
        "runbook)."
    ),
    Code.STATIC_THROTTLE: (
        "Remove the throttled.rate lines from server.properties of the named brokers."
    ),
    Code.BROKER_SETTINGS_DIFFER: (
        "Set the named settings to the same value on all brokers, and restart those that change."
    ),
    Code.LISTENER_UNREACHABLE: (
        "Open the named address to the agent's network, or correct advertised.listeners."
    ),
    Code.REPLICAS_PER_AZ: (
        "Spread the named partitions over the AZs, or add a destination without replicas of them."
    ),
    Code.ROLLBACK_IMPOSSIBLE: (
        "Start the named brokers or give them disk; or `cancel`, and start again without them."
    ),
    Code.THROTTLE_TOO_LOW: "Raise the throttle, or move fewer partitions at the same time.",
    Code.BROKER_ID_GENERATED: (
        "Set broker.id on the named destinations before anything moves to them."
    ),
    Code.REPORTER_MISSING: (
        "Add Cruise Control's metrics reporter to the named brokers, and restart them."
    ),
    Code.CRUISE_CONTROL_UNREACHABLE: "Start Cruise Control, or correct its URL.",
    Code.CRUISE_CONTROL_LOGIN_REFUSED: (
        "Put the right password or token into its file, or give the user the role ADMIN."
    ),
    Code.CRUISE_CONTROL_BUSY: (
        "Nothing: the agent asks again. An execution of ours ends at its next progress check; stop "
        "one of somebody else if it is not wanted."
    ),
    Code.CRUISE_CONTROL_NOT_READY: (
        "Nothing: Cruise Control is collecting metrics. If it lasts, check its reporter on "
        "the brokers."
    ),
    Code.CRUISE_CONTROL_REJECTED: "Read Cruise Control's message, remove the cause, then `retry`.",
    Code.SELF_HEALING_ON: (
        "Switch self-healing off: POST admin?disable_self_healing_for=... with the named types."
    ),
    Code.EXECUTION_STOPPED_BY_OTHERS: (
        "Find out who stopped the execution and why, then `resume`; nothing moves before that."
    ),
    Code.CONSUL_UNREACHABLE: "Start Consul, or correct its address or certificate authority.",
    Code.CONSUL_LOGIN_REFUSED: (
        "Put a token with service:write into the token_file; the agent reads it again."
    ),
    Code.CONSUL_REJECTED: (
        "Read Consul's message, and correct the name of the service or its endpoints."
    ),
    Code.ENDPOINT_NOT_READY: (
        "Repair the named proxy: it must accept connections and lead to its broker. The "
        "agent checks again."
    ),
    Code.CLIENTS_CONNECTED: (
        "Nothing: the agent counts again. If connections stay, find the clients that name "
        "this broker."
    ),
    Code.CENSUS_UNREACHABLE: (
        "Start the named Prometheus, or correct the query of the census; the agent asks again."
    ),
    Code.CENSUS_LOGIN_REFUSED: (
        "Put the right password or token into the file of the census; the agent reads it again."
    ),
    Code.NOT_DRAINED: "Nothing: the agent requests the remaining moves again.",
    Code.NO_PROGRESS: (
        "Check Cruise Control's log and the named partitions, then `retry` or `skip`."
    ),
    Code.WAVE_NOT_VERIFIED: (
        "Check the named differences, correct them, then `retry`; or `skip` to accept them."
    ),
    Code.REPLICATION_FACTOR_CHANGED: (
        "Find out who changed the replication factor, correct it, then `retry`."
    ),
    Code.AZ_SPREAD_CHANGED: (
        "Move the named replicas to brokers of the AZ they came from, then `retry`."
    ),
    Code.END_OFFSET_LOST: (
        "Find out which records are lost (see the runbook); `skip` accepts it, `rollback` "
        "undoes the move."
    ),
    Code.STALLED: "Check disks, network and throttle of the named brokers.",
    Code.COORDINATOR_LOADING: (
        "Wait. If it lasts, check the disks of the named brokers and the size of the "
        "internal topics."
    ),
    Code.THROTTLE_NOT_IN_FORCE: (
        "Nothing: another tool removed the throttle, and the agent sets it again."
    ),
    Code.METRIC_BEYOND_THRESHOLD: (
        "Reduce the load of the named broker; the rule clears by itself when the metric is calm."
    ),
    Code.METRIC_INCONCLUSIVE: (
        "Repair the collector, or the exporter of the named brokers: their samples are missing."
    ),
    Code.METRIC_CLEAR: "Nothing: the rule has cleared.",
    Code.FLAPPING: (
        "Find out why the metric comes and goes, then `resume`; or give the rule a wider "
        "clear level."
    ),
    Code.NOTHING_VISIBLE: "Give the monitor's user Describe on the cluster and on every topic.",
    Code.NOT_HEALTHY_FOR_LONG: (
        "Nothing: the monitor waits, so that a short recovery does not open the disruption budget."
    ),
    Code.LOOK_OVERDUE: (
        "Check the monitor's log: the cluster answers slowly, or the monitor lacks CPU."
    ),
    Code.NO_MIN_ISR_SLACK: "Wait until the named partitions are in sync, or repair their brokers.",
    Code.OTHER_DRIVER: "Stop the other agent, or let it drive: a cluster has one driver at a time.",
    Code.SNAPSHOT_MISSING: (
        "The assignment before the start cannot be read: restore the snapshots topic."
    ),
    Code.EFFECT_FAILED: (
        "Check the agent's log: a bug or an unexpected answer. The agent tries again."
    ),
    Code.KRAFT_RUNNING: (
        "Let the migration to KRaft end, or roll it back, before replicas are moved."
    ),
    Code.KRAFT_NOT_CONFIGURED: (
        "Name the controllers under `kraft` in the cluster's entry of clusters.yaml."
    ),
    Code.KRAFT_NOT_CONFIRMED: (
        "Add `--i-know` to `kraft finalize` when you are sure: it cannot be undone."
    ),
    Code.KRAFT_NO_WAY_BACK: (
        "Nothing: the cluster runs in KRaft mode and cannot return to ZooKeeper."
    ),
    Code.KRAFT_VERSION: "Upgrade every broker to Kafka 3.9 with inter.broker.protocol.version=3.9.",
    Code.KRAFT_BROKER_MODE: (
        "Restart the named brokers, one at a time, with the settings of the mode that is needed."
    ),
    Code.KRAFT_NODE_IDS: (
        "Choose node ids that are unused, explicit, and at most reserved.broker.max.id."
    ),
    Code.KRAFT_ABSENT_BROKER: (
        "Start the named brokers, or move the replicas that are assigned to them."
    ),
    Code.KRAFT_REASSIGNMENT: "Let the reassignments end, or cancel them.",
    Code.KRAFT_LEFTOVER: "Save ZooKeeper's /migration, then delete it.",
    Code.KRAFT_ZOOKEEPER_UNREACHABLE: (
        "Start ZooKeeper: a rollback needs it until the migration to KRaft is finalized."
    ),
    Code.KRAFT_CONTROLLER_ABSENT: "Check /controller in ZooKeeper and the controllers' logs.",
    Code.KRAFT_CONTROLLER_DOWN: "Start the named controllers, and check their logs.",
    Code.KRAFT_NO_QUORUM: "Check the controllers' logs: a majority of them must elect a leader.",
    Code.KRAFT_VOTER_BEHIND: "Wait. If it lasts, check logs and disks of the named controllers.",
    Code.KRAFT_METADATA_VERSION: (
        "Check `kafka-features.sh describe`; format the controllers with the tool of this "
        "Kafka version."
    ),
    Code.KRAFT_STATE: "Wait. If it lasts, check the log of the active controller.",
    Code.KRAFT_WRITE_BEHIND: "Wait until the controller has written all changes to ZooKeeper.",
    Code.KRAFT_CONTROLLER_EPOCH: (
        "Raise /controller_epoch in ZooKeeper by hand to the named number."
    ),
    Code.KRAFT_REGISTRATION: "Wait until the named brokers are registered and unfenced.",
    Code.KRAFT_GHOST: (
        "Unregister brokers that are gone: `kafka-cluster.sh unregister --id N`. In a "
        "rollback, wait."
    ),
    Code.KRAFT_METADATA_ERRORS: "Check the controllers' logs for metadata errors before you go on.",
    Code.KRAFT_SOAK: "Wait; `kraft status` shows how long the signals have held.",
    Code.KRAFT_DRILL: (
        "Wait for the drills; if nodes are restarted by hand, restart the one named in "
        "KraftNodeAsked."
    ),
    Code.KRAFT_NODES_LEFT: "Wait until each node of this phase has been restarted.",
    Code.KRAFT_NODE_AWAITED: "Restart the named node with the settings in KraftNodeAsked.",
    Code.RECORD_FROM_NEWER_VERSION: "Run the newer agent again: this one leaves the record alone.",
    Code.RECORD_UNREADABLE: "Run the agent that wrote the record, or restore it from a backup.",
    Code.SNAPSHOT_FROM_NEWER_VERSION: "Run the newer agent again: this one cannot read it.",
}
