"""Events of steering and of the ends: pause, slow, tune, rollback, drained brokers. All are listed in events.py."""

from dataclasses import dataclass

from agent.core.event import Event
from agent.core.messages import Compared
from agent.core.plan import Wave
from agent.core.reasons import Reason


# ── pause, resume, slow, tune ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCauseAdded(Event):
    """A reason to stand still: `operator`, `alert:NAME`, `metric:RULE`, `safety:CODE` or `others:CODE`."""

    cause: str
    seen: str

    def __str__(self) -> str:
        return f"pause cause {self.cause}: {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCauseLifted(Event):
    """What set it has lifted it."""

    cause: str

    def __str__(self) -> str:
        return f"pause cause {self.cause} lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCauseAdded(Event):
    """A reason to yield bandwidth and keep the copied bytes."""

    cause: str
    seen: str

    def __str__(self) -> str:
        return f"slowed by {self.cause}: {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCauseLifted(Event):
    """The bandwidth is ours again."""

    cause: str

    def __str__(self) -> str:
        return f"no longer slowed by {self.cause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """The execution is being stopped, to pause, cancel or roll back."""

    purpose: str
    reasons: tuple[Reason, ...] = ()

    def __str__(self) -> str:
        return f"stopping what moves, to {self.purpose}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPaused(Event):
    """Nothing moves, and nothing will until every cause is lifted."""

    causes: tuple[str, ...]

    def __str__(self) -> str:
        return f"paused: {', '.join(self.causes)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationResumed(Event):
    """No cause is left: it goes on from what is left."""

    def __str__(self) -> str:
        return "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationTuned(Event):
    """Other rates from now on. None: no throttle, or concurrency chosen for each wave."""

    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int | None

    def __str__(self) -> str:
        return (
            f"throttle {self.throttle_bytes_per_second or 'off'} B/s, "
            f"concurrency {self.partition_movements_per_broker or 'chosen for each wave'}"
        )


# ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted(Event):
    """What was moved goes back, last wave first."""

    waves: tuple[Wave, ...]

    def __str__(self) -> str:
        return f"rollback started: {len(self.waves)} waves"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackMoved(Event):
    """Every wave back has ended: the assignment is compared with the one saved before the start."""

    def __str__(self) -> str:
        return "everything is back, comparing with the assignment before the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCompleted(Event):
    """The proof of the rollback."""

    comparison: Compared

    def __str__(self) -> str:
        c = self.comparison
        return f"rolled back: {c.different} of {c.partitions} partitions differ from before the start"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationCancelled(Event):
    """Stopped for good; what was moved stays where it is."""

    def __str__(self) -> str:
        return "cancelled; what was moved stays where it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationDrained(Event):
    """Every wave has ended: the drained brokers are watched until they have left the cluster."""

    broker_ids: tuple[int, ...]

    def __str__(self) -> str:
        return f"drained: brokers {', '.join(map(str, self.broker_ids))} hold nothing; watching for late arrivals"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMayBeShutDown(Event):
    """The broker has held nothing for long enough."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} may be shut down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRefilled(Event):
    """A replica has landed on a drained broker: do not shut it down."""

    broker_id: int
    replicas: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} holds {self.replicas} replicas again: do not shut it down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEmptyAgain(Event):
    """A refilled broker holds nothing again: the quiet time starts anew."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} holds nothing again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoverThrottleCleared(Event):
    """A throttle of ours was found at rest, and removed."""

    entries: int
    broker_ids: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.entries} throttle entries of ours were left on brokers {list(self.broker_ids)}, and are cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLeft(Event):
    """The broker has left the cluster after we said that it may."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} has left the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReturned(Event):
    """A drained broker that had left is back: it may receive new topics, and is watched anew."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} is back in the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationCompleted(Event):
    """Every drained broker has left the cluster."""

    def __str__(self) -> str:
        return "completed: every source broker has left the cluster"
