"""Rules on metrics, outside alerts and lost brokers, as the migration meets them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.metrics.rules import Action, Level, Rule
from agent.core.migration import ACTIVE, Phase
from agent.core.model.reasons import Code
from agent.core.planning.options import Options, ThrottleBy
from tests.scenarios.phases import in_phase
from tests.scenarios.play import DONE, POLICY, Play, asks, checked, like, surveyed

RULE = Rule(name="p99", metric="p99_ms", threshold=500, clear=100)
RULED = replace(POLICY, rules=(RULE,))
ASKED_RATE = 9_000
HOLD_OFF = POLICY.hold_off_seconds


def moving(**options: object) -> Play:
    return Play(RULED).started(**options).moving()


# ── pause ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_rule_pauses_at_once_and_resumes_by_itself() -> None:
    """Each judgement is told with its values; the pause holds until the same rule lets go."""
    play = moving().rule_observed()
    play.expect(
        like(
            ev.RuleStateChanged,
            rule="p99",
            level=Level.FIRING,
            broker=12,
            value=900.0,
            threshold=500.0,
            since=play.now,
        ),
        like(ev.PauseCauseAdded, cause="metric:p99"),
        asks(fx.StopWave, at_once=True),
    )
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED).holds("metric:p99")
    play.wait(10_000).expect_phase(Phase.PAUSED)
    play.clears().expect(
        ev.RuleStateChanged, ev.PauseCauseLifted, ev.MigrationResumed, like(ev.WaveBegun, attempt=2)
    )


def test_a_judgement_that_comes_twice_changes_nothing() -> None:
    """It is posted again where it may have been lost."""
    play = moving().rule_observed().rule_observed().nothing()
    play.ends(fx.StopWave, with_=DONE).clears().clears().nothing()


@pytest.mark.parametrize("phase", sorted(ACTIVE))
def test_a_rule_may_speak_in_every_phase(phase: Phase) -> None:
    """Nothing that a monitor says is a bug, wherever the migration stands."""
    play = in_phase(phase).rule_observed("x").rule_observed("x", Level.INCONCLUSIVE)
    play.rule_observed("y", action=Action.SLOW).headroom(-1).headroom(1).clears("y").clears("x")
    assert not play.m.rule_states


def test_inconclusive_pauses_with_its_own_code() -> None:
    """Missing samples are no good news; what comes back lifts it."""
    play = moving().rule_observed(level=Level.INCONCLUSIVE)
    play.expect(ev.PauseCauseAdded)
    assert play.m.pause_causes[0].seen.startswith(Code.METRIC_INCONCLUSIVE)
    play.ends(fx.StopWave, with_=DONE).clears().expect(ev.MigrationResumed)


def test_notify_only_tells() -> None:
    """A rule that notifies is an event, and nothing else."""
    play = (
        moving()
        .rule_observed(action=Action.NOTIFY)
        .expect(ev.RuleStateChanged)
        .never(ev.PauseCauseAdded, ev.SlowCauseAdded)
    )
    play.expect_phase(Phase.MOVING)


def test_a_slow_rule_without_samples_pauses_and_goes_on_slow() -> None:
    """slow, then nobody can tell, then slow again: the pause ends with the silence, the
    slowness does not.
    """
    play = (
        moving(throttle_bytes_per_second=ASKED_RATE)
        .rule_observed(action=Action.SLOW)
        .ends(fx.TuneWave, with_=DONE)
    )
    play.rule_observed(level=Level.INCONCLUSIVE).holds("metric:p99").ends(fx.StopWave, with_=DONE)
    play.wait(1).rule_observed(action=Action.SLOW).expect(
        ev.PauseCauseLifted, ev.MigrationResumed
    ).holds()
    assert [c.name for c in play.m.slow_causes] == ["metric:p99"]


def test_a_rule_and_an_alert_of_one_name_are_two_causes() -> None:
    """What set a cause lifts it, and nothing else does."""
    play = moving().alert("p99").rule_observed("p99").holds("alert:p99", "metric:p99")
    play.ends(fx.StopWave, with_=DONE).alert("p99", firing=False).holds("metric:p99").expect_phase(
        Phase.PAUSED
    )
    play.clears().expect(ev.MigrationResumed)


def test_a_rule_that_fires_before_the_start_holds_the_first_wave() -> None:
    """What monitors say outlives a migration, and waits for the next."""
    play = (
        Play(RULED)
        .rule_observed()
        .expect(ev.PauseCauseAdded)
        .command(msg.StartMigration, options=Options())
    )
    play.ends(fx.PrepareMigration, with_=surveyed()).expect(ev.MigrationStarted, ev.MigrationPaused)
    play.clears().expect(ev.MigrationResumed, ev.WaveBegun)


# ── flapping ──────────────────────────────────────────────────────────────────────────────────────
def test_what_flaps_stays_paused_until_an_operator_speaks() -> None:
    """The third pause within the window does not lift itself; `resume` does, and the count
    begins anew.
    """
    play = moving()
    for _ in range(RULE.flaps_max - 1):
        play.rule_observed().ends(fx.StopWave, with_=DONE).wait(60).clears().expect(
            ev.MigrationResumed
        )
        play.moving()
    play.rule_observed().ends(fx.StopWave, with_=DONE).wait(60).clears()
    play.expect(ev.RuleStateChanged, like(ev.FlapLimitReached, cause="metric:p99")).never(
        ev.PauseCauseLifted
    )
    assert play.m.pause_causes[0].seen.startswith(Code.FLAPPING)
    play.wait(100_000).expect_phase(Phase.PAUSED).holds("metric:p99")
    play.command(msg.ResumeMigration).expect(
        ev.CommandAccepted, ev.PauseCauseLifted, ev.MigrationResumed
    )
    assert not play.m.flaps


def test_pauses_long_ago_do_not_count() -> None:
    """The window slides."""
    play = moving()
    for _ in range(RULE.flaps_max * 3):
        play.rule_observed().ends(fx.StopWave, with_=DONE).wait(
            RULE.flap_window_seconds
        ).clears().expect(ev.MigrationResumed)
        play.moving()


def test_a_resume_does_not_lift_what_flaps_and_fires_now() -> None:
    """An operator's word ends the waiting for an operator, not a cause that holds."""
    play = moving()
    for _ in range(RULE.flaps_max - 1):
        play.rule_observed().ends(fx.StopWave, with_=DONE).clears().moving()
    play.rule_observed().ends(fx.StopWave, with_=DONE).clears().expect(ev.FlapLimitReached)
    play.rule_observed().expect(ev.PauseCauseAdded)
    play.command(msg.ResumeMigration).refused(Code.NOT_PAUSED_BY_OPERATOR)
    play.clears().expect(ev.FlapLimitReached).command(msg.ResumeMigration).expect(
        ev.MigrationResumed
    )


