"""Cruise Control lies, forgets, refuses or is away; the migration goes on, waits, or calls a
human, and says why.
"""

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, watches
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options
from agent.core.planning.plan import WaveState
from tests.scenarios.phases import in_phase
from tests.scenarios.play import (
    DONE,
    PARTITIONS,
    POLICY,
    Play,
    asks,
    busy,
    checked,
    inspected,
    like,
    rejected,
    surveyed,
    unreachable,
)

IDLE, OVER, FORGOTTEN = msg.Executor.IDLE, msg.TaskStatus.COMPLETED, msg.TaskStatus.NONE


def _ended(play: Play, left: int, task: msg.TaskStatus = OVER) -> Play:
    """Cruise Control is idle and says that it is done; nothing moves; so many replicas are
    left, twice seen.
    """
    play.sees(left=left, moving=0, executor=IDLE, task=task)
    return play.wait(POLICY.settle_seconds).sees(left=left, moving=0, executor=IDLE, task=task)


# ── what Cruise Control says of its execution ─────────────────────────────────────────────────────
def test_completed_with_some_left_asks_for_the_rest() -> None:
    """`Completed` with replicas left is no end: another attempt asks for what is left, under
    another key.
    """
    play = _ended(Play().started().moving(), left=2).expect(
        like(ev.WaveFellShort, attempt=1, progressed=True), like(ev.WaveBegun, wave=1, attempt=2)
    )
    play.ends(fx.CheckCluster, with_=checked(replicas=2)).expect(asks(fx.StartWave))
    pending = play.m.pending_effect(fx.StartWave)
    assert pending is not None
    assert isinstance(pending.effect, fx.StartWave)
    assert pending.effect.scope.key == f"{play.m.migration_id}/1/2"


def test_completed_with_nothing_moved_blocks_after_three_times() -> None:
    """Three requests that move nothing call a human; progress in between starts the count anew."""
    play = _ended(Play().started().moving(), left=PARTITIONS).expect(
        like(ev.WaveFellShort, progressed=False)
    )
    _ended(play.moving(), left=4).expect(like(ev.WaveFellShort, attempt=2, progressed=True))
    play.ends(fx.CheckCluster, with_=checked(replicas=4)).ends(
        fx.StartWave, with_=msg.ExecutionRequested(user_task_id="")
    )
    _ended(play, left=4).expect(like(ev.WaveFellShort, attempt=3, progressed=False))
    for _ in range(2):
        play.ends(fx.CheckCluster, with_=checked(replicas=4))
        _ended(play.ends(fx.StartWave, with_=msg.ExecutionRequested(user_task_id="")), left=4)
    play.expect(ev.StopRequested).expect_phase(Phase.STOPPING, fx.StopWave)
    play.ends(fx.StopWave, with_=DONE).expect(ev.MigrationBlocked).expect_phase(Phase.BLOCKED)
    assert [r.code for r in play.m.blocked] == [Code.NO_PROGRESS]


def test_the_end_is_believed_only_when_it_lasts() -> None:
    """Between an idle executor and stale figures lie some seconds: one look is not enough."""
    play = Play().started().moving().sees(left=2, moving=0, executor=IDLE, task=OVER)
    play.never(ev.WaveFellShort).wait(POLICY.settle_seconds - 1).sees(
        left=2, moving=0, executor=IDLE, task=OVER
    )
    play.never(ev.WaveFellShort).sees(left=0, moving=0, executor=IDLE, task=OVER).expect(
        ev.SourceEmptied
    )


def test_a_forgotten_task_is_left_to_finish_in_kafka() -> None:
    """A restarted Cruise Control knows nothing; what moves in Kafka is watched to its end, then
    the rest is asked.
    """
    play = Play().started().moving().sees(left=4, moving=2, executor=IDLE, task=FORGOTTEN)
    play.expect(ev.ExecutorSeen, like(ev.Waiting)).waits_for(Code.ORPHANED_MOVES).expect_phase(
        Phase.MOVING
    )
    play.wait(100).sees(left=3, moving=1, executor=IDLE, task=FORGOTTEN).expect_phase(Phase.MOVING)
    play.wait(1).sees(left=2, moving=0, executor=IDLE, task=FORGOTTEN).expect(
        like(ev.WaveFellShort, progressed=True)
    )


