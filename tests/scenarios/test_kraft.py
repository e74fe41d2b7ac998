"""To KRaft and back, as plays: what is ordered, what the cluster shows, what the agent does, or
refuses.
"""

import random
from dataclasses import replace

import pytest

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.kraft import events as kev
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import Gates, RestartBy
from agent.core.kraft.state import KRAFT_ACTIVE, KraftPhase
from agent.core.model.reasons import Code
from agent.core.planning.options import Options
from agent.core.planning.policy import Policy
from agent.wire import from_json, to_json
from agent.worker.turn import Record
from tests.scenarios.kraft_world import BROKERS, CONTROLLERS, KraftWorld, codes, of, ready, started

_P = KraftPhase
WITH_A_WAY_BACK = [
    _P.PREPARING,
    _P.CONTROLLERS,
    _P.BROKERS_TO_MIGRATION,
    _P.BROKERS_TO_KRAFT,
    _P.SOAKING,
]


def test_the_whole_way() -> None:
    """Every broker is restarted twice, every controller started, drilled and finalized; then
    ZooKeeper may go.
    """
    world = ready(started())
    assert isinstance(world.order("finalize", i_know=True), ev.CommandAccepted)
    world.go_until(_P.DONE)
    asked = [(e.node_id, e.target) for e in of(world, kev.KraftNodeAsked)]
    for broker in BROKERS:
        assert (broker, NodeMode.MIGRATION) in asked
        assert (broker, NodeMode.KRAFT) in asked
    assert {n for n, target in asked if target is NodeMode.KRAFT and n in CONTROLLERS} == set(
        CONTROLLERS
    )
    assert [e.drill for e in of(world, kev.KraftDrillPassed)] == [
        "controller_fail_over",
        "broker_restart",
    ]
    assert all(
        "zookeeper.connect" not in n.file
        for n in (*world.brokers.values(), *world.controllers.values())
    )


@pytest.mark.parametrize("phase", WITH_A_WAY_BACK)
@pytest.mark.parametrize("turns", [0, 1, 3, 7])
@pytest.mark.parametrize("elects_early", [True, False])
def test_back_from_each_phase(phase: KraftPhase, turns: int, elects_early: bool) -> None:
    """From each phase that has a way back, also out of its middle, every key is as it was and
    ZooKeeper leads.
    """
    world = started(gates=Gates.MANUAL if phase is _P.PREPARING else Gates.AUTO)
    world.elects_early = elects_early
    world.go_until(phase)
    world.go(turns)
    while isinstance(world.order("rollback"), ev.CommandRefused):
        world.go()
    world.go_until(_P.ROLLED_BACK)


def test_a_second_attempt_after_a_way_back() -> None:
    """What was rolled back can be started again: the controllers are formatted anew, and it
    ends well.
    """
    world = started()
    world.go_until(_P.SOAKING)
    while isinstance(world.order("rollback"), ev.CommandRefused):
        world.go()
    world.go_until(_P.ROLLED_BACK)
    assert isinstance(world.order("start"), ev.CommandAccepted)
    world.go_until(_P.SOAKING)
    assert world.m.kraft.attempt == 2


@pytest.mark.parametrize("seed", range(60))
def test_crashes_at_any_step(seed: int) -> None:
    """Effects done twice, ends and looks lost, the record saved and read back: the invariants
    hold, and it arrives.
    """
    chance = random.Random(seed)
    world = started()
    back = chance.random() < 0.5
    world.go_until(chance.choice(WITH_A_WAY_BACK[1:]) if back else _P.SOAKING, chance=chance)
    world.m = from_json(to_json(Record(migration=world.m), Record), Record).migration
    if back:
        while isinstance(world.order("rollback"), ev.CommandRefused):
            world.go(chance=chance)
        world.go_until(_P.ROLLED_BACK, chance=chance)
        return
    while not isinstance(world.order("finalize", i_know=True), ev.CommandAccepted):
        world.go(chance=chance)
    world.go_until(_P.DONE, chance=chance)


def test_without_an_advance_nothing_goes_on() -> None:
    """With manual gates each phase waits for `advance`, which is refused while a signal does
    not hold.
    """
    world = started(gates=Gates.MANUAL)
    world.go(5)
    assert world.m.kraft.phase is _P.PREPARING
    assert world.m.kraft.ready
    world.reassignments = 1
    assert Code.KRAFT_REASSIGNMENT in codes(world.order("advance"))
    world.reassignments = 0
    for phase in WITH_A_WAY_BACK[1:]:
        assert isinstance(world.order("advance"), ev.CommandAccepted)
        assert world.m.kraft.phase is phase
        if phase is not _P.SOAKING:
            assert codes(world.order("advance"))
            world.go(40)
            assert world.m.kraft.phase is phase
            assert world.m.kraft.ready


