"""A wave that takes a part of its source: the agent moves it by Kafka's own reassignment, and
the rest follows.
"""

from typing import Any

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, watches
from agent.core.model.reasons import Code
from agent.core.planning.options import Approval, Options, Pairing, ThrottleBy
from agent.core.planning.plan import WaveState
from agent.core.planning.selection import Lane
from tests.scenarios.play import ASKED, DONE, POLICY, Play, asks, busy, checked, like, surveyed


def _started(**options: Any) -> Play:
    """A canary of two partitions, in CHECKING."""
    return Play().started(canary_partitions=2, partition_movements_per_broker=1, **options)


def _moving(**options: Any) -> Play:
    play = _started(**options).ends(fx.CheckCluster, with_=checked(replicas=2))
    play.expect(ev.ChecksPassed, asks(fx.MovePartitions, begins=True))
    return (
        play.ends(fx.MovePartitions, with_=ASKED)
        .expect(like(ev.ExecutionStarted, by_agent=True))
        .expect_phase(Phase.MOVING)
    )


def _sees(play: Play, left: int, moving: int, moved: int = 0) -> Play:
    executor = msg.Executor.OURS if moving else msg.Executor.IDLE
    return play.sees(
        left=left, moving=moving, moved=moved, executor=executor, task=msg.TaskStatus.NONE
    )


def test_the_canary_goes_before_the_rest_of_its_pair() -> None:
    """It is moved by the agent, verified like any wave, and then Cruise Control is asked for
    what is left there.
    """
    play = _moving()
    assert play.m.waves[0].lane is Lane.CANARY
    _sees(play, left=0, moving=0, moved=5).expect(ev.SourceEmptied).expect_phase(
        Phase.CLOSING, fx.CloseWave
    )
    play.verified().expect(ev.WaveVerified).expect_phase(Phase.CHECKING, fx.CheckCluster)
    play.ends(fx.CheckCluster, with_=checked(replicas=4)).expect(asks(fx.StartWave)).expect_phase(
        Phase.REQUESTING, fx.StartWave
    )


def test_a_verified_selection_does_not_call_its_broker_drained() -> None:
    """Only the whole wave puts the source under watch; a cancel after the canary drains nothing."""
    play = _moving()
    _sees(play, left=0, moving=0).verified()
    assert play.m.sources == ()
    assert play.m.waves[0].state is WaveState.DONE


def test_a_freed_place_is_filled_at_once() -> None:
    """As soon as half of the places are free more is moved, and never twice at the same time."""
    play = _moving()
    _sees(play, left=2, moving=1).never(ev.EffectRequested)
    _sees(play, left=1, moving=0, moved=9).expect(asks(fx.MovePartitions, begins=False))
    _sees(play, left=1, moving=0, moved=9).never(ev.EffectRequested)
    play.ends(fx.MovePartitions, with_=ASKED).expect_phase(Phase.MOVING)


def test_a_pause_stops_it_and_a_resume_goes_on_from_what_is_left() -> None:
    """The same stop, checks and attempts as with Cruise Control."""
    play = _moving().command(msg.PauseMigration).expect(asks(fx.StopWave, at_once=True))
    play.ends(fx.StopWave, with_=DONE).expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect_phase(Phase.CHECKING, fx.CheckCluster)
    play.ends(fx.CheckCluster, with_=checked(replicas=1)).expect(
        asks(fx.MovePartitions, begins=True)
    )


def test_what_moves_after_all_while_it_is_paused_is_stopped_again() -> None:
    """A request that was on its way when the pause came."""
    play = (
        _moving()
        .command(msg.PauseMigration)
        .ends(fx.StopWave, with_=DONE)
        .expect_phase(Phase.PAUSED)
    )
    _sees(play, left=2, moving=1).expect(asks(fx.StopWave))


def test_when_nothing_moves_for_long_the_cluster_is_looked_at_anew() -> None:
    """Another hand may have cancelled it: a new attempt, whose checks say why; without any
    progress it blocks.
    """
    play = _moving()
    _sees(play, left=2, moving=0).expect(asks(fx.MovePartitions))
    play.ends(fx.MovePartitions, with_=busy(Code.FOREIGN_REASSIGNMENT)).waits_for(
        Code.FOREIGN_REASSIGNMENT
    )
    play.wait(POLICY.settle_seconds)
    play.ends(fx.TuneWave, with_=DONE)
    _sees(play, left=2, moving=0).expect(ev.WaveFellShort).expect_phase(
        Phase.CHECKING, fx.CheckCluster
    )


def test_a_selection_is_throttled_by_the_agent_whoever_throttles_the_rest() -> None:
    """Cruise Control has no part in it, so it cannot set its throttle."""
    play = _moving(throttle_by=ThrottleBy.CRUISE_CONTROL, throttle_bytes_per_second=1_000)
    watch = next(w for w in watches(play.m, POLICY) if isinstance(w, fx.WatchWave))
    assert watch.throttled
    assert play.m.throttle_rates_set == (1_000,)


def test_slow_causes_slow_a_selection_too() -> None:
    """The rate of what moves is changed, and its lane's own bound holds on."""
    play = _moving(throttle_bytes_per_second=5_000).command(msg.PauseMigration, slow=True)
    play.expect(asks(fx.TuneWave, throttle_bytes_per_second=POLICY.slow_bytes_per_second))


def test_an_approval_can_be_awaited_after_the_canary() -> None:
    """That is what a canary is for."""
    play = _moving(approval=Approval.WAVE)
    _sees(play, left=0, moving=0).verified().expect_phase(Phase.AWAITING_APPROVAL)


def test_a_rollback_out_of_the_canary_takes_back_just_that() -> None:
    """Not what else may lie on the destination: the same selection, the other way."""
    play = (
        _moving()
        .command(msg.RollBackMigration)
        .ends(fx.StopWave, with_=DONE)
        .expect(ev.RollbackStarted)
    )
    back = play.m.waves[-1]
    assert (back.lane, back.selection, back.source_broker_ids) == (
        Lane.CANARY,
        play.m.waves[0].selection,
        (31,),
    )
    play.ends(fx.CheckCluster, with_=checked(replicas=1)).expect(asks(fx.MovePartitions))


def test_a_plan_that_cannot_keep_its_options_is_refused() -> None:
    """With every reason, before anything is surveyed for long."""
    options = Options(canary_partitions=1, pairing=Pairing.ZONE)
    play = Play().command(msg.StartMigration, options=options)
    play.ends(fx.PrepareMigration, with_=surveyed(options)).expect(ev.CommandRefused)
    assert play.last[-1].reasons[0].code is Code.LANES_NEED_PAIRS  # type: ignore[union-attr]
