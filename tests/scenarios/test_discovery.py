"""Clients' way to the brokers: they find the destinations before anything moves, and lose a
source when it is free.
"""

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import events as ev
from agent.core import messages as msg
from agent.core.migration import Phase
from agent.core.model.endpoints import Deregistered, Endpoint, Registered
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Options
from tests.scenarios.play import POLICY, Play, asks, compared, like, surveyed, unreachable

GRACE = 300.0
KNOWN = replace(POLICY, discovery=True, discovery_grace_seconds=GRACE)
SOURCES = tuple(
    Endpoint(
        broker_id=b,
        service_id=f"kafka-{b}",
        node="ec2",
        address="10.0.0.1",
        port=9000 + b,
        tags=("v3",),
    )
    for b in (11, 12, 13)
)
FOUND = Registered(broker_ids=(31, 32, 33), others=SOURCES)
AWAY = unreachable(Code.CONSUL_UNREACHABLE)


def _accepted() -> Play:
    """A start was accepted; clients cannot find the destinations yet."""
    play = (
        Play(KNOWN)
        .command(msg.StartMigration, options=Options())
        .ends(fx.PrepareMigration, with_=surveyed())
    )
    return play.expect_phase(Phase.BETWEEN_WAVES, fx.RegisterEndpoints)


def _drained() -> Play:
    """All moved, every source seen empty."""
    play = (
        _accepted()
        .ends(fx.RegisterEndpoints, with_=FOUND)
        .expect_phase(Phase.CHECKING, fx.CheckCluster)
    )
    return play.drained()


def _out(*broker_ids: int, counted: bool = True, held: tuple[Reason, ...] = ()) -> Deregistered:
    return Deregistered(broker_ids=broker_ids, counted=counted, held=held)


def test_nothing_moves_before_clients_can_find_where_it_moves_to() -> None:
    """The destinations are registered, all at once, before the first wave, and how sources
    stand is remembered.
    """
    play = _accepted()
    play.expect(
        asks(
            fx.RegisterEndpoints, broker_ids=(31, 32, 33), other_broker_ids=(11, 12, 13), restore=()
        )
    )
    play.ends(fx.RegisterEndpoints, with_=FOUND)
    play.expect(like(ev.EndpointsRegistered, broker_ids=(31, 32, 33), restored=False), ev.WaveBegun)
    assert play.m.endpoints.originals == SOURCES
    play.wave().expect_phase(Phase.CHECKING, fx.CheckCluster)  # and not again before the next wave


def test_a_consul_that_is_away_is_waited_for() -> None:
    """It is told, asked again with patience, and the migration goes on as soon as it answers."""
    play = _accepted().ends(fx.RegisterEndpoints, with_=AWAY)
    play.expect(like(ev.Waiting, reasons=(AWAY.reason,))).expect_phase(
        Phase.BETWEEN_WAVES
    ).waits_for(Code.CONSUL_UNREACHABLE)
    for _ in range(20):
        play.wait(15.0).expect_phase(Phase.BETWEEN_WAVES, fx.RegisterEndpoints).ends(
            fx.RegisterEndpoints, with_=AWAY
        )
    play.wait(15.0).ends(fx.RegisterEndpoints, with_=FOUND).expect_phase(
        Phase.CHECKING, fx.CheckCluster
    ).waits_for()


def test_orders_are_obeyed_while_it_is_waited_for() -> None:
    """Pause, resume and cancel work as ever; an endpoint that comes late changes nothing else."""
    play = _accepted().command(msg.PauseMigration).expect(ev.MigrationPaused)
    play.ends(fx.RegisterEndpoints, with_=AWAY).expect_phase(Phase.PAUSED)
    play.command(msg.ResumeMigration).expect_phase(Phase.BETWEEN_WAVES, fx.RegisterEndpoints)
    play.command(msg.CancelMigration).expect(ev.MigrationCancelled)
    play.ends(fx.RegisterEndpoints, with_=FOUND).expect(ev.EndpointsRegistered).expect_phase(
        Phase.CANCELLED
    )


def test_a_late_failure_is_no_trouble_of_a_wave() -> None:
    """How registering ended is not taken for how the wave's own effect ended."""
    play = (
        _accepted()
        .ends(fx.RegisterEndpoints, with_=FOUND)
        .wave()
        .expect_phase(Phase.CHECKING, fx.CheckCluster)
    )
    play.command(msg.RollBackMigration).ends(fx.StopWave, with_=msg.Performed())
    # Nothing was taken out of the registry, so nothing has to be put back.
    play.expect_phase(Phase.CHECKING, fx.CheckCluster)


def test_a_source_stays_discoverable_for_the_grace() -> None:
    """Drained and quiet is not enough: every client must have had the time to learn where to go."""
    play = _drained()
    play.wait(GRACE - 1).sees_sources().never(ev.SourceMayBeShutDown, ev.EffectRequested)
    play.wait(1).sees_sources().expect(asks(fx.DeregisterEndpoints, broker_ids=(11, 12, 13)))
    play.never(ev.SourceMayBeShutDown)
    play.ends(fx.DeregisterEndpoints, with_=_out(11, 12, 13)).expect(ev.EndpointsDeregistered)
    play.sees_sources().expect(*(like(ev.SourceMayBeShutDown, broker_id=b) for b in (11, 12, 13)))


