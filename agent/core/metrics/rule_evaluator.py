"""Evaluates metric rules on samples.

Pure and in memory: one RuleEvaluator for each cluster, kept by the worker that drives it
(agent/worker/metric_evaluation.py). Late, duplicate and out-of-order samples change nothing, NaN
counts as no sample, and a missing sample never counts as calm.
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
# A sample from further ahead has a wrong clock; kept, it would shut out the correct ones.
FUTURE_SECONDS_MAX = 5.0
SERIES_MAX = 20_000  # brokers times metrics of one cluster: 500 brokers with 40 metrics


@dataclass(slots=True)
class _Series:
    """The newest sample of one metric on one broker, and since when it is beyond the threshold of
    each rule.
    """

    value: float = 0.0
    time: float = float("-inf")
    platform: str | None = None
    beyond_since: list[float | None] = field(default_factory=list)  # by rule of this metric


@dataclass(slots=True)
class _WatchedMetric:
    """A metric that at least one rule reads."""

    rules: list[Rule] = field(default_factory=list)
    series: dict[int | None, _Series] = field(default_factory=dict)
    samples: int = 0  # accepted so far


@dataclass(slots=True)
class _RuleTracking:
    """The state of one rule between two evaluations."""

    aggregator: Aggregator
    level: Level = Level.CLEAR
    fired: bool = False
    since: float = 0.0
    calm_since: float | None = None
    last_change: RuleStateObserved | None = None  # of this level
    # A rule found clear is not evaluated again until new samples come or the oldest one is stale.
    seen: tuple[int, frozenset[int] | None] | None = None
    valid_until: float = 0.0


@dataclass(frozen=True, slots=True)
class _RuleReading:
    """What the fresh samples of one rule say at this moment."""

    fires: bool
    blind: bool  # samples are missing, and the rule does not ignore that
    quiet: bool  # all samples are on the good side of the clear level
    missing: tuple[int | None, ...]
    broker: int | None
    value: float | None
    since: float | None
    valid_until: float  # until then only new samples can change this


class RuleEvaluator:
    """All metric rules of one cluster, evaluated on the samples received so far."""

    def __init__(
        self,
        rules: Iterable[Rule],
        source_broker_ids: Iterable[int],
        destination_broker_ids: Iterable[int],
        now: float,
        saved: Iterable[RuleState] = (),
    ) -> None:
        """Create an evaluator.

        In: the rules of the policy; the ids of source and destination brokers; the time now in
        seconds since the epoch; and the rule states that an earlier owner of the cluster saved,
        which hold until fresh samples contradict them. A missing sample counts only when the stale
        time of its rule has passed since `now`, so that a take-over does not pause a migration.
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
        # duplicate, out of order, from a wrong clock, or of more series than are kept: not used
        self.late = 0

    def set_brokers(
        self, source_broker_ids: Iterable[int], destination_broker_ids: Iterable[int]
    ) -> None:
        """Set which brokers the rules for one side apply to: those of the policy and of the
        migration. Every rule is evaluated anew after that.
        """
        self._sides = {
            Brokers.SOURCE: frozenset(source_broker_ids),
            Brokers.DESTINATION: frozenset(destination_broker_ids),
        }
        for tracking in self._tracking.values():
            tracking.seen = None

    # ── samples ───────────────────────────────────────────────────────────────────────────────────
    def add_samples(self, samples: Iterable[Sample], now: float) -> None:
        """Store samples; each series keeps the newest by its own time.

        In: the samples, and the time now in seconds since the epoch. Samples of metrics that no
        rule reads are dropped. Those that are not used are counted in `late`.
        """
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

    # ── evaluating ────────────────────────────────────────────────────────────────────────────────
    def evaluate(
        self, now: float, expected: frozenset[int] | None
    ) -> tuple[RuleStateObserved, ...]:
        """Evaluate all rules, and return the state of each rule whose level has changed since the
        last call.

        In: the time now in seconds since the epoch; and the brokers of the remaining waves, whose
        samples must not be missing. None means that no migration is running, and no sample is
        required.
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
        """Compare the saved rule states with those found here, and return what must be published
        again.

        A state found here was lost on its way if the saved one differs. A rule for which nothing
        was found here yet takes the saved state, because the message of an earlier owner may still
        arrive. A saved rule that the policy no longer contains is cleared. In: the saved states,
        and the time now in seconds since the epoch.
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
                state = tracking.last_change or self._rule_state(rule, tracking, reading, now)
                repeated.append(replace(state, at=now))
        gone, seen = sorted(saved_states), "the policy no longer has this rule"
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
        """The smallest headroom of any broker over all rules with action `slow`; None without a
        fresh sample of such a rule.
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
        if rule.platform is not None:  # source brokers are virtual machines, destinations are pods
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
        """Change the level of a rule: it fires on bad samples, becomes inconclusive on missing
        ones, and clears after calm ones.
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
        return f"{rule.metric} is no longer required"
    if level is Level.CLEAR:
        return f"{rule.metric} is {seen.value:g}{where}, calm for {rule.resume_delay_seconds:g} s"
    lasts = f" for {now - seen.since:.0f} s" if seen.since is not None else ""
    return f"{rule.metric} is {seen.value:g}{where}, {rule.side} {rule.threshold:g}{lasts}"
