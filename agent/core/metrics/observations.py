"""What the worker observes outside of effects: changed rule states, headroom, and registered
brokers.

agent/core/messages.py lists them among the messages of the core.
"""

from dataclasses import dataclass

from agent.core.metrics.rules import Action, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStateObserved:
    """The level of a metric rule has changed; with the values that led to it."""

    at: float
    rule: str
    level: Level
    action: Action  # what the rule asks for now; `notify` while clear
    fired: bool = False
    metric: str = ""
    broker: int | None = (
        None  # the worst one; None: the rule is of the cluster, or no sample is fresh
    )
    value: float | None = None
    threshold: float | None = None
    since: float | None = None  # since when it is beyond the threshold, by the time of the samples
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomObserved:
    """How much more load the slowest broker can take: 1 at the clear level or better, 0 at the
    threshold, -1 far beyond it.
    """

    at: float
    rule: str
    broker: int | None
    value: float
    headroom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokersObserved:
    """The brokers registered in ZooKeeper have changed; `lost` are those that were registered at
    the previous look.
    """

    at: float
    registered: tuple[int, ...]
    lost: tuple[int, ...] = ()
