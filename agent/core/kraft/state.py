"""The state of a cluster's way from ZooKeeper to KRaft, its phases, and their transition table.

Nothing here decides.

A part of the record of its cluster, beside the migration of replicas; kraft_flow.py decides,
kraft/evolve.py folds.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from agent.core.kraft import events as kev
from agent.core.kraft.effects import KraftScope, WatchKraft
from agent.core.kraft.facts import ControllersSeen
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions
from agent.core.model.event import Event
from agent.core.model.reasons import Reason


@unique
class KraftPhase(StrEnum):
    """Where it stands; the half-line says what it waits for."""

    NONE = "none"  # nothing was ever started
    PREPARING = "preparing"  # the cluster to be fit for it
    CONTROLLERS = "controllers"  # the new controllers to run and to wait for the brokers
    BROKERS_TO_MIGRATION = "brokers_to_migration"  # each broker restarted; then the metadata copied
    # each broker restarted without ZooKeeper; both are written
    BROKERS_TO_KRAFT = "brokers_to_kraft"
    SOAKING = "soaking"  # time, and the drills; then `kraft finalize`
    FINALIZING = "finalizing"  # each controller restarted without ZooKeeper: no way back
    DONE = "done"
    BACK_TO_MIGRATION = "back_to_migration"  # each broker restarted with ZooKeeper again
    REMOVING_CONTROLLERS = "removing_controllers"  # the new controllers to be gone
    RELEASING_ZOOKEEPER = "releasing_zookeeper"  # /controller and /migration to be deleted
    BACK_TO_ZOOKEEPER = "back_to_zookeeper"  # each broker restarted as it was
    ROLLED_BACK = "rolled_back"


KRAFT_RESTING = frozenset({KraftPhase.NONE, KraftPhase.DONE, KraftPhase.ROLLED_BACK})
KRAFT_ACTIVE = frozenset(KraftPhase) - KRAFT_RESTING

_P = KraftPhase

# (phases in which it can happen) x event -> the phase after; what is not here changes no phase.
# Drawn by `make docs`.
KRAFT_TRANSITIONS: dict[type[Event], dict[KraftPhase, KraftPhase]] = {
    kev.KraftStarted: {_P.NONE: _P.PREPARING, _P.ROLLED_BACK: _P.PREPARING},
    kev.KraftControllersBegun: {_P.PREPARING: _P.CONTROLLERS},
    kev.KraftMigrationBegun: {_P.CONTROLLERS: _P.BROKERS_TO_MIGRATION},
    kev.KraftTurnBegun: {_P.BROKERS_TO_MIGRATION: _P.BROKERS_TO_KRAFT},
    kev.KraftSoakBegun: {_P.BROKERS_TO_KRAFT: _P.SOAKING},
    kev.KraftFinalizeBegun: {_P.SOAKING: _P.FINALIZING},
    kev.KraftCompleted: {_P.FINALIZING: _P.DONE},
    kev.KraftRollbackStarted: {
        _P.PREPARING: _P.BACK_TO_ZOOKEEPER,
        _P.CONTROLLERS: _P.REMOVING_CONTROLLERS,
        _P.BROKERS_TO_MIGRATION: _P.REMOVING_CONTROLLERS,
        _P.BROKERS_TO_KRAFT: _P.BACK_TO_MIGRATION,
        _P.SOAKING: _P.BACK_TO_MIGRATION,
    },
    kev.KraftControllersLeaving: {_P.BACK_TO_MIGRATION: _P.REMOVING_CONTROLLERS},
    kev.KraftReleaseBegun: {_P.REMOVING_CONTROLLERS: _P.RELEASING_ZOOKEEPER},
    kev.KraftReleased: {_P.RELEASING_ZOOKEEPER: _P.BACK_TO_ZOOKEEPER},
    kev.KraftRolledBack: {_P.BACK_TO_ZOOKEEPER: _P.ROLLED_BACK},
}

# What each phase makes of the nodes, one after the other; phases that are not here restart nothing.
BROKER_TARGET: dict[KraftPhase, NodeMode] = {
    _P.BROKERS_TO_MIGRATION: NodeMode.MIGRATION,
    _P.BROKERS_TO_KRAFT: NodeMode.KRAFT,
    _P.BACK_TO_MIGRATION: NodeMode.MIGRATION,
    _P.BACK_TO_ZOOKEEPER: NodeMode.ZOOKEEPER,
}
CONTROLLER_TARGET: dict[KraftPhase, NodeMode] = {
    _P.CONTROLLERS: NodeMode.MIGRATION,
    _P.REMOVING_CONTROLLERS: NodeMode.STOPPED,
    _P.FINALIZING: NodeMode.KRAFT,
}


# From the first controller that is stopped until /controller is free nobody may lead: Kafka then
# answers late or never.
WITHOUT_CONTROLLER = frozenset({_P.REMOVING_CONTROLLERS, _P.RELEASING_ZOOKEEPER})


@unique
class Drill(StrEnum):
    """What is tried while there still is a way back."""

    # the active controller restarted: another one takes over
    CONTROLLER_FAIL_OVER = "controller_fail_over"
    BROKER_RESTART = "broker_restart"  # one broker restarted: it comes back in sync


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest:
    """The node whose restart was asked for, until it shows it."""

    node_id: int
    is_controller: bool
    target: NodeMode
    at: float
    attempts: int = 1
    seen_down: bool = False  # for a drill by hand: only who went down can have come back


@dataclass(frozen=True, slots=True, kw_only=True)
class Kraft:
    """One cluster's way to KRaft: the one running, or the last one."""

    kraft_id: str = ""
    phase: KraftPhase = KraftPhase.NONE
    phase_since: float = 0.0
    attempt: int = 0  # how often it was started on this cluster
    options: KraftOptions = field(default_factory=KraftOptions)
    broker_ids: tuple[int, ...] = ()  # all that were alive at the start
    waiting: tuple[Reason, ...] = ()
    ready: bool = False  # every signal holds: `kraft advance` (or `kraft finalize`) may come
    restart_request: RestartRequest | None = None
    modes: tuple[tuple[int, NodeMode], ...] = ()  # (node, what it showed last in answer to us)
    # (broker, its keys before the first change)
    originals: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()
    drills: tuple[Drill, ...] = ()  # passed
    drill: Drill | None = None  # under way
    drill_since: float = 0.0
    drilled_node_id: int | None = None  # the node that has come back in this drill
    green_since: float | None = None  # soaking: since when every signal holds
    changed_at: float = 0.0  # when the last node had changed
    kraft_epoch: int = 0  # of the last KRaft controller, on the way back
    metadata_errors: int = 0  # at the beginning of the soak
    controllers_seen: ControllersSeen | None = None  # for people

    def original(self, broker_id: int) -> tuple[tuple[str, str], ...]:
        return dict(self.originals).get(broker_id, ())

    def scope(self) -> KraftScope:
        """As effects name it."""
        return KraftScope(kraft_id=self.kraft_id, options=self.options)


def kraft_watch(kraft: Kraft) -> WatchKraft | None:
    """The standing look while it is under way."""
    if kraft.phase in KRAFT_RESTING:
        return None
    return WatchKraft(
        scope=kraft.scope(),
        broker_ids=kraft.broker_ids,
        with_kafka=kraft.phase not in WITHOUT_CONTROLLER,
    )
