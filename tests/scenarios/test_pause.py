"""Pausing, slowing and resuming: by operators, by alerts, by what is seen of the cluster."""

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, watches
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options, ThrottleBy
from tests.scenarios.phases import in_phase
from tests.scenarios.play import (
    ASKED,
    DONE,
    POLICY,
    Play,
    asks,
    busy,
    checked,
    inspected,
    like,
    surveyed,
    unreachable,
)

UNDER_MIN_ISR = Reason(Code.UNDER_MIN_ISR, "t-1")
UNDER_REPLICATED = Reason(Code.UNDER_REPLICATED, "t-1")
DOWN = Reason(Code.BROKER_DOWN, "broker 12")


def test_an_operator_pauses_and_resumes() -> None:
    """A pause stops the execution, waits until nothing moves, and a resume asks for what is
    left.
    """
    play = Play().started().moving()
    play.command(msg.PauseMigration, issued_by="ann").expect(
        ev.CommandAccepted,
        like(ev.PauseCauseAdded, cause="operator"),
        ev.StopRequested,
        asks(fx.StopWave, at_once=True),
    )
    play.expect_phase(Phase.STOPPING, fx.StopWave).ends(fx.StopWave, with_=DONE)
    play.expect(like(ev.MigrationPaused, causes=("operator",))).expect_phase(Phase.PAUSED)
    play.wait(100_000).expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect(
        ev.CommandAccepted,
        ev.PauseCauseLifted,
        ev.MigrationResumed,
        like(ev.WaveBegun, wave=1, attempt=2),
    )
    play.expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_a_second_pause_and_a_needless_resume_are_refused() -> None:
    """An operator's pause is set once and lifted once."""
    play = Play().started().moving().command(msg.PauseMigration)
    play.command(msg.PauseMigration).refused(Code.ALREADY_PAUSED)
    play.ends(fx.StopWave, with_=DONE).command(msg.ResumeMigration)
    play.command(msg.ResumeMigration).refused(Code.NOT_PAUSED_BY_OPERATOR)


def test_a_pause_while_checking_begins_nothing() -> None:
    """A pause before Cruise Control was asked needs no stop: the check is dropped and nothing
    has moved.
    """
    play = Play().started().command(msg.PauseMigration)
    play.expect(ev.EffectAbandoned, ev.MigrationPaused).expect_phase(Phase.PAUSED)


def test_a_pause_while_asking_stops_what_may_have_been_accepted() -> None:
    """The request may be on its way: the stop looks for it, and the late answer changes nothing."""
    play = Play().started().asked()
    late = play.m.pending[0].effect_id
    play.command(msg.PauseMigration).expect(ev.EffectAbandoned, asks(fx.StopWave, at_once=False))
    play.meet(msg.EffectEnded(at=play.now, effect_id=late, outcome=ASKED)).nothing()
    play.expect_phase(Phase.STOPPING, fx.StopWave)


def test_what_starts_after_a_pause_is_stopped() -> None:
    """An execution that appears under our key while paused is stopped again: paused means
    nothing moves.
    """
    play = (
        Play()
        .started()
        .asked()
        .command(msg.PauseMigration)
        .ends(fx.StopWave, with_=DONE)
        .expect_phase(Phase.PAUSED)
    )
    assert isinstance(watches(play.m, POLICY)[0], fx.WatchWave)
    play.sees(executor=msg.Executor.OURS).expect(ev.StopRequested, asks(fx.StopWave)).expect_phase(
        Phase.STOPPING, fx.StopWave
    )
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED).holds("operator")


def test_a_pause_while_closing_takes_hold_after_it() -> None:
    """Closing moves nothing and ends by itself; the next wave does not begin."""
    play = (
        Play()
        .started()
        .moving()
        .empties()
        .command(msg.PauseMigration)
        .expect_phase(Phase.CLOSING, fx.CloseWave)
    )
    play.verified().expect(ev.WaveVerified, ev.MigrationPaused).never(ev.WaveBegun).expect_phase(
        Phase.PAUSED
    )


def test_a_pause_while_awaiting_approval_keeps_the_gate_shut() -> None:
    """After the pause is lifted, the gate is still shut."""
    play = in_phase(Phase.AWAITING_APPROVAL).command(msg.PauseMigration).expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect(ev.MigrationResumed, ev.ApprovalAwaited).expect_phase(
        Phase.AWAITING_APPROVAL
    )


