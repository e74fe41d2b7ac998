"""Samples of the clusters that are ours: queued as they come, judged in slices, so that nothing
else waits for them.

Called by app.py. Keeps a Judge (core/metrics/rule_evaluator.py) a driven cluster; what it says
enters the inbox only when it is new.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from agent import telemetry
from agent.core import messages as msg
from agent.core.metrics.produce_latency import METRICS, WaveLatency
from agent.core.metrics.rule_evaluator import RuleEvaluator, Sample
from agent.core.migration import ACTIVE, Migration, Phase
from agent.core.model.causes import METRIC
from agent.core.planning.options import Policy
from agent.core.planning.wave import Direction, Wave
from agent.performer.ports import Post

log = logging.getLogger("kafka_migration.judging")

# A minute of 200,000 samples each second would not fit, and need not: what is older than a scrape
# is superseded.
QUEUE_BYTES_MAX = 64_000_000
SLICE_SECONDS = 0.005  # of parsing, until others have their turn
# Reading comes first: an alert may stand behind the samples that are being read. But not for ever.
READ_FIRST_SECONDS_MAX = 0.25
READ_PAUSE_SECONDS = 0.005
# While samples keep coming it is judged so often, and for no more than this share of the time; when
# the queue is empty, at once.
EVALUATION_SECONDS = 0.1
EVALUATION_SHARE_MAX = 0.1
# and so often without any sample, for what is missing and what has been calm for long enough
POLL_SECONDS = 1.0
RETRY_SECONDS = 5.0  # a judgement that the state does not know by then is posted again


@dataclass(slots=True)
class _ClusterEvaluation:
    """One cluster's judge and what it has said lately."""

    evaluator: RuleEvaluator
    policy: Policy
    post: Post
    migration: Callable[[], Migration]
    metrics: frozenset[str]
    waves: tuple[Wave, ...] = ()  # whose brokers the judge knows
    dirty: bool = False
    look_due: float = 0.0
    adapt_due: float = 0.0
    late: int = 0
    # by rule, and when
    last_posted: dict[str, tuple[msg.RuleStateObserved, float]] = field(default_factory=dict)
    latency: WaveLatency = field(default_factory=WaveLatency)


def source_and_destination_brokers(
    policy: Policy, waves: Iterable[Wave]
) -> tuple[set[int], set[int]]:
    """Source and destination brokers: the policy's, and those that a migration's own waves name."""
    forward = [w for w in waves if w.direction is Direction.FORWARD]
    sources = {*policy.source_broker_ids, *(b for w in forward for b in w.source_broker_ids)}
    destinations = {
        *policy.destination_broker_ids,
        *(b for w in forward for b in w.destination_broker_ids),
    }
    return sources - set(policy.destination_broker_ids), destinations - set(
        policy.source_broker_ids
    )