def test_an_unreachable_cruise_control_while_moving_is_waited_for() -> None:
    """Kafka is watched meanwhile: the wave can even end without it."""
    play = Play().started().moving().sees(left=3, executor=msg.Executor.UNREACHABLE, task=FORGOTTEN)
    play.waits_for(Code.CRUISE_CONTROL_UNREACHABLE).wait(10_000).expect_phase(Phase.MOVING)
    play.sees(left=0, moving=0, executor=msg.Executor.UNREACHABLE, task=FORGOTTEN).expect(
        ev.SourceEmptied
    )


def test_what_cruise_control_says_against_us_is_told_in_its_own_words() -> None:
    """A login that is refused in mid-move has a code of its own and the answer's text, once;
    the wave goes on.
    """
    refused = Reason(
        Code.CRUISE_CONTROL_LOGIN_REFUSED, "it answered 401: Unauthorized", "credentials"
    )
    play = (
        Play()
        .started()
        .moving()
        .sees(left=3, executor=msg.Executor.UNREACHABLE, task=FORGOTTEN, trouble=refused)
    )
    play.waits_for(Code.CRUISE_CONTROL_LOGIN_REFUSED).expect_phase(Phase.MOVING)
    (told,) = play.m.waiting
    assert "401: Unauthorized" in told.seen
    play.wait(1).sees(left=3, executor=None, task=FORGOTTEN).never(ev.Waiting)
    play.wait(1).sees(left=3).expect(ev.ExecutorSeen, ev.Waiting)
    assert play.m.waiting == ()


def test_a_look_that_did_not_ask_changes_nothing_of_what_cruise_control_said() -> None:
    """Between two answers the last one counts: no word is no end of the execution, and no news
    of a stop.
    """
    play = Play().started().moving().sees(left=3)
    for _ in range(5):
        play.wait(POLICY.settle_seconds).sees(left=3, moving=0, executor=None, task=FORGOTTEN)
        play.never(ev.ExecutorSeen).never(ev.WaveFellShort).expect_phase(Phase.MOVING)
    play.sees(left=3, moving=0, executor=IDLE, task=FORGOTTEN).expect(ev.ExecutorSeen)
    play.wait(POLICY.settle_seconds).sees(left=3, moving=0, executor=None, task=FORGOTTEN).expect(
        ev.WaveFellShort
    )
    (short,) = [e for e in play.last if isinstance(e, ev.WaveFellShort)]
    assert "None" not in short.reason.seen
    assert "knows no request of ours" in short.reason.seen


def test_an_execution_that_failed_is_asked_for_again() -> None:
    """CompletedWithError with replicas left, and nobody who asked for a stop, is one more
    attempt.
    """
    play = _ended(Play().started().moving(), left=3, task=msg.TaskStatus.COMPLETED_WITH_ERROR)
    play.expect(ev.WaveFellShort, like(ev.WaveBegun, attempt=2))


def test_another_s_execution_does_not_count_as_ours() -> None:
    """When ours is over and a foreign execution runs, we fell short, and wait for it before
    asking again.
    """
    play = (
        Play().started().moving().sees(left=2, moving=0, executor=msg.Executor.FOREIGN, task=OVER)
    )
    play.wait(POLICY.settle_seconds).sees(
        left=2, moving=0, executor=msg.Executor.FOREIGN, task=OVER
    )
    play.expect(ev.WaveFellShort)
    play.ends(
        fx.CheckCluster, with_=checked(passing=(Reason(Code.CRUISE_CONTROL_BUSY, "another's"),))
    )
    play.expect_phase(Phase.CHECKING).waits_for(Code.CRUISE_CONTROL_BUSY)
    play.wait(POLICY.busy_retry_seconds).expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_an_observation_of_an_earlier_attempt_is_ignored() -> None:
    """A look that was on its way when the attempt ended says nothing about the next one."""
    play = _ended(Play().started().moving(), left=2)
    late = msg.WaveObserved(
        at=play.now,
        wave=1,
        attempt=1,
        replicas_left=0,
        bytes_left=0,
        bytes_moved=0,
        moving=0,
        executor=IDLE,
        task=OVER,
    )
    play.meet(late).nothing()