def test_outside_alerts_have_a_flap_limit_too() -> None:
    """That of the policy."""
    play = moving()
    for _ in range(POLICY.flaps_max - 1):
        play.alert().ends(fx.StopWave, with_=DONE).alert(firing=False).expect(
            ev.MigrationResumed
        ).moving()
    play.alert().ends(fx.StopWave, with_=DONE).alert(firing=False).expect(ev.FlapLimitReached)


# ── hold-off ──────────────────────────────────────────────────────────────────────────────────────
def resumed() -> Play:
    """A human has just said `resume`, and it moves again."""
    play = moving().command(msg.PauseMigration).ends(fx.StopWave, with_=DONE)
    return play.wait(100).command(msg.ResumeMigration).moving()


def test_a_resume_is_not_undone_within_the_same_breath() -> None:
    """A rule that fires right after it is told and held off; it pauses when it still holds at
    the end of that time.
    """
    play = resumed().wait(5).rule_observed()
    play.expect(
        ev.RuleStateChanged,
        like(ev.CauseSuppressed, cause="metric:p99", until=play.now - 5 + HOLD_OFF),
    )
    play.expect_phase(Phase.MOVING).holds()
    play.wait(HOLD_OFF - 6).expect_phase(Phase.MOVING)
    play.wait(2).expect_phase(Phase.STOPPING, fx.StopWave).holds("metric:p99")


def test_what_passes_during_its_hold_off_never_pauses() -> None:
    """And is told to have passed."""
    play = resumed().rule_observed().wait(5).clears().expect(ev.SuppressedCauseCleared)
    play.wait(HOLD_OFF * 2).expect_phase(Phase.MOVING)


def test_each_cause_is_held_off_for_itself_and_only_after_a_human_s_resume() -> None:
    """A second cause within the time is held off as well; after it, or after a resume by
    itself, none is.
    """
    play = resumed().rule_observed("a").rule_observed("b").alert("c").holds()
    assert [h.name for h in play.m.suppressed] == ["metric:a", "metric:b", "alert:c"]
    play.clears("a").wait(HOLD_OFF + 1).holds("metric:b", "alert:c")
    itself = (
        moving().rule_observed().ends(fx.StopWave, with_=DONE).clears().moving().rule_observed()
    )
    itself.expect_phase(Phase.STOPPING, fx.StopWave)


def test_safety_is_never_held_off() -> None:
    """A broker that is lost pauses at once, whoever has just said what."""
    resumed().brokers(12, 13, 31, 32, 33, lost=(11,)).expect_phase(
        Phase.STOPPING, fx.StopWave
    ).holds("safety:BROKER_DOWN")


