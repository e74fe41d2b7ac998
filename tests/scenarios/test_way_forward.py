"""From a start to the day the source brokers have left."""

from dataclasses import replace

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase, wake_at, watches
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Approval, Mode, Options, Pairing
from agent.core.planning.plan import WaveState
from agent.core.planning.wave import PLAN_WAVES_MAX, PLANS_MAX
from tests.scenarios.phases import in_phase
from tests.scenarios.play import (
    ASKED,
    PARTITIONS,
    POLICY,
    Play,
    asks,
    busy,
    checked,
    inspected,
    like,
    surveyed,
)


def test_full_mode_moves_each_az_in_turn_until_every_source_has_left() -> None:
    """A start in full mode leads, wave by wave, to drained brokers, to `may be shut down`, and
    to completed.
    """
    play = Play()
    play.command(msg.StartMigration, options=Options(mode=Mode.FULL), issued_by="ann")
    play.expect(
        like(ev.CommandConsidered, command_id="c1"), asks(fx.PrepareMigration, command_id="c1")
    )
    play.never(ev.CommandAccepted)
    play.ends(fx.PrepareMigration, with_=surveyed())
    play.expect(
        ev.EffectFinished,
        like(ev.CommandAccepted, command_id="c1", command="start", issued_by="ann", repeat=False),
        like(ev.MigrationStarted, snapshot_partitions=PARTITIONS),
        like(ev.WaveBegun, wave=1, attempt=1),
        asks(fx.CheckCluster),
    )
    for number, (source, destination) in enumerate(((11, 31), (12, 32), (13, 33)), 1):
        scope = play.m.scope()
        assert (scope.wave, scope.attempt) == (number, 1)
        assert (scope.source_broker_ids, scope.destination_broker_ids) == (
            (source,),
            (destination,),
        )
        play.ends(fx.CheckCluster, with_=checked())
        play.expect(like(ev.ChecksPassed, replicas=PARTITIONS), asks(fx.StartWave, scope=scope))
        play.ends(fx.StartWave, with_=ASKED).expect(
            like(ev.ExecutionStarted, user_task_id="task-1", adopted=False)
        )
        play.expect_phase(Phase.MOVING)
        assert watches(play.m, POLICY)[0] == fx.WatchWave(scope=scope, throttled=False)
        play.wait(2).sees(left=3, moved=3_000).expect(like(ev.WaveProgressed, replicas_left=3))
        play.wait(2).sees(left=0, moving=0, moved=6_000).expect(
            ev.SourceEmptied, asks(fx.CloseWave, scope=scope)
        )
        play.ends(fx.CloseWave, with_=inspected()).expect(like(ev.WaveVerified, wave=number))
    play.never(ev.MigrationDrained).sees_sources()
    play.expect(like(ev.MigrationDrained, broker_ids=(11, 12, 13))).expect_phase(Phase.DRAINED)
    assert watches(play.m, POLICY) == (fx.WatchSources(source_broker_ids=(11, 12, 13)),)
    play.wait(POLICY.quiet_seconds - 10).sees_sources().nothing()
    play.wait(10).sees_sources().expect(
        *(like(ev.SourceMayBeShutDown, broker_id=b) for b in (11, 12, 13))
    )
    assert play.m.stage == 4
    play.sees_sources(alive=(12,)).expect(
        like(ev.SourceLeft, broker_id=11), like(ev.SourceLeft, broker_id=13)
    )
    play.never(ev.MigrationCompleted)
    play.sees_sources(alive=()).expect(like(ev.SourceLeft, broker_id=12), ev.MigrationCompleted)
    play.expect_phase(Phase.COMPLETED)
    assert watches(play.m, POLICY) == ()
    assert wake_at(play.m) is None


def test_a_source_that_comes_back_must_be_quiet_again() -> None:
    """Started once more, it may receive new topics: it counts as there, and is to stay empty for
    the whole quiet time before it may be shut down again.
    """
    play = Play().started().drained().wait(POLICY.quiet_seconds).sees_sources()
    play.sees_sources(alive=(12, 13)).expect(like(ev.SourceLeft, broker_id=11))
    play.sees_sources(alive=(11, 12, 13)).expect(like(ev.SourceReturned, broker_id=11))
    (source,) = [s for s in play.m.sources if s.broker_id == 11]
    assert (source.left, source.may_be_shut_down) == (False, False)
    play.wait(POLICY.quiet_seconds - 1).sees_sources().never(ev.MigrationCompleted).nothing()
    play.wait(1).sees_sources().expect(like(ev.SourceMayBeShutDown, broker_id=11))


def test_stages_are_the_article_s() -> None:
    """The stage goes 1, 2, 3, 4 and never back on the way forward."""
    play = Play()
    stages = [play.m.stage]
    play.started()
    stages.append(play.m.stage)
    play.drained()
    stages.append(play.m.stage)
    play.wait(POLICY.quiet_seconds).sees_sources()
    stages.append(play.m.stage)
    assert stages == [1, 2, 3, 4]