def test_a_source_with_clients_stays_and_others_go() -> None:
    """Who is connected is not cut off: that broker stays, is told, and is asked about again;
    the others leave.
    """
    held = Reason(Code.CLIENTS_CONNECTED, "2 connections to broker 12", "none")
    play = _drained().wait(GRACE).sees_sources()
    play.ends(fx.DeregisterEndpoints, with_=_out(11, 13, held=(held,))).waits_for(
        Code.CLIENTS_CONNECTED
    )
    play.sees_sources().expect(
        like(ev.SourceMayBeShutDown, broker_id=11), like(ev.SourceMayBeShutDown, broker_id=13)
    )
    play.never(ev.EffectRequested)
    play.wait(15).expect_phase(Phase.DRAINED, fx.DeregisterEndpoints)
    assert play.m.pending[0].effect == fx.DeregisterEndpoints(broker_ids=(12,))
    play.ends(fx.DeregisterEndpoints, with_=_out(12)).waits_for()
    play.sees_sources().expect(like(ev.SourceMayBeShutDown, broker_id=12))


def test_it_is_told_when_nobody_could_count() -> None:
    """Without a census the grace alone decides, and the event says so."""
    play = (
        _drained()
        .wait(GRACE)
        .sees_sources()
        .ends(fx.DeregisterEndpoints, with_=_out(11, 12, 13, counted=False))
    )
    play.expect(like(ev.EndpointsDeregistered, connections_counted=False))
    assert "could not be counted" in str(play.last[-1])


def test_a_refilled_source_is_not_taken_out() -> None:
    """A late arrival begins the grace anew."""
    play = (
        _drained()
        .wait(GRACE - 1)
        .sees_sources(b11=1)
        .expect(ev.WaveReopened)
        .expect_phase(Phase.CHECKING, fx.CheckCluster)
    )
    play.wave().sees_sources().expect_phase(Phase.DRAINED)
    play.wait(10).sees_sources().expect_phase(Phase.DRAINED, fx.DeregisterEndpoints)
    assert play.m.pending[0].effect == fx.DeregisterEndpoints(broker_ids=(12, 13))


@pytest.mark.parametrize("ended", [True, False])
def test_a_way_back_puts_back_what_was_taken_out(ended: bool) -> None:
    """Before anything moves back; also when it is not known whether it was taken out: that was
    under way.
    """
    play = _drained().wait(GRACE).sees_sources()
    if ended:
        play.ends(fx.DeregisterEndpoints, with_=_out(11, 12, 13))
    play.command(msg.RollBackMigration)
    play.expect(
        asks(fx.RegisterEndpoints, broker_ids=(11, 12, 13), restore=SOURCES, other_broker_ids=())
    )
    play.expect_phase(Phase.BETWEEN_WAVES, fx.RegisterEndpoints)
    play.ends(fx.RegisterEndpoints, with_=Registered(broker_ids=(11, 12, 13)))
    play.expect(like(ev.EndpointsRegistered, restored=True), ev.WaveBegun)
    assert (play.m.endpoints.deregistration_requested, play.m.endpoints.deregistered) == ((), ())


def test_a_way_back_is_not_held_up_for_long() -> None:
    """With Consul away it goes on after a minute; what is missing is put back at the end, when
    Consul is there.
    """
    play = (
        _drained().wait(GRACE).sees_sources().ends(fx.DeregisterEndpoints, with_=_out(11, 12, 13))
    )
    play.command(msg.RollBackMigration).expect_phase(Phase.BETWEEN_WAVES, fx.RegisterEndpoints)
    for _ in range(3):
        began = play.now
        while play.m.phase is Phase.BETWEEN_WAVES:
            if play.m.pending_effect(fx.RegisterEndpoints):
                play.ends(fx.RegisterEndpoints, with_=AWAY)
            play.wait(1)
        assert 60 <= play.now - began <= 80
        play.wave()
    play.expect_phase(Phase.PROVING, fx.CompareSnapshot)
    play.ends(fx.CompareSnapshot, with_=compared()).expect_phase(
        Phase.ROLLED_BACK, fx.RegisterEndpoints
    )
    play.ends(fx.RegisterEndpoints, with_=AWAY).wait(15).expect_phase(
        Phase.ROLLED_BACK, fx.RegisterEndpoints
    )
    play.ends(fx.RegisterEndpoints, with_=Registered(broker_ids=(11, 12, 13))).expect_phase(
        Phase.ROLLED_BACK
    )
    assert play.m.endpoints.deregistration_requested == ()
    play.wait(3600).expect_phase(Phase.ROLLED_BACK)


def test_without_a_registry_nothing_is_asked() -> None:
    """Where clients know the brokers by themselves, a migration is as it was."""
    play = (
        Play()
        .started()
        .drained()
        .wait(POLICY.quiet_seconds)
        .sees_sources()
        .expect(ev.SourceMayBeShutDown)
    )
    wanted = (fx.RegisterEndpoints, fx.DeregisterEndpoints)
    assert not [
        e for e in play.story if isinstance(e, ev.EffectRequested) and isinstance(e.effect, wanted)
    ]
