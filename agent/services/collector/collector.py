"""The collector: at each interval it queries all metrics and publishes them as samples.

Built and run by `kafka-migration collector`. What could not be read is reported by counters, log
lines and /ready; the collector never invents a value.
"""

import asyncio
import logging
import math
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from agent.adapters.prometheus.server import (
    Exporters,
    PrometheusError,
    PrometheusServer,
    Series,
    Trouble,
)
from agent.services.collector.mapping import WINDOW, Mapping, Metric
from agent.services.collector.reading import PageReader, Values, answered, samples_of
from agent.services.collector.settings import CollectorSettings
from agent.services.publisher import MetricsTopic, NotPublishedError
from schemas.metrics import Sample, Samples

log = logging.getLogger("kafka_migration.collector")

# A sample has about 150 bytes, and Kafka accepts messages of up to 1 MB.
SAMPLES_PER_MESSAGE_MAX = 4_000

SCRAPES = Counter("kafka_migration_collector_scrapes", "Scrapes, by how they ended", ["result"])
TROUBLES = Counter(
    "kafka_migration_collector_troubles",
    "Metrics and exporters that could not be read, by cause",
    ["metric", "trouble"],
)
PUBLISHED = Counter("kafka_migration_collector_samples", "Samples published", ["cluster"])
DROPPED = Counter(
    "kafka_migration_collector_dropped_samples", "Samples that Kafka did not accept", ["cluster"]
)
SKIPPED = Counter(
    "kafka_migration_collector_skipped_scrapes",
    "Scrapes that were skipped because the previous one was still running",
)
LAST = Gauge(
    "kafka_migration_collector_last_scrape_seconds",
    "Time at which the last scrape that found something ended",
)
SECONDS = Histogram("kafka_migration_collector_scrape_seconds", "How long scrapes take")


@dataclass(slots=True)
class Scrape:
    """The result of one scrape.

    `troubles` holds what could not be read: the metric or exporter, the cause, and a sentence.
    """

    values: list[tuple[Metric, Values]] = field(default_factory=list)
    troubles: list[tuple[str, Trouble | str, str]] = field(default_factory=list)


class SampleSource(Protocol):
    """The source of values: a Prometheus server, or exporters."""

    async def scrape(self) -> Scrape:
        """Read all metrics once."""

    async def close(self) -> None:
        """Close the connections."""


class ServerSource:
    """Queries a Prometheus server once for each metric; a failed query does not delay others."""

    def __init__(self, server: PrometheusServer, mapping: Mapping, window_seconds: int) -> None:
        self._server = server
        self._mapping = mapping
        self._window = f"{window_seconds}s"

    async def scrape(self) -> Scrape:
        """Query every metric once; a query that fails is named in the result."""
        scrape = Scrape()
        metrics = self._mapping.metrics
        answers = await asyncio.gather(*map(self._ask, metrics))
        for metric, answer in zip(metrics, answers, strict=True):
            if isinstance(answer, PrometheusError):
                scrape.troubles.append((metric.name, answer.trouble, str(answer)))
                continue
            values, left_over = answered(answer, self._mapping.labels)
            scrape.values.append((metric, values))
            if left_over:
                says = (
                    f"the query returned {left_over} series more than there are brokers: "
                    "aggregate them in the mapping's promql"
                )
                scrape.troubles.append((metric.name, "ambiguous", says))
        return scrape

    async def _ask(self, metric: Metric) -> list[Series] | PrometheusError:
        try:
            return await self._server.query(metric.promql.replace(WINDOW, self._window))
        except PrometheusError as error:
            return error

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._server.close()


class PageSource:
    """Reads the pages of exporters."""

    def __init__(self, exporters: Exporters, mapping: Mapping) -> None:
        self._exporters = exporters
        self._metrics = [(m, m.exporter) for m in mapping.metrics if m.exporter is not None]
        self._reader = PageReader(mapping.labels)

    async def scrape(self) -> Scrape:
        """Read every exporter once; one that does not answer is named in the result."""
        pages = await self._exporters.read()
        self._reader.take(series for page in pages for series in page.series)
        return Scrape(
            values=[(metric, self._reader.values(form)) for metric, form in self._metrics],
            troubles=[
                (p.target.address, p.error.trouble, str(p.error))
                for p in pages
                if p.error is not None
            ],
        )

    async def close(self) -> None:
        """Close the connections to the exporters."""
        await self._exporters.close()


def source_of(settings: CollectorSettings, mapping: Mapping) -> SampleSource:
    """Returns the source that the settings name: a Prometheus server or exporters.

    Raises SettingsError, or OSError when a certificate cannot be read.
    """
    connection = settings.connection()
    if settings.prometheus_url is not None:
        return ServerSource(PrometheusServer(connection), mapping, settings.window_seconds)
    return PageSource(Exporters(settings.targets(), connection), mapping)