def test_zone_pairing_moves_an_az_in_one_wave() -> None:
    """With pairing zone, the AZ's brokers share one request."""
    play = Play().started(pairing=Pairing.ZONE)
    assert [w.source_broker_ids for w in play.m.waves] == [(11,), (12,), (13,)]


def test_a_plan_moves_nothing_and_is_answered_once() -> None:
    """A dry run is answered with what would move and everything that stands in the way, and
    asks for no move.
    """
    play = (
        Play().command(msg.PlanMigration, options=Options()).expect_phase(Phase.NONE, fx.MakePlan)
    )
    in_the_way = Reason(Code.BROKER_DOWN, "broker 12 is down")
    play.ends(fx.MakePlan, with_=surveyed(None, in_the_way))
    play.expect(ev.CommandAccepted, like(ev.PlanMade, reasons=(in_the_way,))).expect_phase(
        Phase.NONE
    )


def test_a_start_names_every_reason_against_it_at_once() -> None:
    """A survey that finds two reasons refuses with both, and nothing was started."""
    reasons = (Reason(Code.BROKER_DOWN, "12"), Reason(Code.FOREIGN_REASSIGNMENT, "t-0"))
    play = Play().command(msg.StartMigration, options=Options())
    play.ends(fx.PrepareMigration, with_=surveyed(None, *reasons))
    play.expect(like(ev.CommandRefused, command_id="c1", reasons=reasons)).never(
        ev.CommandAccepted, ev.MigrationStarted
    )
    play.expect_phase(Phase.NONE)


def test_a_survey_that_cannot_be_made_refuses_the_start() -> None:
    """An unreachable Kafka refuses a start at once: nobody waits for an answer that may never
    come.
    """
    play = Play().command(msg.StartMigration, options=Options())
    play.ends(fx.PrepareMigration, with_=busy(Code.KAFKA_UNREACHABLE))
    play.expect(ev.CommandRefused).expect_phase(Phase.NONE)
    assert play.m.considered == ()


def test_start_of_a_plan_uses_the_plan_s_options() -> None:
    """`start` with a plan_id carries the options that were planned; an unknown plan_id is
    refused.
    """
    options = Options(throttle_bytes_per_second=77)
    play = (
        Play()
        .command(msg.PlanMigration, options=options)
        .ends(fx.MakePlan, with_=surveyed(options))
    )
    play.command(msg.StartMigration, options=Options(), plan_id="another").refused(
        Code.UNKNOWN_PLAN
    )
    play.command(msg.StartMigration, options=Options(), plan_id="the-plan")
    play.expect(asks(fx.PrepareMigration, plan_id="the-plan", options=options))


def test_kept_plans_are_bounded() -> None:
    """The last three, fewer where they are large: the saved state has a limit.

    The newest is always there.
    """
    play = Play()
    for n in range(PLANS_MAX + 2):
        play.command(msg.PlanMigration, options=Options()).ends(fx.MakePlan, with_=surveyed())
        assert len(play.m.plans) == min(n + 1, PLANS_MAX)
    assert all(w.estimate and not w.estimate.reasoning for p in play.m.plans for w in p.waves)
    large = surveyed()
    assert large.plan is not None
    large = replace(large, plan=replace(large.plan, waves=large.plan.waves * PLAN_WAVES_MAX))
    play.command(msg.PlanMigration, options=Options()).ends(fx.MakePlan, with_=large)
    assert len(play.m.plans) == 1


def test_a_plan_brings_its_options_and_takes_no_others() -> None:
    """Other options beside a plan's id would start something that nobody planned."""
    options = Options(throttle_bytes_per_second=77)
    play = (
        Play()
        .command(msg.PlanMigration, options=options)
        .ends(fx.MakePlan, with_=surveyed(options))
    )
    play.command(msg.StartMigration, options=Options(soak_seconds=9.0), plan_id="the-plan").refused(
        Code.PLAN_OUTDATED
    )
    play.command(msg.StartMigration, options=options, plan_id="the-plan").expect(
        asks(fx.PrepareMigration)
    )


def test_soak_time_is_waited_for_between_waves() -> None:
    """After a wave nothing begins before its soak time has passed."""
    play = Play().started(soak_seconds=30.0).wave().expect_phase(Phase.BETWEEN_WAVES)
    play.wait(29).expect_phase(Phase.BETWEEN_WAVES)
    play.wait(1).expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_approval_per_wave_opens_one_gate_at_a_time() -> None:
    """The first wave needs no approval; each later one waits for its own."""
    play = (
        Play()
        .started(approval=Approval.WAVE)
        .wave()
        .expect(like(ev.ApprovalAwaited, wave=2, az="az-b"))
    )
    play.expect_phase(Phase.AWAITING_APPROVAL).wait(10_000).expect_phase(Phase.AWAITING_APPROVAL)
    play.command(msg.ApproveMigration, issued_by="bob").expect(
        like(ev.ApprovalGiven, wave=2, issued_by="bob")
    )
    play.expect_phase(Phase.CHECKING, fx.CheckCluster).wave().expect(
        like(ev.ApprovalAwaited, wave=3)
    )


