"""Samples from the queue to changed judgements: bounded, in slices, told again where a
judgement was lost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

from agent import telemetry
from agent.core import messages as msg
from agent.core.metrics.rule_evaluator import Sample
from agent.core.metrics.rules import Action, Brokers, Level, Rule, RuleState
from agent.core.migration import Migration, Phase
from agent.core.model.causes import Cause
from agent.core.planning.policy import Policy
from agent.core.planning.wave import Direction, Wave
from agent.worker import metric_evaluation
from agent.worker.cluster_rules import ClusterRules, source_and_destination_brokers
from agent.worker.cluster_worker import ClusterWorker
from agent.worker.effect_tasks import ClusterTasks
from agent.worker.metric_evaluation import MetricEvaluation
from tests.fakes.lease import HeldLease
from tests.scenarios.play import inspected

RULE = Rule(name="p99", metric="p99_ms", threshold=500, on_missing=None, resume_delay_seconds=0)
POLICY = Policy(source_broker_ids=(11,), destination_broker_ids=(31,), rules=(RULE,))


@dataclass
class Message:
    """As Kafka gives it; here the value is the latency of broker 11, or nothing readable."""

    value: bytes


class Idle:
    """A performer that has nothing to do: no test here wants an effect or a watch."""

    async def perform(self, *_: Any) -> msg.Outcome:
        raise NotImplementedError

    async def watch(self, *_: Any) -> None:
        raise NotImplementedError


class Desk:
    """A cluster that is ours, and what was posted of it."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.migration = Migration(cluster="lab")
        self.posted: list[msg.Observation] = []
        self.failing = False
        self.metric = "p99_ms"
        self.worker = ClusterWorker(policy, self.migration, time.time())
        self.tasks = ClusterTasks(Idle(), HeldLease(), self.worker, self._post)
        self.judging = MetricEvaluation(self._read)
        self.judging.open("lab", self.tasks, lambda: self.migration)

    @property
    def rules(self) -> ClusterRules:
        """The rules of the cluster."""
        return self.worker.rules

    async def look(self) -> None:
        """A tick, as if a second had passed since the last one."""
        self.rules._polled_at = float("-inf")
        await self.tasks.tick(self.migration)

    async def _read(self, message: Any) -> tuple[str, int, list[Sample]] | None:
        cluster, _, value = message.value.decode().strip().partition(" ")
        return (cluster, 1, [(self.metric, 11, None, float(value), time.time())]) if value else None

    async def _post(self, observation: msg.Observation) -> None:
        if self.failing:
            raise ConnectionError("Kafka is away")
        self.posted.append(observation)

    async def said(self, *texts: str) -> list[Any]:
        """Put these, and let them be judged."""
        task = asyncio.create_task(self.judging.run())
        for text in texts:
            self.judging.put(Message(text.encode()))
        async with asyncio.timeout(10):
            while self.judging._queue or self.rules.has_new_samples:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.01)
        task.cancel()
        return self.posted


async def test_only_a_changed_judgement_is_posted() -> None:
    """Many samples, one word."""
    desk = Desk()
    posted = await desk.said("lab 1", "lab 2", "lab 900", "lab 901", "lab 902")
    assert [(p.rule, p.level, p.value) for p in posted] == [("p99", Level.FIRING, 902.0)]


async def test_what_is_not_ours_or_cannot_be_read_is_passed_over() -> None:
    """Another owner's cluster, and what the reader has rejected."""
    desk = Desk()
    assert await desk.said("other 900", "nothing") == []
    desk.judging.close("lab")
    assert await desk.said("lab 900") == []