def test_a_resume_while_stopping_goes_on_once_stopped() -> None:
    """A cause that is lifted during the stop does not leave the migration standing."""
    play = Play().started().moving().command(msg.PauseMigration).command(msg.ResumeMigration)
    play.expect_phase(Phase.STOPPING, fx.StopWave).ends(fx.StopWave, with_=DONE)
    play.expect(
        ev.MigrationPaused, ev.MigrationResumed, like(ev.WaveBegun, attempt=2)
    ).expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_causes_are_a_set_and_all_must_clear() -> None:
    """Two alerts and an operator hold together; the last one lifted lets it go on."""
    play = Play().started().moving().alert("p99").alert("disk").command(msg.PauseMigration)
    play.holds("alert:p99", "alert:disk", "operator").ends(fx.StopWave, with_=DONE)
    play.alert("p99", firing=False).never(ev.MigrationResumed)
    play.command(msg.ResumeMigration).expect(ev.CommandAccepted).never(ev.MigrationResumed)
    play.holds("alert:disk").alert("disk", firing=False).expect(ev.MigrationResumed)


def test_an_operator_cannot_lift_an_alert() -> None:
    """`resume` names what holds it, and is refused."""
    play = in_phase(Phase.PAUSED).command(msg.ResumeMigration).refused(Code.NOT_PAUSED_BY_OPERATOR)
    answer = play.last[0]
    assert isinstance(answer, ev.CommandRefused)
    assert "alert:p99" in answer.reasons[0].seen


def test_an_alert_that_repeats_is_told_once() -> None:
    """Firing again, or clearing what never fired, changes nothing."""
    Play().started().moving().alert().alert().nothing()
    Play().started().moving().alert("other", firing=False).nothing()


def test_an_alert_before_the_start_holds_the_first_wave() -> None:
    """Alerts that hold when a migration starts pause it before anything moves."""
    play = Play().alert("p99")
    play.command(msg.StartMigration, options=Options()).ends(fx.PrepareMigration, with_=surveyed())
    play.expect(ev.MigrationStarted, ev.MigrationPaused).never(ev.WaveBegun).expect_phase(
        Phase.PAUSED
    )
    play.alert("p99", firing=False).expect(ev.MigrationResumed, ev.WaveBegun)


# ── what is seen of the cluster ───────────────────────────────────────────────────────────────────
def test_a_grave_reason_pauses_at_once_and_lifts_itself() -> None:
    """Under min ISR stops the move; it goes on by itself when it has been gone for the resume
    delay, not before.
    """
    play = Play().started().moving().sees(reasons=(UNDER_MIN_ISR,))
    play.expect(
        ev.HealthChanged, like(ev.PauseCauseAdded, cause="safety:UNDER_MIN_ISR"), asks(fx.StopWave)
    )
    play.ends(fx.StopWave, with_=DONE).expect(ev.MigrationPaused, asks(fx.CheckCluster))
    play.expect_phase(Phase.PAUSED, fx.CheckCluster)
    play.ends(fx.CheckCluster, with_=checked(UNDER_MIN_ISR)).expect_phase(Phase.PAUSED)
    play.wait(POLICY.recheck_seconds).ends(fx.CheckCluster, with_=checked()).never(
        ev.PauseCauseLifted
    )
    play.wait(POLICY.recheck_seconds).ends(fx.CheckCluster, with_=checked()).never(
        ev.PauseCauseLifted
    )
    play.wait(POLICY.recheck_seconds).ends(fx.CheckCluster, with_=checked())
    play.expect(ev.PauseCauseLifted, ev.MigrationResumed, like(ev.WaveBegun, attempt=2))


def test_the_resume_delay_starts_anew_when_the_reason_comes_back() -> None:
    """A reason that flaps keeps the migration paused."""
    play = Play().started().moving().sees(reasons=(UNDER_MIN_ISR,)).ends(fx.StopWave, with_=DONE)
    for _ in range(5):
        play.ends(fx.CheckCluster, with_=checked()).wait(POLICY.recheck_seconds)
        play.ends(fx.CheckCluster, with_=checked(UNDER_MIN_ISR)).wait(POLICY.recheck_seconds)
    play.expect_phase(Phase.PAUSED, fx.CheckCluster)