class Collector:
    """Scrapes a source and publishes what it found.

    `clusters` are the clusters that the agent knows; samples of others are left out. When it is
    empty, samples of all clusters are published.
    """

    def __init__(
        self,
        source: SampleSource,
        settings: CollectorSettings,
        clusters: frozenset[str] = frozenset(),
    ) -> None:
        self._source = source
        self._settings = settings
        self._clusters = clusters
        self._silent: set[str] = set()
        self._not_read = "no scrape has ended yet"
        self._not_published = ""

    @property
    def trouble(self) -> str:
        """Why the agent gets no samples from this collector now; empty when it gets some."""
        return self._not_read or self._not_published

    async def scrape(self) -> dict[str, list[Sample]]:
        """Scrapes once and returns all samples by cluster; counts and logs what it cannot read."""
        at = time.time()  # taken before the scrape, so that no value is older than its time says
        with SECONDS.time():
            scrape = await self._source.scrape()
        found: defaultdict[str, dict[tuple[str, int | None], Sample]] = defaultdict(dict)
        seen: Tally[str] = Tally()
        for metric, values in scrape.values:
            seen[metric.name] += len(values)
            by_cluster = samples_of(
                metric,
                values,
                at,
                default_cluster=self._settings.cluster,
                names=self._settings.cluster_names,
            )
            for cluster, samples in by_cluster.items():
                # The first entry of a name counts; later ones serve brokers without a value there.
                for sample in samples:
                    found[cluster].setdefault((sample.metric, sample.broker), sample)
        strangers = found.keys() - self._clusters if self._clusters else set()
        for cluster in strangers:
            log.info(
                "%s: %d samples left out: clusters.yaml has no such cluster",
                cluster,
                len(found.pop(cluster)),
            )
        self._tell(scrape, seen, found)
        return {cluster: list(samples.values()) for cluster, samples in sorted(found.items())}

    def _tell(
        self,
        scrape: Scrape,
        seen: Map[str, int],
        found: Map[str, Map[tuple[str, int | None], Sample]],
    ) -> None:
        for subject, trouble, text in scrape.troubles:
            TROUBLES.labels(subject, trouble).inc()
            log.warning("%s: %s: %s", subject, trouble, text)
        silent = {name for name, count in seen.items() if not count}
        for name in silent:
            TROUBLES.labels(name, "no_series").inc()
        if new := silent - self._silent:
            log.info(
                "%s: no series; if there should be some, compare the mapping with the exporters",
                sorted(new),
            )
        self._silent = silent
        for samples in found.values():
            for sample in samples.values():
                if math.isnan(sample.value):
                    TROUBLES.labels(sample.metric, "nan").inc()
        if found:
            self._not_read = ""
            LAST.set_to_current_time()
        else:
            self._not_read = (
                scrape.troubles[0][2]
                if scrape.troubles
                else "no series of a known cluster was found"
            )
        SCRAPES.labels("empty" if not found else "partial" if scrape.troubles else "whole").inc()

    async def publish(self, topic: MetricsTopic, found: Map[str, list[Sample]]) -> None:
        """Publishes one message for each cluster, or several when a cluster is very large.

        Samples that Kafka does not accept are dropped, counted and logged.
        """
        for cluster, samples in found.items():
            for first in range(0, len(samples), SAMPLES_PER_MESSAGE_MAX):
                part = samples[first : first + SAMPLES_PER_MESSAGE_MAX]
                message = Samples(type="samples", cluster=cluster, samples=tuple(part))
                identity = f"{cluster}/{part[0].time.timestamp():.3f}/{first}"
                try:
                    await topic.publish(message, identity)
                    PUBLISHED.labels(cluster).inc(len(part))
                    self._not_published = ""
                except NotPublishedError as error:
                    DROPPED.labels(cluster).inc(len(part))
                    self._not_published = str(error)
                    log.warning("%s: %d samples dropped: %s", cluster, len(part), error)

    async def run(self, topic: MetricsTopic, stop: asyncio.Event) -> None:
        """Scrapes and publishes at each interval until `stop` is set.

        A scrape that takes longer than the interval skips the scrapes that were due meanwhile.
        """
        interval = self._settings.interval_seconds
        beat = time.monotonic()
        while not stop.is_set():
            found = await self.scrape()
            await self.publish(topic, found)
            beat += interval
            if (late := time.monotonic() - beat) > 0:
                missed = math.ceil(late / interval)
                SKIPPED.inc(missed)
                beat += missed * interval
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting}, timeout=beat - time.monotonic())
            waiting.cancel()

    async def close(self) -> None:
        """Close the connections of the source."""
        await self._source.close()
