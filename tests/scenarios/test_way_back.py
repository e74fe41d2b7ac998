"""Rolling back and cancelling, from wherever it stands."""

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options
from agent.core.planning.plan import Direction, WaveState
from tests.scenarios.phases import in_phase
from tests.scenarios.play import (
    DONE,
    Play,
    asks,
    checked,
    compared,
    inspected,
    like,
    surveyed,
    unreachable,
)


def _states(play: Play) -> list[tuple[Direction, WaveState]]:
    return [(w.direction, w.state) for w in play.m.waves]


def test_rollback_of_a_half_moved_wave_stops_it_first() -> None:
    """A running wave is stopped, then its pair is asked for the other way round, then the
    result is proven.
    """
    play = Play().started().moving().command(msg.RollBackMigration)
    play.expect(ev.CommandAccepted, ev.StopRequested, asks(fx.StopWave, at_once=True))
    play.ends(fx.StopWave, with_=DONE).expect(
        ev.RollbackStarted, like(ev.WaveBegun, wave=4, attempt=1)
    )
    scope = play.m.scope()
    assert (scope.source_broker_ids, scope.destination_broker_ids) == ((31,), (11,))
    assert _states(play) == [(Direction.FORWARD, WaveState.ABANDONED)] * 3 + [
        (Direction.BACK, WaveState.ACTIVE)
    ]
    play.wave().expect(like(ev.WaveVerified, wave=4), ev.RollbackMoved, asks(fx.CompareSnapshot))
    play.ends(fx.CompareSnapshot, with_=compared()).expect(
        like(ev.RollbackCompleted, comparison=compared())
    )
    play.expect_phase(Phase.ROLLED_BACK)


def test_rollback_of_everything_goes_last_wave_first() -> None:
    """A drained migration rolls back wave by wave in reverse, and its sources are no longer
    called drained.
    """
    play = (
        Play()
        .started()
        .drained()
        .command(msg.RollBackMigration)
        .expect_phase(Phase.CHECKING, fx.CheckCluster)
    )
    assert play.m.sources == ()
    pairs = [
        (w.source_broker_ids, w.destination_broker_ids)
        for w in play.m.waves
        if w.direction is Direction.BACK
    ]
    assert pairs == [((33,), (13,)), ((32,), (12,)), ((31,), (11,))]
    play.wave().wave().wave().ends(fx.CompareSnapshot, with_=compared()).expect_phase(
        Phase.ROLLED_BACK
    )


def test_rollback_while_paused_lifts_the_operator_s_pause_only() -> None:
    """To roll back is to go on: the operator's own pause is lifted, an alert still holds."""
    play = Play().started().moving().command(msg.PauseMigration).ends(fx.StopWave, with_=DONE)
    play.command(msg.RollBackMigration).expect(ev.PauseCauseLifted, ev.StopRequested)
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.CHECKING, fx.CheckCluster)
    alerted = in_phase(Phase.PAUSED).command(msg.RollBackMigration).ends(fx.StopWave, with_=DONE)
    alerted.expect(ev.RollbackStarted, ev.MigrationPaused).expect_phase(Phase.PAUSED).holds(
        "alert:p99"
    )
    alerted.alert(firing=False).expect(ev.MigrationResumed, like(ev.WaveBegun, wave=4))


def test_rollback_between_waves_moves_only_what_was_moved() -> None:
    """Waves that never began are not undone."""
    play = (
        in_phase(Phase.BETWEEN_WAVES)
        .command(msg.RollBackMigration)
        .expect(ev.RollbackStarted, ev.WaveBegun)
    )
    assert [w.source_broker_ids for w in play.m.waves if w.direction is Direction.BACK] == [(31,)]


def test_rollback_at_the_gate_needs_no_approval_for_its_first_wave() -> None:
    """The way back begins at once; the shut gate belonged to the way forward."""
    in_phase(Phase.AWAITING_APPROVAL).command(msg.RollBackMigration).expect_phase(
        Phase.CHECKING, fx.CheckCluster
    )


def test_rollback_from_blocked_while_checking_while_asking_while_closing() -> None:
    """Each ends in a wave back: with a stop first where an execution may run or a throttle may
    be set.
    """
    for phase in (Phase.BLOCKED, Phase.CHECKING, Phase.REQUESTING, Phase.CLOSING):
        play = (
            in_phase(phase)
            .command(msg.RollBackMigration)
            .expect(ev.CommandAccepted, asks(fx.StopWave))
        )
        play.ends(fx.StopWave, with_=DONE).expect(ev.RollbackStarted, like(ev.WaveBegun, wave=4))


def test_rollback_overrides_a_cancel_that_is_still_stopping() -> None:
    """The last order counts for what comes after the stop; both were answered."""
    play = Play().started().moving().command(msg.CancelMigration).command(msg.RollBackMigration)
    play.expect(ev.CommandAccepted, like(ev.StopRequested, purpose="roll back"))
    play.ends(fx.StopWave, with_=DONE).expect(ev.RollbackStarted).never(ev.MigrationCancelled)


