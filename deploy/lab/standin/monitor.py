"""The load monitor: metadata and sizes, and whether there are windows from which to plan.

They are as old as Cruise Control's would be. service.CruiseControl uses it and runs `run` in the
background. It reads from Kafka and changes nothing.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from deploy.lab.standin import errors
from deploy.lab.standin.clock import Clock
from deploy.lab.standin.cluster import (
    Cluster,
    ClusterUnavailableError,
    ClusterView,
    LogDirs,
    TopicPartition,
)
from deploy.lab.standin.model import ClusterModel
from deploy.lab.standin.settings import Settings

log = logging.getLogger(__name__)

WINDOWS = 3
"""How many windows of metrics a monitor reports once it has any."""


@dataclass(frozen=True)
class BrokerFailure:
    anomaly_id: str
    failed: Mapping[int, float]
    detected: float


class LoadMonitor:
    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._started = clock.now()
        self._view: ClusterView | None = None
        self._sizes: dict[TopicPartition, int] = {}
        self._rates: dict[TopicPartition, float] = {}
        self._sized_at = 0.0
        self._read_at = 0.0
        self._no_windows_until = self._started + settings.window_warmup_seconds
        self._failed_since: dict[int, float] = {}
        self.failures: list[BrokerFailure] = []

    # ---- readings

    async def run(self) -> None:
        """Take samples for ever, which keeps the metadata fresh while nobody plans."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._settings.metric_sampling_interval_ms / 1000)

    async def refresh(self) -> None:
        """Read metadata and sizes again, and keep the old ones when Kafka does not answer."""
        try:
            view = await self._cluster.describe()
            self._view = view
            self._read_at = self._clock.now()
            self._note_failures(view)
            self._measure(view, await self._cluster.log_dirs(view.brokers))
        except ClusterUnavailableError as unavailable:
            log.warning("Metadata stay as they are: %s", unavailable)

    async def view(self) -> ClusterView:
        """The metadata as last read, however old, which kafka_cluster_state shows."""
        if self._view is None:
            await self.refresh()
        if self._view is None:
            raise errors.timed_out("Timed out waiting for a node assignment. Call: describeCluster")
        return self._view

    async def model(self) -> ClusterModel:
        """What plans are made from.

        It is read again once it is older than it may be, so until then it may be wrong.
        """
        if self._clock.now() - self._read_at > self._settings.metadata_max_age_ms / 1000:
            await self.refresh()
        return ClusterModel(await self.view(), dict(self._sizes), dict(self._rates))

    def _measure(self, view: ClusterView, log_dirs: LogDirs) -> None:
        now = self._clock.now()
        sizes: dict[TopicPartition, int] = {}
        for tp, partition in view.partitions.items():
            found = [
                log_dirs.bytes_by_replica.get((tp, broker))
                for broker in (partition.leader, *partition.replicas)
            ]
            sizes[tp] = next((size for size in found if size is not None), self._sizes.get(tp, 0))
        elapsed = now - self._sized_at
        if self._sizes and elapsed > 0:
            self._rates = {
                tp: max(0, size - self._sizes.get(tp, size)) / elapsed for tp, size in sizes.items()
            }
        self._sizes, self._sized_at = sizes, now

    # ---- failed brokers

    def _note_failures(self, view: ClusterView) -> None:
        now = self._clock.now()
        dead = view.dead()
        new = dead - self._failed_since.keys()
        self._failed_since = {broker: self._failed_since.get(broker, now) for broker in dead}
        if new:
            log.warning("Brokers with replicas that are not alive: %s", sorted(dead))
            self.failures.append(BrokerFailure(str(uuid4()), dict(self._failed_since), now))

    # ---- windows

    @property
    def loading(self) -> float | None:
        """The percentage of samples that are loaded, or None when loading is done."""
        elapsed = self._clock.now() - self._started
        if elapsed >= self._settings.loading_seconds:
            return None
        return 100.0 * elapsed / self._settings.loading_seconds

    @property
    def warm(self) -> bool:
        """Whether there have been windows since the start."""
        return self._clock.now() >= self._started + self._settings.window_warmup_seconds

    @property
    def windows(self) -> int:
        return WINDOWS if self._clock.now() >= self._no_windows_until else 0

    def lose_windows(self, seconds: float) -> None:
        """After replicas have moved, their metrics are missing for a while."""
        self._no_windows_until = max(self._no_windows_until, self._clock.now() + seconds)

    def require_windows(self, partitions: int, *, whole: bool) -> None:
        """Raise an error when no plan can be made.

        With `whole`, most partitions must be covered; otherwise only the time since the start
        counts.
        """
        now_ms = int(self._clock.now() * 1000)
        since_start = self._clock.now() - self._started
        if since_start < self._settings.window_warmup_seconds / 2:
            raise errors.not_enough_windows(
                f"There is no window available in range [-1, {now_ms}] (index [1, -1]). "
                "Window index (current: 0, oldest: 0)."
            )
        if not self.warm or (whole and not self.windows):
            ratio = "0.95" if whole else "0.00"
            raise errors.not_enough_windows(
                f"There are only 0 valid windows when aggregating in range [-1, {now_ms}] for "
                f"aggregation options (minValidEntityRatio={ratio}, minValidEntityGroupRatio=0.00, "
                f"minValidWindows=1, numEntitiesToInclude={partitions}, granularity=ENTITY)"
            )
