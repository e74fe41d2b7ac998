"""What a cluster's policy says of its metrics: rules, as plain values.

Judged by rule_evaluator.py, written in clusters.yaml.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Action(StrEnum):
    """What a rule does to the migration; each one does what the ones before it do."""

    NOTIFY = "notify"  # an event, and nothing else
    SLOW = "slow"  # the throttle follows the headroom: copied bytes are kept
    PAUSE = "pause"  # the execution is stopped


@unique
class Side(StrEnum):
    """On which side of the threshold it is bad."""

    ABOVE = "above"
    BELOW = "below"


@unique
class Aggregation(StrEnum):
    """How the values of many brokers become one answer."""

    ANY = "any"  # one and the same broker is beyond the threshold for the whole duration
    ALL = "all"  # every broker is
    WORST = "worst"  # the worst value is, whichever broker has it at the time


@unique
class Brokers(StrEnum):
    """Whose samples count."""

    ALL = "all"
    SOURCE = "source"
    DESTINATION = "destination"
    CLUSTER = "cluster"  # samples that name no broker


@unique
class Level(StrEnum):
    """What a rule says now."""

    CLEAR = "clear"
    FIRING = "firing"
    INCONCLUSIVE = "inconclusive"  # nobody can tell: samples are missing or stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule over one metric. Times in seconds, values in the metric's own unit."""

    name: str
    metric: str
    threshold: float
    side: Side = Side.ABOVE
    clear: float | None = None  # fired, it is calm only beyond this; None: the threshold
    duration_seconds: float = 0.0  # it fires when it has been beyond for so long
    resume_delay_seconds: float = 60.0  # and lets go when it has been calm for so long
    stale_seconds: float = 60.0  # a newest sample older than this is none
    aggregation: Aggregation = Aggregation.ANY
    brokers: Brokers = Brokers.ALL
    platform: str | None = None  # ec2 or k8s; None: both
    action: Action = Action.PAUSE
    on_missing: Action | None = Action.PAUSE  # None: brokers without fresh samples are left out
    # so many pauses within the window; then it stays paused until an operator speaks
    flaps_max: int = 3
    flap_window_seconds: float = 3_600.0

    @property
    def clear_level(self) -> float:
        return self.threshold if self.clear is None else self.clear

    def is_beyond(self, value: float, level: float) -> bool:
        """Whether a value is on the bad side of a level. At the level it is not."""
        return value > level if self.side is Side.ABOVE else value < level

    def headroom(self, value: float) -> float:
        """How far from the threshold: 1 at the clear level or better, 0 at the threshold, down
        to -1 beyond it.
        """
        if (width := abs(self.threshold - self.clear_level)) == 0:
            return -1.0 if self.is_beyond(value, self.threshold) else 1.0
        left = self.threshold - value if self.side is Side.ABOVE else value - self.threshold
        return max(-1.0, min(1.0, left / width))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """What is saved of a rule that is not clear."""

    rule: str
    level: Level
    action: Action  # what it wants
    fired: bool  # it fired before it became inconclusive: only the clear level lets go
    since: float


SEVERITY = {Action.NOTIFY: 0, Action.SLOW: 1, Action.PAUSE: 2}
