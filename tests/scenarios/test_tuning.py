"""Throttle and concurrency changed while it runs."""

from dataclasses import replace

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, watches
from agent.core.model.reasons import Code, Reason
from agent.core.model.throttle import RateSeen
from agent.core.planning.options import Options, Pairing, ThrottleBy
from agent.core.planning.wave import Wave
from agent.core.planning.wave_sizing import movements_at_once, pace
from tests.scenarios.phases import in_phase
from tests.scenarios.play import ASKED, DONE, POLICY, Play, asks, checked, like, unreachable


def test_tune_while_moving_is_felt_at_once() -> None:
    """The new rate and concurrency are asked for right away, and kept for the waves after."""
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(
        msg.TuneMigration, throttle_bytes_per_second=5_000, partition_movements_per_broker=7
    )
    play.expect(
        ev.CommandAccepted,
        like(ev.MigrationTuned, throttle_bytes_per_second=5_000, partition_movements_per_broker=7),
        asks(fx.TuneWave, throttle_bytes_per_second=5_000, partition_movements_per_broker=7),
    )
    play.ends(fx.TuneWave, with_=DONE).expect_phase(Phase.MOVING).empties().verified()
    play.ends(fx.CheckCluster, with_=checked())
    play.expect(
        asks(fx.StartWave, throttle_bytes_per_second=5_000, partition_movements_per_broker=7)
    )


def test_tune_to_zero_takes_the_throttle_off() -> None:
    """0 means no throttle; a field left out stays as it is."""
    play = (
        Play().started(throttle_bytes_per_second=9_000, partition_movements_per_broker=3).moving()
    )
    play.command(msg.TuneMigration, throttle_bytes_per_second=0)
    play.expect(
        like(ev.MigrationTuned, throttle_bytes_per_second=None, partition_movements_per_broker=3)
    )
    play.expect(asks(fx.TuneWave, throttle_bytes_per_second=None))


def test_tune_twice_leaves_one_pending() -> None:
    """The second order overtakes the first: only the last rate is asked for."""
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000)
    play.command(msg.TuneMigration, throttle_bytes_per_second=6_000)
    play.expect(ev.EffectAbandoned, asks(fx.TuneWave, throttle_bytes_per_second=6_000))
    play.expect_phase(Phase.MOVING, fx.TuneWave)


def test_another_rate_wants_another_concurrency() -> None:
    """At the movements of a low rate a high one is no use; what slows for a while leaves the
    concurrency alone.
    """
    wave = Play().started(throttle_bytes_per_second=1).moving()
    slots = pace(wave.m.attempt_replicas, wave.m.attempt_bytes, 1)[0]
    more = pace(wave.m.attempt_replicas, wave.m.attempt_bytes, 100_000_000)[0]
    assert more > slots
    wave.command(msg.TuneMigration, throttle_bytes_per_second=100_000_000)
    wave.expect(asks(fx.TuneWave, partition_movements_per_broker=more)).ends(
        fx.TuneWave, with_=DONE
    )
    wave.command(msg.PauseMigration, slow=True)
    wave.expect(
        asks(fx.TuneWave, throttle_bytes_per_second=1_000, partition_movements_per_broker=None)
    )


def test_a_wave_that_begins_slowed_has_the_slots_of_the_rate_that_was_asked_for() -> None:
    """What slows it is lifted again, and then the wave is not held back by too few movements at
    once.
    """
    play = (
        Play().started(throttle_bytes_per_second=100_000_000).command(msg.PauseMigration, slow=True)
    )
    play.ends(fx.CheckCluster, with_=checked())
    slots = pace(play.m.attempt_replicas, play.m.attempt_bytes, 100_000_000)[0]
    play.expect(
        asks(
            fx.StartWave,
            throttle_bytes_per_second=POLICY.slow_bytes_per_second,
            partition_movements_per_broker=slots,
        )
    )


def test_a_rate_tuned_while_requesting_is_set_once_it_moves() -> None:
    """The request carries the rate of when it was made; the later one follows as soon as it is
    accepted.
    """
    play = Play().started(throttle_bytes_per_second=9_000).asked()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000).expect_phase(
        Phase.REQUESTING, fx.StartWave
    )
    play.ends(fx.StartWave, with_=ASKED).expect(
        ev.ExecutionStarted, asks(fx.TuneWave, throttle_bytes_per_second=5_000)
    )


def test_a_concurrency_tuned_while_requesting_is_set_once_it_moves() -> None:
    """The same holds for the concurrency."""
    play = Play().started().asked().command(msg.TuneMigration, partition_movements_per_broker=3)
    play.ends(fx.StartWave, with_=ASKED).expect(asks(fx.TuneWave, partition_movements_per_broker=3))