# ── slow ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_slow_rule_halves_the_rate_again_and_again_and_climbs_back() -> None:
    """Multiplicative decrease to the floor at most each `adapt_seconds`; additive increase to
    what was asked.
    """
    play = moving(throttle_bytes_per_second=ASKED_RATE).rule_observed(action=Action.SLOW)
    play.expect(
        like(ev.SlowCauseAdded, cause="metric:p99"),
        like(
            ev.ThrottleAdapted,
            before_bytes_per_second=ASKED_RATE,
            ceiling_bytes_per_second=ASKED_RATE,
        ),
        asks(fx.TuneWave),
    )
    first = play.m.rate(play.policy)
    assert first is not None
    assert first <= ASKED_RATE / 2
    play.ends(fx.TuneWave, with_=DONE).wait(1).headroom(-1).nothing()
    rates = [first]
    for headroom in (*[-1.0] * 5, *[1.0] * 60):
        play.wait(POLICY.adapt_seconds).headroom(headroom)
        if play.m.pending:
            play.ends(fx.TuneWave, with_=DONE)
        rates.append(play.m.rate(play.policy) or 0)
        if headroom == 1.0 and play.m.slow_causes:
            play.clears()
    assert min(rates) == POLICY.slow_bytes_per_second
    assert rates[-1] == ASKED_RATE
    assert play.m.adapted_rate is None
    changes = [e for e in play.story if isinstance(e, ev.ThrottleAdapted)]
    assert len(changes) <= 30
    assert rates[6:] == sorted(rates[6:])


def test_headroom_is_nobody_s_business_while_nothing_is_slowed() -> None:
    """No event, no request."""
    moving(throttle_bytes_per_second=ASKED_RATE).headroom(-1).nothing().headroom(1).nothing()


def test_an_adapted_rate_outlives_its_wave_and_ends_with_the_migration() -> None:
    """The next request begins with it."""
    play = (
        moving(throttle_bytes_per_second=ASKED_RATE)
        .rule_observed(action=Action.SLOW)
        .ends(fx.TuneWave, with_=DONE)
    )
    allowed = play.m.rate(play.policy)
    play.empties().verified().ends(fx.CheckCluster, with_=checked())
    play.expect(asks(fx.StartWave, throttle_bytes_per_second=allowed))
    play.command(msg.CancelMigration).ends(fx.StopWave, with_=DONE).expect_phase(Phase.CANCELLED)
    assert play.m.adapted_rate is None


def test_without_a_throttle_it_comes_down_from_the_rate_that_was_reached() -> None:
    """And is taken off again when it has climbed back there."""
    play = moving()
    for seconds in range(0, 30, 5):
        play.wait(5).sees(moved=seconds * 4_000)
    reached = play.m.progress.rate_bytes_per_second if play.m.progress else 0
    play.rule_observed(action=Action.SLOW).ends(fx.TuneWave, with_=DONE)
    assert POLICY.slow_bytes_per_second <= (play.m.rate(play.policy) or 0) <= reached / 2
    play.clears()
    for _ in range(40):
        play.wait(POLICY.adapt_seconds).headroom(1)
        if play.m.pending:
            play.ends(fx.TuneWave, with_=DONE)
    assert play.m.rate(play.policy) is None


def test_an_operator_s_floor_goes_before_the_headroom() -> None:
    """`pause --slow` means the floor, however much headroom there is."""
    play = (
        moving(throttle_bytes_per_second=ASKED_RATE)
        .rule_observed(action=Action.SLOW)
        .ends(fx.TuneWave, with_=DONE)
    )
    play.command(msg.PauseMigration, slow=True)
    assert play.m.rate(play.policy) == POLICY.slow_bytes_per_second


def test_cruise_control_s_own_throttle_does_not_follow() -> None:
    """It cannot be changed in flight: the rule is told, and no rate is."""
    play = moving(throttle_by=ThrottleBy.CRUISE_CONTROL, throttle_bytes_per_second=ASKED_RATE)
    play.rule_observed(action=Action.SLOW).expect(ev.RuleStateChanged).never(
        ev.ThrottleAdapted
    ).expect_phase(Phase.MOVING)


# ── brokers ───────────────────────────────────────────────────────────────────────────────────────
def test_a_lost_broker_pauses_at_once_and_is_waited_for() -> None:
    """ZooKeeper's word is enough to stop; only a look at the whole cluster lifts it, after the
    resume delay.
    """
    play = moving().brokers(11, 13, 31, 32, 33, lost=(12,))
    play.expect(
        like(ev.PauseCauseAdded, cause="safety:BROKER_DOWN"), asks(fx.StopWave, at_once=True)
    )
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED, fx.CheckCluster)
    for _ in range(4):
        play.ends(fx.CheckCluster, with_=checked()).wait(POLICY.recheck_seconds)
    play.holds()


def test_a_broker_outside_the_sets_counts_too() -> None:
    """It holds replicas of what moves."""
    moving().brokers(11, 12, 13, 31, 32, 33, lost=(7,)).holds("safety:BROKER_DOWN")


def test_a_drained_broker_may_leave_and_all_others_being_there_is_no_news() -> None:
    """A source of an earlier wave is shut down while the next one moves: nothing happens."""
    play = Play(RULED).started().wave().moving()
    play.brokers(12, 13, 31, 32, 33, lost=(11,)).nothing()
    play.brokers(11, 12, 13, 31, 32, 33).nothing()


def test_a_lost_broker_while_nothing_moves_is_left_to_the_checks() -> None:
    """Each wave checks the whole cluster before it begins."""
    in_phase(Phase.BETWEEN_WAVES).brokers(11, lost=(12,)).nothing()
