"""Observations that metrics and registrations lead to: changed judgements, headroom, brokers.

Listed in messages.py.
"""

from dataclasses import dataclass

from agent.core.metrics.rules import Action, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStateObserved:
    """A rule says another thing than before, with the values that led to it."""

    at: float
    rule: str
    level: Level
    action: Action  # what it wants now; clear: `notify`
    fired: bool = False
    metric: str = ""
    broker: int | None = None  # the worst one; None: of the cluster as a whole, or nobody is seen
    value: float | None = None
    threshold: float | None = None
    since: float | None = None  # beyond the threshold since, by the samples' own time
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomObserved:
    """How much the slowest broker could still take: 1 calm, 0 at the threshold, -1 far beyond
    it.
    """

    at: float
    rule: str
    broker: int | None
    value: float
    headroom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokersObserved:
    """ZooKeeper's registrations have changed; `lost`: those that were there at the look before."""

    at: float
    registered: tuple[int, ...]
    lost: tuple[int, ...] = ()
