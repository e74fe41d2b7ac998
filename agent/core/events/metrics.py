"""What happens to rules and the causes that they set, and how the throttle adapts."""

from dataclasses import dataclass

from agent.core.metrics.rules import Action, Level
from agent.core.model.event import Event
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStateChanged(Event):
    """A rule has changed its level or its action; with the values that led to it."""

    rule: str
    level: Level
    action: Action
    fired: bool
    metric: str
    broker: int | None
    value: float | None
    threshold: float | None
    since: float | None
    reason: Reason

    def __str__(self) -> str:
        return f"rule {self.rule} is {self.level}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseSuppressed(Event):
    """A cause is held off, because an operator has just resumed: it pauses at `until`, and only if
    it still holds then.
    """

    cause: str
    seen: str
    until: float

    def __str__(self) -> str:
        return (
            f"{self.cause} is held off for {self.until - self.at:.0f} s after the resume: "
            f"{self.seen}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedCauseCleared(Event):
    """A cause went away before its hold-off ended."""

    cause: str

    def __str__(self) -> str:
        return f"{self.cause} passed while it was held off"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapLimitReached(Event):
    """A cause is gone, but has paused too often to be trusted: the migration stays paused until an
    operator resumes it.
    """

    cause: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.cause} waits for an operator: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleAdapted(Event):
    """The throttle has changed by the headroom of the slowest broker.

    `bytes_per_second` None: it is back at what was asked for.
    """

    bytes_per_second: int | None
    before_bytes_per_second: int | None
    ceiling_bytes_per_second: int
    rule: str
    broker: int | None
    value: float | None
    headroom: float

    def __str__(self) -> str:
        to = "as asked" if self.bytes_per_second is None else f"{self.bytes_per_second} B/s"
        where = "" if self.broker is None else f" of broker {self.broker}"
        return f"throttle {to}: headroom{where} is {self.headroom:.0%} by {self.rule}"
