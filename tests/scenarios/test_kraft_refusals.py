"""What would lose data is refused, on the way there and on the way back; and the agent itself
does not do it either.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.kraft import events as kev
from agent.core.kraft.facts import ZkMigrationState
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import Gates
from agent.core.kraft.state import KraftPhase
from agent.core.model.reasons import Code
from tests.scenarios.kraft_world import BROKERS, CONTROLLERS, KraftWorld, codes, of, ready, started

_P = KraftPhase
ON_THE_WAY = (_P.PREPARING, _P.CONTROLLERS, _P.BROKERS_TO_MIGRATION, _P.BROKERS_TO_KRAFT)
BEFORE_THE_COPY = ON_THE_WAY[:3]
WITH_QUORUM = (_P.BROKERS_TO_KRAFT, _P.SOAKING)
Trouble = Callable[[KraftWorld], None]


def at_the_end_of(phase: KraftPhase) -> KraftWorld:
    """Every signal of that phase holds, and an order to go on is awaited."""
    world = started(gates=Gates.MANUAL)
    while True:
        for _ in range(100):
            world.go()
            if world.m.kraft.ready:
                break
        assert world.m.kraft.ready, world.m.kraft.waiting
        if world.m.kraft.phase is phase:
            return world
        assert isinstance(world.order("advance"), ev.CommandAccepted)


def on(world: KraftWorld) -> ev.AnyEvent:
    """The order that leads on from where it stands."""
    return (
        world.order("finalize", i_know=True)
        if world.m.kraft.phase is _P.SOAKING
        else world.order("advance")
    )


def reassigns(world: KraftWorld) -> None:
    world.reassignments = 2


def loses_a_broker_of_an_assignment(world: KraftWorld) -> None:
    world.absent = (13,)


def is_behind(world: KraftWorld) -> None:
    world.lag = 5


def has_no_zookeeper(world: KraftWorld) -> None:
    world.zookeeper_up = False


def loses_a_controller(world: KraftWorld) -> None:
    world.controllers[72].dead = True


def loses_a_broker(world: KraftWorld) -> None:
    world.brokers[12].dead = True


def has_a_ghost(world: KraftWorld) -> None:
    world.ghosts = 1


def has_a_slow_voter(world: KraftWorld) -> None:
    world.behind = {73: 40}


def has_a_voter_unheard_of(world: KraftWorld) -> None:
    world.behind = {73: -1}


def has_other_voters(world: KraftWorld) -> None:
    world.voters = (71, 72, 99)


def has_nothing_finalized(world: KraftWorld) -> None:
    world.metadata_version = 0


def is_in_another_state(world: KraftWorld) -> None:
    world.state = ZkMigrationState.NONE
    world.stuck = True


CASES: list[tuple[Trouble, Code, tuple[KraftPhase, ...]]] = [
    (reassigns, Code.KRAFT_REASSIGNMENT, (*ON_THE_WAY, _P.SOAKING)),
    (loses_a_broker_of_an_assignment, Code.KRAFT_ABSENT_BROKER, BEFORE_THE_COPY),
    (is_behind, Code.KRAFT_WRITE_BEHIND, (_P.BROKERS_TO_MIGRATION, *WITH_QUORUM)),
    (has_no_zookeeper, Code.KRAFT_ZOOKEEPER_UNREACHABLE, (_P.BROKERS_TO_MIGRATION, *WITH_QUORUM)),
    (
        loses_a_controller,
        Code.KRAFT_CONTROLLER_DOWN,
        (_P.CONTROLLERS, _P.BROKERS_TO_MIGRATION, *WITH_QUORUM),
    ),
    (loses_a_broker, Code.BROKER_DOWN, (*ON_THE_WAY[1:], _P.SOAKING)),
    (has_a_ghost, Code.KRAFT_GHOST, WITH_QUORUM),
    (has_a_slow_voter, Code.KRAFT_VOTER_BEHIND, WITH_QUORUM),
    (has_a_voter_unheard_of, Code.KRAFT_VOTER_BEHIND, WITH_QUORUM),
    (has_other_voters, Code.KRAFT_NO_QUORUM, WITH_QUORUM),
    (has_nothing_finalized, Code.KRAFT_METADATA_VERSION, WITH_QUORUM),
    (
        is_in_another_state,
        Code.KRAFT_STATE,
        (_P.CONTROLLERS, _P.BROKERS_TO_MIGRATION, *WITH_QUORUM),
    ),
]


@pytest.mark.parametrize(
    ("phase", "trouble", "code"),
    [(phase, trouble, code) for trouble, code, phases in CASES for phase in phases],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_no_step_on_in_trouble(phase: KraftPhase, trouble: Trouble, code: Code) -> None:
    """What was ready is refused as soon as the trouble is there, with its code, and is not
    called ready any more.
    """
    world = at_the_end_of(phase)
    trouble(world)
    assert code in codes(on(world))
    assert world.m.kraft.phase is phase
    world.observe()
    assert not world.m.kraft.ready
    awaited = {r.code for r in world.m.kraft.waiting}
    # Otherwise an effect is pending that starts the stopped node again.
    assert code in awaited or world.m.pending, awaited


BACK: list[tuple[Trouble, Code, tuple[KraftPhase, ...]]] = [
    (reassigns, Code.KRAFT_REASSIGNMENT, (*ON_THE_WAY[1:], _P.SOAKING)),
    (is_behind, Code.KRAFT_WRITE_BEHIND, (_P.BROKERS_TO_MIGRATION, *WITH_QUORUM)),
    (has_no_zookeeper, Code.KRAFT_ZOOKEEPER_UNREACHABLE, (*ON_THE_WAY[1:], _P.SOAKING)),
    (loses_a_controller, Code.KRAFT_CONTROLLER_DOWN, (_P.BROKERS_TO_MIGRATION, *WITH_QUORUM)),
    (loses_a_broker, Code.UNDER_REPLICATED, (*ON_THE_WAY[1:], _P.SOAKING)),
]


@pytest.mark.parametrize(
    ("phase", "trouble", "code"),
    [(phase, trouble, code) for trouble, code, phases in BACK for phase in phases],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_no_step_back_in_trouble(phase: KraftPhase, trouble: Trouble, code: Code) -> None:
    """A way back that would lose what ZooKeeper does not have, or meets a cluster that is not
    whole, is refused.
    """
    world = at_the_end_of(phase)
    trouble(world)
    assert code in codes(world.order("rollback"))
    assert world.m.kraft.phase is phase


@pytest.mark.parametrize("trouble", [reassigns, loses_a_broker_of_an_assignment])
def test_no_broker_is_restarted_into_migration_mode_in_trouble(trouble: Trouble) -> None:
    """What comes up after the advance holds up the roll: once the last broker is turned Kafka
    copies by itself.
    """
    world = at_the_end_of(_P.CONTROLLERS)
    assert isinstance(world.order("advance"), ev.CommandAccepted)
    trouble(world)
    world.go(20)
    assert not [e for e in of(world, kev.KraftNodeAsked) if not e.is_controller]
    world.reassignments, world.absent = 0, ()
    world.go(60)
    assert world.m.kraft.ready


def test_the_next_controller_waits_for_the_last_one_to_catch_up() -> None:
    """While it is finalized: two controllers without the newest records would be a majority
    that has lost them.
    """
    world = ready(started())
    assert isinstance(world.order("finalize", i_know=True), ev.CommandAccepted)
    while not [
        e for e in of(world, kev.KraftNodeChanged) if e.target is NodeMode.KRAFT and e.is_controller
    ]:
        world.go()
        told = [
            e.node_id
            for e in of(world, kev.KraftNodeAsked)
            if e.target is NodeMode.KRAFT and e.is_controller
        ]
        world.behind = dict.fromkeys(told, 40)
    asked = len(of(world, kev.KraftNodeAsked))
    world.go(20)
    assert len(of(world, kev.KraftNodeAsked)) == asked
    assert Code.KRAFT_VOTER_BEHIND in {r.code for r in world.m.kraft.waiting}
    world.behind = {}
    world.go_until(_P.DONE)


@pytest.mark.parametrize("code", [Code.KRAFT_REGISTRATION, Code.KRAFT_GHOST])
def test_the_way_back_ends_when_zookeeper_has_just_the_living(code: Code) -> None:
    """Rolled back is only what shows in /brokers/ids: every broker, and no ghost beside them."""
    world = at_the_end_of(_P.BROKERS_TO_MIGRATION)
    assert isinstance(world.order("rollback"), ev.CommandAccepted)
    world.unregistered = BROKERS[:1] if code is Code.KRAFT_REGISTRATION else ()
    world.strangers_in_zookeeper = (13,) if code is Code.KRAFT_GHOST else ()
    world.go(120)
    assert world.m.kraft.phase is _P.BACK_TO_ZOOKEEPER
    assert {r.code for r in world.m.kraft.waiting} == {code}
    world.unregistered, world.strangers_in_zookeeper = (), ()
    world.go_until(_P.ROLLED_BACK)


def test_what_is_seen_of_the_controllers_is_told() -> None:
    """Leader, voters, epoch and metadata.version come with the first broker in KRaft mode; each
    change is an event.
    """
    world = at_the_end_of(_P.BROKERS_TO_MIGRATION)
    first = world.m.kraft.controllers_seen
    assert first is not None
    assert (first.leader_id, first.voter_ids, first.brokers_active) == (71, (), len(BROKERS))
    world.order("advance")
    while not world.m.kraft.ready:
        world.go()
    seen = world.m.kraft.controllers_seen
    assert seen is not None
    assert (seen.voter_ids, seen.metadata_version, seen.brokers_fenced) == (CONTROLLERS, 21, 0)
    told = len(of(world, kev.KraftControllersSeen))
    world.go(5)
    assert len(of(world, kev.KraftControllersSeen)) == told
    world.controllers[71].dead = True
    world.go(3)
    assert world.m.kraft.controllers_seen is not None
    assert world.m.kraft.controllers_seen.leader_id == 72


def test_the_end_names_what_is_left_to_do() -> None:
    """A ghost that came after `finalize`, and a metadata.version that could be higher, do not
    hold it up any more.
    """
    world = ready(started())
    assert isinstance(world.order("finalize", i_know=True), ev.CommandAccepted)
    world.ghosts, world.metadata_version = 1, 19
    world.go_until(_P.DONE)
    done = of(world, kev.KraftCompleted)[-1]
    assert (done.brokers_fenced, done.metadata_version, done.metadata_version_max) == (1, 19, 21)
    assert "unregister" in str(done)
    assert "21 is possible" in str(done)


# ── what fails on the way is asked for again ──────────────────────────────────────────────────────
def test_zookeeper_that_cannot_be_released_is_asked_again() -> None:
    """The controllers are gone and ZooKeeper is away: nothing else can be done, and it is named
    until it answers.
    """
    world = ready(started())
    while isinstance(world.order("rollback"), ev.CommandRefused):
        world.go()
    world.go_until(_P.RELEASING_ZOOKEEPER)
    world.zookeeper_up = False
    world.go(5)
    assert world.m.kraft.phase is _P.RELEASING_ZOOKEEPER
    assert Code.KRAFT_ZOOKEEPER_UNREACHABLE in {
        r.code for e in of(world, kev.KraftWaiting) for r in e.reasons
    }
    world.zookeeper_up = True
    world.go_until(_P.ROLLED_BACK)


def test_a_roll_stands_still_while_kafka_is_silent() -> None:
    """What cannot be seen is not restarted."""
    world = started()
    world.go_until(_P.BROKERS_TO_MIGRATION)
    while world.m.kraft.restart_request is not None or world.m.pending:
        world.go()
    asked = len(of(world, kev.KraftNodeAsked))
    silent = replace(world.look(), reachable=False)
    for _ in range(3):
        world.now += 2.0
        world.meet(msg.KraftObserved(at=world.now, kraft_id=world.m.kraft.kraft_id, facts=silent))
    assert len(of(world, kev.KraftNodeAsked)) == asked
    assert {r.code for r in world.m.kraft.waiting} == {Code.KAFKA_UNREACHABLE}
    world.go_until(_P.SOAKING)


def test_a_look_of_another_attempt_or_beside_a_restart_changes_nothing() -> None:
    """A look that began before the restart was requested would ask for it twice."""
    world = started()
    while not world.m.pending:
        world.turn()
        world.observe()
    before = world.m
    world.observe()
    world.meet(msg.KraftObserved(at=world.now, kraft_id="another", facts=world.look()))
    assert world.m.pending == before.pending


def test_a_drill_waits_until_the_cluster_is_whole_again() -> None:
    """A lost partner in the middle of a drill: it is not passed, and nothing else is restarted."""
    world = started()
    world.go_until(_P.SOAKING)
    while not of(world, kev.KraftDrillBegun):
        world.go()
    world.brokers[12].dead = True
    passed = len(of(world, kev.KraftDrillPassed))
    world.go(40)
    assert len(of(world, kev.KraftDrillPassed)) == passed
    assert Code.BROKER_DOWN in {r.code for r in world.m.kraft.waiting}
    world.brokers[12].dead = False
    ready(world)
