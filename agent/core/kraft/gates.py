"""May it go on, may it go back: pure judgements of one look, each a list of reasons (empty: yes).

Called by kraft_flow.py. Every reason says what is seen, and from whom something is awaited.
"""

from agent.core.kraft.facts import ControllerFacts, KraftFacts, ZkMigrationState
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions
from agent.core.kraft.state import (
    BROKER_TARGET,
    CONTROLLER_TARGET,
    WITHOUT_CONTROLLER,
    Drill,
    Kraft,
    KraftPhase,
)
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import ids

PROTOCOL_VERSION = "3.9"  # the last line with ZooKeeper, and the only one that we have rehearsed
Reasons = tuple[Reason, ...]


def cluster_issues(broker_ids: tuple[int, ...], facts: KraftFacts) -> Reasons:
    """Why no node may be restarted now, in any phase: something is away or not in sync already."""
    if not facts.reachable:
        return (Reason(Code.KAFKA_UNREACHABLE, "Kafka did not answer the last look"),)
    found: list[Reason] = []
    if away := frozenset(broker_ids) - facts.alive:
        found.append(
            Reason(
                Code.BROKER_DOWN,
                f"brokers {ids(away)} are not alive",
                ("all that were there at the start"),
            )
        )
    if facts.offline:
        found.append(
            Reason(Code.OFFLINE_PARTITION, f"{facts.offline} partitions have no leader", "none")
        )
    if facts.under_replicated:
        found.append(
            Reason(
                Code.UNDER_REPLICATED,
                (f"{facts.under_replicated} partitions are under-replicated"),
                "none",
            )
        )
    if facts.reassignments:
        found.append(
            Reason(
                Code.KRAFT_REASSIGNMENT,
                (f"{facts.reassignments} reassignments are in flight"),
                "none",
            )
        )
    return tuple(found)


def reasons_not_ready(options: KraftOptions, facts: KraftFacts) -> Reasons:
    """Why the cluster is not fit to begin."""
    if not options.controllers:
        return (
            Reason(
                Code.KRAFT_NOT_CONFIGURED, "no controllers are named", ("`kraft` in clusters.yaml")
            ),
        )
    found = list(cluster_issues((), facts))
    if not facts.reachable:
        return tuple(found)
    zk = facts.zookeeper
    if not zk.reachable:
        found.append(
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                (f"ZooKeeper at {options.zookeeper} does not answer"),
            )
        )
    elif zk.controller_id is None or zk.kraft_controller:
        found.append(
            Reason(Code.KRAFT_CONTROLLER_ABSENT, ("no broker is controller by ZooKeeper's word"))
        )
    if zk.migration_node:
        seen = "ZooKeeper has a /migration left from an earlier attempt"
        found.append(Reason(Code.KRAFT_LEFTOVER, seen, "none: topics made since would be deleted"))
    found += absent_brokers(facts)
    if old := {
        b.broker_id for b in facts.brokers if not b.protocol_version.startswith(PROTOCOL_VERSION)
    }:
        found.append(
            Reason(Code.KRAFT_VERSION, f"brokers {ids(old)} do not speak {PROTOCOL_VERSION}",
                   f"inter.broker.protocol.version={PROTOCOL_VERSION} on every broker")
        )  # fmt: skip
    if strange := {b.broker_id for b in facts.brokers if b.mode is not NodeMode.ZOOKEEPER}:
        found.append(
            Reason(
                Code.KRAFT_BROKER_MODE,
                (f"brokers {ids(strange)} are not in ZooKeeper mode"),
                "all",
            )
        )
    if high := {b.broker_id for b in facts.brokers if not 0 <= b.broker_id <= b.reserved_id_max}:
        seen = f"brokers {ids(high)} have ids over reserved.broker.max.id"
        found.append(Reason(Code.KRAFT_NODE_IDS, seen, "explicit ids within it"))
    if same := facts.alive & frozenset(options.controller_ids):
        found.append(
            Reason(
                Code.KRAFT_NODE_IDS,
                f"ids {ids(same)} are brokers' already",
                "other ids for controllers",
            )
        )
    return tuple(found)