def test_a_safety_check_that_cannot_be_made_lifts_nothing() -> None:
    """Missing data is no good news: the pause stays, and one looks again."""
    play = Play().started().moving().sees(reasons=(DOWN,)).ends(fx.StopWave, with_=DONE)
    play.ends(fx.CheckCluster, with_=unreachable(Code.KAFKA_UNREACHABLE)).expect_phase(Phase.PAUSED)
    play.holds("safety:BROKER_DOWN").wait(20).expect_phase(Phase.PAUSED, fx.CheckCluster)


def test_an_unreadable_cluster_is_no_proof_that_the_reason_is_gone() -> None:
    """A check that could not see the cluster (it passes by itself) does not start the resume
    delay.
    """
    blind = checked(passing=(Reason(Code.KAFKA_UNREACHABLE, "no answer"),))
    play = Play().started().moving().sees(reasons=(DOWN,)).ends(fx.StopWave, with_=DONE)
    for _ in range(10):
        play.ends(fx.CheckCluster, with_=blind).wait(POLICY.recheck_seconds)
    play.holds("safety:BROKER_DOWN").expect_phase(Phase.PAUSED, fx.CheckCluster)


def test_under_replication_has_a_grace() -> None:
    """It pauses a running move only when it lasts; gone before, nothing happens, and the grace
    begins anew.
    """
    play = Play().started().moving().sees(reasons=(UNDER_REPLICATED,)).expect(ev.HealthChanged)
    play.wait(POLICY.grace_seconds - 1).sees(reasons=(UNDER_REPLICATED,)).expect_phase(Phase.MOVING)
    play.wait(1).sees().expect(like(ev.HealthChanged, reasons=()))
    play.wait(1).sees(reasons=(UNDER_REPLICATED,)).wait(POLICY.grace_seconds - 1)
    play.sees(reasons=(UNDER_REPLICATED,)).expect_phase(Phase.MOVING)
    play.wait(1).sees(reasons=(UNDER_REPLICATED,)).expect_phase(Phase.STOPPING, fx.StopWave)


def test_a_bad_check_before_a_wave_pauses_it() -> None:
    """What needs a change in the world pauses before anything moves."""
    play = Play().started().ends(fx.CheckCluster, with_=checked(DOWN, UNDER_MIN_ISR))
    play.expect(ev.PauseCauseAdded, ev.PauseCauseAdded, ev.MigrationPaused).expect_phase(
        Phase.PAUSED, fx.CheckCluster
    )
    play.holds("safety:BROKER_DOWN", "safety:UNDER_MIN_ISR")


def test_a_reason_found_by_the_last_look_is_looked_at_again() -> None:
    """Found by simulation: a new safety reason, found when the earlier one had just gone, was
    never looked at again.
    """
    play = Play().started().ends(fx.CheckCluster, with_=checked(DOWN)).alert()
    while play.m.pause_causes[0].is_safety:
        play.ends(fx.CheckCluster, with_=checked()).wait(POLICY.recheck_seconds)
    play.holds("alert:p99").expect_phase(Phase.PAUSED, fx.CheckCluster)
    play.ends(fx.CheckCluster, with_=checked(UNDER_MIN_ISR)).holds(
        "alert:p99", "safety:UNDER_MIN_ISR"
    )
    play.alert(firing=False).wait(POLICY.recheck_seconds).expect_phase(
        Phase.PAUSED, fx.CheckCluster
    )


def test_both_safety_and_operator_must_lift() -> None:
    """A cluster that is well again does not override an operator's pause, nor the other way
    round.
    """
    play = Play().started().ends(fx.CheckCluster, with_=checked(DOWN)).command(msg.PauseMigration)
    for _ in range(4):
        play.ends(fx.CheckCluster, with_=checked()).wait(POLICY.recheck_seconds)
    play.holds("operator").expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect(ev.MigrationResumed)