def test_approval_per_az_lets_waves_of_one_az_pass() -> None:
    """Within an AZ no gate is shut; before the next AZ one is."""
    play = Play().started(approval=Approval.AZ)
    play.wave().expect(like(ev.ApprovalAwaited, wave=2))
    play.command(msg.ApproveMigration).expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_an_attempt_that_fell_short_asks_for_no_second_approval() -> None:
    """An approved wave stays approved for the attempts at its rest."""
    play = Play().started(approval=Approval.WAVE).wave().command(msg.ApproveMigration).moving()
    play.wait(60).sees(left=2, moving=0, executor=msg.Executor.IDLE, task=msg.TaskStatus.COMPLETED)
    play.wait(60).sees(left=2, moving=0, executor=msg.Executor.IDLE, task=msg.TaskStatus.COMPLETED)
    play.expect(ev.WaveFellShort, like(ev.WaveBegun, wave=2, attempt=2)).never(ev.ApprovalAwaited)


def test_an_empty_source_is_verified_without_a_request() -> None:
    """A wave whose source holds nothing already is closed at once, and Cruise Control is not
    asked.
    """
    play = Play().started().ends(fx.CheckCluster, with_=checked(replicas=0))
    play.expect(ev.SourceEmptied, asks(fx.CloseWave)).never(ev.ChecksPassed).expect_phase(
        Phase.CLOSING, fx.CloseWave
    )
    play.verified().expect(like(ev.WaveVerified, wave=1), like(ev.WaveBegun, wave=2))


def test_a_wave_is_not_done_before_every_fact_is_clean() -> None:
    """Each of the eight facts alone keeps a wave open; it is looked at again until all are
    clean.
    """
    moves = ("bytes_left", "leaders_left", "reassignments")
    for name in (
        *moves,
        "not_in_sync",
        "not_preferred",
        "throttles_left",
        "order_changed",
        "coordinators_loading",
    ):
        play = Play().started().moving().empties().ends(fx.CloseWave, with_=inspected(**{name: 1}))
        play.never(ev.WaveVerified).waits_for(Code.WAVE_NOT_VERIFIED).expect_phase(Phase.CLOSING)
        play.wait(POLICY.busy_retry_seconds).expect_phase(Phase.CLOSING, fx.CloseWave)
        play.verified().expect(ev.WaveVerified)


def test_a_second_migration_may_begin_when_the_first_one_rests() -> None:
    """After an end a new start is considered; while one runs it is refused."""
    play = Play().started()
    play.command(msg.StartMigration, options=Options()).refused(Code.ALREADY_RUNNING)
    play.drained()
    first = play.m.migration_id
    play.command(msg.StartMigration, options=Options()).expect(asks(fx.PrepareMigration))
    play.ends(fx.PrepareMigration, with_=surveyed()).expect_phase(Phase.CHECKING, fx.CheckCluster)
    assert play.m.migration_id != first
    assert all(w.state in (WaveState.ACTIVE, WaveState.PENDING) for w in play.m.waves)


def test_a_start_that_is_overtaken_is_refused() -> None:
    """Found by simulation: a rollback, a retry or a sweep may begin between a start and the end
    of its survey.
    """
    overtaken = [
        in_phase(Phase.CANCELLED)
        .command(msg.StartMigration, options=Options())
        .command(msg.RollBackMigration),
        in_phase(Phase.DRAINED).command(msg.StartMigration, options=Options()).sees_sources(b12=1),
    ]
    for play in overtaken:
        play.expect_phase(Phase.CHECKING, fx.PrepareMigration, fx.CheckCluster)
        play.ends(fx.PrepareMigration, with_=surveyed()).never(
            ev.MigrationStarted, ev.CommandAccepted
        )
        play.expect(ev.CommandRefused).expect_phase(Phase.CHECKING, fx.CheckCluster)
        refusal = play.last[-1]
        assert isinstance(refusal, ev.CommandRefused)
        assert [r.code for r in refusal.reasons] == [Code.ALREADY_RUNNING]


def test_ids_of_effects_never_repeat_across_migrations() -> None:
    """Sequence numbers go on from one migration to the next, so no event id and no effect id is
    used twice.
    """
    play = Play().started().drained().command(msg.StartMigration, options=Options())
    play.ends(fx.PrepareMigration, with_=surveyed()).drained()
    asked = [e.effect_id for e in play.story if isinstance(e, ev.EffectRequested)]
    assert len(asked) == len(set(asked))