def absent_brokers(facts: KraftFacts) -> Reasons:
    """KRaft's migration waits for every broker that some partition names, for ever."""
    absent = frozenset(facts.assigned) - facts.alive
    if not (facts.reachable and absent):
        return ()
    seen = f"partitions are assigned to brokers {ids(absent)}, which are not alive"
    return (Reason(Code.KRAFT_ABSENT_BROKER, seen, "an assignment to live brokers only"),)


def nodes_to_restart(kraft: Kraft, facts: KraftFacts) -> tuple[tuple[int, bool], ...]:
    """Nodes that do not yet show what this phase makes of them, in order: (id, whether it is a
    controller).
    """
    if (target := BROKER_TARGET.get(kraft.phase)) is not None:
        return tuple((b, False) for b in kraft.broker_ids if facts.mode(b) is not target)
    target = CONTROLLER_TARGET.get(kraft.phase)
    if target is None:
        return ()
    modes = dict(kraft.modes)
    nodes = kraft.options.controller_ids
    # the active one last: one fail-over instead of three
    if target is NodeMode.KRAFT and facts.active:
        nodes = tuple(
            sorted(nodes, key=lambda node: node == (facts.active and facts.active.node_id))
        )
    if target is NodeMode.MIGRATION:
        return tuple((n, True) for n in nodes if not facts.controller(n).reachable)
    # One that is only about to start shows nothing, as one that is gone does: so each is told to
    # stop.
    back = {n for n in nodes if target is NodeMode.STOPPED and facts.controller(n).reachable}
    return tuple((n, True) for n in nodes if modes.get(n) is not target or n in back)


def _no_active(kraft: Kraft, facts: KraftFacts) -> Reasons:
    silent = [c for c in kraft.options.controller_ids if not facts.controller(c).reachable]
    if silent:
        return (
            Reason(
                Code.KRAFT_CONTROLLER_DOWN,
                f"controllers {ids(silent)} show no metrics",
                "all of them",
            ),
        )
    if facts.active is None:
        return (
            Reason(
                Code.KRAFT_NO_QUORUM,
                ("no controller, or more than one, says that it is active"),
                "one",
            ),
        )
    return ()


def _state(active: ControllerFacts, *wanted: ZkMigrationState) -> Reasons:
    if active.state in wanted:
        return ()
    names = {int(s): s.name for s in ZkMigrationState}
    seen = (
        f"controller {active.node_id} is in ZkMigrationState "
        f"{names.get(active.state, active.state)}"
    )
    return (Reason(Code.KRAFT_STATE, seen, " or ".join(w.name for w in wanted)),)


