"""What has moved stays shown in every phase, from what Kafka showed last: by the status that
every view reads.
"""

from agent import wire
from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase
from agent.core.planning.options import Approval
from schemas.state import MigrationStatus
from tests.scenarios.play import (
    DONE,
    PARTITIONS,
    POLICY,
    SIZE_BYTES,
    Play,
    checked,
    inspected,
    like,
    rejected,
)

IDLE, OVER = msg.Executor.IDLE, msg.TaskStatus.COMPLETED
ALL = 3 * PARTITIONS  # replicas of the three waves


def told(play: Play) -> MigrationStatus:
    return wire.status(play.m, POLICY, play.now)


def tells(play: Play, phase: Phase, left: int, of: int = 1, share: float | None = None) -> Play:
    """In this phase so many replicas of the wave are told to be left, and the share that
    follows from it.
    """
    status = told(play)
    wave = status.waves[of - 1]
    expected = (PARTITIONS - left) / PARTITIONS
    assert play.m.phase is phase
    assert (wave.replicas_left, wave.bytes_left) == (left, left * SIZE_BYTES)
    assert abs(wave.share - expected) < 1e-9
    assert abs(status.share - (expected / 3 if share is None else share)) < 1e-9
    return play


def stopped(left: int) -> msg.Performed:
    """A stop ends, and so many replicas are on the source."""
    return msg.Performed(replicas_left=left, bytes_left=left * SIZE_BYTES)


def half_moved(left: int = 2, **options: object) -> Play:
    """The first wave moves, and so many replicas are left of it."""
    return (
        Play()
        .started(**options)
        .moving()
        .wait(2)
        .sees(left=left, moved=(PARTITIONS - left) * SIZE_BYTES)
    )


def test_a_paused_wave_tells_what_has_moved_from_the_order_to_the_end() -> None:
    """Moving, stopping, paused, checking, requesting, moving again, closing: what has moved is
    never forgotten.
    """
    play = tells(half_moved(), Phase.MOVING, left=2)
    tells(play.command(msg.PauseMigration), Phase.STOPPING, left=2)
    tells(play.ends(fx.StopWave, with_=stopped(2)), Phase.PAUSED, left=2)
    tells(play.wait(10_000), Phase.PAUSED, left=2)
    assert (told(play).replicas_moved, told(play).replicas, told(play).replicas_left) == (
        4,
        ALL,
        ALL - 4,
    )
    tells(play.command(msg.ResumeMigration), Phase.CHECKING, left=2)
    tells(play.ends(fx.CheckCluster, with_=checked(replicas=2)), Phase.REQUESTING, left=2)
    tells(
        play.ends(fx.StartWave, with_=msg.ExecutionRequested(user_task_id="task-2")),
        Phase.MOVING,
        left=2,
    )
    tells(play.empties(), Phase.CLOSING, left=0)
    tells(play.verified(), Phase.CHECKING, left=0)


def test_a_stop_tells_what_it_has_found_at_its_end() -> None:
    """What arrived while it stopped has moved, and what was copied in part is left as a whole."""
    play = half_moved(left=3).command(msg.PauseMigration)
    play.ends(fx.StopWave, with_=stopped(2))
    tells(play, Phase.PAUSED, left=2)


def test_a_stop_that_found_no_figures_keeps_the_last_ones() -> None:
    """A stop that counted nothing, and one whose source is silent, take nothing back: what is
    not told is not gone.
    """
    tells(
        half_moved().command(msg.PauseMigration).ends(fx.StopWave, with_=DONE), Phase.PAUSED, left=2
    )
    silent = msg.Performed(replicas_left=2, bytes_left=None)
    tells(
        half_moved(left=2).command(msg.PauseMigration).ends(fx.StopWave, with_=silent),
        Phase.PAUSED,
        left=2,
    )


def test_what_another_hand_moves_in_a_pause_is_told() -> None:
    """The look at a paused wave tells what is left when that has changed, once, and no rate."""
    play = half_moved().command(msg.PauseMigration).ends(fx.StopWave, with_=stopped(2))
    play.wait(1).sees(left=2, moving=0, executor=IDLE, task=OVER).nothing()
    play.wait(1).sees(left=1, moving=0, executor=IDLE, task=OVER)
    play.expect(
        like(ev.WaveProgressed, replicas_left=1, rate_bytes_per_second=0.0, eta_seconds=None)
    )
    tells(
        play.wait(1).sees(left=1, moving=0, executor=IDLE, task=OVER).nothing(),
        Phase.PAUSED,
        left=1,
    )


def test_bytes_of_a_silent_source_are_not_told_to_be_gone() -> None:
    """A look at which a source does not answer has no bytes of it: those that it told last
    count on.
    """
    play = half_moved()
    assert play.m.wave is not None
    play.wait(6).meet(
        msg.WaveObserved(
            at=play.now, wave=1, attempt=1, replicas_left=2, bytes_left=0, bytes_moved=4_000,
            moving=1, executor=msg.Executor.OURS, task=msg.TaskStatus.IN_EXECUTION, silent=True,
        )
    )  # fmt: skip
    tells(play.wait(6).sees(left=2, moved=4_000), Phase.MOVING, left=2)
    assert [e.bytes_left for e in play.story if isinstance(e, ev.WaveProgressed)] == [
        2_000,
        2_000,
        2_000,
    ]