def test_rollback_after_cancel_undoes_what_was_left_there() -> None:
    """A cancelled migration can still be taken back."""
    play = in_phase(Phase.CANCELLED).command(msg.RollBackMigration).expect(ev.RollbackStarted)
    assert [w.source_broker_ids for w in play.m.waves if w.direction is Direction.BACK] == [(31,)]


def test_rollback_is_refused_before_anything_has_moved_and_twice() -> None:
    """Nothing to undo, or being undone already: refused, with its own reason."""
    Play().command(msg.RollBackMigration).refused(Code.NO_MIGRATION)
    paused_at_once = Play().alert().command(msg.StartMigration, options=Options())
    paused_at_once.ends(fx.PrepareMigration, with_=surveyed()).expect_phase(Phase.PAUSED)
    paused_at_once.command(msg.RollBackMigration).refused(Code.NOTHING_TO_ROLL_BACK)
    play = in_phase(Phase.MOVING).command(msg.RollBackMigration).ends(fx.StopWave, with_=DONE)
    play.command(msg.RollBackMigration).refused(Code.NOT_IN_THIS_PHASE)


def test_a_rollback_can_be_paused_and_cancelled_too() -> None:
    """The way back obeys the same orders as the way forward."""
    play = (
        Play()
        .started()
        .moving()
        .command(msg.RollBackMigration)
        .ends(fx.StopWave, with_=DONE)
        .moving()
    )
    play.command(msg.PauseMigration).ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect(like(ev.WaveBegun, wave=4, attempt=2))
    play.command(msg.CancelMigration).ends(fx.StopWave, with_=DONE).expect_phase(Phase.CANCELLED)
    assert _states(play)[-1] == (Direction.BACK, WaveState.ABANDONED)


def test_the_proof_is_tried_until_it_can_be_made() -> None:
    """An unreachable Kafka delays the comparison; after the patience it is blocked, and `retry`
    proves again.
    """
    play = in_phase(Phase.PROVING)
    while play.m.phase is Phase.PROVING:
        play.ends(fx.CompareSnapshot, with_=unreachable(Code.KAFKA_UNREACHABLE)).wait(15)
    play.expect_phase(Phase.BLOCKED)
    assert play.m.blocked[0].code is Code.KAFKA_UNREACHABLE
    play.command(msg.SkipWave).refused(Code.NOT_IN_THIS_PHASE)
    play.command(msg.RetryWave).expect(ev.RollbackMoved, asks(fx.CompareSnapshot)).expect_phase(
        Phase.PROVING, fx.CompareSnapshot
    )
    play.ends(fx.CompareSnapshot, with_=compared(different=1)).expect(
        like(ev.RollbackCompleted, comparison=compared(different=1))
    )


# ── cancel ────────────────────────────────────────────────────────────────────────────────────────
def test_cancel_stops_for_good_and_leaves_what_was_moved() -> None:
    """From every phase in which it is valid, a cancel ends in CANCELLED with nothing pending
    and no pause cause.
    """
    for phase in (
        Phase.CHECKING,
        Phase.REQUESTING,
        Phase.MOVING,
        Phase.CLOSING,
        Phase.BETWEEN_WAVES,
        Phase.AWAITING_APPROVAL,
        Phase.STOPPING,
        Phase.PAUSED,
        Phase.BLOCKED,
    ):
        play = in_phase(phase).command(msg.CancelMigration).expect(ev.CommandAccepted)
        if play.m.phase is Phase.STOPPING:
            play.ends(fx.StopWave, with_=DONE)
        play.expect(ev.MigrationCancelled).expect_phase(Phase.CANCELLED)
        assert all(w.state in (WaveState.DONE, WaveState.ABANDONED) for w in play.m.waves)


def test_a_late_check_after_a_cancel_changes_nothing() -> None:
    """What was abandoned may still answer; nobody listens."""
    play = Play().started()
    late = play.m.pending[0].effect_id
    play.command(msg.CancelMigration).ends(fx.StopWave, with_=DONE)
    play.meet(msg.EffectEnded(at=play.now, effect_id=late, outcome=checked())).nothing()
    play.wait(10_000).expect_phase(Phase.CANCELLED)


def test_cancel_while_a_safety_reason_holds_forgets_the_reason() -> None:
    """After a cancel nothing is held up any more: a safety cause is dropped, an alert stays for
    the next start.
    """
    play = Play().started().moving().sees(reasons=(Reason(Code.BROKER_DOWN, "12"),)).alert()
    play.ends(fx.StopWave, with_=DONE)
    play.holds("safety:BROKER_DOWN", "alert:p99").command(msg.CancelMigration).ends(
        fx.StopWave, with_=DONE
    )
    play.holds("alert:p99").expect_phase(Phase.CANCELLED)


def test_a_fault_found_after_a_wave_blocks_it() -> None:
    """A changed replication factor or AZ spread is never passed over: it blocks, with the
    reason.
    """
    fault = Reason(Code.AZ_SPREAD_CHANGED, "t-1")
    play = in_phase(Phase.CLOSING).ends(fx.CloseWave, with_=inspected(faults=(fault,)))
    play.expect(like(ev.MigrationBlocked, reasons=(fault,))).expect_phase(Phase.BLOCKED)