def dual_write_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why ZooKeeper does not hold what KRaft holds."""
    if missing := _no_active(kraft, facts):
        return missing
    active = facts.active
    assert active is not None
    found = list(_state(active, ZkMigrationState.MIGRATION))
    if active.write_behind_lag > kraft.options.write_behind_records_max:
        seen = f"ZooKeeper is {active.write_behind_lag} records behind KRaft"
        found.append(
            Reason(
                Code.KRAFT_WRITE_BEHIND, seen, (f"at most {kraft.options.write_behind_records_max}")
            )
        )
    if not facts.zookeeper.reachable:
        found.append(
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                "ZooKeeper does not answer",
                "its copy of the metadata",
            )
        )
    return tuple(found)


def gate_reasons(kraft: Kraft, facts: KraftFacts, at: float) -> Reasons:
    """Why this phase's gate is closed: the signals that do not hold yet."""
    if not facts.reachable and not may_be_unreachable(kraft, facts):
        return cluster_issues(kraft.broker_ids, facts)
    match kraft.phase:
        case KraftPhase.PREPARING:
            return reasons_not_ready(kraft.options, facts)
        case KraftPhase.CONTROLLERS:
            return (
                cluster_issues(kraft.broker_ids, facts)
                + absent_brokers(facts)
                + _controller_reasons(kraft, facts)
            )
        case KraftPhase.BROKERS_TO_MIGRATION:
            return cluster_issues(kraft.broker_ids, facts) + _reasons_not_copied(kraft, facts)
        case KraftPhase.BROKERS_TO_KRAFT:
            return cluster_issues(kraft.broker_ids, facts) + _reasons_not_in_kraft(kraft, facts)
        case KraftPhase.SOAKING:
            return finalize_reasons(kraft, facts, at)
        case KraftPhase.FINALIZING:
            missing = _no_active(kraft, facts)
            found = _state(facts.active, ZkMigrationState.POST_MIGRATION) if facts.active else ()
            return missing or found + quorum_reasons(kraft, facts)
        case KraftPhase.BACK_TO_ZOOKEEPER:
            return cluster_issues(kraft.broker_ids, facts) + _zookeeper_reasons(kraft, facts)
        case KraftPhase.BACK_TO_MIGRATION:
            return cluster_issues(kraft.broker_ids, facts) + dual_write_reasons(kraft, facts)
        case _:
            return ()


def may_be_unreachable(kraft: Kraft, facts: KraftFacts) -> bool:
    """Whether Kafka's silence is to be expected: there is no controller until we go on."""
    if kraft.phase in WITHOUT_CONTROLLER:
        return True
    zk = facts.zookeeper
    return kraft.phase is KraftPhase.BACK_TO_ZOOKEEPER and zk.reachable and zk.controller_id is None


def _controller_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    if missing := _no_active(kraft, facts):
        return missing
    assert facts.active is not None
    return _state(facts.active, ZkMigrationState.PRE_MIGRATION, ZkMigrationState.MIGRATION)


