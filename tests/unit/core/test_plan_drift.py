"""Whether a stored plan still fits the cluster: each way in which it may not."""

from dataclasses import replace

import pytest

from agent.core.model.cluster import Broker, BrokerLogs, ClusterFacts, Partition
from agent.core.model.reasons import Code
from agent.core.planning.options import Options
from agent.core.planning.plan import make_plan
from agent.core.planning.plan_drift import GROWN_BYTES_MIN, drift_reasons, fingerprint
from agent.core.planning.policy import Policy
from agent.core.planning.wave import Plan

RACKS = {11: "a", 12: "b", 31: "a", 32: "b"}
P0 = Partition("t", 0, leader=11, replicas=(11, 12), isr=(11, 12))
P1 = Partition("t", 1, leader=12, replicas=(12, 11), isr=(11, 12))
SIZE = 4 * GROWN_BYTES_MIN


def _plan(
    *partitions: Partition,
    racks: dict[int, str] = RACKS,
    size: int = SIZE,
    sources: tuple[int, ...] = (11, 12),
) -> Plan:
    facts = ClusterFacts(
        brokers=tuple(Broker(b, r) for b, r in racks.items()), partitions=partitions or (P0, P1)
    )
    logs = {
        b: BrokerLogs(b, {p.name: size for p in facts.partitions if b in p.replicas})
        for b in sources
    }
    policy = Policy(
        source_broker_ids=sources, destination_broker_ids=tuple(b + 20 for b in sources)
    )
    plan, reasons = make_plan(Options(), policy, facts, logs, "p")
    assert plan is not None, reasons
    return plan


CHANGED: dict[str, tuple[Plan, str]] = {
    "a broker less": (_plan(sources=(11,)), "the brokers of the cluster now give [11] to [31]"),
    "the AZs have other names": (_plan(racks={11: "b", 12: "a", 31: "b", 32: "a"}), "in b"),
    "a partition more": (_plan(P0, P1, replace(P0, partition=2)), "wave 1: 2 then, 3 now"),
    "a partition deleted and another created": (
        _plan(P0, replace(P1, topic="u")),
        "the same number, but other ones",
    ),
    "a partition on another source": (
        _plan(P0, replace(P1, replicas=(12,), isr=(12,))),
        "wave 1: 2 then, 1 now",
    ),
    "more than a quarter grown": (_plan(size=SIZE * 5 // 4 + 1), "more to move than planned"),
}


def test_a_plan_of_the_same_cluster_fits() -> None:
    """Leaders, replica order and a little growth change nothing that was promised."""
    assert drift_reasons(_plan(), _plan()) == ()
    assert (
        drift_reasons(
            _plan(), _plan(replace(P0, leader=12, replicas=(12, 11)), P1, size=SIZE * 5 // 4)
        )
        == ()
    )


@pytest.mark.parametrize("name", CHANGED)
def test_what_has_changed_is_told(name: str) -> None:
    """Brokers, partitions, sizes: each change that matters is refused with the one code, and
    names what differs.
    """
    now, words = CHANGED[name]
    reasons = drift_reasons(_plan(), now)
    assert {r.code for r in reasons} == {Code.PLAN_OUTDATED}
    assert any(words in r.seen for r in reasons), reasons


def test_every_change_is_told_at_once() -> None:
    """Another partition, and more bytes: two reasons."""
    assert len(drift_reasons(_plan(), _plan(P0, P1, replace(P0, partition=2), size=2 * SIZE))) == 2


def test_a_small_wave_may_grow() -> None:
    """A quarter of nothing is nothing."""
    assert drift_reasons(_plan(size=10), _plan(size=1_000)) == ()


def test_a_fingerprint_does_not_depend_on_the_order_of_telling() -> None:
    """Metadata comes in any order; which broker holds what matters."""
    one = ClusterFacts(brokers=(), partitions=(P0, P1))
    assert fingerprint(one, (11, 12)) == fingerprint(replace(one, partitions=(P1, P0)), (12, 11))
    assert fingerprint(one, (11, 12)) != fingerprint(one, (11,))
