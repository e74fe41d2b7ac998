"""What holds for a rule whatever its samples do: doubled, out of order, NaN, silent."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.core.metrics.rule_evaluator import RuleEvaluator
from agent.core.metrics.rules import Level, Rule

SOURCES = (11, 12)
LATENCY = "p99_ms"
RULE = Rule(
    name="p99", metric=LATENCY, threshold=500, clear=200, resume_delay_seconds=30, stale_seconds=20
)

values = st.one_of(st.floats(0, 1_000), st.just(math.nan), st.just(math.inf))
streams = st.lists(st.tuples(st.sampled_from((11, 12)), st.floats(0, 120), values), max_size=60)


def _levels(
    stream: list[tuple[int, float, float]], twice: bool = False
) -> list[tuple[float, Level]]:
    """Samples in the order given, each judged as it comes; their times are their own."""
    evaluator = RuleEvaluator([RULE], SOURCES, (), 0.0)
    told = []
    for now, (broker, at, value) in enumerate(stream, 1):
        for _ in range(2 if twice else 1):
            evaluator.add_samples([(LATENCY, broker, None, value, at)], 120.0)
            told += [(float(now), j.level) for j in evaluator.evaluate(120.0, frozenset(SOURCES))]
    return told


@given(streams)
def test_doubled_samples_change_no_judgement(stream: list[tuple[int, float, float]]) -> None:
    """A message that is delivered twice is judged once."""
    assert _levels(stream) == _levels(stream, twice=True)


@given(streams, st.randoms(use_true_random=False))
def test_out_of_order_samples_end_where_ordered_ones_do(
    stream: list[tuple[int, float, float]], r: Any
) -> None:
    """Without a duration, what a rule says in the end depends on the newest samples, whatever
    order they came in.
    """
    by_key = {(b, at): (b, at, v) for b, at, v in stream if not math.isnan(v)}
    once = list(by_key.values())
    shuffled = list(once)
    r.shuffle(shuffled)

    def ends(samples: list[tuple[int, float, float]]) -> list[Level]:
        evaluator = RuleEvaluator([RULE], SOURCES, (), 0.0)
        evaluator.add_samples([(LATENCY, b, None, v, at) for b, at, v in samples], 120.0)
        return [j.level for j in evaluator.evaluate(120.0, frozenset(SOURCES))]

    assert ends(shuffled) == ends(sorted(once, key=lambda s: s[1]))


@given(streams)
def test_whatever_came_before_a_calm_cluster_lets_go_in_time(
    stream: list[tuple[int, float, float]],
) -> None:
    """From the first calm look on, a rule is clear after its resume delay and one tick, and
    never while it is bad.
    """
    evaluator = RuleEvaluator([RULE], SOURCES, (), 0.0)
    for broker, at, value in sorted(stream, key=lambda s: s[1]):
        evaluator.add_samples([(LATENCY, broker, None, value, at)], at)
        evaluator.evaluate(at, frozenset(SOURCES))
    evaluator.add_samples([(LATENCY, 11, None, 501.0, 129.0)], 129.0)
    evaluator.evaluate(129.0, frozenset(SOURCES))
    level = Level.FIRING
    tick, calm_since = 1.0, 130.0
    now = calm_since
    while now <= calm_since + RULE.resume_delay_seconds + tick:
        evaluator.add_samples([(LATENCY, b, None, 100.0, now) for b in SOURCES], now)
        for j in evaluator.evaluate(now, frozenset(SOURCES)):
            assert now >= calm_since + RULE.resume_delay_seconds
            level = j.level
        now += tick
    assert level is Level.CLEAR


@given(streams)
def test_silence_is_never_taken_for_calm(stream: list[tuple[int, float, float]]) -> None:
    """After any samples at all, silence for the stale time leaves no rule clear."""
    evaluator = RuleEvaluator([RULE], SOURCES, (), 0.0)
    evaluator.add_samples([(LATENCY, b, None, v, at) for b, at, v in stream], 120.0)
    evaluator.evaluate(120.0, frozenset(SOURCES))
    evaluator.evaluate(120.0 + RULE.stale_seconds + 1, frozenset(SOURCES))
    assert evaluator._tracking["p99"].level is not Level.CLEAR
