"""Turns Prometheus series into samples.

It reads cluster, broker and platform from labels of any form, and computes from the pages of
exporters what PromQL would return. Called by collector.py. Pure, except that a PageReader keeps the
counters of the last scrape.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agent.adapters.prometheus.server import Series
from agent.services.collector.mapping import ExporterForm, LabelRule, LabelRules, Metric, Reading
from schemas.metrics import Sample

FORGOTTEN_AFTER_SECONDS = 3600.0
# A mean times a count differs from the sum by rounding, which must not look like a counter's reset.
EQUAL_WITHIN = 1e-9

_REDUCE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "mean": lambda values: math.fsum(values) / len(values),
    "count": len,
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The cluster, broker and platform that a value belongs to; None where no label says."""

    cluster: str | None
    broker: int | None
    platform: str | None


Values = dict[Owner, float]


def owner_of(labels: Mapping[str, str], rules: LabelRules) -> Owner:
    """Returns the owner that labels name, whether they are tags of EC2 or labels of Kubernetes."""
    given = dict(labels)
    broker = _first(rules.broker, given)
    platform = _first(rules.platform, given)
    return Owner(
        cluster=_first(rules.cluster, given),
        broker=int(broker)
        if broker is not None and broker.isdecimal() and len(broker) <= 10
        else None,
        platform=platform if platform in {"ec2", "k8s"} else None,
    )


def _first(rules: Iterable[LabelRule], labels: dict[str, str]) -> str | None:
    return next((found for rule in rules if (found := rule.read(labels)) is not None), None)


def answered(series: Iterable[Series], rules: LabelRules) -> tuple[Values, int]:
    """Returns the value of each owner in the result of a query, and the number of dropped series.

    A series is dropped when its owner has a value already.
    """
    values: Values = {}
    left_over = 0
    for s in series:
        owner = owner_of(s.labels, rules)
        left_over += owner in values
        values.setdefault(owner, s.value)
    return values, left_over


class PageReader:
    """Computes values from the pages of exporters, as the mapping says.

    It keeps the last value of each counter, so every collector needs a reader of its own.
    """

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._last: dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, float]] = {}
        self._by_name: dict[str, list[Series]] = {}
        self._now: dict[tuple[str, frozenset[tuple[str, str]]], tuple[float, float]] = {}

    def take(self, series: Iterable[Series]) -> None:
        """Replaces the current series by those of a new scrape: all series of all pages."""
        # When a page is missing, its older values are kept, so that its next rate is computed over
        # a longer time.
        self._last |= self._now
        newest = max((at for _, at in self._now.values()), default=0.0)
        self._last = {
            k: (v, at) for k, (v, at) in self._last.items() if at > newest - FORGOTTEN_AFTER_SECONDS
        }
        self._now = {}
        self._by_name = defaultdict(list)
        for s in series:
            self._by_name[s.labels.get("__name__", "")].append(s)

    def values(self, form: ExporterForm) -> Values:
        """Returns a value for each owner that has the series.

        A counter has a value only once it was seen in two scrapes.
        """
        above = self._read(form)
        if form.per is None:
            found = above
        else:
            below = self._read(form.per)
            found = {
                owner: _divided(value, below[owner])
                for owner, value in above.items()
                if owner in below
            }
        found = {owner: value * form.factor for owner, value in found.items()}
        return {owner: 1 - value for owner, value in found.items()} if form.one_minus else found

    def _read(self, reading: Reading) -> Values:
        grouped: defaultdict[Owner, list[float]] = defaultdict(list)
        factors = (
            {_key(s): s.value for s in self._by_name.get(reading.times, ())}
            if reading.times
            else {}
        )
        for s in self._by_name.get(reading.series, ()):
            if not all(
                re.fullmatch(want, s.labels.get(name, "")) for name, want in reading.labels.items()
            ):
                continue
            value = s.value
            if reading.times is not None:
                value *= factors.get(_key(s), math.nan)
            if reading.per_second:
                grown = self._per_second(f"{reading.series}*{reading.times}", s, value)
                if grown is None:
                    continue
                value = grown
            grouped[owner_of(s.labels, self._rules)].append(value)
        return {owner: _reduced(reading.reduce, values) for owner, values in grouped.items()}

    def _per_second(self, name: str, series: Series, value: float) -> float | None:
        """Returns a counter's growth per second since it was last seen; None the first time.

        A value that is smaller than the last one means that the counter started again from 0.
        """
        key = (name, _key(series))
        self._now[key] = (value, series.at)
        before = self._last.get(key)
        if before is None or math.isnan(before[0]) or series.at <= before[1]:
            return None
        begun_anew = value < before[0] * (1 - EQUAL_WITHIN)
        grown = value if begun_anew else max(value - before[0], 0.0)
        return grown / (series.at - before[1])


def _key(series: Series) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in series.labels.items() if name != "__name__")


def _reduced(how: str, values: Sequence[float]) -> float:
    """Returns one value for several; NaN values are left out unless all of them are NaN.

    So one log directory without a value does not hide the others.
    """
    return _REDUCE[how]([v for v in values if not math.isnan(v)] or [math.nan])


def _divided(above: float, below: float) -> float:
    if below == 0:
        return 0.0 if above == 0 else math.nan
    return above / below


def samples_of(
    metric: Metric,
    values: Values,
    at: float,
    *,
    default_cluster: str | None,
    names: Mapping[str, str],
) -> dict[str, list[Sample]]:
    """Returns a metric's samples by cluster; `at` is their time in seconds since the epoch.

    `names` gives the agent's name of a cluster for the name in labels. Values without a cluster, or
    of another platform than the metric's, are left out.
    """
    found: defaultdict[str, list[tuple[Owner, float]]] = defaultdict(list)
    for owner, value in values.items():
        cluster = owner.cluster if owner.cluster is not None else default_cluster
        elsewhere = metric.platform is not None and owner.platform not in {None, metric.platform}
        if cluster and not elsewhere:
            found[names.get(cluster, cluster)].append((owner, value))
    time = datetime.fromtimestamp(at, UTC)

    def sample(value: float, broker: int | None, platform: str | None) -> Sample:
        return Sample.model_validate(
            {
                "metric": metric.name,
                "value": value,
                "unit": metric.unit,
                "time": time,
                "broker": broker,
                "platform": platform,
                "source": metric.source,
            }
        )

    if metric.over_brokers is not None:
        whole = metric.over_brokers
        return {
            c: [sample(_reduced(whole, [v for _, v in owned]), None, None)]
            for c, owned in found.items()
        }
    return {
        cluster: [
            sample(value, owner.broker, owner.platform or metric.platform) for owner, value in owned
        ]
        for cluster, owned in found.items()
    }
