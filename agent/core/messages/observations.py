"""Observations: facts that watches, monitors, effects and the clock report."""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.kraft.messages import KraftObserved
from agent.core.messages.outcomes import Outcome
from agent.core.metrics.observations import BrokersObserved, HeadroomObserved, RuleStateObserved
from agent.core.model.executor import Executor, TaskStatus
from agent.core.model.reasons import Reason
from agent.core.model.throttle import RateSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The time that `wake_at` of the state names has come."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectEnded:
    """An effect has ended; `outcome` says how. Ignored unless the effect is pending."""

    at: float
    effect_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveObserved:
    """WatchWave has looked at the wave: the facts of Kafka, and what Cruise Control says of it."""

    at: float
    wave: int
    attempt: int
    replicas_left: int  # on the sources' log dirs, or due to stay there
    bytes_left: int
    bytes_moved: int  # on the destinations, of partitions still in flight or done
    moving: int  # our reassignments in flight
    # None: Cruise Control was not asked at this look, and neither was `task`
    executor: Executor | None
    task: TaskStatus
    # why Cruise Control could not be asked, in its own words where it has said some
    trouble: Reason | None = None
    reasons: tuple[Reason, ...] = ()  # why it is not safe to go on, as of now
    rates: tuple[RateSeen, ...] = ()  # KIP-73 rates in force on any broker
    silent: bool = False  # a source does not answer: its bytes are in no figure
    # who, other than we, asked Cruise Control to stop this attempt, by its own user tasks
    stopped_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesObserved:
    """WatchSources has looked at the drained brokers: how many replicas each holds, and which of
    them are alive.
    """

    at: float
    replicas: tuple[tuple[int, int], ...]  # (broker id, replicas on it)
    alive: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSwept:
    """WatchThrottle has cleared a throttle of ours that a broker had brought back."""

    at: float
    entries: int
    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanged:
    """An outside alert has fired or was resolved; with `slow` it lowers the throttle only."""

    at: float
    name: str
    firing: bool
    slow: bool = False
    seen: str = ""


Observation: TypeAlias = (
    Tick
    | EffectEnded
    | WaveObserved
    | SourcesObserved
    | ThrottleSwept
    | AlertChanged
    | RuleStateObserved
    | HeadroomObserved
    | BrokersObserved
    | KraftObserved
)