def test_finalize_wants_to_be_meant() -> None:
    """Without --i-know it is refused, in every phase; with it, only after soak time and drills."""
    world = started()
    assert Code.KRAFT_NOT_CONFIRMED in codes(world.order("finalize"))
    world.go_until(_P.SOAKING)
    assert Code.KRAFT_NOT_CONFIRMED in codes(world.order("finalize"))
    assert {Code.KRAFT_SOAK, Code.KRAFT_DRILL} <= codes(world.order("finalize", i_know=True))
    ready(world)
    assert codes(world.order("finalize")) == {Code.KRAFT_NOT_CONFIRMED}
    assert world.m.kraft.phase is _P.SOAKING


def test_no_way_back_after_finalize() -> None:
    """Once it is finalizing a rollback would lose what ZooKeeper was not told."""
    world = ready(started())
    world.order("finalize", i_know=True)
    assert codes(world.order("rollback")) == {Code.KRAFT_NO_WAY_BACK}
    world.go_until(_P.DONE)
    assert codes(world.order("rollback")) == {Code.KRAFT_NO_WAY_BACK}


def test_early_finalize_is_refused() -> None:
    """A broker that fell back into migration mode, or is down, would be cut off (KAFKA-20960)."""
    world = ready(started())
    world.brokers[12].file["zookeeper.metadata.migration.enable"] = "true"
    del world.brokers[12].file["process.roles"]
    assert {Code.KRAFT_BROKER_MODE, Code.KRAFT_REGISTRATION} <= codes(
        world.order("finalize", i_know=True)
    )


def test_no_way_back_while_zookeeper_is_behind() -> None:
    """What ZooKeeper does not have yet would be lost; the same where ZooKeeper is away."""
    world = started()
    world.go_until(_P.SOAKING)
    world.lag = 4
    assert Code.KRAFT_WRITE_BEHIND in codes(world.order("rollback"))
    world.lag, world.zookeeper_up = 0, False
    assert Code.KRAFT_ZOOKEEPER_UNREACHABLE in codes(world.order("rollback"))


def test_the_epoch_is_raised_before_a_broker_leads_again() -> None:
    """KRaft's epoch is above ZooKeeper's: it is raised when /controller is freed, and no broker
    is restarted before.
    """
    world = started()
    world.go_until(_P.SOAKING)
    world.kraft_epoch = 40
    while isinstance(world.order("rollback"), ev.CommandRefused):
        world.go()
    world.go_until(_P.BACK_TO_ZOOKEEPER)
    released = of(world, kev.KraftReleased)[-1]
    assert released.epoch_before < 40 <= released.epoch_after
    world.go_until(_P.ROLLED_BACK)
    assert world.zookeeper_epoch > 40


def test_what_stands_in_the_way_of_a_start() -> None:
    """Every reason at once: a foreign reassignment, an assignment to an absent broker, a
    leftover, an old protocol.
    """
    world = KraftWorld()
    world.reassignments, world.absent, world.migration_node = 1, (13,), True
    world.brokers[12].file["inter.broker.protocol.version"] = "3.5"
    found = codes(world.order("start"))
    assert {
        Code.KRAFT_REASSIGNMENT,
        Code.KRAFT_ABSENT_BROKER,
        Code.KRAFT_LEFTOVER,
        Code.KRAFT_VERSION,
    } <= found
    assert isinstance(world.order("plan"), ev.CommandAccepted)
    assert {r.code for r in of(world, kev.KraftPlanned)[0].reasons} == found
    assert world.m.kraft.phase is _P.NONE


def test_unconfigured_is_refused() -> None:
    """Without controllers in clusters.yaml there is nothing to go to."""
    world = KraftWorld(policy=Policy())
    assert codes(world.order("start")) == {Code.KRAFT_NOT_CONFIGURED}


def test_replicas_do_not_move_meanwhile() -> None:
    """A migration of replicas and one to KRaft exclude each other, both ways."""
    world = started()
    start = msg.StartMigration(command_id="s", cluster="lab", at=world.now, options=Options())
    world.meet(start)
    assert Code.KRAFT_RUNNING in codes(world.events[-1])
    for phase in KRAFT_ACTIVE:
        assert phase is not _P.NONE
    moving = KraftWorld()
    moving.m = replace(moving.m, phase=type(moving.m.phase).MOVING, migration_id="m-1")
    moving.meet(msg.KraftCommand(command_id="k", cluster="lab", at=1.0, action="start"))
    assert Code.ALREADY_RUNNING in codes(moving.events[-1])