def _reasons_not_copied(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """The metadata is in KRaft, and ZooKeeper knows its controller."""
    found = [*absent_brokers(facts), *dual_write_reasons(kraft, facts)]
    if facts.active and facts.active.migrating_brokers != len(kraft.broker_ids):
        seen = f"{facts.active.migrating_brokers} brokers are known to the controllers as migrating"
        found.append(Reason(Code.KRAFT_BROKER_MODE, seen, f"{len(kraft.broker_ids)}"))
    if facts.zookeeper.reachable and not facts.zookeeper.kraft_controller:
        found.append(
            Reason(
                Code.KRAFT_CONTROLLER_ABSENT,
                ("ZooKeeper's /controller is not a KRaft controller's"),
            )
        )
    return tuple(found)


def _reasons_not_in_kraft(kraft: Kraft, facts: KraftFacts) -> Reasons:
    return (
        _registered(kraft, facts) + dual_write_reasons(kraft, facts) + quorum_reasons(kraft, facts)
    )


def quorum_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why Kafka itself, asked through a broker in KRaft mode, does not call the controllers
    whole.
    """
    seen = facts.quorum
    if not facts.reachable:
        return ()  # said already
    if seen is None:
        return (
            Reason(
                Code.KRAFT_NO_QUORUM,
                "no broker tells of the controllers' quorum",
                "DescribeQuorum's answer",
            ),
        )
    wanted = tuple(sorted(kraft.options.controller_ids))
    if seen.voter_ids != wanted:
        text = f"the quorum's voters are {ids(seen.voter_ids)}"
        return (
            Reason(
                Code.KRAFT_NO_QUORUM, text, (f"{ids(wanted)}: the controllers of clusters.yaml")
            ),
        )
    found: list[Reason] = []
    if seen.leader_id not in wanted:
        found.append(Reason(Code.KRAFT_NO_QUORUM, "the quorum has no leader", "one"))
    limit = kraft.options.voter_seconds_behind_max
    if behind := [v.node_id for v in seen.voters if not 0 <= v.seconds_behind <= limit]:
        text = f"controllers {ids(behind)} do not have what the quorum's leader has"
        found.append(Reason(Code.KRAFT_VOTER_BEHIND, text, f"at most {limit:.0f} s behind it"))
    if not seen.metadata_version:
        found.append(Reason(Code.KRAFT_METADATA_VERSION, "no metadata.version is finalized", "one"))
    return tuple(found)


def _registered(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Every broker is one of KRaft's, none fenced."""
    found: list[Reason] = []
    if others := [b for b in kraft.broker_ids if facts.mode(b) is not NodeMode.KRAFT]:
        found.append(
            Reason(Code.KRAFT_BROKER_MODE, (f"brokers {ids(others)} are not in KRaft mode"), "all")
        )
    a = facts.active
    if (
        a is not None
        and a.fenced_brokers
        and a.active_brokers == len(kraft.broker_ids)
        and not a.migrating_brokers
    ):
        seen = (
            f"{a.fenced_brokers} brokers are registered and fenced beside the "
            f"{a.active_brokers} that are alive"
        )
        found.append(
            Reason(
                Code.KRAFT_GHOST,
                seen,
                ("none: `kafka-cluster.sh unregister --id` for each that is gone"),
            )
        )
    elif a is not None and (
        a.migrating_brokers or a.fenced_brokers or a.active_brokers != len(kraft.broker_ids)
    ):
        seen = (
            f"{a.active_brokers} brokers active, {a.fenced_brokers} fenced, "
            f"{a.migrating_brokers} still migrating"
        )
        found.append(Reason(Code.KRAFT_REGISTRATION, seen, f"{len(kraft.broker_ids)}, 0, 0"))
    return tuple(found)


def soak_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the soak time does not count."""
    found = [*cluster_issues(kraft.broker_ids, facts), *_reasons_not_in_kraft(kraft, facts)]
    if facts.active and facts.active.metadata_errors > kraft.metadata_errors:
        seen = (
            f"MetadataErrorCount rose from {kraft.metadata_errors} to "
            f"{facts.active.metadata_errors}"
        )
        found.append(Reason(Code.KRAFT_METADATA_ERRORS, seen, "no new error"))
    return tuple(found)


def finalize_reasons(kraft: Kraft, facts: KraftFacts, at: float) -> Reasons:
    """Why it may not be finalized yet."""
    found = list(soak_reasons(kraft, facts))
    green = at - kraft.green_since if kraft.green_since is not None else 0.0
    if green < kraft.options.soak_seconds:
        seen = f"every signal has held for {green:.0f} s"
        found.append(Reason(Code.KRAFT_SOAK, seen, f"{kraft.options.soak_seconds:.0f} s"))
    if due := [d for d in Drill if d not in kraft.drills]:
        found.append(
            Reason(Code.KRAFT_DRILL, f"not yet tried: {', '.join(due)}", "both drills passed")
        )
    return tuple(found)


def reasons_against_rollback(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why going back now would lose data or leave the cluster without a controller."""
    if kraft.phase in (KraftPhase.FINALIZING, KraftPhase.DONE):
        return (
            Reason(
                Code.KRAFT_NO_WAY_BACK,
                (f"it is {kraft.phase}: ZooKeeper's copy is not written any more"),
            ),
        )
    found = list(cluster_issues((), facts))
    if not facts.zookeeper.reachable:
        found.append(
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                (f"ZooKeeper at {kraft.options.zookeeper} does not answer"),
            )
        )
    if facts.zookeeper.kraft_controller:  # KRaft leads: what it wrote must be in ZooKeeper
        found += dual_write_reasons(kraft, facts)
    return tuple(dict.fromkeys(found))


