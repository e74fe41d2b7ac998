"""The signals of one look at the cluster: each function returns the reasons against going on.

Called by gates.py, restarts.py and kraft_flow.py. An empty tuple means that the signal holds.
Every reason says what is seen, and what is needed.
"""

from agent.core.kraft.facts import ControllerFacts, KraftFacts, ZkMigrationState
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.state import Kraft
from agent.core.model.reasons import Code, Reason

Reasons = tuple[Reason, ...]


def ids_of(ids: object) -> str:
    """The ids in ascending order, as a text for people."""
    return ", ".join(map(str, sorted(ids)))  # type: ignore[call-overload]


def cluster_issues(broker_ids: tuple[int, ...], facts: KraftFacts) -> Reasons:
    """Why no node may be restarted now, in any phase: something is away or not in sync already."""
    if not facts.reachable:
        return (Reason(Code.KAFKA_UNREACHABLE, "Kafka did not answer the last look"),)
    found: list[Reason] = []
    if away := frozenset(broker_ids) - facts.alive:
        found.append(
            Reason(
                Code.BROKER_DOWN,
                f"brokers {ids_of(away)} are not alive",
                "all that were there at the start",
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
                f"{facts.under_replicated} partitions are under-replicated",
                "none",
            )
        )
    if facts.reassignments:
        found.append(
            Reason(
                Code.KRAFT_REASSIGNMENT,
                f"{facts.reassignments} reassignments are in flight",
                "none",
            )
        )
    return tuple(found)


def absent_brokers(facts: KraftFacts) -> Reasons:
    """Brokers that partitions name and that are not alive: Kafka waits for them for ever."""
    absent = frozenset(facts.assigned) - facts.alive
    if not (facts.reachable and absent):
        return ()
    seen = f"partitions are assigned to brokers {ids_of(absent)}, which are not alive"
    return (Reason(Code.KRAFT_ABSENT_BROKER, seen, "an assignment to live brokers only"),)


def no_active_controller(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the controllers cannot lead: one is silent, or not exactly one is active."""
    silent = [c for c in kraft.options.controller_ids if not facts.controller(c).reachable]
    if silent:
        return (
            Reason(
                Code.KRAFT_CONTROLLER_DOWN,
                f"controllers {ids_of(silent)} show no metrics",
                "all of them",
            ),
        )
    if facts.active is None:
        return (
            Reason(
                Code.KRAFT_NO_QUORUM,
                "no controller, or more than one, says that it is active",
                "one",
            ),
        )
    return ()


def state_reasons(active: ControllerFacts, *wanted: ZkMigrationState) -> Reasons:
    """Why the active controller is not in one of the wanted states of the migration."""
    if active.state in wanted:
        return ()
    names = {int(s): s.name for s in ZkMigrationState}
    seen = (
        f"controller {active.node_id} is in ZkMigrationState "
        f"{names.get(active.state, active.state)}"
    )
    return (Reason(Code.KRAFT_STATE, seen, " or ".join(w.name for w in wanted)),)


def dual_write_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why ZooKeeper does not yet hold all that KRaft holds."""
    if missing := no_active_controller(kraft, facts):
        return missing
    active = facts.active
    assert active is not None
    found = list(state_reasons(active, ZkMigrationState.MIGRATION))
    if active.write_behind_lag > kraft.options.write_behind_records_max:
        seen = f"ZooKeeper is {active.write_behind_lag} records behind KRaft"
        found.append(
            Reason(
                Code.KRAFT_WRITE_BEHIND, seen, f"at most {kraft.options.write_behind_records_max}"
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


def quorum_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the quorum is not healthy, as a broker in KRaft mode reports it."""
    seen = facts.quorum
    if not facts.reachable:
        return ()  # `cluster_issues` names it
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
        text = f"the quorum's voters are {ids_of(seen.voter_ids)}"
        return (
            Reason(
                Code.KRAFT_NO_QUORUM, text, f"{ids_of(wanted)}: the controllers of clusters.yaml"
            ),
        )
    found: list[Reason] = []
    if seen.leader_id not in wanted:
        found.append(Reason(Code.KRAFT_NO_QUORUM, "the quorum has no leader", "one"))
    limit = kraft.options.voter_seconds_behind_max
    if behind := [v.node_id for v in seen.voters if not 0 <= v.seconds_behind <= limit]:
        text = f"controllers {ids_of(behind)} do not have what the quorum's leader has"
        found.append(Reason(Code.KRAFT_VOTER_BEHIND, text, f"at most {limit:.0f} s behind it"))
    if not seen.metadata_version:
        found.append(Reason(Code.KRAFT_METADATA_VERSION, "no metadata.version is finalized", "one"))
    return tuple(found)


def registration_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why not every broker is registered with KRaft, or why one is fenced."""
    found: list[Reason] = []
    if others := [b for b in kraft.broker_ids if facts.mode(b) is not NodeMode.KRAFT]:
        found.append(
            Reason(Code.KRAFT_BROKER_MODE, f"brokers {ids_of(others)} are not in KRaft mode", "all")
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
                "none: `kafka-cluster.sh unregister --id` for each that is gone",
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


def zookeeper_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why ZooKeeper has no broker as controller, or not exactly the live brokers registered."""
    zk = facts.zookeeper
    if not zk.reachable or zk.controller_id is None or zk.kraft_controller:
        return (
            Reason(
                Code.KRAFT_CONTROLLER_ABSENT, "no broker is controller by ZooKeeper's word", "one"
            ),
        )
    if missing := frozenset(kraft.broker_ids) - frozenset(zk.broker_ids):
        seen = f"brokers {ids_of(missing)} are not registered in ZooKeeper"
        return (Reason(Code.KRAFT_REGISTRATION, seen, "all of the start in /brokers/ids"),)
    if ghosts := frozenset(zk.broker_ids) - facts.alive:
        seen = f"ZooKeeper has brokers {ids_of(ghosts)} registered, which Kafka does not show"
        return (Reason(Code.KRAFT_GHOST, seen, "none: their sessions end by themselves"),)
    return ()
