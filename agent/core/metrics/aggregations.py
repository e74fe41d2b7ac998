"""How the fresh samples of many brokers become one answer: a class for each `Aggregation`.

Pure; used by rule_evaluator.py, which keeps one object for each rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, Protocol

from agent.core.metrics.rules import Aggregation, Rule, Side


class FreshSample(NamedTuple):
    """The newest sample of one broker, if it is not stale."""

    broker: int | None  # None: of the cluster as a whole
    value: float
    time: float  # seconds since the epoch
    beyond_since: float | None  # since when it has been beyond the threshold; None: it is not


@dataclass(frozen=True, slots=True)
class SamplesOfRule:
    """All fresh samples of one rule, sorted by what they say."""

    fresh: Sequence[FreshSample]
    beyond: Sequence[FreshSample]  # beyond the threshold
    lasting: Sequence[FreshSample]  # beyond the threshold for the rule's whole duration
    not_calm: int  # on the bad side of the level at which the rule lets go
    complete: bool  # no broker is missing, or the rule leaves missing brokers out

    def worst(self, side: Side) -> FreshSample | None:
        """The sample to name: the worst lasting one, else the worst beyond, else the worst."""
        named = self.lasting or self.beyond or self.fresh
        choose = max if side is Side.ABOVE else min
        return choose(named, key=attrgetter("value")) if named else None


def sort_samples(
    rule: Rule, fresh: Sequence[FreshSample], level: float, *, complete: bool
) -> SamplesOfRule:
    """Sort the fresh samples of a rule.

    In: the rule; its samples; the level beyond which a sample is not calm; and whether no required
    sample is missing.
    """
    beyond = [sample for sample in fresh if sample.beyond_since is not None]
    # Compared here and not by Rule.is_beyond: 20,000 samples are sorted each second.
    if rule.side is Side.ABOVE:
        not_calm = sum(1 for sample in fresh if sample.value > level)
    else:
        not_calm = sum(1 for sample in fresh if sample.value < level)
    return SamplesOfRule(
        fresh=fresh,
        beyond=beyond,
        lasting=[s for s in beyond if s.time - (s.beyond_since or 0.0) >= rule.duration_seconds],
        not_calm=not_calm,
        complete=complete,
    )


class Answer(NamedTuple):
    """What all samples of a rule say together."""

    fires: bool
    calm: bool
    since: float | None  # beyond the threshold since, by the samples' own times


class Aggregator(Protocol):
    """One form of aggregation; it may remember what earlier samples said."""

    def answer(self, rule: Rule, samples: SamplesOfRule) -> Answer:
        """What the fresh samples say now; called once for each evaluation of the rule."""


class AnyBroker:
    """One and the same broker is beyond the threshold for the whole duration."""

    def answer(self, rule: Rule, samples: SamplesOfRule) -> Answer:
        """The rule fires while any one broker is beyond its threshold for the duration."""
        return Answer(bool(samples.lasting), not samples.not_calm, _since(rule, samples))


class AllBrokers:
    """Every broker is beyond the threshold for the whole duration; a missing one is not."""

    def answer(self, rule: Rule, samples: SamplesOfRule) -> Answer:
        """The rule fires while all brokers are beyond its threshold for the duration."""
        brokers = len(samples.fresh)
        return Answer(
            fires=samples.complete and 0 < brokers == len(samples.lasting),
            calm=samples.not_calm < brokers or not brokers,
            since=_since(rule, samples),
        )


class WorstBroker:
    """Some broker has been beyond the threshold at all times of the duration, in turns or not."""

    def __init__(self) -> None:
        self._since: float | None = None

    def answer(self, rule: Rule, samples: SamplesOfRule) -> Answer:
        """The rule fires while some broker is beyond its threshold, whichever it is."""
        if not samples.beyond:
            self._since = None
        elif self._since is None:
            self._since = min(sample.beyond_since or 0.0 for sample in samples.beyond)
        lasts = (
            self._since is not None
            and max(sample.time for sample in samples.fresh) - self._since >= rule.duration_seconds
        )
        return Answer(lasts, not samples.not_calm, self._since)


def _since(rule: Rule, samples: SamplesOfRule) -> float | None:
    worst = samples.worst(rule.side)
    return worst.beyond_since if worst else None


AGGREGATORS: dict[Aggregation, type[Aggregator]] = {
    Aggregation.ANY: AnyBroker,
    Aggregation.ALL: AllBrokers,
    Aggregation.WORST: WorstBroker,
}
