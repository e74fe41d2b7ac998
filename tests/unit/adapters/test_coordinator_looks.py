"""The coordinators while internal topics move: when they are asked for, and what is told."""

from types import SimpleNamespace
from typing import Any

from agent.core.model.cluster import TopicPartition
from agent.core.model.reasons import Code
from agent.performer.coordinator_watch import POLL_SECONDS, CoordinatorWatch

PLAIN, OFFSETS = TopicPartition("t", 0), TopicPartition("__consumer_offsets", 7)


class Cluster:
    """Implements what CoordinatorLook asks of the ports: a clock that stands, and brokers that
    load.
    """

    def __init__(self) -> None:
        self.at = 100.0
        self.loads: dict[int, str] = {}
        self.asked: list[frozenset[int]] = []

    def now(self) -> float:
        return self.at

    async def loading_coordinators(self, broker_ids: Any) -> dict[int, str]:
        self.asked.append(frozenset(broker_ids))
        return self.loads

    def look(self) -> CoordinatorWatch:
        ports: Any = SimpleNamespace(kafka=self, clock=self)
        return CoordinatorWatch(ports, (11, 31, 99))


async def test_nobody_is_asked_until_an_internal_topic_moves_and_then_until_the_wave_ends() -> None:
    """A coordinator loads after its partition has arrived, when nothing of it is in flight any
    more.
    """
    cluster = Cluster()
    look = cluster.look()
    assert await look.observe({11: "a", 31: "a"}, {PLAIN}) == ()
    assert not cluster.asked
    await look.observe({11: "a", 31: "a"}, {PLAIN, OFFSETS})
    cluster.at += POLL_SECONDS
    cluster.loads = {31: "groups loading"}
    (reason,) = await look.observe({11: "a", 31: "a"}, set())
    assert (reason.code, reason.seen) == (Code.COORDINATOR_LOADING, "broker 31: groups loading")
    assert cluster.asked == [frozenset({11, 31})] * 2  # 99 is not alive


async def test_between_two_looks_the_last_one_holds() -> None:
    """A wave is looked at each second, its coordinators more seldom; what has loaded is told no
    more.
    """
    cluster = Cluster()
    look = cluster.look()
    cluster.loads = {31: "transactions loading"}
    first = await look.observe({31: "a"}, {OFFSETS})
    cluster.loads = {}
    assert await look.observe({31: "a"}, {OFFSETS}) == first != ()
    cluster.at += POLL_SECONDS
    assert await look.observe({31: "a"}, {OFFSETS}) == ()
