"""Samples judged by rules: pure, in memory, one Judge a cluster, kept by the cluster's owner
(agent/worker/metric_evaluation.py).

Late, doubled and out-of-order samples change nothing; NaN is no value; what is missing is never
taken for calm.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agent.core.metrics.aggregations import AGGREGATORS, Aggregator, FreshSample, sort_samples
from agent.core.metrics.observations import HeadroomObserved, RuleStateObserved
from agent.core.metrics.rules import (
    SEVERITY,
    Action,
    Brokers,
    Level,
    Rule,
    RuleState,
)
from agent.core.model.words import listed

# (metric, broker or None for the cluster, platform, value, seconds since the epoch)
Sample = tuple[str, int | None, str | None, float, float]
# a sample from further ahead comes from a wrong clock, and would silence the right ones
FUTURE_SECONDS_MAX = 5.0
SERIES_MAX = 20_000  # brokers times metrics of one cluster: 500 brokers with 40 judged metrics


@dataclass(slots=True)
class _Series:
    """The newest value of one metric on one broker, and since when it has been beyond each
    rule's threshold.
    """

    value: float = 0.0
    time: float = float("-inf")
    platform: str | None = None
    beyond_since: list[float | None] = field(default_factory=list)  # by rule of this metric


@dataclass(slots=True)
class _WatchedMetric:
    """A metric that some rule judges."""

    rules: list[Rule] = field(default_factory=list)
    series: dict[int | None, _Series] = field(default_factory=dict)
    samples: int = 0  # taken so far


@dataclass(slots=True)
class _RuleTracking:
    """Where one rule stands."""

    aggregator: Aggregator
    level: Level = Level.CLEAR
    fired: bool = False
    since: float = 0.0
    calm_since: float | None = None
    last_change: RuleStateObserved | None = None  # of this level
    # A look that found it clear need not be repeated before there are new samples, or the oldest
    # one is stale.
    seen: tuple[int, frozenset[int] | None] | None = None
    valid_until: float = 0.0


@dataclass(frozen=True, slots=True)
class _RuleReading:
    """What the fresh samples say of one rule now."""

    fires: bool
    blind: bool  # somebody is missing, and it matters
    quiet: bool  # below the level that lets go
    missing: tuple[int | None, ...]
    broker: int | None
    value: float | None
    since: float | None
    valid_until: float  # nothing of this changes by time alone before


class RuleEvaluator:
    """All rules of one cluster on the samples seen so far."""

    def __init__(
        self,
        rules: Iterable[Rule],
        source_broker_ids: Iterable[int],
        destination_broker_ids: Iterable[int],
        now: float,
        saved: Iterable[RuleState] = (),
    ) -> None:
        """`now`: missing samples count only from a rule's stale time on, which is the grace after a
        take-over.

        `saved`: what an earlier owner had found; it holds until fresh samples speak.
        """
        self._rules = {r.name: r for r in rules}
        self._began = now
        self._metrics: defaultdict[str, _WatchedMetric] = defaultdict(_WatchedMetric)
        self._places: dict[str, tuple[_WatchedMetric, int]] = {}
        for rule in self._rules.values():
            watched = self._metrics[rule.metric]
            self._places[rule.name] = (watched, len(watched.rules))
            watched.rules.append(rule)
        self._metrics.default_factory = None
        self._tracking = {
            rule.name: _RuleTracking(AGGREGATORS[rule.aggregation]())
            for rule in self._rules.values()
        }
        self._sides: dict[Brokers, frozenset[int]] = {}
        self.set_brokers(source_broker_ids, destination_broker_ids)
        for state in saved:
            if tracking := self._tracking.get(state.rule):
                tracking.level, tracking.fired = state.level, state.fired
                tracking.since = state.since
        self._series = 0
        # doubled, out of order, from a wrong clock, or of too many series: not judged
        self.late = 0

    def set_brokers(
        self, source_broker_ids: Iterable[int], destination_broker_ids: Iterable[int]
    ) -> None:
        """Which brokers rules of one side mean: those of the policy, and those that a migration
        names.
        """
        self._sides = {
            Brokers.SOURCE: frozenset(source_broker_ids),
            Brokers.DESTINATION: frozenset(destination_broker_ids),
        }
        for tracking in self._tracking.values():
            tracking.seen = None

    # ── samples ───────────────────────────────────────────────────────────────────────────────────
    def add_samples(self, samples: Iterable[Sample], now: float) -> None:
        """Remember them, each series in the order of its own times."""
        metrics, future = self._metrics, now + FUTURE_SECONDS_MAX
        for metric, broker, platform, value, time in samples:
            watched = metrics.get(metric)
            if watched is None or value != value:  # noqa: PLR0124 - NaN: the source had no value
                continue
            series = watched.series.get(broker)
            if series is None:
                series = self._new_series(watched, broker)
            if series is None or time <= series.time or time > future:
                self.late += 1
                continue
            gap = time - series.time
            series.time, series.value, series.platform = time, value, platform
            watched.samples += 1
            since = series.beyond_since
            for n, rule in enumerate(watched.rules):
                if not rule.is_beyond(value, rule.threshold):
                    since[n] = None
                elif since[n] is None or gap > rule.stale_seconds:
                    since[n] = time

    def _new_series(self, watched: _WatchedMetric, broker: int | None) -> _Series | None:
        if self._series >= SERIES_MAX:
            return None
        self._series += 1
        series = watched.series[broker] = _Series(beyond_since=[None] * len(watched.rules))
        return series

    # ── judging ───────────────────────────────────────────────────────────────────────────────────
    def evaluate(
        self, now: float, expected: frozenset[int] | None
    ) -> tuple[RuleStateObserved, ...]:
        """What has changed since the last call.

        In: the time, and the brokers of the waves still to come: those of which samples must not be
        missing. None: no migration is under way, nothing must be there. Out: one judgement for each
        rule whose level is another now.
        """
        changed = []
        for rule in self._rules.values():
            tracking = self._tracking[rule.name]
            before, now_seen = tracking.level, (self._places[rule.name][0].samples, expected)
            if before is Level.CLEAR and tracking.seen == now_seen and now <= tracking.valid_until:
                continue
            reading = self._read_samples_of(rule, tracking, now, expected)
            self._move(rule, tracking, reading, now)
            tracking.seen, tracking.valid_until = now_seen, reading.valid_until
            if tracking.level is not before:
                tracking.since = now
                tracking.last_change = self._rule_state(rule, tracking, reading, now)
                changed.append(tracking.last_change)
        return tuple(changed)

    def reconcile(self, saved: Iterable[RuleState], now: float) -> tuple[RuleStateObserved, ...]:
        """Where the saved state says another thing: what this judge has found is told again, as it
        was lost on its way.

        A rule of which it has found nothing by itself follows the state: an earlier owner's word
        may still arrive. A rule that the policy has no more is cleared.
        """
        saved_states = {j.rule: j for j in saved}
        repeated = []
        for rule in self._rules.values():
            tracking, saved_state = self._tracking[rule.name], saved_states.pop(rule.name, None)
            level = saved_state.level if saved_state else Level.CLEAR
            if tracking.last_change is None and tracking.level is not level:
                tracking.level, tracking.fired, tracking.calm_since = (
                    level,
                    bool(saved_state and saved_state.fired),
                    None,
                )
            if tracking.level is not level or (
                saved_state and saved_state.action is not _action(rule, level)
            ):
                reading = self._read_samples_of(rule, tracking, now, None)
                told = tracking.last_change or self._rule_state(rule, tracking, reading, now)
                repeated.append(replace(told, at=now))
        gone, seen = sorted(saved_states), "the policy has this rule no more"
        return (
            *repeated,
            *(
                RuleStateObserved(
                    at=now, rule=n, level=Level.CLEAR, action=Action.NOTIFY, seen=seen
                )
                for n in gone
            ),
        )

    def headroom(self, now: float) -> HeadroomObserved | None:
        """Of the slowest broker, by the `slow` rule that is closest to its threshold; None: no
        fresh sample.
        """
        worst: HeadroomObserved | None = None
        for rule in self._rules.values():
            if rule.action is not Action.SLOW:
                continue
            for sample in self._fresh(rule, now):
                left = rule.headroom(sample.value)
                if worst is None or left < worst.headroom:
                    worst = HeadroomObserved(
                        at=now,
                        rule=rule.name,
                        broker=sample.broker,
                        value=sample.value,
                        headroom=left,
                    )
        return worst

    def _fresh(self, rule: Rule, now: float) -> list[FreshSample]:
        watched, place = self._places[rule.name]
        oldest = now - rule.stale_seconds
        side = self._sides.get(rule.brokers)
        of_cluster = rule.brokers is Brokers.CLUSTER
        return [
            FreshSample(broker, s.value, s.time, s.beyond_since[place])
            for broker, s in watched.series.items()
            if s.time >= oldest
            and (broker is None) is of_cluster
            and (side is None or broker in side)
            and (rule.platform is None or s.platform == rule.platform)
        ]

    def _expected(self, rule: Rule, brokers: frozenset[int] | None) -> frozenset[int | None]:
        if brokers is None:
            return frozenset()
        if rule.brokers is Brokers.CLUSTER:
            return frozenset({None})
        wanted = brokers & self._sides.get(rule.brokers, brokers)
        if rule.platform is not None:  # sources are virtual machines, destinations are pods
            wanted &= self._sides[Brokers.SOURCE if rule.platform == "ec2" else Brokers.DESTINATION]
        return frozenset(wanted)

    def _read_samples_of(
        self, rule: Rule, tracking: _RuleTracking, now: float, expected: frozenset[int] | None
    ) -> _RuleReading:
        """What the rule's fresh samples say, and which expected brokers have none."""
        fresh = self._fresh(rule, now)
        wanted = self._expected(rule, expected)
        silent = wanted - {sample.broker for sample in fresh}
        incomplete = bool(silent) and rule.on_missing is not None
        level = rule.clear_level if tracking.fired else rule.threshold
        samples = sort_samples(rule, fresh, level, complete=not incomplete)
        answer = tracking.aggregator.answer(rule, samples)
        worst = samples.worst(rule.side)
        oldest = min((sample.time for sample in fresh), default=float("inf"))
        return _RuleReading(
            fires=answer.fires,
            blind=incomplete and now >= self._began + rule.stale_seconds,
            quiet=answer.calm and (bool(fresh) or not wanted) and not incomplete,
            missing=tuple(sorted(silent, key=lambda broker: -1 if broker is None else broker)),
            broker=worst.broker if worst else None,
            value=worst.value if worst else None,
            since=answer.since,
            valid_until=now if incomplete else oldest + rule.stale_seconds,
        )

    def _move(self, rule: Rule, tracking: _RuleTracking, seen: _RuleReading, now: float) -> None:
        """The rule's own small machine: what is beyond fires, what is missing is inconclusive,
        what is calm lets go.
        """
        if seen.fires:
            tracking.level, tracking.fired, tracking.calm_since = Level.FIRING, True, None
        elif seen.blind:
            tracking.calm_since = None
            stronger = (
                rule.on_missing is not None and SEVERITY[rule.on_missing] > SEVERITY[rule.action]
            )
            if tracking.level is Level.CLEAR or (tracking.level is Level.FIRING and stronger):
                tracking.level = Level.INCONCLUSIVE
        elif tracking.level is Level.CLEAR:
            return
        elif not seen.quiet:
            tracking.calm_since = None
        else:
            tracking.calm_since = now if tracking.calm_since is None else tracking.calm_since
            if now >= tracking.calm_since + rule.resume_delay_seconds:
                tracking.level, tracking.fired, tracking.calm_since = Level.CLEAR, False, None

    def _rule_state(
        self, rule: Rule, tracking: _RuleTracking, seen: _RuleReading, now: float
    ) -> RuleStateObserved:
        return RuleStateObserved(
            at=now,
            rule=rule.name,
            level=tracking.level,
            action=_action(rule, tracking.level),
            fired=tracking.fired,
            metric=rule.metric,
            broker=seen.broker,
            value=seen.value,
            threshold=rule.threshold,
            since=seen.since,
            seen=_words(rule, tracking.level, seen, now),
        )


def _action(rule: Rule, level: Level) -> Action:
    if level is Level.CLEAR:
        return Action.NOTIFY
    return rule.action if level is Level.FIRING else rule.on_missing or Action.NOTIFY


def _words(rule: Rule, level: Level, seen: _RuleReading, now: float) -> str:
    where = "" if seen.broker is None else f" on broker {seen.broker}"
    if level is Level.INCONCLUSIVE:
        if seen.missing == (None,):
            return f"no sample of {rule.metric} for {rule.stale_seconds:g} s"
        named = listed(seen.missing)
        return f"no sample of {rule.metric} for {rule.stale_seconds:g} s from broker {named}"
    if seen.value is None:
        return f"{rule.metric} is not asked for any more"
    if level is Level.CLEAR:
        return f"{rule.metric} is {seen.value:g}{where}, calm for {rule.resume_delay_seconds:g} s"
    lasts = f" for {now - seen.since:.0f} s" if seen.since is not None else ""
    return f"{rule.metric} is {seen.value:g}{where}, {rule.side} {rule.threshold:g}{lasts}"
