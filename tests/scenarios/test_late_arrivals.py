"""Replicas that land on brokers that were drained: swept until they stay empty, and the word is
taken back.
"""

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, watches
from agent.core.model.reasons import Code
from agent.core.planning.options import Mode, Options
from tests.scenarios.phases import in_phase
from tests.scenarios.play import DONE, POLICY, Play, like, surveyed


def test_a_late_arrival_is_swept_by_itself() -> None:
    """Before a broker may be shut down, what lands on it is moved on without being asked for."""
    play = Play().started().drained().wait(5).sees_sources(b12=1)
    play.expect(like(ev.WaveReopened, wave=2), like(ev.WaveBegun, wave=2, attempt=2)).expect_phase(
        Phase.CHECKING, fx.CheckCluster
    )
    assert 12 not in {s.broker_id for s in play.m.sources}
    play.wave().never(ev.MigrationDrained).sees_sources().expect(ev.MigrationDrained).expect_phase(
        Phase.DRAINED
    )
    assert {s.broker_id for s in play.m.sources} == {11, 12, 13}


def test_a_source_is_watched_as_soon_as_it_is_empty() -> None:
    """What lands on it while other waves move is told at once, and swept before anything is
    called drained.
    """
    play = Play().started().wave().moving()
    assert fx.WatchSources(source_broker_ids=(11,)) in watches(play.m, POLICY)
    play.sees_sources(b11=1).expect(like(ev.SourceRefilled, broker_id=11)).expect_phase(
        Phase.MOVING
    )
    play.empties().verified().wave().expect(
        like(ev.WaveReopened, wave=1), like(ev.WaveBegun, wave=1, attempt=2)
    )
    play.never(ev.MigrationDrained)
    play.wave().sees_sources().expect(like(ev.MigrationDrained, broker_ids=(11, 12, 13)))


def test_what_lands_between_waves_is_swept_before_the_next_one() -> None:
    """During the soak time nothing moves: the wave is opened again at once."""
    play = in_phase(Phase.BETWEEN_WAVES).sees_sources(b11=1)
    play.expect(like(ev.WaveReopened, wave=1), like(ev.WaveBegun, wave=1, attempt=2))


def test_no_source_may_be_shut_down_while_its_migration_moves() -> None:
    """The way back needs it; only when all waves have ended is it free to go."""
    play = Play().started().wave().wait(POLICY.quiet_seconds * 3).sees_sources().nothing()
    play.wave().wave().sees_sources().expect(ev.MigrationDrained).never(ev.SourceMayBeShutDown)
    play.sees_sources().expect(like(ev.SourceMayBeShutDown, broker_id=11))


def test_after_a_cancel_only_what_was_given_up_is_watched() -> None:
    """A cancel forgets sources that nobody was told to shut down; the others are watched, to
    take the word back.
    """
    play = (
        Play().started().wave().moving().command(msg.CancelMigration).ends(fx.StopWave, with_=DONE)
    )
    assert play.m.sources == ()
    told = Play().started().drained().wait(POLICY.quiet_seconds).sees_sources().sees_sources(b12=1)
    told.command(msg.RetryWave).command(msg.CancelMigration).ends(
        fx.StopWave, with_=DONE
    ).expect_phase(Phase.CANCELLED)
    assert [s.broker_id for s in told.m.sources] == [11, 13]
    told.sees_sources(b11=1).expect(like(ev.SourceRefilled, broker_id=11)).never(ev.WaveReopened)


def test_the_last_look_decides_what_is_called_drained() -> None:
    """Found by simulation: between the last wave and the next look something may have landed on
    an early source.
    """
    play = (
        Play()
        .started()
        .wave()
        .wave()
        .wave()
        .never(ev.MigrationDrained)
        .expect_phase(Phase.BETWEEN_WAVES)
    )
    play.sees_sources(b11=1).expect(like(ev.WaveReopened, wave=1)).never(ev.MigrationDrained)
    play.wave().meet(
        msg.SourcesObserved(at=play.now, replicas=((11, 0), (12, 0)), alive=(11, 12))
    ).nothing()
    play.sees_sources().expect(ev.MigrationDrained)
    paused = (
        Play().started().wave().wave().moving().empties().command(msg.PauseMigration).verified()
    )
    paused.expect_phase(Phase.PAUSED).sees_sources().never(ev.MigrationDrained)
    paused.command(msg.ResumeMigration).expect_phase(Phase.BETWEEN_WAVES).sees_sources().expect(
        ev.MigrationDrained
    )


