"""What happens on the way from ZooKeeper to KRaft; published like every event.

`str(event)` is its sentence.
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
    """A dry run's result: what would be done to which node, and what stands in the way."""

    command_id: str
    phase: str
    steps: tuple[str, ...]
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        against = (
            f"in the way: {because(self.reasons)}"
            if self.reasons
            else ("nothing stands in the way")
        )
        return f"to KRaft in {len(self.steps)} steps; {against}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftStarted(Event):
    """From here on the migration of replicas waits for this one."""

    kraft_id: str
    command_id: str
    options: KraftOptions
    broker_ids: tuple[int, ...]
    originals: tuple[tuple[int, tuple[tuple[str, str], ...]], ...]  # what the way back restores

    def __str__(self) -> str:
        return f"{self.kraft_id}: from ZooKeeper to KRaft, {len(self.broker_ids)} brokers"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftWaiting(Event):
    """What it waits for, and from whom. Empty: for nothing any more."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return (
            f"KRaft waits: {because(self.reasons)}"
            if self.reasons
            else ("KRaft: no longer waiting")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReady(Event):
    """Every signal of this phase holds; `next_command` brings the next one."""

    phase: str
    next_command: str

    def __str__(self) -> str:
        return (
            f"KRaft: every signal of {self.phase} holds; "
            f"{self.next_command or 'it goes on by itself'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNotReady(Event):
    """A signal of this phase does not hold any more."""

    phase: str

    def __str__(self) -> str:
        return f"KRaft: a signal of {self.phase} does not hold any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersSeen(Event):
    """Another controller leads, or they have registered, fenced or finalized something else
    than before.
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
    """One node shall be restarted: the exact keys, as a diff of its properties and as a
    Kubernetes patch.
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
    """The node that shall be restarted does not answer."""

    node_id: int

    def __str__(self) -> str:
        return f"node {self.node_id} is down"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftNodeChanged(Event):
    """The cluster shows the node as it shall be."""

    node_id: int
    is_controller: bool
    target: NodeMode
    seconds: float

    def __str__(self) -> str:
        kind = "controller" if self.is_controller else "broker"
        return f"{kind} {self.node_id} is in mode {self.target} after {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersBegun(Event):
    """The cluster is fit: the controllers are to be provisioned."""

    def __str__(self) -> str:
        return "KRaft: the controllers are to be started"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftMigrationBegun(Event):
    """The quorum waits for the brokers."""

    def __str__(self) -> str:
        return "KRaft: the brokers go into migration mode, one after the other"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftTurnBegun(Event):
    """The metadata is copied, KRaft's controller leads, ZooKeeper is written too."""

    def __str__(self) -> str:
        return "KRaft: the metadata is copied; the brokers leave ZooKeeper, one after the other"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftSoakBegun(Event):
    """Every broker is in KRaft mode, ZooKeeper still written: the last place with a way back."""

    metadata_errors: int
    until: float

    def __str__(self) -> str:
        return "KRaft: every broker has left ZooKeeper, which is still written; soaking"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftGreen(Event):
    """Soaking: every signal holds, so time counts; or one does not, and time begins anew."""

    since: float | None

    def __str__(self) -> str:
        return "KRaft: the soak time counts" if self.since else "KRaft: the soak time begins anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftDrillBegun(Event):
    """Something is tried while there still is a way back."""

    drill: str

    def __str__(self) -> str:
        return f"KRaft drill: {self.drill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftDrillPassed(Event):
    """It came back as it should."""

    drill: str
    seconds: float

    def __str__(self) -> str:
        return f"KRaft drill passed after {self.seconds:.0f} s: {self.drill}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftFinalizeBegun(Event):
    """An operator has said so: no way back from here."""

    issued_by: str

    def __str__(self) -> str:
        return (
            f"KRaft: finalized by {self.issued_by or 'an operator'}; there is no way back from here"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftCompleted(Event):
    """The active controller says POST_MIGRATION:

    ZooKeeper may be shut down. What is left to do, by hand.
    """

    brokers_fenced: int = 0  # registered, and gone
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
    """Back to ZooKeeper."""

    issued_by: str

    def __str__(self) -> str:
        return "KRaft: back to ZooKeeper"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftControllersLeaving(Event):
    """Every broker is in migration mode again: the controllers are to be stopped."""

    def __str__(self) -> str:
        return "KRaft: the controllers are to be stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReleaseBegun(Event):
    """No KRaft controller runs: ZooKeeper's /controller is to be freed at once."""

    kraft_epoch: int

    def __str__(self) -> str:
        return "KRaft: the controllers are gone; ZooKeeper's /controller is to be freed"


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftReleased(Event):
    """What was deleted in ZooKeeper, kept here to the letter."""

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
    """A broker is controller again, by ZooKeeper, and no node knows of KRaft."""

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
