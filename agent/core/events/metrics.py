"""Events of metrics: what was judged, held off, latched, and how the throttle follows.

All are listed in events.py.
"""

from dataclasses import dataclass

from agent.core.metrics.rules import Action, Level
from agent.core.model.event import Event
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStateChanged(Event):
    """A rule says another thing than before: the values that led to it, and what it wants now."""

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
    """A human has just said `resume`: this cause may not pause before `until`, and then only if
    it still holds.
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
    """It has gone before its hold-off ended."""

    cause: str

    def __str__(self) -> str:
        return f"{self.cause} passed while it was held off"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapLimitReached(Event):
    """It is calm again, and has paused too often to be trusted: it stays paused until an
    operator says `resume`.
    """

    cause: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.cause} waits for an operator: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleAdapted(Event):
    """Another rate by the headroom of the slowest broker.

    `bytes_per_second` None: back at what was asked.
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