def test_a_tune_that_cannot_be_had_is_tried_again() -> None:
    """An unreachable side delays it; the wave goes on meanwhile."""
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000).ends(
        fx.TuneWave, with_=unreachable()
    )
    play.expect_phase(Phase.MOVING).wait(POLICY.unreachable_retry_seconds).expect_phase(
        Phase.MOVING, fx.TuneWave
    )


def test_an_old_tune_that_cannot_be_had_is_tried_again_while_the_watch_looks() -> None:
    """A look at the wave in between does not forget that a rate is still to be set."""
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000).ends(
        fx.TuneWave, with_=unreachable()
    ).sees()
    play.wait(POLICY.unreachable_retry_seconds).expect_phase(Phase.MOVING, fx.TuneWave)


def test_a_throttle_that_vanished_is_set_again() -> None:
    """Another tool took it away: it is told as a reason, set again, and does not stop the move."""
    gone = Reason(Code.THROTTLE_NOT_IN_FORCE, "no rate on broker 31")
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    assert watches(play.m, POLICY)[0] == fx.WatchWave(scope=play.m.scope(), throttled=True)
    play.sees(reasons=(gone,)).expect(
        asks(fx.TuneWave, throttle_bytes_per_second=9_000)
    ).expect_phase(Phase.MOVING, fx.TuneWave)
    play.sees(reasons=(gone,)).expect_phase(Phase.MOVING, fx.TuneWave)


def test_tune_while_paused_counts_for_the_next_request() -> None:
    """Nothing is asked while nothing moves."""
    play = (
        in_phase(Phase.PAUSED)
        .command(msg.TuneMigration, throttle_bytes_per_second=4_000)
        .expect_phase(Phase.PAUSED)
    )
    play.alert(firing=False).ends(fx.CheckCluster, with_=checked())
    play.expect(asks(fx.StartWave, throttle_bytes_per_second=4_000))


def test_every_rate_ever_set_is_remembered_as_ours() -> None:
    """What may be cleared later is what was asked for: the start's rate, the tuned ones, the
    floor.
    """
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000).ends(fx.TuneWave, with_=DONE)
    play.command(msg.PauseMigration, slow=True).ends(fx.TuneWave, with_=DONE)
    assert set(play.m.throttle_rates_set) == {9_000, 5_000, 1_000}


def test_cruise_control_s_own_throttle_is_carried_by_the_request() -> None:
    """With throttle_by cruise_control only concurrency can be tuned, and no throttle of ours is
    watched.
    """
    play = (
        Play()
        .started(throttle_by=ThrottleBy.CRUISE_CONTROL, throttle_bytes_per_second=9_000)
        .moving()
    )
    assert watches(play.m, POLICY)[0] == fx.WatchWave(scope=play.m.scope(), throttled=False)
    play.command(msg.TuneMigration, throttle_bytes_per_second=1).refused(
        Code.THROTTLE_NOT_OURS_TO_TUNE
    )
    play.command(msg.TuneMigration, partition_movements_per_broker=2).expect(
        asks(fx.TuneWave, partition_movements_per_broker=2)
    )


def test_what_a_dead_broker_kept_of_our_throttle_is_swept_wherever_one_waits_long() -> None:
    """Found by simulation: a broker that was down while the throttle was cleared kept its rate."""
    for phase in (
        Phase.AWAITING_APPROVAL,
        Phase.PAUSED,
        Phase.BLOCKED,
        Phase.DRAINED,
        Phase.CANCELLED,
    ):
        m = replace(in_phase(phase).m, throttle_rates_set=(9_000,))
        assert [w for w in watches(m, POLICY) if isinstance(w, fx.WatchThrottle)], phase
    moving = replace(in_phase(Phase.MOVING).m, throttle_rates_set=(9_000,))
    assert not [w for w in watches(moving, POLICY) if isinstance(w, fx.WatchThrottle)]
    told = in_phase(Phase.PAUSED).meet(msg.ThrottleSwept(at=2_000.0, entries=1, broker_ids=(11,)))
    told.expect(like(ev.LeftoverThrottleCleared, entries=1, broker_ids=(11,)))


# ── a throttle of another hand, while the wave moves ──────────────────────────────────────────────
OURS = RateSeen(bytes_per_second=9_000, brokers=6, broker_ids=(11, 12, 13, 31, 32))
THEIRS = RateSeen(bytes_per_second=50_000, brokers=2, broker_ids=(12, 31))
LISTED = Reason(
    Code.FOREIGN_THROTTLE, "throttled replicas of topics that move were listed by someone else: t"
)


