"""Why a migration pauses or slows down, and how it goes on."""

from dataclasses import dataclass

from agent.core.model.event import Event
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCauseAdded(Event):
    """There is a cause to pause.

    Its name is `operator`, `alert:NAME`, `metric:RULE`, `safety:CODE` or `others:CODE`.
    """

    cause: str
    seen: str

    def __str__(self) -> str:
        return f"pause cause {self.cause}: {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCauseLifted(Event):
    """A cause to pause is gone."""

    cause: str

    def __str__(self) -> str:
        return f"pause cause {self.cause} lifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCauseAdded(Event):
    """There is a cause to lower the throttle and go on copying."""

    cause: str
    seen: str

    def __str__(self) -> str:
        return f"slowed by {self.cause}: {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCauseLifted(Event):
    """A cause to lower the throttle is gone."""

    cause: str

    def __str__(self) -> str:
        return f"no longer slowed by {self.cause}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """The execution is being stopped, to pause, cancel, roll back or block."""

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
    """No cause to pause is left: the migration moves what is left."""

    def __str__(self) -> str:
        return "resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationTuned(Event):
    """The throttle or the concurrency has changed.

    None: no throttle, or a concurrency that is chosen for each wave.
    """

    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int | None

    def __str__(self) -> str:
        return (
            f"throttle {self.throttle_bytes_per_second or 'off'} B/s, "
            f"concurrency {self.partition_movements_per_broker or 'chosen for each wave'}"
        )
