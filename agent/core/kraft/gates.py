"""Whether the migration to KRaft may go on, and whether it may be rolled back.

Each function returns the reasons against; an empty tuple means yes. kraft_flow.py and
kraft_commands.py call them.
"""

from agent.core.kraft.facts import KraftFacts, ZkMigrationState
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions
from agent.core.kraft.signals import (
    Reasons,
    absent_brokers,
    cluster_issues,
    dual_write_reasons,
    ids_of,
    no_active_controller,
    quorum_reasons,
    registration_reasons,
    state_reasons,
    zookeeper_reasons,
)
from agent.core.kraft.state import WITHOUT_CONTROLLER, Drill, Kraft, KraftPhase
from agent.core.model.reasons import Code, Reason

PROTOCOL_VERSION = "3.9"  # the last version with ZooKeeper, and the only one that was rehearsed


def reasons_not_ready(options: KraftOptions, facts: KraftFacts) -> Reasons:
    """Why the migration may not begin on this cluster."""
    if not options.controllers:
        return (
            Reason(
                Code.KRAFT_NOT_CONFIGURED, "no controllers are named", "`kraft` in clusters.yaml"
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
                f"ZooKeeper at {options.zookeeper} does not answer",
            )
        )
    elif zk.controller_id is None or zk.kraft_controller:
        found.append(
            Reason(Code.KRAFT_CONTROLLER_ABSENT, "no broker is controller by ZooKeeper's word")
        )
    if zk.migration_node:
        seen = "ZooKeeper has a /migration left from an earlier attempt"
        found.append(Reason(Code.KRAFT_LEFTOVER, seen, "none: topics made since would be deleted"))
    found += absent_brokers(facts)
    if old := {
        b.broker_id for b in facts.brokers if not b.protocol_version.startswith(PROTOCOL_VERSION)
    }:
        found.append(
            Reason(Code.KRAFT_VERSION, f"brokers {ids_of(old)} do not speak {PROTOCOL_VERSION}",
                   f"inter.broker.protocol.version={PROTOCOL_VERSION} on every broker")
        )  # fmt: skip
    if strange := {b.broker_id for b in facts.brokers if b.mode is not NodeMode.ZOOKEEPER}:
        found.append(
            Reason(
                Code.KRAFT_BROKER_MODE,
                f"brokers {ids_of(strange)} are not in ZooKeeper mode",
                "all",
            )
        )
    if high := {b.broker_id for b in facts.brokers if not 0 <= b.broker_id <= b.reserved_id_max}:
        seen = f"brokers {ids_of(high)} have ids over reserved.broker.max.id"
        found.append(Reason(Code.KRAFT_NODE_IDS, seen, "explicit ids within it"))
    if same := facts.alive & frozenset(options.controller_ids):
        found.append(
            Reason(
                Code.KRAFT_NODE_IDS,
                f"ids {ids_of(same)} are brokers' already",
                "other ids for controllers",
            )
        )
    return tuple(found)


def gate_reasons(kraft: Kraft, facts: KraftFacts, at: float) -> Reasons:
    """Why the next phase may not begin: the signals of this one that do not hold yet.

    `at`: the time of the look, seconds since the epoch.
    """
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
            missing = no_active_controller(kraft, facts)
            found = (
                state_reasons(facts.active, ZkMigrationState.POST_MIGRATION) if facts.active else ()
            )
            return missing or found + quorum_reasons(kraft, facts)
        case KraftPhase.BACK_TO_ZOOKEEPER:
            return cluster_issues(kraft.broker_ids, facts) + zookeeper_reasons(kraft, facts)
        case KraftPhase.BACK_TO_MIGRATION:
            return cluster_issues(kraft.broker_ids, facts) + dual_write_reasons(kraft, facts)
        case _:
            return ()


def may_be_unreachable(kraft: Kraft, facts: KraftFacts) -> bool:
    """Whether it is expected that Kafka does not answer, because it has no controller in this
    phase.
    """
    if kraft.phase in WITHOUT_CONTROLLER:
        return True
    zk = facts.zookeeper
    return kraft.phase is KraftPhase.BACK_TO_ZOOKEEPER and zk.reachable and zk.controller_id is None


def _controller_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    if missing := no_active_controller(kraft, facts):
        return missing
    assert facts.active is not None
    return state_reasons(facts.active, ZkMigrationState.PRE_MIGRATION, ZkMigrationState.MIGRATION)


def _reasons_not_copied(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the metadata is not yet copied to KRaft with a KRaft controller known to ZooKeeper."""
    found = [*absent_brokers(facts), *dual_write_reasons(kraft, facts)]
    if facts.active and facts.active.migrating_brokers != len(kraft.broker_ids):
        seen = f"{facts.active.migrating_brokers} brokers are known to the controllers as migrating"
        found.append(Reason(Code.KRAFT_BROKER_MODE, seen, f"{len(kraft.broker_ids)}"))
    if facts.zookeeper.reachable and not facts.zookeeper.kraft_controller:
        found.append(
            Reason(
                Code.KRAFT_CONTROLLER_ABSENT,
                "ZooKeeper's /controller is not a KRaft controller's",
            )
        )
    return tuple(found)


def _reasons_not_in_kraft(kraft: Kraft, facts: KraftFacts) -> Reasons:
    return (
        registration_reasons(kraft, facts)
        + dual_write_reasons(kraft, facts)
        + quorum_reasons(kraft, facts)
    )


def soak_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the soak time does not count now."""
    found = [*cluster_issues(kraft.broker_ids, facts), *_reasons_not_in_kraft(kraft, facts)]
    if facts.active and facts.active.metadata_errors > kraft.metadata_errors:
        seen = (
            f"MetadataErrorCount rose from {kraft.metadata_errors} to "
            f"{facts.active.metadata_errors}"
        )
        found.append(Reason(Code.KRAFT_METADATA_ERRORS, seen, "no new error"))
    return tuple(found)


def finalize_reasons(kraft: Kraft, facts: KraftFacts, at: float) -> Reasons:
    """Why the migration may not be finalized yet."""
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
    """Why a rollback now would lose data or leave the cluster without a controller."""
    if kraft.phase in (KraftPhase.FINALIZING, KraftPhase.DONE):
        return (
            Reason(
                Code.KRAFT_NO_WAY_BACK,
                f"it is {kraft.phase}: ZooKeeper's copy is not written any more",
            ),
        )
    found = list(cluster_issues((), facts))
    if not facts.zookeeper.reachable:
        found.append(
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                f"ZooKeeper at {kraft.options.zookeeper} does not answer",
            )
        )
    if facts.zookeeper.kraft_controller:  # KRaft leads: what it wrote must be in ZooKeeper
        found += dual_write_reasons(kraft, facts)
    return tuple(dict.fromkeys(found))