def test_a_standstill_is_told_once() -> None:
    """No byte and no replica for the stall time is told, once, and once more only after it has
    moved again.
    """
    play = Play().started().moving().sees(left=4, moved=10)
    told = 0
    for _ in range(10):
        play.wait(POLICY.stall_seconds / 4).sees(left=4, moved=10)
        told += sum(isinstance(e, ev.MovementStalled) for e in play.last)
    assert told == 1
    play.wait(10).sees(left=4, moved=20)
    play.wait(POLICY.stall_seconds + 1).sees(left=4, moved=20).expect(ev.MovementStalled)


# ── what it answers to the request ────────────────────────────────────────────────────────────────
def test_busy_is_asked_again_with_growing_pauses() -> None:
    """Busy waits a second, then longer, never more than 15 s, and says so once."""
    play = Play().started().asked()
    pauses = []
    for _ in range(12):
        play.ends(fx.StartWave, with_=busy()).waits_for(Code.CRUISE_CONTROL_BUSY)
        assert play.m.retry_at is not None
        pauses.append(play.m.retry_at - play.now)
        play.wait(pauses[-1]).expect_phase(Phase.REQUESTING, fx.StartWave)
    assert pauses[0] == POLICY.busy_retry_seconds
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15.0
    assert sum(isinstance(e, ev.Waiting) for e in play.story) == 1


def test_a_plan_asked_for_meanwhile_does_not_stop_the_waiting() -> None:
    """Found by simulation: a dry run between two attempts made the migration forget to ask
    again, for ever.
    """
    play = (
        Play()
        .started()
        .asked()
        .ends(fx.StartWave, with_=busy())
        .command(msg.PlanMigration, options=Options())
    )
    play.ends(fx.MakePlan, with_=surveyed()).wait(POLICY.busy_retry_seconds).expect_phase(
        Phase.REQUESTING, fx.StartWave
    )
    paused = Play().started().ends(fx.CheckCluster, with_=checked(Reason(Code.BROKER_DOWN, "12")))
    paused.ends(fx.CheckCluster, with_=checked(Reason(Code.BROKER_DOWN, "12")))
    paused.command(msg.PlanMigration, options=Options()).wait(POLICY.recheck_seconds)
    paused.expect_phase(Phase.PAUSED, fx.MakePlan, fx.CheckCluster)


def test_a_lost_answer_is_looked_for_not_repeated() -> None:
    """Unreachable keeps the same key, so that the performer finds what was accepted after all."""
    play = Play().started().asked()
    scope = play.m.scope()
    play.ends(fx.StartWave, with_=unreachable()).wait(POLICY.unreachable_retry_seconds)
    assert play.m.scope() == scope
    play.ends(fx.StartWave, with_=msg.ExecutionRequested(user_task_id="task-1", adopted=True))
    play.expect(like(ev.ExecutionStarted, adopted=True)).expect_phase(Phase.MOVING)


def test_a_busy_that_never_ends_blocks_with_nothing_left_behind() -> None:
    """After the patience a human is called; the throttle that was set is swept by a stop first."""
    play = Play().started().asked()
    while play.m.phase is Phase.REQUESTING:
        play.ends(fx.StartWave, with_=busy()).wait(15)
    assert play.now >= 1_000 + POLICY.busy_patience_seconds
    play.expect_phase(Phase.STOPPING, fx.StopWave).ends(fx.StopWave, with_=DONE).expect_phase(
        Phase.BLOCKED
    )


def test_a_rejection_blocks_at_once() -> None:
    """What asking again would not help calls a human, in Cruise Control's own words."""
    play = Play().started().asked().ends(fx.StartWave, with_=rejected()).expect(ev.StopRequested)
    play.ends(fx.StopWave, with_=DONE).expect(
        like(ev.MigrationBlocked, reasons=(rejected().reason,))
    )


def test_passing_reasons_are_waited_for_and_block_after_the_patience() -> None:
    """What clears by itself is waited for without a pause; when it never clears, it blocks."""
    passing = checked(passing=(Reason(Code.CRUISE_CONTROL_NOT_READY, "0 windows"),))
    play = Play().started()
    while play.m.phase is Phase.CHECKING:
        play.ends(fx.CheckCluster, with_=passing).wait(POLICY.busy_retry_seconds)
    play.expect_phase(Phase.BLOCKED)
    assert play.now >= 1_000 + POLICY.busy_patience_seconds


