"""The events of the migration from ZooKeeper to KRaft, published like every other event.

`str(event)` is the sentence that people read.
"""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.kraft.facts import ControllersSeen
from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions, RestartBy
from agent.core.model.event import Event, because
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftPlanned(Event):
    """A dry run was made: `steps` says what would be done to each node, `reasons` what prevents
    it.
    """

    command_id: str
    phase: str
    steps: tuple[str, ...]
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        against = (
            f"in the way: {because(self.reasons)}" if self.reasons else "nothing stands in the way"
        )
        return f"to KRaft in {len(self.steps)} steps; {against}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftStarted(Event):
    """The migration to KRaft has started; a migration of replicas waits until it ends."""

    kraft_id: str
    command_id: str
    options: KraftOptions
    broker_ids: tuple[int, ...]
    originals: tuple[
        tuple[int, tuple[tuple[str, str], ...]], ...
    ]  # broker -> the keys that a rollback restores

    def __str__(self) -> str:
        return f"{self.kraft_id}: from ZooKeeper to KRaft, {len(self.broker_ids)} brokers"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftWaiting(Event):
    """What the migration waits for has changed. Without reasons, it no longer waits."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return (
            f"KRaft waits: {because(self.reasons)}" if self.reasons else "KRaft: no longer waiting"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReady(Event):
    """Every signal of this phase holds. `next_command` starts the next phase; empty: it starts
    alone.
    """

    phase: str
    next_command: str

    def __str__(self) -> str:
        return (
            f"KRaft: every signal of {self.phase} holds; "
            f"{self.next_command or 'it goes on by itself'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNotReady(Event):
    """A signal of this phase that held has failed again."""

    phase: str

    def __str__(self) -> str:
        return f"KRaft: a signal of {self.phase} does not hold any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersSeen(Event):
    """The controllers look different: their leader, voters, metadata version or registered
    brokers.
    """

    controllers_seen: ControllersSeen

    def __str__(self) -> str:
        s = self.controllers_seen
        known = (
            f"; voters {', '.join(map(str, s.voter_ids))}, epoch {s.epoch}" if s.voter_ids else ""
        )
        version = f"; metadata.version {s.metadata_version}" if s.metadata_version else ""
        return (
            f"KRaft: controller {s.leader_id} leads{known}{version}; "
            f"{s.brokers_active} brokers registered, {s.brokers_fenced} fenced"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNodeAsked(Event):
    """The restart of one node was requested, with exact keys to set and to remove.

    They are given as a diff of the properties file and as a Kubernetes patch too.
    """

    node_id: int
    is_controller: bool
    target: NodeMode
    restart_by: RestartBy
    attempt: int
    set: tuple[tuple[str, str], ...]
    remove: tuple[str, ...]
    before: tuple[tuple[str, str], ...]
    properties_diff: str
    kubernetes_patch: str
    instructions: str

    def __str__(self) -> str:
        return self.instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNodeSeenDown(Event):
    """The node whose restart was requested no longer answers."""

    node_id: int

    def __str__(self) -> str:
        return f"node {self.node_id} is down"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNodeChanged(Event):
    """The node is back in the requested mode, `seconds` after the request."""

    node_id: int
    is_controller: bool
    target: NodeMode
    seconds: float

    def __str__(self) -> str:
        kind = "controller" if self.is_controller else "broker"
        return f"{kind} {self.node_id} is in mode {self.target} after {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersBegun(Event):
    """The cluster passed its checks; the KRaft controllers are started next."""

    def __str__(self) -> str:
        return "KRaft: the controllers are to be started"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftMigrationBegun(Event):
    """The controllers have a leader; the brokers are restarted into migration mode next."""

    def __str__(self) -> str:
        return "KRaft: the brokers go into migration mode, one after the other"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftTurnBegun(Event):
    """The metadata was copied and a KRaft controller leads; changes are still written to
    ZooKeeper.
    """

    def __str__(self) -> str:
        return "KRaft: the metadata is copied; the brokers leave ZooKeeper, one after the other"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftSoakBegun(Event):
    """Every broker runs in KRaft mode while ZooKeeper is still written: the last phase that can be
    rolled back.
    """

    metadata_errors: int
    until: float

    def __str__(self) -> str:
        return "KRaft: every broker has left ZooKeeper, which is still written; soaking"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftGreen(Event):
    """The soak time has started (`since`, seconds since the epoch) or was reset, because a signal
    fails (None).
    """

    since: float | None

    def __str__(self) -> str:
        return "KRaft: the soak time counts" if self.since else "KRaft: the soak time begins anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftDrillBegun(Event):
    """A drill has begun: a restart that is tried while a rollback is still possible."""

    drill: str

    def __str__(self) -> str:
        return f"KRaft drill: {self.drill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftDrillPassed(Event):
    """The node of the drill is back and the cluster is whole again, `seconds` after its start."""

    drill: str
    seconds: float

    def __str__(self) -> str:
        return f"KRaft drill passed after {self.seconds:.0f} s: {self.drill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftFinalizeBegun(Event):
    """An operator has finalized the migration: from here on it cannot be rolled back."""

    issued_by: str

    def __str__(self) -> str:
        return (
            f"KRaft: finalized by {self.issued_by or 'an operator'}; there is no way back from here"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftCompleted(Event):
    """The active controller reports POST_MIGRATION, so ZooKeeper may be shut down.

    The fields show what an operator still has to do: remove brokers that are gone, and raise
    metadata.version.
    """

    brokers_fenced: int = 0  # registered with the controllers, and not running
    metadata_version: int = 0
    metadata_version_max: int = 0

    def __str__(self) -> str:
        says = "KRaft: complete; ZooKeeper may be shut down"
        if self.brokers_fenced:
            says += (
                f"; {self.brokers_fenced} registered brokers are fenced: unregister those "
                "that are gone"
            )
        if self.metadata_version < self.metadata_version_max:
            says += (
                f"; metadata.version is {self.metadata_version}, "
                f"{self.metadata_version_max} is possible"
            )
        return says


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftRollbackStarted(Event):
    """The rollback to ZooKeeper has started."""

    issued_by: str

    def __str__(self) -> str:
        return "KRaft: back to ZooKeeper"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersLeaving(Event):
    """Every broker is back in migration mode; the KRaft controllers are stopped next."""

    def __str__(self) -> str:
        return "KRaft: the controllers are to be stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReleaseBegun(Event):
    """No KRaft controller runs any more; the znode /controller must be deleted at once."""

    kraft_epoch: int

    def __str__(self) -> str:
        return "KRaft: the controllers are gone; ZooKeeper's /controller is to be freed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReleased(Event):
    """The znodes /controller and /migration were deleted; their contents are kept here."""

    controller: str
    migration: str
    epoch_before: int
    epoch_after: int

    def __str__(self) -> str:
        raised = f", /controller_epoch is {self.epoch_after} instead of {self.epoch_before}"
        return (
            f"KRaft: ZooKeeper's /controller is free, /migration is deleted"
            f"{raised if self.epoch_after != self.epoch_before else ''}; the brokers go back, "
            "one after the other"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftRolledBack(Event):
    """The rollback is complete: a broker is controller in ZooKeeper, and no node has KRaft
    settings.
    """

    controller_id: int | None

    def __str__(self) -> str:
        return f"KRaft: rolled back; broker {self.controller_id} is controller"


KraftEvent: TypeAlias = (
    KraftPlanned
    | KraftStarted
    | KraftWaiting
    | KraftReady
    | KraftNotReady
    | KraftControllersSeen
    | KraftNodeAsked
    | KraftNodeSeenDown
    | KraftNodeChanged
    | KraftControllersBegun
    | KraftMigrationBegun
    | KraftTurnBegun
    | KraftSoakBegun
    | KraftGreen
    | KraftDrillBegun
    | KraftDrillPassed
    | KraftFinalizeBegun
    | KraftCompleted
    | KraftRollbackStarted
    | KraftControllersLeaving
    | KraftReleaseBegun
    | KraftReleased
    | KraftRolledBack
)