async def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    """Newer samples supersede older ones; the memory is bounded."""
    desk, before = Desk(), telemetry.SAMPLES_DROPPED._value.get()
    big = " " * (metric_evaluation.QUEUE_BYTES_MAX // 4)
    posted = await desk.said(*(f"lab {value}{big}" for value in (900, 900, 900, 10, 10)))
    assert telemetry.SAMPLES_DROPPED._value.get() - before == 2
    assert [p.level for p in posted] in ([], [Level.FIRING], [Level.FIRING, Level.CLEAR])


async def test_others_have_their_turn_while_samples_are_judged() -> None:
    """However long the queue, the event loop is let go between slices: an alert never waits for
    all of it.
    """
    desk = Desk()

    async def slow_read(message: Any) -> tuple[str, int, list[Sample]] | None:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        return None

    desk.judging = MetricEvaluation(slow_read)
    for _ in range(500):
        desk.judging.put(Message(b"x"))
    task = asyncio.create_task(desk.judging.run())
    turns = 0
    while desk.judging._queue:
        await asyncio.sleep(0)
        turns += 1
    task.cancel()
    assert turns > 100


async def test_a_judgement_that_could_not_be_posted_is_posted_again() -> None:
    """The control Kafka was away: the next look finds that the state does not know."""
    desk = Desk()
    desk.failing = True
    await desk.said("lab 900")
    desk.failing = False
    desk.rules._posted.clear()  # as if RETRY_SECONDS had passed
    await desk.look()
    assert [type(p) for p in desk.posted] == [msg.RuleStateObserved]
    await desk.look()
    assert len(desk.posted) == 1


async def test_a_look_finds_silence() -> None:
    """Nobody sends anything: that is judged too."""
    desk = Desk(replace(POLICY, rules=(replace(RULE, on_missing=Action.NOTIFY),)))
    desk.rules._evaluator._began -= 1_000
    await desk.look()
    assert desk.posted == []  # no migration is under way: nobody is missed


async def test_headroom_is_posted_while_something_is_slowed() -> None:
    """It is posted once in `adapt_seconds` at most, for the throttle may not change more often."""
    desk = Desk(replace(POLICY, rules=(replace(RULE, action=Action.SLOW),), adapt_seconds=1_000))
    await desk.said("lab 900")
    desk.migration = replace(
        desk.migration,
        rule_states=(
            RuleState(rule="p99", level=Level.FIRING, action=Action.SLOW, fired=True, since=0.0),
        ),
        slow_causes=(Cause(name="metric:p99", seen="", since=0.0),),
    )
    for _ in range(3):
        await desk.look()
    assert [type(p) for p in desk.posted] == [msg.RuleStateObserved, msg.HeadroomObserved]


async def test_a_look_at_a_cluster_without_samples_says_nothing() -> None:
    """No sample has come since it is ours."""
    desk = Desk()
    await desk.look()
    assert desk.posted == []


async def test_rules_of_one_side_mean_the_brokers_that_a_migration_names_too() -> None:
    """A start may name brokers that clusters.yaml does not; the way back does not turn the
    sides around.
    """
    wave = Wave(
        number=1,
        az="a",
        direction=Direction.FORWARD,
        source_broker_ids=(12,),
        destination_broker_ids=(32,),
    )
    back = Wave(
        number=2,
        az="a",
        direction=Direction.BACK,
        source_broker_ids=(32,),
        destination_broker_ids=(12,),
    )
    assert source_and_destination_brokers(POLICY, (wave, back)) == (
        {11, 12},
        {31, 32},
    )
    desk = Desk(
        replace(POLICY, source_broker_ids=(), rules=(replace(RULE, brokers=Brokers.SOURCE),))
    )
    assert await desk.said("lab 900") == []
    desk.migration = replace(desk.migration, waves=(replace(wave, source_broker_ids=(11,)),))
    assert [p.level for p in await desk.said("lab 901")] == [Level.FIRING]


async def test_how_long_producers_waited_goes_with_the_wave_s_figures() -> None:
    """Also where no rule judges it: counted while the wave moves, told with the end of its
    verification alone.
    """
    desk = Desk(replace(POLICY, rules=()))
    assert "produce_latency_p99_ms" in desk.judging.metrics("lab")
    wave = Wave(
        number=1,
        az="a",
        direction=Direction.FORWARD,
        source_broker_ids=(11,),
        destination_broker_ids=(31,),
    )
    desk.migration = replace(
        desk.migration,
        migration_id="lab-1",
        waves=(wave,),
        phase=Phase.MOVING,
        phase_since=time.time() - 1.0,
    )
    desk.metric = "produce_latency_p99_ms"
    await desk.said("lab 4", "lab 9")
    desk.migration = replace(desk.migration, phase=Phase.CLOSING)
    told = desk.rules.with_produce_latency(inspected(), desk.migration)
    assert isinstance(told, msg.Inspected)
    assert [(p.metric, p.samples, p.max_ms) for p in told.produce_latency or ()] == [
        ("produce_latency_p99_ms", 2, 9.0)
    ]
    performed = msg.Performed()
    assert desk.rules.with_produce_latency(performed, desk.migration) is performed
