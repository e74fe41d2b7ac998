"""What others do to Cruise Control while we move: they stop our execution, start their own, or
let it heal.
"""

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase
from agent.core.model.reasons import Code, Reason
from tests.scenarios.play import DONE, POLICY, Play, asks, checked, inspected, like

STOPPED = "others:EXECUTION_STOPPED_BY_OTHERS"
BY = "(stop_proposal_execution of 10.0.0.9 at 03:10:22Z)"
FAILED = msg.TaskStatus.COMPLETED_WITH_ERROR
IDLE, FOREIGN = msg.Executor.IDLE, msg.Executor.FOREIGN
HEALING = Reason(Code.SELF_HEALING_ON, "it heals by itself: GOAL_VIOLATION", "self-healing off")
HEALS = "safety:SELF_HEALING_ON"


def _stopped() -> Play:
    """Another hand has stopped what moved, and nothing moves any more."""
    play = (
        Play().started().moving().sees(left=3, moving=0, executor=IDLE, task=FAILED, stopped_by=BY)
    )
    return play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED)


# ── a stop by another hand ────────────────────────────────────────────────────────────────────────
def test_a_stop_by_another_hand_is_a_pause_that_says_what_was_seen() -> None:
    """It is not waited for, nor asked for again: a cause of its own names who stopped what, and
    how much is left.
    """
    play = Play().started().moving().sees(left=3, moving=2, stopped_by=BY)
    play.expect(like(ev.PauseCauseAdded, cause=STOPPED), ev.StopRequested, asks(fx.StopWave))
    play.never(ev.WaveFellShort).expect_phase(Phase.STOPPING, fx.StopWave)
    (cause,) = play.m.pause_causes
    assert cause.seen == (
        "another hand has stopped the execution of wave 1 attempt 1, by Cruise Control's user "
        f"tasks {BY}: 3 of 6 replicas are still to move"
    )


def test_it_stays_until_an_operator_resumes() -> None:
    """Neither time nor another cause that comes and goes lifts it; `resume` asks for what is
    left.
    """
    play = _stopped().holds(STOPPED)
    play.wait(100_000).expect_phase(Phase.PAUSED)
    play.alert("p99").alert("p99", firing=False).never(ev.MigrationResumed).holds(STOPPED)
    play.command(msg.ResumeMigration).expect(
        ev.CommandAccepted,
        like(ev.PauseCauseLifted, cause=STOPPED),
        ev.MigrationResumed,
        like(ev.WaveBegun, attempt=2),
    )


def test_a_stop_of_ours_does_not_hide_another_hands() -> None:
    """An alert paused it after another hand had: when it is clear, the other one still waits
    for an operator.
    """
    play = Play().started().moving().alert("p99").expect_phase(Phase.STOPPING, fx.StopWave)
    play.ends(fx.StopWave, with_=msg.Performed(replicas_left=3, bytes_left=30, stopped_by=BY))
    play.expect_phase(Phase.PAUSED).holds("alert:p99", STOPPED)
    play.alert("p99", firing=False).never(ev.MigrationResumed).holds(STOPPED)
    play.command(msg.ResumeMigration).expect(
        ev.CommandAccepted,
        like(ev.PauseCauseLifted, cause=STOPPED),
        ev.MigrationResumed,
        like(ev.WaveBegun, attempt=2),
    )


def test_each_stop_pauses_anew() -> None:
    """What an operator has answered for one attempt says nothing of the next."""
    play = _stopped().wait(5).command(msg.ResumeMigration).wait(5).moving()
    play.sees(left=3, moving=1, stopped_by=BY).expect(like(ev.PauseCauseAdded, cause=STOPPED))


def test_somebody_elses_execution_is_not_stopped_with_ours() -> None:
    """Where ours is over and another runs, the stop looks before it tells anybody to stop."""
    play = (
        Play()
        .started()
        .moving()
        .sees(left=3, moving=0, executor=FOREIGN, task=FAILED, stopped_by=BY)
    )
    play.expect(asks(fx.StopWave, at_once=False))
    play = Play().started().moving().sees(left=3, moving=2, stopped_by=BY)
    play.expect(asks(fx.StopWave, at_once=True))


def test_a_stop_when_nothing_was_left_holds_the_next_wave() -> None:
    """The wave has ended and is proven; whoever said stop is asked before another begins."""
    play = (
        Play().started().moving().sees(left=0, moving=0, executor=IDLE, task=FAILED, stopped_by=BY)
    )
    play.expect(like(ev.PauseCauseAdded, cause=STOPPED), ev.SourceEmptied).expect_phase(
        Phase.CLOSING, fx.CloseWave
    )
    play.verified().expect(ev.WaveVerified, ev.MigrationPaused).never(ev.WaveBegun).expect_phase(
        Phase.PAUSED
    )


def test_a_stop_while_the_wave_closes_holds_the_attempt_for_what_came_since() -> None:
    """Nothing looks at the executor any more; a replica that has come to the source meanwhile is
    moved when an operator has said so.
    """
    play = Play().started().moving().sees(left=0, moving=0).wait(POLICY.settle_seconds)
    play.ends(fx.CloseWave, with_=inspected(replicas_left=1, stopped_by=BY))
    play.expect(like(ev.PauseCauseAdded, cause=STOPPED), ev.WaveFellShort).never(ev.WaveBegun)
    play.expect_phase(Phase.PAUSED).holds(STOPPED)
    play.command(msg.ResumeMigration).expect(like(ev.WaveBegun, attempt=2))


