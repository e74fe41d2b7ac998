"""Each reason against the way to KRaft, seen alone: a cluster that is fit but for one thing."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core.kraft import gates, restarts, signals
from agent.core.kraft.facts import BrokerFacts, KraftFacts, QuorumFacts, VoterFacts, ZooKeeperFacts
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.state import Kraft, KraftPhase
from agent.core.model.reasons import Code
from tests.scenarios.kraft_world import BROKERS, CONTROLLERS, KraftWorld, options

Change = Callable[[KraftFacts], KraftFacts]
BACK = Kraft(
    phase=KraftPhase.BACK_TO_ZOOKEEPER,
    options=options(stuck_seconds=60.0),
    broker_ids=BROKERS,
    kraft_epoch=9,
    changed_at=100.0,
)


def _fit() -> KraftFacts:
    return KraftWorld().look()


def _broker(facts: KraftFacts, **changes: object) -> KraftFacts:
    first, *others = facts.brokers
    return replace(facts, brokers=(replace(first, **changes), *others))  # type: ignore[arg-type]


def _zookeeper(facts: KraftFacts, **changes: object) -> KraftFacts:
    return replace(facts, zookeeper=replace(facts.zookeeper, **changes))  # type: ignore[arg-type]


UNFIT: dict[str, tuple[Change, Code]] = {
    "Kafka is silent": (lambda f: replace(f, reachable=False), Code.KAFKA_UNREACHABLE),
    "a partition has no leader": (lambda f: replace(f, offline=1), Code.OFFLINE_PARTITION),
    "a partition lacks a replica": (
        lambda f: replace(f, under_replicated=1),
        Code.UNDER_REPLICATED,
    ),
    "something moves": (lambda f: replace(f, reassignments=1), Code.KRAFT_REASSIGNMENT),
    "ZooKeeper is silent": (
        lambda f: replace(f, zookeeper=ZooKeeperFacts(reachable=False)),
        Code.KRAFT_ZOOKEEPER_UNREACHABLE,
    ),
    "ZooKeeper has no controller": (
        lambda f: _zookeeper(f, controller_id=None),
        Code.KRAFT_CONTROLLER_ABSENT,
    ),
    "KRaft leads already": (
        lambda f: _zookeeper(f, kraft_controller=True),
        Code.KRAFT_CONTROLLER_ABSENT,
    ),
    "an earlier attempt left its node": (
        lambda f: _zookeeper(f, migration_node=True),
        Code.KRAFT_LEFTOVER,
    ),
    "an assignment names a broker that is gone": (
        lambda f: replace(f, assigned=(*f.assigned, 99)),
        Code.KRAFT_ABSENT_BROKER,
    ),
    "a broker speaks an older protocol": (
        lambda f: _broker(f, protocol_version="3.8"),
        Code.KRAFT_VERSION,
    ),
    "a broker is in another mode": (
        lambda f: _broker(f, mode=NodeMode.MIGRATION),
        Code.KRAFT_BROKER_MODE,
    ),
    "a broker's id is reserved for others": (
        lambda f: _broker(f, reserved_id_max=5),
        Code.KRAFT_NODE_IDS,
    ),
    "a controller has a broker's id": (
        lambda f: replace(
            f,
            brokers=(
                *f.brokers,
                BrokerFacts(
                    broker_id=CONTROLLERS[0], mode=NodeMode.ZOOKEEPER, protocol_version="3.9"
                ),
            ),
        ),
        Code.KRAFT_NODE_IDS,
    ),
}


def test_a_fit_cluster_may_begin() -> None:
    """Nothing stands against it."""
    assert gates.reasons_not_ready(options(), _fit()) == ()


@pytest.mark.parametrize("case", UNFIT)
def test_one_thing_that_is_wrong_is_the_one_reason(case: str) -> None:
    """Named by its own code, and by no other."""
    change, code = UNFIT[case]
    assert [r.code for r in gates.reasons_not_ready(options(), change(_fit()))] == [code]


def test_without_controllers_it_is_not_configured() -> None:
    """The one reason names the section of clusters.yaml."""
    (reason,) = gates.reasons_not_ready(options(controllers=()), _fit())
    assert reason.code is Code.KRAFT_NOT_CONFIGURED
    assert "clusters.yaml" in reason.needed


# ── the controllers' quorum ───────────────────────────────────────────────────────────────────────
def _quorum(**changes: object) -> QuorumFacts:
    voters = tuple(VoterFacts(node_id=c, seconds_behind=0) for c in CONTROLLERS)
    whole = QuorumFacts(leader_id=71, epoch=3, voters=voters, metadata_version=21)
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quorum", "code"),
    [
        (None, Code.KRAFT_NO_QUORUM),
        (_quorum(leader_id=-1), Code.KRAFT_NO_QUORUM),
        (_quorum(voters=()), Code.KRAFT_NO_QUORUM),
        (_quorum(metadata_version=0), Code.KRAFT_METADATA_VERSION),
    ],
)
def test_a_quorum_that_is_not_whole_is_named(quorum: QuorumFacts | None, code: Code) -> None:
    """By what Kafka itself tells of its controllers, not by their metrics."""
    facts = replace(_fit(), quorum=quorum)
    assert [r.code for r in signals.quorum_reasons(BACK, facts)] == [code]
    assert signals.quorum_reasons(BACK, replace(_fit(), quorum=_quorum())) == ()


def test_two_active_controllers_are_none() -> None:
    """Which of them leads cannot be known."""
    world = KraftWorld()
    for node in world.controllers.values():
        node.file = {"node.id": "1"}
    claims = tuple(replace(c, reachable=True, is_active=True) for c in world.look().controllers)
    (reason,) = signals.no_active_controller(BACK, replace(_fit(), controllers=claims))
    assert reason.code is Code.KRAFT_NO_QUORUM


# ── the roll back to ZooKeeper ────────────────────────────────────────────────────────────────────
def _against(facts: KraftFacts, at: float = 1_000.0, node: int = 11) -> list[Code]:
    found = restarts.reasons_against_restart(BACK, facts, node, at, is_controller=False)
    return [r.code for r in found]


def test_a_partition_that_heals_by_itself_is_waited_for() -> None:
    """Its leader is back in ZooKeeper mode already, and asks ZooKeeper's controller."""
    facts = replace(_fit(), under_replicated=1, under_replicated_leader_ids=(11,))
    assert _against(facts) == [Code.UNDER_REPLICATED]