def test_the_quiet_time_counts_from_the_last_arrival() -> None:
    """A broker that was swept must stay empty for the whole quiet time again; the others need
    not.
    """
    play = (
        Play()
        .started()
        .drained()
        .wait(POLICY.quiet_seconds - 5)
        .sees_sources(b12=1)
        .wave()
        .sees_sources()
        .wait(6)
    )
    play.sees_sources().expect(
        like(ev.SourceMayBeShutDown, broker_id=11), like(ev.SourceMayBeShutDown, broker_id=13)
    )
    assert [s.broker_id for s in play.m.sources if not s.may_be_shut_down] == [12]
    play.wait(POLICY.quiet_seconds).sees_sources().expect(
        like(ev.SourceMayBeShutDown, broker_id=12)
    )


def test_a_refill_after_the_word_takes_the_word_back() -> None:
    """Once an operator may act on it, nothing moves by itself: the word is taken back, and
    `retry` sweeps.
    """
    play = Play().started().drained().wait(POLICY.quiet_seconds).sees_sources()
    assert play.m.stage == 4
    play.sees_sources(b11=2).expect(like(ev.SourceRefilled, broker_id=11, replicas=2)).never(
        ev.WaveReopened
    )
    assert play.m.stage == 3
    play.sees_sources(b11=2).nothing()
    play.command(msg.RetryWave).expect(
        like(ev.WaveReopened, wave=1), like(ev.WaveBegun, wave=1, attempt=2)
    )
    play.wave().sees_sources().expect_phase(Phase.DRAINED).wait(POLICY.quiet_seconds).sees_sources()
    play.expect(like(ev.SourceMayBeShutDown, broker_id=11))
    assert play.m.stage == 4


def test_a_refill_that_goes_away_starts_the_quiet_time_again() -> None:
    """Empty again is told, and the broker must stay so."""
    play = Play().started().drained().wait(POLICY.quiet_seconds).sees_sources().sees_sources(b11=1)
    play.wait(1).sees_sources().expect(like(ev.SourceEmptyAgain, broker_id=11)).never(
        ev.SourceMayBeShutDown
    )
    play.command(msg.RetryWave).refused(Code.NOTHING_TO_MOVE)
    play.wait(POLICY.quiet_seconds).sees_sources().expect(
        like(ev.SourceMayBeShutDown, broker_id=11)
    )


def test_a_broker_that_died_with_replicas_in_its_name_has_not_left() -> None:
    """While assignments still name it, a broker that is gone counts as refilled, not as left."""
    play = (
        Play()
        .started()
        .drained()
        .wait(POLICY.quiet_seconds)
        .sees_sources()
        .sees_sources(alive=(12, 13), b11=1)
    )
    play.expect(like(ev.SourceRefilled, broker_id=11)).never(ev.SourceLeft)


def test_a_wave_in_another_migration_is_not_reopened_for_an_older_source() -> None:
    """A broker drained by an earlier migration is watched on; its refill must not reopen a wave
    that is not its own.
    """
    play = Play().started(mode=Mode.AZ, az="az-a").wave().sees_sources().expect_phase(Phase.DRAINED)
    second = Options(mode=Mode.AZ, az="az-b")
    play.command(msg.StartMigration, options=second).ends(
        fx.PrepareMigration, with_=surveyed(second)
    )
    play.wave().sees_sources().expect_phase(Phase.DRAINED)
    assert [s.broker_id for s in play.m.sources] == [11, 12]
    play.sees_sources(b11=1).expect(like(ev.SourceRefilled, broker_id=11)).never(ev.WaveReopened)
    play.expect_phase(Phase.DRAINED)


def test_a_second_migration_of_the_same_broker_begins_its_watch_anew() -> None:
    """A refilled broker that another start drains is empty since then, and belongs to that wave."""
    play = Play().started(mode=Mode.AZ, az="az-a").wave().sees_sources()
    play.wait(POLICY.quiet_seconds).sees_sources().sees_sources(b11=1).expect(ev.SourceRefilled)
    again = Options(mode=Mode.AZ, az="az-a")
    play.command(msg.StartMigration, options=again).ends(
        fx.PrepareMigration, with_=surveyed(again)
    ).wave()
    play.sees_sources().expect_phase(Phase.DRAINED).wait(1).sees_sources(b11=1).expect(
        like(ev.WaveReopened, wave=1)
    )


def test_a_source_that_becomes_a_destination_is_no_longer_watched_as_drained() -> None:
    """Who moves brokers back with a plain start wants replicas there: nobody warns of a refill."""
    play = Play().started(mode=Mode.AZ, az="az-a").wave().sees_sources().expect_phase(Phase.DRAINED)
    back = Options(mode=Mode.BROKERS, source_broker_ids=(31,), destination_broker_ids=(11,))
    play.command(msg.StartMigration, options=back).ends(fx.PrepareMigration, with_=surveyed(back))
    assert [w for w in watches(play.m, POLICY) if isinstance(w, fx.WatchSources)] == []