# ── blocked ───────────────────────────────────────────────────────────────────────────────────────
def test_retry_tries_the_same_wave_again() -> None:
    """A retried wave gets another attempt under another key, and its counts begin anew."""
    play = in_phase(Phase.BLOCKED).command(msg.RetryWave)
    play.expect(
        ev.CommandAccepted, like(ev.WaveReopened, wave=1), like(ev.WaveBegun, wave=1, attempt=2)
    )
    assert play.m.blocked == ()


def test_skip_leaves_the_wave_and_goes_on() -> None:
    """A skipped wave stays where it is; the next begins, and its source is not called drained."""
    play = (
        in_phase(Phase.BLOCKED)
        .command(msg.SkipWave)
        .expect(like(ev.WaveSkipped, wave=1), like(ev.WaveBegun, wave=2))
    )
    play.wave().wave().sees_sources().expect(like(ev.MigrationDrained, broker_ids=(12, 13)))


def test_a_migration_of_skipped_waves_ends_with_nothing_drained() -> None:
    """Nothing was moved, so nothing is watched and nothing may be shut down; but it ends."""
    play = Play().started()
    for _ in range(3):
        play.blocked().command(msg.SkipWave)
    play.expect(like(ev.MigrationDrained, broker_ids=())).expect_phase(Phase.DRAINED)
    assert watches(play.m, POLICY) == ()


def test_old_metadata_while_closing_is_no_new_attempt() -> None:
    """A source that was seen empty and shows replicas at once after is looked at again; what
    stays is moved.
    """
    play = in_phase(Phase.CLOSING).ends(fx.CloseWave, with_=inspected(replicas_left=2))
    play.never(ev.WaveFellShort).waits_for(Code.WAVE_NOT_VERIFIED).expect_phase(Phase.CLOSING)
    play.wait(POLICY.settle_seconds).ends(fx.CloseWave, with_=inspected(replicas_left=2))
    play.expect(ev.WaveFellShort, like(ev.WaveBegun, attempt=2))


def test_a_skipped_wave_leaves_no_throttle() -> None:
    """A wave is blocked only after its throttle was swept: while requesting by the stop, while
    closing by the close.
    """
    play = in_phase(Phase.CLOSING).ends(fx.CloseWave, with_=inspected(throttles_left=2))
    while play.m.phase is Phase.CLOSING:
        play.wait(15)
        if play.pending:
            play.ends(fx.CloseWave, with_=inspected(throttles_left=2))
    play.expect_phase(Phase.BLOCKED)
    assert "2 throttle entries" in play.m.blocked[0].seen


def test_an_alert_while_blocked_holds_the_retry() -> None:
    """A retry under an alert begins nothing."""
    play = (
        in_phase(Phase.BLOCKED)
        .alert()
        .command(msg.RetryWave)
        .expect(ev.WaveReopened, ev.MigrationPaused)
    )
    play.never(ev.WaveBegun)
    assert play.m.wave is not None
    assert play.m.wave.state is WaveState.PENDING


def test_a_wave_that_stays_blocked_can_be_paused_only_by_not_retrying() -> None:
    """`pause` is refused while blocked: nothing moves already."""
    in_phase(Phase.BLOCKED).command(msg.PauseMigration).refused(Code.NOT_IN_THIS_PHASE)


def test_a_coordinator_that_loads_pauses_only_when_it_lasts() -> None:
    """Each change of leaders loads one; groups that wait for longer than the grace are a reason
    to move no more.
    """
    loads = Reason(Code.COORDINATOR_LOADING, "broker 31: groups loading")
    play = (
        Play()
        .started()
        .moving()
        .sees(reasons=(loads,))
        .expect(like(ev.HealthChanged, reasons=(loads,)))
    )
    play.wait(POLICY.grace_seconds - 1).sees(reasons=(loads,)).never(
        ev.PauseCauseAdded
    ).expect_phase(Phase.MOVING)
    play.sees().expect(like(ev.HealthChanged, reasons=()))
    play.sees(reasons=(loads,)).wait(POLICY.grace_seconds).sees(reasons=(loads,))
    play.holds("safety:COORDINATOR_LOADING").expect_phase(Phase.STOPPING, fx.StopWave)
