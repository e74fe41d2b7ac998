"""Samples judged by rules: every form of a rule, and what disorder, gaps and NaN must not do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from agent.core.metrics.observations import RuleStateObserved
from agent.core.metrics.rule_evaluator import FUTURE_SECONDS_MAX, SERIES_MAX, RuleEvaluator
from agent.core.metrics.rules import Action, Aggregation, Brokers, Level, Rule, RuleState, Side

SOURCES, DESTINATIONS = (11, 12), (31, 32)
EVERYONE = frozenset((*SOURCES, *DESTINATIONS))
RULE = Rule(
    name="p99", metric="p99_ms", threshold=500, clear=200, resume_delay_seconds=30, stale_seconds=20
)
LATENCY = "p99_ms"


class Bench:
    """One rule, a clock, and samples that come when the test says so."""

    def __init__(
        self, rule: Rule = RULE, saved: tuple[RuleState, ...] = (), **changes: Any
    ) -> None:
        self.rule = replace(rule, **changes)
        self.now = 1_000.0
        self.evaluator = RuleEvaluator([self.rule], SOURCES, DESTINATIONS, self.now, saved)
        self.level = saved[0].level if saved else Level.CLEAR
        self.last: RuleStateObserved | None = None

    def say(
        self, *values: float | None, platform: str | None = None, metric: str = LATENCY
    ) -> Level:
        """A sample of each broker, in the order 11, 12, 31, 32; None: none of it."""
        brokers = (*SOURCES, *DESTINATIONS)
        samples = [
            (metric, b, platform, v, self.now)
            for b, v in zip(brokers, values, strict=False)
            if v is not None
        ]
        self.evaluator.add_samples(samples, self.now)
        return self.look()

    def all(self, value: float) -> Level:
        return self.say(value, value, value, value)

    def look(self, expected: frozenset[int] | None = EVERYONE) -> Level:
        for changed in self.evaluator.evaluate(self.now, expected):
            self.level, self.last = changed.level, changed
        return self.level

    def wait(self, seconds: float) -> Bench:
        self.now += seconds
        return self


def test_above_the_threshold_fires_and_the_clear_level_lets_go_after_the_resume_delay() -> None:
    """Between the two levels a rule that has fired keeps firing; calm counts from the first
    calm sample.
    """
    bench = Bench()
    assert bench.say(501, 10, 10, 10) is Level.FIRING
    assert bench.last is not None
    assert (bench.last.broker, bench.last.value, bench.last.threshold, bench.last.since) == (
        11,
        501,
        500,
        1_000.0,
    )
    assert bench.last.seen == "p99_ms is 501 on broker 11, above 500 for 0 s"
    assert bench.wait(10).all(300) is Level.FIRING
    assert bench.wait(10).all(200) is Level.FIRING
    assert bench.wait(15).all(200) is Level.FIRING
    assert bench.wait(15).all(200) is Level.CLEAR
    assert bench.last.action is Action.NOTIFY


def test_at_the_threshold_is_not_beyond_it() -> None:
    """`above: 500` means more than 500."""
    assert Bench().all(500) is Level.CLEAR


def test_below_is_the_mirror_of_above() -> None:
    """Idle ratios are bad when they are low; the worst is the lowest."""
    bench = Bench(threshold=0.1, clear=0.3, side=Side.BELOW, metric=LATENCY)
    assert bench.say(0.5, 0.05, 0.02, 0.9) is Level.FIRING
    assert bench.last is not None
    assert (bench.last.broker, bench.last.value) == (31, 0.02)
    assert bench.wait(10).all(0.2) is Level.FIRING
    bench.wait(10).all(0.3)
    bench.wait(15).all(0.3)
    assert bench.wait(15).all(0.3) is Level.CLEAR


def test_a_duration_is_measured_by_the_samples_own_times() -> None:
    """It fires when the first and the last bad sample are so far apart, and a dip in between
    starts it anew.
    """
    bench = Bench(duration_seconds=30)
    for value in (600, 600, 400, 600, 600, 600):
        assert bench.all(value) is Level.CLEAR
        bench.wait(10)
    assert bench.all(600) is Level.FIRING


def test_a_gap_starts_the_duration_anew() -> None:
    """Two bad samples with silence between them prove nothing of the time between."""
    bench = Bench(duration_seconds=15, on_missing=None)
    bench.all(600)
    assert bench.wait(25).all(600) is Level.CLEAR
    assert bench.wait(15).all(600) is Level.FIRING


@pytest.mark.parametrize(
    ("aggregation", "one_bad", "takes_turns", "all_bad"),
    [
        (Aggregation.ANY, Level.FIRING, Level.CLEAR, Level.FIRING),
        (Aggregation.WORST, Level.FIRING, Level.FIRING, Level.FIRING),
        (Aggregation.ALL, Level.CLEAR, Level.CLEAR, Level.FIRING),
    ],
)
def test_aggregation(
    aggregation: Aggregation, one_bad: Level, takes_turns: Level, all_bad: Level
) -> None:
    """any: the same broker for the whole duration; worst: whichever broker; all: every one."""
    found = []
    for rounds in (
        [(600, 1, 1, 1)] * 3,
        [(600, 1, 1, 1), (1, 600, 1, 1), (600, 1, 1, 1)],
        [(600, 700, 800, 900)] * 3,
    ):
        bench = Bench(aggregation=aggregation, duration_seconds=20)
        for values in rounds:
            bench.say(*values)
            bench.wait(10)
        found.append(bench.level)
    assert found == [one_bad, takes_turns, all_bad]


@pytest.mark.parametrize(
    ("brokers", "fires"),
    [
        (Brokers.ALL, True),
        (Brokers.DESTINATION, True),
        (Brokers.SOURCE, False),
        (Brokers.CLUSTER, False),
    ],
)
def test_a_rule_looks_at_its_own_brokers_only(brokers: Brokers, fires: bool) -> None:
    """A bad destination says nothing of the sources, nor of the cluster as a whole."""
    bench = Bench(brokers=brokers, on_missing=None)
    assert (bench.say(1, 1, 600, 1) is Level.FIRING) is fires


def test_a_rule_of_the_cluster_takes_samples_that_name_no_broker() -> None:
    """And is inconclusive when there is none."""
    bench = Bench(brokers=Brokers.CLUSTER)
    bench.evaluator.add_samples([(LATENCY, None, None, 600.0, bench.now)], bench.now)
    assert bench.look() is Level.FIRING
    quiet = Bench(brokers=Brokers.CLUSTER).wait(20)
    assert quiet.look() is Level.INCONCLUSIVE
    assert quiet.last is not None
    assert quiet.last.seen == "no sample of p99_ms for 20 s"


def test_a_rule_of_one_platform_takes_its_samples_and_expects_its_brokers() -> None:
    """Virtual machines are the sources, pods the destinations."""
    bench = Bench(platform="k8s")
    assert bench.say(None, None, 600, 1, platform="ec2") is Level.CLEAR
    assert bench.wait(1).say(None, None, 600, 1, platform="k8s") is Level.FIRING
    silent = Bench(platform="k8s").wait(20)
    silent.look()
    assert silent.last is not None
    assert silent.last.seen.endswith("from broker 31, 32")


def test_missing_samples_are_inconclusive_after_the_grace() -> None:
    """A judge that has just begun waits for a rule's stale time; then silence pauses, and names
    who is silent.
    """
    bench = Bench()
    assert bench.wait(19).look() is Level.CLEAR
    assert bench.wait(1).say(1, 1, 1, None) is Level.INCONCLUSIVE
    assert bench.last is not None
    assert bench.last.action is Action.PAUSE
    assert bench.last.seen == "no sample of p99_ms for 20 s from broker 32"


def test_stale_samples_are_missing_samples() -> None:
    """A value that nobody has renewed for the stale time says nothing of now."""
    bench = Bench()
    assert bench.all(1) is Level.CLEAR
    assert bench.wait(20).look() is Level.CLEAR
    assert bench.wait(1).look() is Level.INCONCLUSIVE


def test_nan_is_no_sample() -> None:
    """The source had no value: the last one ages on."""
    bench = Bench()
    bench.all(1)
    bench.wait(15).all(math.nan)
    assert bench.wait(6).all(math.nan) is Level.INCONCLUSIVE


def test_what_comes_back_lets_go_after_the_resume_delay() -> None:
    """A rule that never fired needs no clear level to end its silence, one that has fired does."""
    bench = Bench().wait(21)
    assert bench.look() is Level.INCONCLUSIVE
    for _ in range(3):
        assert bench.wait(10).all(400) is Level.INCONCLUSIVE
    assert bench.wait(10).all(400) is Level.CLEAR
    fired = Bench(action=Action.SLOW)
    fired.all(600)
    assert fired.wait(21).look() is Level.INCONCLUSIVE
    for _ in range(10):
        assert fired.wait(10).all(400) is Level.INCONCLUSIVE


def test_silence_of_a_rule_that_pauses_anyway_changes_nothing() -> None:
    """It keeps firing: what is missing never lifts a pause."""
    bench = Bench()
    bench.all(600)
    assert bench.wait(1_000).look() is Level.FIRING


def test_on_missing_ignore_leaves_the_silent_brokers_out() -> None:
    """But a rule that fires lets go only on samples."""
    bench = Bench(on_missing=None)
    assert bench.wait(100).say(1, None, None, None) is Level.CLEAR
    assert bench.wait(1).say(600, None, None, None) is Level.FIRING
    assert bench.wait(100).look() is Level.FIRING
    for _ in range(4):
        bench.wait(10).say(1, None, None, None)
    assert bench.level is Level.CLEAR


def test_nobody_is_missed_while_no_migration_is_under_way() -> None:
    """Then a rule that was inconclusive lets go, too."""
    bench = Bench().wait(100)
    assert bench.look(None) is Level.CLEAR
    assert bench.look() is Level.INCONCLUSIVE
    bench.look(None)
    assert bench.wait(30).look(None) is Level.CLEAR


def test_a_broker_that_has_left_is_not_missed() -> None:
    """Only the brokers of the waves to come must be heard; a last bad value of another one ages
    away.
    """
    bench = Bench()
    assert bench.say(600, 1, 1, 1) is Level.FIRING
    rest = frozenset({12, 31, 32})
    for _ in range(6):
        bench.wait(10)
        samples = [(LATENCY, b, None, 1.0, bench.now) for b in rest]
        bench.evaluator.add_samples(samples, bench.now)
        bench.look(rest)
    assert bench.level is Level.CLEAR


def test_a_take_over_keeps_what_was_found_until_fresh_samples_speak() -> None:
    """The next owner begins with the saved level: neither silence nor one calm sample lifts it
    at once.
    """
    saved = (
        RuleState(rule="p99", level=Level.FIRING, action=Action.PAUSE, fired=True, since=900.0),
    )
    bench = Bench(saved=saved)
    assert bench.wait(10).look() is Level.FIRING
    for _ in range(4):
        bench.wait(10).all(100)
    assert bench.level is Level.CLEAR


def test_what_the_saved_state_does_not_know_is_told_again() -> None:
    """A judgement that was lost on its way, a changed action, and a rule that the policy has no
    more.
    """
    bench = Bench()
    bench.all(600)
    lost = bench.evaluator.reconcile((), bench.now)
    assert [(j.rule, j.level) for j in lost] == [("p99", Level.FIRING)]
    known = RuleState(rule="p99", level=Level.FIRING, action=Action.PAUSE, fired=True, since=0.0)
    assert bench.evaluator.reconcile((known,), bench.now) == ()
    assert bench.evaluator.reconcile((replace(known, action=Action.SLOW),), bench.now)
    gone = bench.evaluator.reconcile((known, replace(known, rule="old")), bench.now)
    assert [(j.rule, j.level) for j in gone] == [("old", Level.CLEAR)]


def test_headroom_is_that_of_the_slowest_broker_by_the_nearest_slow_rule() -> None:
    """1 at the clear level, 0 at the threshold, -1 far beyond; only rules that slow count."""
    bench = Bench(action=Action.SLOW)
    assert bench.evaluator.headroom(bench.now) is None
    for value, expected in (
        (100, 1.0),
        (200, 1.0),
        (350, 0.5),
        (500, 0.0),
        (650, -0.5),
        (9_000, -1.0),
    ):
        bench.wait(1).say(1, value, 1, 1)
        seen = bench.evaluator.headroom(bench.now)
        assert seen is not None
        assert (seen.broker, seen.headroom) == (12 if value > 200 else seen.broker, expected)
    assert Bench().evaluator.headroom(1_000.0) is None


def test_what_is_late_doubled_or_from_the_future_is_counted_and_changes_nothing() -> None:
    """Each series keeps the order of its own times; a wrong clock does not silence the right
    ones.
    """
    bench = Bench()
    bench.all(1)
    for at in (bench.now, bench.now - 5, bench.now + FUTURE_SECONDS_MAX + 1):
        bench.evaluator.add_samples([(LATENCY, 11, None, 9_999.0, at)], bench.now)
    assert bench.look() is Level.CLEAR
    assert bench.evaluator.late == 3


def test_there_is_a_limit_on_series() -> None:
    """A sender that invents brokers does not fill the memory."""
    bench = Bench()
    bench.evaluator.add_samples(
        ((LATENCY, b, None, 1.0, 1_000.0) for b in range(SERIES_MAX + 10)), bench.now
    )
    assert bench.evaluator.late == 10


def test_other_metrics_are_nobody_s_business() -> None:
    """A metric without a rule is neither kept nor counted."""
    bench = Bench(on_missing=None)
    assert bench.say(600, 600, 600, 600, metric="other") is Level.CLEAR
    assert bench.evaluator.late == 0


def test_an_earlier_owner_s_late_word_is_followed_not_contradicted() -> None:
    """A judge that has found nothing by itself takes over what still arrives, and lifts it only
    on fresh samples.
    """
    late = (RuleState(rule="p99", level=Level.FIRING, action=Action.PAUSE, fired=True, since=0.0),)
    bench = Bench()
    assert bench.evaluator.reconcile(late, bench.now) == ()
    bench.level = Level.FIRING
    assert bench.wait(10).look() is Level.FIRING
    for _ in range(4):
        bench.wait(10).all(100)
    assert bench.level is Level.CLEAR
