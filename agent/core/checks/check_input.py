"""What the checks look at, as survey.py gathers it before a start and watches.py during a move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.core.model.cluster import BrokerLogs, ClusterFacts, Reassignment
from agent.core.model.executor import Executor
from agent.core.model.reasons import Reason
from agent.core.model.throttle import ThrottleFacts
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.policy import Limits
from agent.core.planning.wave import Wave


@dataclass(frozen=True, slots=True, kw_only=True)
class CruiseControlFacts:
    """The state of Cruise Control."""

    reachable: bool
    # why it could not be asked: no answer, or a refused login
    trouble: Reason | None = None
    executor: Executor = Executor.IDLE
    executor_state: str = ""
    executor_reason: str = ""
    valid_windows: int | None = None  # None: not asked for
    self_healing: tuple[str, ...] = ()  # anomaly types that it heals by itself
    # why the dry run failed; None: it answered 200, or was not asked for
    dryrun: Reason | None = None
    dryrun_answers: bool = False  # without a valid window, between waves, it answered 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCheckInput:
    """What all checks look at."""

    cluster: ClusterFacts
    waves: Sequence[Wave]  # what is about to move
    cruise_control: CruiseControlFacts
    reassignments: Sequence[Reassignment] = field(default_factory=tuple)
    needed_later: frozenset[int] = frozenset()  # brokers of the waves still to come
    # drained sources, to which a rollback would go back
    rollback_brokers: frozenset[int] = frozenset()

    @property
    def sources(self) -> frozenset[int]:
        """The source brokers of all waves."""
        return frozenset(b for w in self.waves for b in w.source_broker_ids)

    @property
    def destinations(self) -> frozenset[int]:
        """The destination brokers of all waves."""
        return frozenset(b for w in self.waves for b in w.destination_broker_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerCheckInput:
    """What only the checks of brokers look at."""

    # of the sources and destinations that answered
    logs: Mapping[int, BrokerLogs] = field(default_factory=dict)
    throttle: ThrottleFacts = field(default_factory=ThrottleFacts)  # of all brokers and topics
    throttle_rates_set: tuple[
        int, ...
    ] = ()  # every rate that we have ever set on this cluster, in bytes per second
    migration_destinations: frozenset[int] = frozenset()  # of the waves of the last migration
    # broker id -> name -> value
    settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    # broker id -> its address, and why it cannot be reached
    unreachable: Mapping[int, str] = field(default_factory=dict)
    # brokers with records in Cruise Control's metrics topic; None: it cannot be read
    reporting: frozenset[int] | None = None
    rate_bytes_per_second: int | None = None  # the throttle of the migration; None: no throttle
    load: Mapping[int, BrokerLoad] = field(default_factory=dict)  # broker id -> before and after
    limits: Limits = field(default_factory=Limits)