def _zookeeper_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """ZooKeeper has a broker as controller, and every broker is registered there, none beside."""
    zk = facts.zookeeper
    if not zk.reachable or zk.controller_id is None or zk.kraft_controller:
        return (
            Reason(
                Code.KRAFT_CONTROLLER_ABSENT, "no broker is controller by ZooKeeper's word", "one"
            ),
        )
    if missing := frozenset(kraft.broker_ids) - frozenset(zk.broker_ids):
        seen = f"brokers {ids(missing)} are not registered in ZooKeeper"
        return (Reason(Code.KRAFT_REGISTRATION, seen, "all of the start in /brokers/ids"),)
    if ghosts := frozenset(zk.broker_ids) - facts.alive:
        seen = f"ZooKeeper has brokers {ids(ghosts)} registered, which Kafka does not show"
        return (Reason(Code.KRAFT_GHOST, seen, "none: their sessions end by themselves"),)
    return ()


def next_node(
    kraft: Kraft, nodes: tuple[tuple[int, bool], ...], facts: KraftFacts
) -> tuple[int, bool]:
    """The next node of a roll.

    On the way back to ZooKeeper: whose partitions cannot heal before its restart.
    """
    if kraft.phase is not KraftPhase.BACK_TO_ZOOKEEPER:
        return nodes[0]
    stuck = facts.under_replicated_leader_ids
    return min(
        nodes, key=lambda node: (node[0] in facts.sole_in_sync_broker_ids, node[0] not in stuck)
    )


def _not_yet_back(kraft: Kraft, facts: KraftFacts, node: int, at: float) -> Reasons:
    """On the last roll back: why the next broker has to wait.

    A leader that has asked KRaft's controller for a change of ISR may, in Kafka 3.9, ask
    ZooKeeper's no more before it is restarted (its channel's thread dies when the controller
    changes its kind): waiting for it would be for ever.
    """
    found = cluster_issues(kraft.broker_ids, facts)
    if {r.code for r in found} != {Code.UNDER_REPLICATED}:
        return found
    healing = [b for b in facts.under_replicated_leader_ids if facts.mode(b) is NodeMode.ZOOKEEPER]
    if (
        healing
        or at < kraft.changed_at + kraft.options.stuck_seconds
        or node in facts.sole_in_sync_broker_ids
    ):
        return found
    return ()


def reasons_against_restart(
    kraft: Kraft, facts: KraftFacts, node: int, at: float, *, is_controller: bool
) -> Reasons:
    """Why the next node of a roll has to wait."""
    if kraft.phase is KraftPhase.REMOVING_CONTROLLERS:
        # The brokers wait for a controller from the first stop on: nothing may hold up the rest.
        return ()
    if kraft.phase is KraftPhase.BACK_TO_ZOOKEEPER:
        # Until the first broker is back there is no controller, and what is under-replicated cannot
        # heal.
        if facts.zookeeper.controller_id is not None:
            return _not_yet_back(kraft, facts, node, at)
        return _stale_epoch_reasons(kraft, facts)
    if is_controller:
        return _quorum_reasons(kraft, facts)
    absent = absent_brokers(facts) if kraft.phase is KraftPhase.BROKERS_TO_MIGRATION else ()
    return cluster_issues(kraft.broker_ids, facts) + absent


def _stale_epoch_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """KAFKA-20488: a controller whose epoch is not above KRaft's elects no leader of what KRaft
    has written.
    """
    if not facts.zookeeper.reachable:
        return (
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                (f"ZooKeeper at {kraft.options.zookeeper} does not answer"),
            ),
        )
    if facts.zookeeper.controller_epoch >= kraft.kraft_epoch:  # the next controller adds one
        return ()
    seen = (
        f"ZooKeeper's controller epoch is {facts.zookeeper.controller_epoch}, KRaft's was "
        f"{kraft.kraft_epoch}"
    )
    return (Reason(Code.KRAFT_CONTROLLER_EPOCH, seen, "ZooKeeper's not below KRaft's"),)


def _quorum_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Restart a controller only while the others are a majority; those to be started are none
    yet.
    """
    if kraft.phase is KraftPhase.CONTROLLERS:
        return ()
    return _no_active(kraft, facts) or quorum_reasons(kraft, facts)
