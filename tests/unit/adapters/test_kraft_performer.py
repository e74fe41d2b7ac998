"""The performer on a way to KRaft: what does not answer is a fact, and nothing is asked
twice in vain.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import pytest

from agent.adapters.prometheus.kraft_metrics import ControllerMetrics
from agent.core import messages as msg
from agent.core.kraft.effects import KraftScope, RestartNode, SurveyKraft, WatchKraft
from agent.core.kraft.facts import QuorumFacts
from agent.core.kraft.node_config import NodeChange, NodeMode, migration_keys_of
from agent.core.model.cluster import Broker, ClusterFacts, Partition
from agent.performer.kraft import KraftPerformer
from agent.performer.ports import PortError
from tests.scenarios.kraft_world import FILE, options

QUORUM = QuorumFacts(leader_id=71, epoch=4, voters=())
SCOPE = KraftScope(kraft_id="kraft-1", options=options())


class Cluster:
    """A Kafka and its brokers' files, in memory."""

    def __init__(self, **files: dict[str, str]) -> None:
        self.files = {int(name[1:]): file for name, file in files.items()}
        self.away = False
        self.partitions: tuple[Partition, ...] = ()
        self.silent: set[int] = set()
        self.asked_for_quorum: list[int] = []

    async def cluster(self) -> ClusterFacts:
        if self.away:
            raise PortError("away")
        brokers = tuple(Broker(b, "az") for b in self.files)
        return ClusterFacts(
            brokers=brokers, partitions=self.partitions, min_isr={}, controller_id=11
        )

    async def quorum(self, broker_id: int) -> QuorumFacts:
        self.asked_for_quorum.append(broker_id)
        if broker_id in self.silent:
            raise PortError("nobody leads")
        return QUORUM

    async def file_settings(self, broker_ids: Iterable[int]) -> Mapping[int, Mapping[str, str]]:
        if self.away:
            raise PortError("away")
        return {b: self.files[b] for b in broker_ids if b in self.files}


class RecordedPosts:
    """Who restarts nodes: only listens."""

    def __init__(self) -> None:
        self.changes: list[NodeChange] = []

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        self.changes.append(change)

    async def close(self) -> None:
        """Nothing is open."""


class Steps:
    """A clock that ends the watch after some looks."""

    def __init__(self, looks: int) -> None:
        self.looks, self.at = looks, 0.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.looks -= 1
        if not self.looks:
            raise TimeoutError


def kraft_performer_of(cluster: Any, told: RecordedPosts, clock: Any = None) -> KraftPerformer:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    return KraftPerformer(
        kafka=cluster, kraft_kafka=cluster, zookeeper=None,
        metrics=ControllerMetrics(httpx.MockTransport(refuse)), restarts=told,
        clock=clock or Steps(1),
    )  # fmt: skip


def partition(
    number: int, replicas: tuple[int, ...], isr: tuple[int, ...], leader: int
) -> Partition:
    return Partition(
        topic="t",
        partition=number,
        leader=leader,
        replicas=replicas,
        isr=isr,
        adding=(),
        removing=(),
    )


async def test_a_look_counts_what_kafka_shows() -> None:
    """Modes by the brokers' own files; who is assigned, under-replicated, leaderless, alone in
    sync.
    """
    cluster = Cluster(b11=dict(FILE), b12={**FILE, "process.roles": "broker"})
    cluster.partitions = (
        partition(0, (11, 12), (11, 12), 11), partition(1, (12, 13), (12,), 12),
        partition(2, (13,), (13,), -1),
    )  # fmt: skip
    facts = await kraft_performer_of(cluster, RecordedPosts()).observe(SCOPE)
    assert facts.reachable
    assert (facts.mode(11), facts.mode(12), facts.mode(13)) == (
        NodeMode.ZOOKEEPER,
        NodeMode.KRAFT,
        NodeMode.UNKNOWN,
    )
    assert facts.assigned == (11, 12, 13)
    assert (facts.under_replicated_leader_ids, facts.sole_in_sync_broker_ids, facts.offline) == (
        (12,),
        (12,),
        1,
    )
    assert not any(c.reachable for c in facts.controllers)
    assert not facts.zookeeper.reachable


async def test_the_quorum_is_asked_of_brokers_in_kraft_mode_alone() -> None:
    """Brokers with ZooKeeper do not know the request; where one is silent another is asked, but
    not all in a row.
    """
    cluster = Cluster(
        b11=dict(FILE), **{f"b{n}": {**FILE, "process.roles": "broker"} for n in (12, 13, 31)}
    )
    cluster.silent = {12}
    assert (await kraft_performer_of(cluster, RecordedPosts()).observe(SCOPE)).quorum == QUORUM
    assert cluster.asked_for_quorum == [12, 13]
    cluster.silent, cluster.asked_for_quorum = {12, 13, 31}, []
    assert (await kraft_performer_of(cluster, RecordedPosts()).observe(SCOPE)).quorum is None
    assert cluster.asked_for_quorum == [12, 13]
    assert (
        await kraft_performer_of(Cluster(b11=dict(FILE)), RecordedPosts()).observe(SCOPE)
    ).quorum is None


async def test_a_kafka_that_is_away_is_a_fact() -> None:
    """The look is made all the same, and says so: nothing may be advanced on it."""
    cluster = Cluster(b11=dict(FILE))
    cluster.away = True
    assert not (await kraft_performer_of(cluster, RecordedPosts()).observe(SCOPE)).reachable


async def test_the_survey_keeps_what_the_way_back_restores() -> None:
    """Every broker's touched keys, from its own file."""
    cluster = Cluster(b11={**FILE, "broker.id": "11"})
    outcome = await kraft_performer_of(cluster, RecordedPosts()).perform(
        SurveyKraft(command_id="c", scope=SCOPE)
    )
    assert isinstance(outcome, msg.KraftSurveyed)
    assert dict(dict(outcome.files)[11]) == migration_keys_of({**FILE, "broker.id": "11"})


def restart(node: int = 11, **more: Any) -> RestartNode:
    given: dict[str, Any] = {
        "node_id": node,
        "is_controller": False,
        "target": NodeMode.MIGRATION,
        **more,
    }
    return RestartNode(scope=SCOPE, **given)


async def test_a_restart_is_told_with_the_change_of_that_very_file() -> None:
    """The keys come from what the broker has now; a drill changes none; a broker that is down
    has them already.
    """
    told = RecordedPosts()
    doer = kraft_performer_of(Cluster(b11={**FILE, "broker.id": "11"}), told)
    await doer.perform(restart())
    await doer.perform(restart(drill=True))
    await doer.perform(restart(12))
    await doer.perform(restart(71, is_controller=True, wipe_metadata_log=True))
    assert "zookeeper.metadata.migration.enable" in dict(told.changes[0].set)
    assert (told.changes[1].is_empty, told.changes[2].is_empty) == (True, True)
    assert dict(told.changes[3].set)["process.roles"] == "controller"
    assert told.changes[3].wipe_metadata_log


async def test_the_watch_posts_what_is_new_and_a_heartbeat() -> None:
    """The same look again is not posted again, but for one now and then: time has to pass for
    the core.
    """
    posted: list[msg.Observation] = []

    async def post(observation: msg.Observation) -> None:
        posted.append(observation)

    doer = kraft_performer_of(Cluster(b11=dict(FILE)), RecordedPosts(), Steps(looks=7))
    with pytest.raises(TimeoutError):
        await doer.watch(WatchKraft(scope=SCOPE, broker_ids=(11,)), post)
    assert [o.at for o in posted] == [0.0, 6.0, 12.0]