# ── slow ──────────────────────────────────────────────────────────────────────────────────────────
def test_slow_lowers_the_throttle_and_keeps_moving() -> None:
    """`pause --slow` sets the floor rate; `resume` sets the asked one again; the execution
    never stops.
    """
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.PauseMigration, slow=True)
    play.expect(
        ev.CommandAccepted, ev.SlowCauseAdded, asks(fx.TuneWave, throttle_bytes_per_second=1_000)
    )
    play.expect_phase(Phase.MOVING, fx.TuneWave).ends(fx.TuneWave, with_=DONE)
    play.command(msg.PauseMigration, slow=True).refused(Code.ALREADY_PAUSED)
    play.command(msg.ResumeMigration).expect(
        ev.SlowCauseLifted, asks(fx.TuneWave, throttle_bytes_per_second=9_000)
    )
    play.expect_phase(Phase.MOVING, fx.TuneWave)


def test_a_slow_alert_yields_bandwidth_until_it_clears() -> None:
    """A rule that says `slow` lowers the rate, also where there was no throttle, and removes it
    after.
    """
    play = (
        Play()
        .started()
        .moving()
        .alert(slow=True)
        .expect(asks(fx.TuneWave, throttle_bytes_per_second=1_000))
    )
    play.ends(fx.TuneWave, with_=DONE).alert(slow=True).nothing()
    play.alert(slow=True, firing=False).expect(asks(fx.TuneWave, throttle_bytes_per_second=None))


def test_a_wave_begins_at_the_floor_while_slowed() -> None:
    """Slowness outlives a wave: the next request carries the floor rate."""
    play = (
        Play()
        .started()
        .moving()
        .alert(slow=True)
        .ends(fx.TuneWave, with_=DONE)
        .empties()
        .verified()
    )
    play.ends(fx.CheckCluster, with_=checked()).expect(
        asks(fx.StartWave, throttle_bytes_per_second=1_000)
    )


def test_slow_is_refused_where_cruise_control_sets_the_throttle() -> None:
    """Its throttle cannot be changed in flight."""
    play = (
        Play()
        .started(throttle_by=ThrottleBy.CRUISE_CONTROL, throttle_bytes_per_second=9_000)
        .moving()
    )
    play.command(msg.PauseMigration, slow=True).refused(Code.THROTTLE_NOT_OURS_TO_TUNE)
    play.command(msg.TuneMigration, throttle_bytes_per_second=1).refused(
        Code.THROTTLE_NOT_OURS_TO_TUNE
    )


# ── the stop itself ───────────────────────────────────────────────────────────────────────────────
def test_a_stop_is_asked_for_until_it_has_happened() -> None:
    """Busy or unreachable, the stop is tried again, with growing pauses, and never given up."""
    play = in_phase(Phase.STOPPING)
    for _ in range(30):
        play.ends(fx.StopWave, with_=busy()).expect_phase(Phase.STOPPING).wait(15).expect_phase(
            Phase.STOPPING, fx.StopWave
        )
        play.ends(fx.StopWave, with_=unreachable()).wait(15).expect_phase(
            Phase.STOPPING, fx.StopWave
        )
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED)


def test_a_pause_between_attempts_sweeps_the_throttle() -> None:
    """An attempt that fell short has left its throttle in force: a pause then stops, and so
    clears, first.
    """
    play = Play().started(throttle_bytes_per_second=9_000, soak_seconds=0.0).moving()
    play.wait(60).sees(left=2, moving=0, executor=msg.Executor.IDLE, task=msg.TaskStatus.COMPLETED)
    play.wait(60).sees(left=2, moving=0, executor=msg.Executor.IDLE, task=msg.TaskStatus.COMPLETED)
    play.expect_phase(Phase.CHECKING, fx.CheckCluster).command(msg.PauseMigration)
    play.expect(ev.StopRequested, asks(fx.StopWave)).expect_phase(Phase.STOPPING, fx.StopWave)


def test_a_verification_goes_on_while_an_alert_fires() -> None:
    """Clearing the throttle and electing leaders must not wait for an alert to clear."""
    play = in_phase(Phase.CLOSING).alert().ends(fx.CloseWave, with_=inspected(not_in_sync=1))
    play.expect_phase(Phase.CLOSING).wait(2).expect_phase(
        Phase.CLOSING, fx.CloseWave
    ).verified().expect_phase(Phase.PAUSED)