class MetricEvaluation:
    """The worker's samples, from the topic to changed judgements."""

    def __init__(
        self, read: Callable[[Any], Awaitable[tuple[str, int, list[Sample]] | None]]
    ) -> None:
        """`read`: a message of the metrics topic as (cluster, how many samples, those that rules
        judge).

        None when it is not for us to judge.
        """
        self._read = read
        self._clusters_evaluated: dict[str, _ClusterEvaluation] = {}
        self._queue: deque[Any] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._put = 0  # messages since the worker began
        self._met = 0  # of these, when it was last looked whether more keep coming

    def open(
        self, cluster: str, policy: Policy, post: Post, migration: Callable[[], Migration]
    ) -> None:
        """The cluster is ours: its judge begins where the saved state left it, and waits for
        fresh samples.
        """
        brokers = (policy.source_broker_ids, policy.destination_broker_ids)
        evaluator = RuleEvaluator(policy.rules, *brokers, time.time(), migration().rule_states)
        metrics = METRICS.union(r.metric for r in policy.rules)
        self._clusters_evaluated[cluster] = _ClusterEvaluation(
            evaluator, policy, post, migration, metrics
        )

    def close(self, cluster: str) -> None:
        """It is not ours any more."""
        self._clusters_evaluated.pop(cluster, None)

    def metrics(self, cluster: str) -> frozenset[str]:
        """What its rules judge and its proof tells: the rest need not be looked at."""
        evaluation = self._clusters_evaluated.get(cluster)
        return frozenset() if evaluation is None else evaluation.metrics

    def put(self, message: Any) -> None:
        """Queue a message of samples.

        When they come faster than they can be judged the oldest are dropped, counted.
        """
        self._queue.append(message)
        self._bytes += len(message.value or b"")
        while self._bytes > QUEUE_BYTES_MAX:
            self._bytes -= len(self._queue.popleft().value or b"")
            telemetry.SAMPLES_DROPPED.inc()
        self._put += 1
        self._came.set()

    async def run(self) -> None:
        """For as long as the worker lives."""
        judge_due = 0.0
        while True:
            if not self._queue:
                self._came.clear()
                await self._came.wait()
            await self._yield_to_reader()
            until = time.monotonic() + SLICE_SECONDS
            while self._queue and time.monotonic() < until:
                await self._take(self._queue.popleft())
            if not self._queue or time.monotonic() >= judge_due:
                began = time.monotonic()
                for cluster, evaluation in list(self._clusters_evaluated.items()):
                    if evaluation.dirty:
                        await self._evaluate(cluster, evaluation)
                judge_due = time.monotonic() + max(
                    EVALUATION_SECONDS, (time.monotonic() - began) / EVALUATION_SHARE_MAX
                )
            await asyncio.sleep(0)  # the alerts, the inbox, the effects

    async def _yield_to_reader(self) -> None:
        """Wait while messages keep coming, within bounds: what is read costs little, what is
        judged can wait.
        """
        until = time.monotonic() + READ_FIRST_SECONDS_MAX
        while (
            self._met != self._put
            and self._bytes < QUEUE_BYTES_MAX // 2
            and time.monotonic() < until
        ):
            self._met = self._put
            await asyncio.sleep(READ_PAUSE_SECONDS)

    async def _take(self, message: Any) -> None:
        self._bytes -= len(message.value or b"")
        if (read := await self._read(message)) is None:
            return
        cluster, came, samples = read
        if (evaluation := self._clusters_evaluated.get(cluster)) is None:
            return
        evaluation.evaluator.add_samples(samples, time.time())
        m = evaluation.migration()
        moving = (m.migration_id, m.wave.number) if m.phase is Phase.MOVING and m.wave else None
        evaluation.latency.add_samples(samples, moving, m.phase_since)
        evaluation.dirty = True
        telemetry.SAMPLES.labels(cluster).inc(came)

    def with_produce_latency(self, cluster: str, observation: msg.Observation) -> msg.Observation:
        """A wave's figures with how long producers waited while it moved, as far as this
        process has seen it.
        """
        evaluation = self._clusters_evaluated.get(cluster)
        if evaluation is None or not isinstance(observation, msg.EffectEnded):
            return observation
        found, m = observation.outcome, evaluation.migration()
        if not isinstance(found, msg.Inspected) or m.wave is None:
            return observation
        waited = evaluation.latency.of(m.migration_id, m.wave.number)
        return replace(observation, outcome=replace(found, produce_latency=waited))

    async def evaluate_on_tick(self, cluster: str) -> None:
        """The tick's turn: silence and calm are judged as well, and what was lost on its way is
        told again.
        """
        evaluation = self._clusters_evaluated.get(cluster)
        if evaluation is None or time.monotonic() < evaluation.look_due:
            return
        evaluation.look_due = time.monotonic() + POLL_SECONDS
        await self._evaluate(cluster, evaluation)
        now, m = time.time(), evaluation.migration()
        for rule_state in evaluation.evaluator.reconcile(m.rule_states, now):
            before, at = evaluation.last_posted.get(rule_state.rule, (None, 0.0))
            said = before is not None and (before.level, before.action) == (
                rule_state.level,
                rule_state.action,
            )
            if not said or now >= at + RETRY_SECONDS:
                await self._tell(cluster, evaluation, rule_state)
        slowed = m.adapted_rate is not None or any(c.name.startswith(METRIC) for c in m.slow_causes)
        if (
            slowed
            and now >= evaluation.adapt_due
            and (headroom := evaluation.evaluator.headroom(now)) is not None
        ):
            evaluation.adapt_due = now + evaluation.policy.adapt_seconds
            await self._post(cluster, evaluation, headroom)

    async def _evaluate(self, cluster: str, evaluation: _ClusterEvaluation) -> None:
        evaluation.dirty = False
        now, m = time.time(), evaluation.migration()
        if m.waves is not evaluation.waves:
            evaluation.waves = m.waves
            evaluation.evaluator.set_brokers(
                *source_and_destination_brokers(evaluation.policy, m.waves)
            )
        expected = m.brokers_of_open_waves if m.phase in ACTIVE else None
        for rule_state in evaluation.evaluator.evaluate(now, expected):
            await self._tell(cluster, evaluation, rule_state)
        telemetry.SAMPLES_LATE.labels(cluster).inc(evaluation.evaluator.late - evaluation.late)
        evaluation.late = evaluation.evaluator.late

    async def _tell(
        self, cluster: str, evaluation: _ClusterEvaluation, rule_state: msg.RuleStateObserved
    ) -> None:
        evaluation.last_posted[rule_state.rule] = (rule_state, rule_state.at)
        await self._post(cluster, evaluation, rule_state)

    async def _post(
        self, cluster: str, evaluation: _ClusterEvaluation, observation: msg.Observation
    ) -> None:
        try:
            await evaluation.post(observation)
        # the control Kafka does not answer; what the state does not know is posted again
        except Exception:
            log.exception("%s: %s could not be posted", cluster, type(observation).__name__)