def test_a_rate_of_someone_else_is_told_and_neither_stops_the_wave_nor_is_written_over() -> None:
    """It harms no data, and whoever set it may have meant it: said once, with brokers and rate,
    and when it is gone.
    """
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.sees(rates=(OURS,)).never(ev.HealthChanged)
    play.sees(rates=(OURS, THEIRS)).expect(ev.HealthChanged).never(
        ev.PauseCauseAdded, ev.EffectRequested
    )
    told = next(e for e in play.last if isinstance(e, ev.HealthChanged))
    assert [r.code for r in told.reasons] == [Code.FOREIGN_THROTTLE]
    assert "50,000 bytes/s on brokers 12, 31" in told.reasons[0].seen
    play.wait(POLICY.grace_seconds * 10).sees(rates=(THEIRS,)).never(
        ev.HealthChanged, ev.PauseCauseAdded
    )
    play.expect_phase(Phase.MOVING)
    play.sees(rates=(OURS,)).expect(like(ev.HealthChanged, reasons=())).expect_phase(Phase.MOVING)


def test_a_list_of_someone_else_is_told_beside_what_does_stop_the_wave() -> None:
    """The one is tolerated, the other pauses: both stand in the event, only the grave one
    becomes a cause.
    """
    offline = Reason(Code.OFFLINE_PARTITION, "1 offline: t-0")
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.sees(reasons=(LISTED,)).expect(like(ev.HealthChanged, reasons=(LISTED,))).expect_phase(
        Phase.MOVING
    )
    play.sees(reasons=(LISTED, offline)).expect(like(ev.HealthChanged, reasons=(LISTED, offline)))
    play.holds("safety:OFFLINE_PARTITION").expect_phase(Phase.STOPPING, fx.StopWave)


def test_every_rate_that_was_ever_ours_is_ours_while_it_moves() -> None:
    """A broker that is late with a new rate shows an old one: no other hand was at work."""
    play = Play().started(throttle_bytes_per_second=9_000).moving()
    play.command(msg.TuneMigration, throttle_bytes_per_second=5_000)
    play.sees(rates=(OURS, RateSeen(bytes_per_second=5_000, brokers=1, broker_ids=(33,)))).never(
        ev.HealthChanged
    )


def test_no_wave_begins_under_a_throttle_of_someone_else() -> None:
    """The wave that found it goes to its end; the check before the next one pauses until it is
    gone.
    """
    foreign = Reason(Code.FOREIGN_THROTTLE, "set by someone else: rates on brokers 12, 31")
    play = (
        Play()
        .started(throttle_bytes_per_second=9_000)
        .moving()
        .sees(rates=(OURS, THEIRS))
        .empties()
        .verified()
    )
    play.ends(fx.CheckCluster, with_=checked(foreign)).holds(
        "safety:FOREIGN_THROTTLE"
    ).expect_phase(Phase.PAUSED, fx.CheckCluster)
    play.ends(fx.CheckCluster, with_=checked()).wait(
        POLICY.resume_delay_seconds + POLICY.recheck_seconds
    )
    play.ends(fx.CheckCluster, with_=checked()).expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_a_bound_on_the_whole_cluster_holds_for_waves_tunes_and_the_way_back() -> None:
    """One wave moves at a time: its brokers share what may move at once, whatever is asked for
    each of them.
    """
    play = Play().started(
        pairing=Pairing.ZONE, partition_movements_per_broker=9, partition_movements_in_cluster=4
    )
    # There is one destination broker in each AZ.
    play.asked().expect(asks(fx.StartWave, partition_movements_per_broker=4))
    play.ends(fx.StartWave, with_=ASKED)
    play.command(msg.TuneMigration, partition_movements_per_broker=50)
    play.expect(asks(fx.TuneWave, partition_movements_per_broker=4))
    play.ends(fx.TuneWave, with_=DONE).command(msg.TuneMigration, partition_movements_per_broker=3)
    play.expect(asks(fx.TuneWave, partition_movements_per_broker=3)).ends(fx.TuneWave, with_=DONE)
    play.command(msg.RollBackMigration).ends(fx.StopWave, with_=DONE)
    play.ends(fx.CheckCluster, with_=checked()).expect(
        asks(fx.StartWave, partition_movements_per_broker=3)
    )


def test_many_destinations_share_the_bound_and_each_has_one_at_least() -> None:
    """So many of a wave's movements end on each of its destinations."""
    wave = Wave(number=1, az="a", source_broker_ids=(1, 2, 3), destination_broker_ids=(4, 5, 6))
    assert movements_at_once(Options(partition_movements_in_cluster=10), wave, 300) == 3
    assert movements_at_once(Options(partition_movements_in_cluster=2), wave, 300) == 1
    assert movements_at_once(Options(), wave, 300) == 300
