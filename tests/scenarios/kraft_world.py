"""A cluster on its way to KRaft, in memory: brokers, controllers and ZooKeeper as far as the core
sees them.

Drives the real `step` with real messages. Whoever drives it may crash: effects are performed again,
looks lost.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.decide import step
from agent.core.kraft import events as kev
from agent.core.kraft.effects import ReleaseZooKeeper, RestartNode, SurveyKraft
from agent.core.kraft.facts import (
    BrokerFacts,
    ControllerFacts,
    KraftFacts,
    QuorumFacts,
    VoterFacts,
    ZkMigrationState,
    ZooKeeperFacts,
)
from agent.core.kraft.node_config import (
    MIGRATION_FLAG,
    NodeMode,
    as_in_file,
    broker_change,
    broker_mode,
    controller_change,
    migration_keys_of,
)
from agent.core.kraft.options import Gates, KraftController, KraftOptions, RestartBy
from agent.core.kraft.state import KraftPhase
from agent.core.migration import Migration
from agent.core.model.reasons import Code, Reason
from agent.core.planning.policy import Policy

BROKERS, CONTROLLERS = (11, 12, 31), (71, 72, 73)
FILE = {
    "broker.id": "", "zookeeper.connect": "zk:2181", "inter.broker.protocol.version": "3.9",
    "log.dirs": "/data", "authorizer.class.name": "kafka.security.authorizer.AclAuthorizer",
}  # fmt: skip


def options(**changes: Any) -> KraftOptions:
    given: dict[str, Any] = {
        "controllers": tuple(
            KraftController(node_id=n, address=f"c{n}:9093", metrics_url="") for n in CONTROLLERS
        ),
        "zookeeper": "zk:2181", "restart_by": RestartBy.LAB, "gates": Gates.AUTO,
        "soak_seconds": 20.0, "restart_patience_seconds": 30.0,
    }  # fmt: skip
    return KraftOptions(**{**given, **changes})


@dataclass
class Node:
    """One process: its file, and whether it runs. `back_in`: looks until it is seen again."""

    file: dict[str, str] = field(default_factory=dict)
    back_in: int = 0
    started_at: float = 0.0
    dead: bool = False  # killed: it comes back only by a restart

    @property
    def is_up(self) -> bool:
        return bool(self.file) and self.back_in == 0 and not self.dead


@dataclass
class KraftWorld:
    """The cluster and the one who drives it."""

    policy: Policy = field(default_factory=lambda: Policy(kraft=options()))
    now: float = 1_000.0
    m: Migration = field(default_factory=lambda: Migration(cluster="lab"))
    brokers: dict[int, Node] = field(
        default_factory=lambda: {b: Node({**FILE, "broker.id": str(b)}) for b in BROKERS}
    )
    controllers: dict[int, Node] = field(default_factory=lambda: {c: Node() for c in CONTROLLERS})
    zookeeper_up: bool = True
    # If True, a broker in migration mode becomes controller, otherwise only a restarted one.
    elects_early: bool = True
    zookeeper_controller: int | None = 11
    zookeeper_epoch: int = 3
    migration_node: bool = False
    kraft_epoch: int = 0
    active_id: int | None = None
    state: ZkMigrationState = ZkMigrationState.NONE
    lag: int = 0
    errors: int = 0
    reassignments: int = 0
    absent: tuple[int, ...] = ()
    events: list[ev.AnyEvent] = field(default_factory=list)
    commands: int = 0
    confirmed: bool = False
    epoch_set_back: bool = False  # by another hand, when /controller has just been freed
    unregistered: tuple[int, ...] = ()  # brokers that ZooKeeper does not have though they serve
    strangers_in_zookeeper: tuple[int, ...] = ()  # registered there, and not alive
    ghosts: int = 0  # registered with the controllers, and gone
    behind: dict[int, int] = field(default_factory=dict)  # controller -> seconds behind the leader
    metadata_version: int = 21
    voters: tuple[int, ...] = CONTROLLERS
    # The metadata are never copied, as when a broker of some assignment never starts.
    stuck: bool = False

    # ── the world goes on ─────────────────────────────────────────────────────────────────────────
    def turn(self) -> None:
        """A second or two pass: nodes come back, the controllers do what they do."""
        self.now += 2.0
        for node in (*self.brokers.values(), *self.controllers.values()):
            node.back_in = max(0, node.back_in - 1)
        self._controllers_act()
        if self.zookeeper_up and self.zookeeper_controller is None and self.up(self.brokers):
            eager = {NodeMode.ZOOKEEPER} | ({NodeMode.MIGRATION} if self.elects_early else set())
            able = [b for b in self.up(self.brokers) if broker_mode(self.brokers[b].file) in eager]
            if able and not self.up(self.controllers):
                self.zookeeper_controller, self.zookeeper_epoch = able[0], self.zookeeper_epoch + 1

    def _controllers_act(self) -> None:
        up = self.up(self.controllers)
        if len(up) < 2:
            self.active_id = None
            if not up:
                self.state = ZkMigrationState.NONE
            return
        if self.active_id not in up:
            self.active_id, self.kraft_epoch = up[0], self.kraft_epoch + 3
            if self.state is ZkMigrationState.MIGRATION and self.zookeeper_up:
                self.zookeeper_controller = self.active_id
        migrating = {c for c in up if MIGRATION_FLAG in self.controllers[c].file}
        modes = {broker_mode(b.file) for b in self.brokers.values()}
        if self.state is ZkMigrationState.NONE and self.zookeeper_up:
            self.state, self.migration_node = ZkMigrationState.PRE_MIGRATION, True
        all_there = (
            len(self.up(self.brokers)) == len(self.brokers) and self.zookeeper_up and not self.stuck
        )
        if (
            self.state is ZkMigrationState.PRE_MIGRATION
            and NodeMode.ZOOKEEPER not in modes
            and all_there
        ):
            self.state, self.zookeeper_controller = ZkMigrationState.MIGRATION, self.active_id
            self.zookeeper_epoch += 1
        if self.state is ZkMigrationState.MIGRATION and not migrating and not self.stuck:
            self.state = ZkMigrationState.POST_MIGRATION

    def up(self, nodes: dict[int, Node]) -> list[int]:
        return [n for n, node in nodes.items() if node.is_up]

    def look(self) -> KraftFacts:
        up = self.up(self.brokers)
        controllers = tuple(self._controller(c) for c in self.controllers)
        zookeeper = ZooKeeperFacts(
            reachable=self.zookeeper_up,
            controller_id=self.zookeeper_controller,
            kraft_controller=self.zookeeper_controller in CONTROLLERS,
            kraft_epoch=self.kraft_epoch if self.zookeeper_controller in CONTROLLERS else 0,
            controller_epoch=self.zookeeper_epoch,
            migration_node=self.migration_node,
            broker_ids=(*self._registered_in_zookeeper(), *self.strangers_in_zookeeper),
        )
        led = self.active_id is not None or (
            self.zookeeper_up and self.zookeeper_controller in BROKERS
        )
        if not (up and led):  # requests for the controller time out, and with them the look
            return KraftFacts(
                reachable=False,
                controllers=controllers,
                zookeeper=zookeeper,
            )
        return KraftFacts(
            reachable=True,
            brokers=tuple(
                BrokerFacts(
                    broker_id=b,
                    mode=broker_mode(self.brokers[b].file),
                    protocol_version=self.brokers[b].file.get("inter.broker.protocol.version", ""),
                )
                for b in up
            ),
            assigned=(*self.brokers, *self.absent),
            reassignments=self.reassignments,
            under_replicated=len(self.brokers) - len(up),
            controllers=controllers,
            zookeeper=zookeeper,
            quorum=self._quorum(),
        )

    def _quorum(self) -> QuorumFacts | None:
        """Told by a broker in KRaft mode."""
        tell = [
            b for b in self.up(self.brokers) if broker_mode(self.brokers[b].file) is NodeMode.KRAFT
        ]
        if not tell or self.active_id is None:
            return None
        return QuorumFacts(
            leader_id=self.active_id,
            epoch=self.kraft_epoch,
            voters=tuple(
                VoterFacts(node_id=c, seconds_behind=self._behind(c)) for c in self.voters
            ),
            metadata_version=self.metadata_version,
            metadata_version_max=21,
        )

    def _registered_in_zookeeper(self) -> list[int]:
        there = (b for b in self.up(self.brokers) if "zookeeper.connect" in self.brokers[b].file)
        return [b for b in there if b not in self.unregistered]

    def _behind(self, controller: int) -> int:
        is_up = controller not in self.controllers or self.controllers[controller].is_up
        return self.behind.get(controller, 0 if is_up else 60)

    def _controller(self, node_id: int) -> ControllerFacts:
        node = self.controllers[node_id]
        modes = [broker_mode(b.file) for b in self.brokers.values() if b.is_up]
        return ControllerFacts(
            node_id=node_id,
            reachable=node.is_up,
            is_active=node.is_up and node_id == self.active_id,
            state=self.state,
            migrating_brokers=modes.count(NodeMode.MIGRATION),
            active_brokers=len(modes) - modes.count(NodeMode.ZOOKEEPER),
            fenced_brokers=self.ghosts,
            write_behind_lag=self.lag if self.zookeeper_up else self.lag + 7,
            metadata_errors=self.errors,
            started_at=node.started_at,
        )

    # ── the one who drives ────────────────────────────────────────────────────────────────────────
    def meet(self, message: msg.Message) -> None:
        before = self.m
        self.m, events = step(before, message, self.policy)
        for event in events:
            self._check(event)
        self.events += events

    def order(self, action: str, *, i_know: bool = False) -> ev.AnyEvent:
        """Give a command and return its answer."""
        self.commands += 1
        command_id = f"c{self.commands}"
        self.confirmed = self.confirmed or (action == "finalize" and i_know)
        self.meet(
            msg.KraftCommand(
                command_id=command_id, cluster="lab", at=self.now, action=action, i_know=i_know
            )
        )
        while not (answers := self._answers(command_id)):
            self.perform_all()
        return answers[-1]

    def _answers(self, command_id: str) -> list[ev.AnyEvent]:
        answered = (ev.CommandAccepted, ev.CommandRefused)
        return [e for e in self.events if isinstance(e, answered) and e.command_id == command_id]

    def perform_all(self, chance: random.Random | None = None) -> None:
        """Perform what is pending; now and then it is performed and its end is lost, or not
        performed at all.
        """
        for pending in self.m.pending:
            luck = chance.random() if chance else 1.0
            if luck < 0.15:
                continue
            outcome = self._perform(pending.effect)
            if luck >= 0.35:
                ended = msg.EffectEnded(at=self.now, effect_id=pending.effect_id, outcome=outcome)
                self.meet(ended)

    def observe(self) -> None:
        self.meet(msg.KraftObserved(at=self.now, kraft_id=self.m.kraft.kraft_id, facts=self.look()))

    def go(self, turns: int = 1, chance: random.Random | None = None) -> None:
        """Let time pass with the agent at work; a crash loses a look."""
        for _ in range(turns):
            self.turn()
            self.perform_all(chance)
            if chance is None or chance.random() > 0.2:
                self.observe()

    def go_until(
        self, *phases: KraftPhase, turns: int = 300, chance: random.Random | None = None
    ) -> None:
        for _ in range(turns):
            if self.m.kraft.phase in phases:
                return
            self.go(chance=chance)
        raise AssertionError(f"still {self.m.kraft.phase}, waiting for {self.m.kraft.waiting}")

    def _perform(self, effect: object) -> msg.Outcome:
        if isinstance(effect, SurveyKraft):
            files = {b: migration_keys_of(n.file).items() for b, n in self.brokers.items()}
            kept = tuple((b, tuple(sorted(keys))) for b, keys in files.items())
            return msg.KraftSurveyed(facts=self.look(), files=kept)
        if isinstance(effect, ReleaseZooKeeper):
            return self._release()
        assert isinstance(effect, RestartNode)
        return self._restart(effect)

    def _release(self) -> msg.Outcome:
        if not self.zookeeper_up:
            return msg.Unreachable(reason=Reason(Code.KRAFT_ZOOKEEPER_UNREACHABLE, "away"))
        held = self.zookeeper_controller in CONTROLLERS
        before = self.zookeeper_epoch
        if held:
            self.zookeeper_controller = None
            self.zookeeper_epoch = max(before, self.kraft_epoch)
        self.migration_node = False
        after = self.zookeeper_epoch
        if self.epoch_set_back:
            self.zookeeper_epoch = 1
        return msg.ZooKeeperReleased(
            controller="c" if held else "", migration="m", epoch_before=before, epoch_after=after
        )

    def _restart(self, effect: RestartNode) -> msg.Outcome:
        nodes = self.controllers if effect.is_controller else self.brokers
        node = nodes[effect.node_id]
        quorum = self.m.kraft.options.quorum
        if effect.is_controller:
            change = controller_change(effect.node_id, effect.target, "zk:2181", quorum)
        else:
            change = broker_change(
                effect.node_id, effect.target, node.file, dict(effect.original), quorum
            )
        if effect.drill:
            change = replace(change, set=(), remove=())
        kept = {k: v for k, v in node.file.items() if k not in change.remove}
        node.file = (
            {} if effect.target is NodeMode.STOPPED else as_in_file({**kept, **dict(change.set)})
        )
        node.back_in, node.started_at, node.dead = 2, self.now + 2.0, False
        return msg.RestartRequested(change=change, instructions="x")

    # ── invariants ────────────────────────────────────────────────────────────────────────────────
    def _check(self, event: ev.AnyEvent) -> None:
        """What must be true of the world, not of what the agent believes, whenever this happens."""
        modes = {broker_mode(b.file) for b in self.brokers.values()}
        match event:
            case kev.KraftMigrationBegun():
                assert self.state in (ZkMigrationState.PRE_MIGRATION, ZkMigrationState.MIGRATION)
                assert len(self.up(self.controllers)) == len(CONTROLLERS)
            case kev.KraftTurnBegun():
                assert (self.state, modes, self.lag) == (
                    ZkMigrationState.MIGRATION,
                    {NodeMode.MIGRATION},
                    0,
                )
            case kev.KraftSoakBegun():
                assert (self.state, modes) == (ZkMigrationState.MIGRATION, {NodeMode.KRAFT})
            case kev.KraftFinalizeBegun():
                assert self.confirmed, "finalized without --i-know"
                assert modes == {NodeMode.KRAFT}
            case kev.KraftCompleted():
                assert self.state is ZkMigrationState.POST_MIGRATION
            case kev.KraftReleaseBegun():
                assert not self.up(self.controllers), "one would claim /controller again"
            case kev.KraftRolledBack():
                self._check_as_before()
            case ev.EffectRequested(effect=RestartNode() as wanted) if not wanted.is_controller:
                others = [
                    b for b, node in self.brokers.items() if not node.is_up and b != wanted.node_id
                ]
                assert not others, f"{wanted.node_id} shall be restarted while {others} are down"

    def _check_as_before(self) -> None:
        assert self.zookeeper_controller in BROKERS
        assert not self.migration_node
        assert not self.up(self.controllers)
        assert {b: n.file for b, n in self.brokers.items()} == {
            b: {**FILE, "broker.id": str(b)} for b in BROKERS
        }


def started(**changes: object) -> KraftWorld:
    world = KraftWorld(policy=Policy(kraft=options(**changes)))
    assert isinstance(world.order("start"), ev.CommandAccepted)
    return world


def codes(answer: ev.AnyEvent) -> set[Code]:
    assert isinstance(answer, ev.CommandRefused), answer
    return {r.code for r in answer.reasons}


def ready(world: KraftWorld) -> KraftWorld:
    """Soaked, both drills passed."""
    world.go_until(KraftPhase.SOAKING)
    while not world.m.kraft.ready:
        world.go()
    return world


def of(world: KraftWorld, kind: type) -> list:
    return [e for e in world.events if isinstance(e, kind)]
