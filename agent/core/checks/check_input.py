"""What the checks look at, as survey.py gathers it before a start and watches.py during a move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.model.cluster import BrokerLogs, ClusterFacts, Reassignment
from agent.core.model.executor import Executor
from agent.core.model.reasons import Reason
from agent.core.model.throttle import ThrottleFacts
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.options import Limits
from agent.core.planning.wave import Wave


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlFacts:
    """Cruise Control as it was found."""

    reachable: bool
    # why it could not be asked; its code tells silence from a refused login
    trouble: Reason | None = None
    executor: Executor = Executor.IDLE
    executor_state: str = ""
    executor_reason: str = ""
    valid_windows: int | None = None  # None: not looked at
    self_healing: tuple[str, ...] = ()  # anomaly types that it would heal by itself
    # what the dry run answered other than 200; None: 200, or not asked
    dryrun: Reason | None = None
    dryrun_answers: bool = False  # asked between waves, for want of a window, and 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCheckInput:
    """Everything the checks look at."""

    cluster: ClusterFacts
    waves: Sequence[Wave]  # what is about to move
    cruise_control: CruiseControlFacts
    reassignments: Sequence[Reassignment] = field(default_factory=tuple)
    needed_later: frozenset[int] = frozenset()  # brokers of the waves still to come
    # sources that were drained: a rollback would go back to them
    rollback_brokers: frozenset[int] = frozenset()

    @property
    def sources(self) -> frozenset[int]:
        return frozenset(b for w in self.waves for b in w.source_broker_ids)

    @property
    def destinations(self) -> frozenset[int]:
        return frozenset(b for w in self.waves for b in w.destination_broker_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerCheckInput:
    """What was gathered for these checks alone."""

    # of sources and destinations that answered
    logs: Mapping[int, BrokerLogs] = field(default_factory=dict)
    throttle: ThrottleFacts = field(default_factory=ThrottleFacts)  # of all brokers and topics
    throttle_rates_set: tuple[int, ...] = ()  # every rate that we have ever set here
    migration_destinations: frozenset[int] = frozenset()  # of the waves of the last migration
    # broker id -> name -> value
    settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    # broker id -> its address, and why
    unreachable: Mapping[int, str] = field(default_factory=dict)
    # whom Cruise Control's metrics topic tells of; None: cannot be seen
    reporting: frozenset[int] | None = None
    rate_bytes_per_second: int | None = None  # the throttle that moves would get
    load: Mapping[int, BrokerLoad] = field(default_factory=dict)  # broker id -> before and after
    limits: Limits = field(default_factory=Limits)