def test_a_roll_waits_while_something_is_under_replicated() -> None:
    """A broker that is killed in a roll holds up the next one until it is back."""
    world = started()
    world.go_until(_P.BROKERS_TO_KRAFT)
    world.brokers[31].dead = True
    before = len(of(world, kev.KraftNodeAsked))
    world.go(10)
    assert len(of(world, kev.KraftNodeAsked)) <= before + 1
    assert {r.code for r in world.m.kraft.waiting} & {
        Code.BROKER_DOWN,
        Code.UNDER_REPLICATED,
        Code.KRAFT_NODE_AWAITED,
    }
    world.brokers[31].dead = False
    world.go_until(_P.SOAKING)


def test_a_restart_that_nobody_did_is_asked_for_again() -> None:
    """A tool gets the same change again after the patience; people are told once, and waited
    for.
    """
    for by, again in ((RestartBy.WEBHOOK, True), (RestartBy.MANUAL, False)):
        world = started(restart_by=by)
        world.go_until(_P.BROKERS_TO_MIGRATION)
        while not (
            world.m.kraft.restart_request and not world.m.kraft.restart_request.is_controller
        ):
            world.go()
        first = world.m.kraft.restart_request.node_id
        world.brokers[first].dead = True
        world.go(40)
        told = [
            e
            for e in of(world, kev.KraftNodeAsked)
            if e.node_id == first and e.target is NodeMode.MIGRATION
        ]
        assert (len(told) > 1) is again


def test_metadata_that_is_not_copied_is_waited_for() -> None:
    """All brokers are in migration mode, and the controllers stay in PRE_MIGRATION: not a step
    further, and why.
    """
    world = started()
    world.stuck = True
    world.go_until(_P.BROKERS_TO_MIGRATION)
    world.go(60)
    assert world.m.kraft.phase is _P.BROKERS_TO_MIGRATION
    assert Code.KRAFT_STATE in {r.code for r in world.m.kraft.waiting}
    assert Code.KRAFT_STATE in codes(world.order("advance"))
    world.stuck = False
    world.go_until(_P.SOAKING)


def test_complete_is_only_what_the_controllers_call_so() -> None:
    """Every controller runs without ZooKeeper's keys, yet the state is not POST_MIGRATION: not
    complete.
    """
    world = ready(started())
    world.order("finalize", i_know=True)
    world.stuck = True
    world.go(60)
    assert world.m.kraft.phase is _P.FINALIZING
    assert {r.code for r in world.m.kraft.waiting} == {Code.KRAFT_STATE}
    world.stuck = False
    world.go_until(_P.DONE)


def test_no_broker_goes_back_under_a_stale_epoch() -> None:
    """Something has set /controller_epoch back below KRaft's: no broker is restarted before it
    is mended.
    """
    world = started()
    world.elects_early, world.epoch_set_back = False, True
    world.go_until(_P.SOAKING)
    while isinstance(world.order("rollback"), ev.CommandRefused):
        world.go()
    world.go_until(_P.BACK_TO_ZOOKEEPER)
    world.go(20)
    assert {r.code for r in world.m.kraft.waiting} == {Code.KRAFT_CONTROLLER_EPOCH}
    assert not [e for e in of(world, kev.KraftNodeAsked) if e.target is NodeMode.ZOOKEEPER]
    world.zookeeper_epoch = world.kraft_epoch
    world.go_until(_P.ROLLED_BACK)


def test_soak_time_begins_anew_after_trouble() -> None:
    """Only time during which every signal holds without a break counts."""
    world = started(soak_seconds=60.0)
    world.go_until(_P.SOAKING)
    world.go(20)
    since = world.m.kraft.green_since
    assert since is not None
    world.lag = 9
    world.go()
    assert world.m.kraft.green_since is None
    world.lag = 0
    world.go()
    assert (world.m.kraft.green_since or 0) > since


def test_each_node_is_told_its_exact_keys() -> None:
    """The event has the keys to set and to remove, as a diff of the file and as a patch for
    Kubernetes.
    """
    world = started()
    world.go_until(_P.SOAKING)
    told = {(e.node_id, e.target): e for e in of(world, kev.KraftNodeAsked)}
    turn = told[(11, NodeMode.KRAFT)]
    assert "-zookeeper.connect=zk:2181\n" in turn.properties_diff + "\n"
    assert "+process.roles=broker" in turn.properties_diff
    assert "+node.id=11" in turn.properties_diff
    assert '"KAFKA_ZOOKEEPER_CONNECT", "$patch": "delete"' in turn.kubernetes_patch
    assert '{"name": "KAFKA_PROCESS_ROLES", "value": "broker"}' in turn.kubernetes_patch
    assert "StandardAuthorizer" in dict(turn.set)["authorizer.class.name"]
    assert "inter.broker.protocol.version" in turn.remove
