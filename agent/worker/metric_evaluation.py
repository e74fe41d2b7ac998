"""The queue of metric samples of the clusters that this worker owns.

Filled by app.py. Samples are parsed in short slices, so that nothing else has to wait for them, and
are passed to the worker of their cluster (cluster_worker.py), which evaluates the rules.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent import telemetry
from agent.core.metrics.rule_evaluator import Sample
from agent.core.migration import Migration
from agent.worker.cluster_rules import ClusterRules
from agent.worker.effect_tasks import ClusterTasks

log = logging.getLogger("kafka_migration.judging")

# A minute of 200,000 samples each second would not fit, and need not: samples that are older than a
# scrape interval are superseded.
QUEUE_BYTES_MAX = 64_000_000
SLICE_SECONDS = 0.005  # how long samples are parsed until other tasks get their turn
# Reading comes first, within this limit, because an alert may follow the samples being read.
READ_FIRST_SECONDS_MAX = 0.25
READ_PAUSE_SECONDS = 0.005
# While samples keep coming, the rules are evaluated this often and for at most this share of the
# time. When the queue is empty they are evaluated at once.
EVALUATION_SECONDS = 0.1
EVALUATION_SHARE_MAX = 0.1


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A cluster that this worker owns."""

    tasks: ClusterTasks
    migration: Callable[[], Migration]

    @property
    def rules(self) -> ClusterRules:
        return self.tasks.worker.rules


class MetricEvaluation:
    """Takes the samples of all clusters of this worker, in the order of their arrival."""

    def __init__(
        self, read: Callable[[Any], Awaitable[tuple[str, int, list[Sample]] | None]]
    ) -> None:
        """`read` parses a message of the metrics topic.

        It returns (cluster, number of samples, the samples that the rules need), or None if the
        message is not for this worker.
        """
        self._read = read
        self._clusters: dict[str, _Cluster] = {}
        self._queue: deque[Any] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._put = 0  # messages since the worker started
        self._met = 0  # the value of `_put` when it was last checked whether more arrive

    def open(self, cluster: str, tasks: ClusterTasks, migration: Callable[[], Migration]) -> None:
        """Pass the samples of a cluster to its worker; `migration` returns its latest state."""
        self._clusters[cluster] = _Cluster(tasks, migration)

    def close(self, cluster: str) -> None:
        """Drop the samples of a cluster from now on."""
        self._clusters.pop(cluster, None)

    def metrics(self, cluster: str) -> frozenset[str]:
        """Return the metrics that a cluster needs; other samples need not be parsed."""
        found = self._clusters.get(cluster)
        return frozenset() if found is None else found.rules.metrics

    def put(self, message: Any) -> None:
        """Queue a message of samples.

        When they arrive faster than they can be evaluated, the oldest are dropped and counted.
        """
        self._queue.append(message)
        self._bytes += len(message.value or b"")
        while self._bytes > QUEUE_BYTES_MAX:
            self._bytes -= len(self._queue.popleft().value or b"")
            telemetry.SAMPLES_DROPPED.inc()
        self._put += 1
        self._came.set()

    async def run(self) -> None:
        """Parse queued samples and evaluate the rules, until cancelled."""
        evaluation_due = 0.0
        while True:
            if not self._queue:
                self._came.clear()
                await self._came.wait()
            await self._yield_to_reader()
            until = time.monotonic() + SLICE_SECONDS
            while self._queue and time.monotonic() < until:
                await self._take(self._queue.popleft())
            if not self._queue or time.monotonic() >= evaluation_due:
                began = time.monotonic()
                for name, cluster in list(self._clusters.items()):
                    if cluster.rules.has_new_samples:
                        await self._evaluate(name, cluster)
                evaluation_due = time.monotonic() + max(
                    EVALUATION_SECONDS, (time.monotonic() - began) / EVALUATION_SHARE_MAX
                )
            await asyncio.sleep(0)  # let alerts, the inbox and effects have their turn

    async def _yield_to_reader(self) -> None:
        """Wait while messages keep arriving, for READ_FIRST_SECONDS_MAX at most.

        Reading is cheap, and the evaluation can wait.
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
        name, came, samples = read
        if (cluster := self._clusters.get(name)) is None:
            return
        cluster.tasks.worker.samples(samples, cluster.migration(), time.time())
        telemetry.SAMPLES.labels(name).inc(came)

    async def _evaluate(self, name: str, cluster: _Cluster) -> None:
        await cluster.tasks.evaluate(cluster.migration())
        telemetry.SAMPLES_LATE.labels(name).inc(cluster.rules.newly_late())