def test_one_that_cannot_heal_before_the_restart_is_not_waited_for_for_ever() -> None:
    """Its leader asks KRaft's controller, which is gone: after `stuck_seconds` it is restarted,
    unless it holds the last in-sync replica of a partition.
    """
    facts = replace(
        _broker(_fit(), mode=NodeMode.MIGRATION),
        under_replicated=1,
        under_replicated_leader_ids=(11,),
    )
    assert _against(facts, at=159.0) == [Code.UNDER_REPLICATED]
    assert _against(facts, at=160.0) == []
    assert _against(replace(facts, sole_in_sync_broker_ids=(11,))) == [Code.UNDER_REPLICATED]
    assert _against(replace(facts, offline=1)) == [Code.OFFLINE_PARTITION, Code.UNDER_REPLICATED]


def test_the_first_broker_back_waits_for_an_epoch_that_it_can_lead_with() -> None:
    """KAFKA-20488: a controller below KRaft's epoch elects no leader of what KRaft has written."""
    leaderless = _zookeeper(_fit(), controller_id=None, controller_epoch=8)
    assert _against(leaderless) == [Code.KRAFT_CONTROLLER_EPOCH]
    assert _against(_zookeeper(leaderless, controller_epoch=9)) == []
    silent = replace(leaderless, zookeeper=ZooKeeperFacts(reachable=False))
    assert _against(silent) == [Code.KRAFT_ZOOKEEPER_UNREACHABLE]
    assert [r.code for r in signals.zookeeper_reasons(BACK, silent)] == [
        Code.KRAFT_CONTROLLER_ABSENT
    ]
