"""Which node is restarted next, and what its restart has to wait for.

kraft_flow.py and kraft_commands.py call it.
"""

from agent.core.kraft.facts import KraftFacts
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.signals import (
    Reasons,
    absent_brokers,
    cluster_issues,
    no_active_controller,
    quorum_reasons,
)
from agent.core.kraft.state import BROKER_TARGET, CONTROLLER_TARGET, Kraft, KraftPhase
from agent.core.model.reasons import Code, Reason


def nodes_to_restart(kraft: Kraft, facts: KraftFacts) -> tuple[tuple[int, bool], ...]:
    """The nodes that this phase still has to restart, in order.

    Out: pairs of the node's id and whether it is a controller.
    """
    if (target := BROKER_TARGET.get(kraft.phase)) is not None:
        return tuple((b, False) for b in kraft.broker_ids if facts.mode(b) is not target)
    target = CONTROLLER_TARGET.get(kraft.phase)
    if target is None:
        return ()
    modes = dict(kraft.modes)
    nodes = kraft.options.controller_ids
    # The active controller comes last, so that there is one fail-over instead of three.
    if target is NodeMode.KRAFT and facts.active:
        nodes = tuple(
            sorted(nodes, key=lambda node: node == (facts.active and facts.active.node_id))
        )
    if target is NodeMode.MIGRATION:
        return tuple((n, True) for n in nodes if not facts.controller(n).reachable)
    # A controller that is just starting shows as little as one that is gone: each is stopped.
    back = {n for n in nodes if target is NodeMode.STOPPED and facts.controller(n).reachable}
    return tuple((n, True) for n in nodes if modes.get(n) is not target or n in back)


def next_node(
    kraft: Kraft, nodes: tuple[tuple[int, bool], ...], facts: KraftFacts
) -> tuple[int, bool]:
    """The node to restart next, of those that `nodes_to_restart` returned.

    In a rollback to ZooKeeper that is a leader whose partitions cannot heal before its restart.
    """
    if kraft.phase is not KraftPhase.BACK_TO_ZOOKEEPER:
        return nodes[0]
    stuck = facts.under_replicated_leader_ids
    return min(
        nodes, key=lambda node: (node[0] in facts.sole_in_sync_broker_ids, node[0] not in stuck)
    )


def reasons_against_restart(
    kraft: Kraft, facts: KraftFacts, node: int, at: float, *, is_controller: bool
) -> Reasons:
    """Why the restart of this node has to wait; empty: it may begin.

    `at`: the time of the look, seconds since the epoch.
    """
    if kraft.phase is KraftPhase.REMOVING_CONTROLLERS:
        # Once the first controller has stopped the brokers may have none: nothing delays the rest.
        return ()
    if kraft.phase is KraftPhase.BACK_TO_ZOOKEEPER:
        # Until the first broker is back there is no controller, so no partition can heal.
        if facts.zookeeper.controller_id is not None:
            return _not_yet_back(kraft, facts, node, at)
        return _stale_epoch_reasons(kraft, facts)
    if is_controller:
        return _quorum_restart_reasons(kraft, facts)
    absent = absent_brokers(facts) if kraft.phase is KraftPhase.BROKERS_TO_MIGRATION else ()
    return cluster_issues(kraft.broker_ids, facts) + absent


def _not_yet_back(kraft: Kraft, facts: KraftFacts, node: int, at: float) -> Reasons:
    """Why the next broker has to wait while brokers return to ZooKeeper mode.

    In Kafka 3.9, a leader that has asked a KRaft controller to change an ISR may not ask a
    ZooKeeper controller before it is restarted: the thread of its channel dies when the kind of
    controller changes. Such a leader is not waited for for longer than `stuck_seconds`.
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


def _stale_epoch_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why the next ZooKeeper controller would not lead: its epoch would be below that of KRaft.

    Such a controller elects no leader for a partition that KRaft has written (KAFKA-20488).
    """
    if not facts.zookeeper.reachable:
        return (
            Reason(
                Code.KRAFT_ZOOKEEPER_UNREACHABLE,
                f"ZooKeeper at {kraft.options.zookeeper} does not answer",
            ),
        )
    if facts.zookeeper.controller_epoch >= kraft.kraft_epoch:  # the next controller adds one
        return ()
    seen = (
        f"ZooKeeper's controller epoch is {facts.zookeeper.controller_epoch}, KRaft's was "
        f"{kraft.kraft_epoch}"
    )
    return (Reason(Code.KRAFT_CONTROLLER_EPOCH, seen, "ZooKeeper's not below KRaft's"),)


def _quorum_restart_reasons(kraft: Kraft, facts: KraftFacts) -> Reasons:
    """Why a controller may not be restarted: the others would not be a healthy majority.

    The first start of the controllers needs none.
    """
    if kraft.phase is KraftPhase.CONTROLLERS:
        return ()
    return no_active_controller(kraft, facts) or quorum_reasons(kraft, facts)
