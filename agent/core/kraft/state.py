"""The state of a cluster's migration from ZooKeeper to KRaft, its phases, and their transitions.

It is part of the cluster's record, beside the migration of replicas. Nothing here decides:
kraft_flow.py does, and kraft/evolve.py applies events to it.
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
    """Where the migration to KRaft stands. Each comment says what the phase waits for."""

    NONE = "none"  # nothing was ever started
    PREPARING = "preparing"  # the cluster passes its checks
    CONTROLLERS = "controllers"  # the new controllers run and wait for the brokers
    BROKERS_TO_MIGRATION = "brokers_to_migration"  # each broker restarted, then the metadata copied
    # each broker restarted without ZooKeeper; the controllers still write to both
    BROKERS_TO_KRAFT = "brokers_to_kraft"
    SOAKING = "soaking"  # the soak time and the drills, then `kraft finalize`
    FINALIZING = "finalizing"  # each controller restarted without ZooKeeper; no rollback from here
    DONE = "done"
    BACK_TO_MIGRATION = "back_to_migration"  # each broker restarted with ZooKeeper again
    REMOVING_CONTROLLERS = "removing_controllers"  # the new controllers are stopped
    RELEASING_ZOOKEEPER = "releasing_zookeeper"  # /controller and /migration are deleted
    BACK_TO_ZOOKEEPER = "back_to_zookeeper"  # each broker restarted with its original settings
    ROLLED_BACK = "rolled_back"


KRAFT_RESTING = frozenset({KraftPhase.NONE, KraftPhase.DONE, KraftPhase.ROLLED_BACK})
KRAFT_ACTIVE = frozenset(KraftPhase) - KRAFT_RESTING

_P = KraftPhase

# event -> phase in which it may happen -> phase after it. Events that are not here change no phase.
# `make docs` draws this table.
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

# The mode into which each phase restarts the nodes, one after the other. Other phases restart none.
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


# Between the stop of the first controller and the deletion of /controller there may be no
# controller
# at all: Kafka then answers late or never.
WITHOUT_CONTROLLER = frozenset({_P.REMOVING_CONTROLLERS, _P.RELEASING_ZOOKEEPER})


@unique
class Drill(StrEnum):
    """What is tried while soaking, when a rollback is still possible."""

    # the active controller is restarted, and another one takes over
    CONTROLLER_FAIL_OVER = "controller_fail_over"
    BROKER_RESTART = "broker_restart"  # one broker is restarted, and comes back in sync


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest:
    """The restart that was requested last, kept until the node shows the requested mode."""

    node_id: int
    is_controller: bool
    target: NodeMode
    at: float
    attempts: int = 1
    seen_down: bool = False  # a drill counts only if the node was seen down


@dataclass(frozen=True, slots=True, kw_only=True)
class Kraft:
    """The migration to KRaft of one cluster: the one that runs, or the last one."""

    kraft_id: str = ""
    phase: KraftPhase = KraftPhase.NONE
    phase_since: float = 0.0
    attempt: int = 0  # counts the starts on this cluster
    options: KraftOptions = field(default_factory=KraftOptions)
    broker_ids: tuple[int, ...] = ()  # the brokers that were alive at the start
    waiting: tuple[Reason, ...] = ()
    ready: bool = False  # every signal holds, so `kraft advance` or `kraft finalize` is accepted
    restart_request: RestartRequest | None = None
    modes: tuple[
        tuple[int, NodeMode], ...
    ] = ()  # (node, the mode that it showed after its last requested restart)
    # (broker, its settings before the first change)
    originals: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()
    drills: tuple[Drill, ...] = ()  # passed
    drill: Drill | None = None  # under way
    drill_since: float = 0.0
    drilled_node_id: int | None = None  # the node that was restarted in this drill and is back
    green_since: float | None = None  # since when every signal holds while soaking
    changed_at: float = 0.0  # when the last node showed its new mode
    kraft_epoch: int = 0  # epoch of the last KRaft controller, kept for a rollback
    metadata_errors: int = 0  # MetadataErrorCount when the soak time began
    controllers_seen: ControllersSeen | None = None  # shown to people; decides nothing

    def original(self, broker_id: int) -> tuple[tuple[str, str], ...]:
        """The settings of the broker before the first change; empty if none were kept."""
        return dict(self.originals).get(broker_id, ())

    def scope(self) -> KraftScope:
        """The scope that effects of this migration carry."""
        return KraftScope(kraft_id=self.kraft_id, options=self.options)


def kraft_watch(kraft: Kraft) -> WatchKraft | None:
    """The watch that runs while the migration is under way; None while it rests."""
    if kraft.phase in KRAFT_RESTING:
        return None
    return WatchKraft(
        scope=kraft.scope(),
        broker_ids=kraft.broker_ids,
        with_kafka=kraft.phase not in WITHOUT_CONTROLLER,
    )
