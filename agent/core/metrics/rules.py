"""Metric rules of a cluster as plain values: written in clusters.yaml, evaluated by
rule_evaluator.py.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Action(StrEnum):
    """What a rule does to the migration while it fires; each action includes those before it."""

    NOTIFY = "notify"  # publish an event, and do nothing else
    SLOW = "slow"  # lower the throttle with the headroom; bytes already copied are kept
    PAUSE = "pause"  # stop the execution


@unique
class Side(StrEnum):
    """On which side of the threshold a value is bad."""

    ABOVE = "above"
    BELOW = "below"


@unique
class Aggregation(StrEnum):
    """How the samples of many brokers become one answer."""

    ANY = "any"  # some broker is beyond the threshold for the whole duration
    ALL = "all"  # every broker is beyond it for the whole duration
    WORST = "worst"  # at each moment of the duration some broker is beyond it


@unique
class Brokers(StrEnum):
    """The samples of which brokers count."""

    ALL = "all"
    SOURCE = "source"
    DESTINATION = "destination"
    CLUSTER = "cluster"  # samples that name no broker


@unique
class Level(StrEnum):
    """The state of a rule."""

    CLEAR = "clear"
    FIRING = "firing"
    INCONCLUSIVE = "inconclusive"  # samples are missing or stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule for one metric. Times are in seconds, values in the metric's own unit."""

    name: str
    metric: str
    threshold: float
    side: Side = Side.ABOVE
    clear: float | None = None  # a rule that has fired clears only at this; None: at the threshold
    duration_seconds: float = 0.0  # it fires after so long beyond the threshold
    resume_delay_seconds: float = 60.0  # it clears after being calm for so long
    stale_seconds: float = 60.0  # an older sample counts as missing
    aggregation: Aggregation = Aggregation.ANY
    brokers: Brokers = Brokers.ALL
    platform: str | None = None  # ec2 or k8s; None: both
    action: Action = Action.PAUSE
    on_missing: Action | None = Action.PAUSE  # None: brokers without fresh samples are left out
    # after so many pauses within the window, only an operator resumes
    flaps_max: int = 3
    flap_window_seconds: float = 3_600.0

    @property
    def clear_level(self) -> float:
        """The level that a value must be back at before a rule that has fired clears."""
        return self.threshold if self.clear is None else self.clear

    def is_beyond(self, value: float, level: float) -> bool:
        """Whether a value is on the bad side of a level; a value equal to the level is not."""
        return value > level if self.side is Side.ABOVE else value < level

    def headroom(self, value: float) -> float:
        """How far a value is from the threshold, in parts of the distance between threshold and
        clear level: 1 at the clear level or better, 0 at the threshold, -1 at least as far beyond
        it.
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
    action: Action  # what the rule asks for
    fired: bool  # it fired before it became inconclusive: the clear level must be reached
    since: float


SEVERITY = {Action.NOTIFY: 0, Action.SLOW: 1, Action.PAUSE: 2}