def test_a_blocked_wave_tells_what_has_moved() -> None:
    """An attempt falls short, the next one is rejected, a human tries again: the four that have
    moved stay moved.
    """
    play = (
        half_moved()
        .wait(POLICY.settle_seconds)
        .sees(left=2, moving=0, moved=4_000, executor=IDLE, task=OVER)
    )
    play.wait(POLICY.settle_seconds).sees(left=1, moving=0, moved=5_000, executor=IDLE, task=OVER)
    play.expect(like(ev.WaveFellShort, replicas_left=1, bytes_left=SIZE_BYTES))
    tells(play, Phase.CHECKING, left=1)
    play.ends(fx.CheckCluster, with_=checked(replicas=1)).ends(fx.StartWave, with_=rejected())
    tells(play, Phase.STOPPING, left=1)
    tells(play.ends(fx.StopWave, with_=stopped(1)), Phase.BLOCKED, left=1)
    tells(play.command(msg.RetryWave), Phase.CHECKING, left=1)


def test_a_skipped_wave_tells_what_was_left_behind() -> None:
    """Nobody has moved the rest: it is not called moved because the wave was skipped."""
    play = (
        half_moved()
        .wait(POLICY.settle_seconds)
        .sees(left=2, moving=0, moved=4_000, executor=IDLE, task=OVER)
    )
    play.wait(POLICY.settle_seconds).sees(left=2, moving=0, moved=4_000, executor=IDLE, task=OVER)
    play.ends(fx.CheckCluster, with_=checked(replicas=2)).ends(fx.StartWave, with_=rejected())
    play.ends(fx.StopWave, with_=stopped(2)).command(msg.SkipWave)
    tells(play, Phase.CHECKING, left=2)


def test_a_cancelled_migration_tells_what_has_moved() -> None:
    """What was moved stays where it is, and is shown; waves that never began have moved nothing."""
    play = half_moved().command(msg.CancelMigration).ends(fx.StopWave, with_=stopped(2))
    tells(play, Phase.CANCELLED, left=2)
    assert [w.replicas_left for w in told(play).waves] == [2, PARTITIONS, PARTITIONS]


def test_between_waves_and_at_the_gate_what_is_verified_has_moved() -> None:
    """One wave of three is a third, whatever the next one waits for."""
    tells(Play().started(soak_seconds=60.0).wave(), Phase.BETWEEN_WAVES, left=0)
    tells(Play().started(approval=Approval.WAVE).wave(), Phase.AWAITING_APPROVAL, left=0)


def test_a_wave_that_fell_short_in_closing_is_not_told_to_be_empty() -> None:
    """It was seen empty, and the proof found two on the source: paused before the next attempt,
    two are left.
    """
    play = half_moved().empties().alert().wait(POLICY.settle_seconds)
    play.ends(fx.CloseWave, with_=inspected(replicas_left=2, bytes_left=2 * SIZE_BYTES))
    tells(play, Phase.PAUSED, left=2)


def test_a_way_back_counts_by_itself() -> None:
    """Four of six had moved: the way back is of four, begins at nothing, and tells what is
    still on the destination.
    """
    play = half_moved().command(msg.RollBackMigration).ends(fx.StopWave, with_=stopped(2))
    play.expect_phase(Phase.CHECKING, fx.CheckCluster)
    status = told(play)
    assert (status.share, status.replicas, status.replicas_left, status.bytes_left) == (
        0.0,
        4,
        4,
        4_000,
    )
    # One more replica has arrived on the destination meanwhile.
    play.ends(fx.CheckCluster, with_=checked(replicas=5))
    assert (told(play).share, told(play).replicas_left, told(play).waves[3].replicas) == (0.0, 5, 5)
    play.ends(fx.StartWave, with_=msg.ExecutionRequested(user_task_id="back")).wait(2).sees(
        left=1, moved=4_000
    )
    play.command(msg.PauseMigration).ends(fx.StopWave, with_=stopped(1)).expect_phase(Phase.PAUSED)
    assert (told(play).share, told(play).replicas_moved, told(play).replicas_left) == (0.8, 4, 1)
    play.command(msg.ResumeMigration).ends(fx.CheckCluster, with_=checked(replicas=1))
    assert (told(play).share, told(play).waves[3].replicas) == (0.8, 5)
    play.command(msg.CancelMigration).ends(fx.StopWave, with_=stopped(1)).expect_phase(
        Phase.CANCELLED
    )
    assert (told(play).share, told(play).replicas_left) == (0.8, 1)


def test_a_sweep_does_not_begin_at_nothing() -> None:
    """Late arrivals reopen a wave that was verified: what had moved before is not to be moved
    again.
    """
    play = (
        Play().started().drained().sees_sources(b11=1).expect_phase(Phase.CHECKING, fx.CheckCluster)
    )
    tells(play, Phase.CHECKING, left=0, share=1.0)
    play.ends(fx.CheckCluster, with_=checked(replicas=1))
    tells(play, Phase.REQUESTING, left=1, share=1 - 1 / ALL)


def test_a_rate_and_an_eta_are_of_what_moves_now() -> None:
    """While it stops, stands or is blocked nothing is told that the last look had measured."""
    play = half_moved().wait(2).sees(left=1, moved=5_000)
    assert told(play).rate_bytes_per_second > 0
    play.command(msg.CancelMigration)
    assert (told(play).rate_bytes_per_second, told(play).eta_seconds) == (0.0, None)
    play.ends(fx.StopWave, with_=stopped(1))
    assert (told(play).rate_bytes_per_second, told(play).eta_seconds) == (0.0, None)