def test_a_stop_that_is_seen_in_a_pause_outlasts_it() -> None:
    """Paused by an alert just after another hand had stopped it: the alert that clears does not
    undo the stop.
    """
    play = (
        Play()
        .started()
        .moving()
        .alert("p99")
        .ends(fx.StopWave, with_=DONE)
        .expect_phase(Phase.PAUSED)
    )
    play.sees(left=3, moving=0, executor=IDLE, task=FAILED, stopped_by=BY).holds(
        "alert:p99", STOPPED
    )
    play.alert("p99", firing=False).expect_phase(Phase.PAUSED).holds(STOPPED)


def test_a_stop_that_an_operator_has_answered_is_not_held_up_again() -> None:
    """`resume` lifts it while an alert still pauses: the next look at the same attempt adds
    nothing.
    """
    play = _stopped().alert("p99").wait(5).command(msg.ResumeMigration).holds("alert:p99")
    play.sees(left=3, moving=0, executor=IDLE, task=FAILED, stopped_by=BY).nothing()
    play.alert("p99", firing=False).expect(ev.MigrationResumed)


def test_a_rollback_is_an_operators_word_too() -> None:
    """It does not stand still at once for the stop that it answers."""
    play = (
        _stopped().command(msg.RollBackMigration).expect(like(ev.PauseCauseLifted, cause=STOPPED))
    )
    play.ends(fx.StopWave, with_=DONE).expect(ev.RollbackStarted, ev.WaveBegun)


# ── self-healing that is switched on while we move ────────────────────────────────────────────────
def test_self_healing_is_told_and_the_wave_is_finished() -> None:
    """What runs holds healing off, and a stop would set it loose: the wave ends, and no other
    begins.
    """
    play = Play().started().moving().sees(reasons=(HEALING,))
    play.expect(like(ev.HealthChanged, reasons=(HEALING,))).never(
        ev.StopRequested, ev.PauseCauseAdded
    )
    play.wait(1_000).sees(left=3, moved=1, reasons=(HEALING,)).never(ev.StopRequested).expect_phase(
        Phase.MOVING
    )
    play.empties().verified().expect(like(ev.WaveBegun, wave=2)).ends(
        fx.CheckCluster, with_=checked(HEALING)
    )
    play.expect(like(ev.PauseCauseAdded, cause=HEALS), ev.MigrationPaused).holds(HEALS)
    for _ in range(2):
        play.ends(fx.CheckCluster, with_=checked()).wait(POLICY.recheck_seconds)
    play.ends(fx.CheckCluster, with_=checked()).expect(
        ev.PauseCauseLifted, like(ev.WaveBegun, wave=2)
    )


def test_a_wave_that_fell_short_is_finished_under_self_healing() -> None:
    """Between two attempts nothing holds healing off: the rest is asked for at once, and holds
    it off again.
    """
    play = Play().started().moving()
    play.sees(left=2, moving=0, executor=IDLE, task=msg.TaskStatus.COMPLETED, reasons=(HEALING,))
    play.wait(POLICY.settle_seconds)
    play.sees(left=2, moving=0, executor=IDLE, task=msg.TaskStatus.COMPLETED, reasons=(HEALING,))
    play.expect(ev.WaveFellShort, like(ev.WaveBegun, wave=1, attempt=2)).expect_phase(
        Phase.CHECKING, fx.CheckCluster
    )
    play.ends(fx.CheckCluster, with_=checked(HEALING, replicas=2)).expect(asks(fx.StartWave))


def test_after_a_pause_no_attempt_begins_under_self_healing() -> None:
    """What stood still held nothing off: healing may have begun, and an operator switches it
    off first.
    """
    play = (
        Play()
        .started()
        .moving()
        .alert("p99")
        .ends(fx.StopWave, with_=DONE)
        .alert("p99", firing=False)
    )
    play.ends(fx.CheckCluster, with_=checked(HEALING)).expect(like(ev.PauseCauseAdded, cause=HEALS))


@pytest.mark.parametrize(
    "other", [Reason(Code.UNDER_MIN_ISR, "t-1"), Reason(Code.BROKER_DOWN, "broker 12")]
)
def test_what_is_grave_stops_it_all_the_same(other: Reason) -> None:
    """A cluster that suffers is worse than one that heals."""
    play = Play().started().moving().sees(reasons=(HEALING, other))
    play.expect(like(ev.PauseCauseAdded, cause=f"safety:{other.code}"), ev.StopRequested)
    play.holds(f"safety:{other.code}")


def test_what_the_agent_moves_by_itself_holds_nothing_off() -> None:
    """A selection is not Cruise Control's to execute: self-healing would begin at any moment,
    and pauses it.
    """
    play = Play().started(canary_partitions=1).ends(fx.CheckCluster, with_=checked(replicas=1))
    play.ends(fx.MovePartitions, with_=msg.ExecutionRequested(user_task_id="")).expect_phase(
        Phase.MOVING
    )
    play.sees(left=1, moving=1, reasons=(HEALING,)).expect(
        like(ev.PauseCauseAdded, cause=HEALS), ev.StopRequested
    )
