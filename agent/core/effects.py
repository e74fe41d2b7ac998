"""What the outside shall do.

Asked for by an event, kept as pending in the state, performed by performer/performer.py.

A performer looks before it acts: each effect may be performed again after a crash, and must then
change nothing twice.
"""

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.kraft.effects import ReleaseZooKeeper, RestartNode, SurveyKraft, WatchKraft
from agent.core.model.endpoints import Endpoint
from agent.core.planning.options import Options, ThrottleBy
from agent.core.planning.selection import Lane, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePlan:
    """Survey the cluster and plan; ends with Surveyed."""

    command_id: str
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareMigration:
    """Survey, plan, and save the assignment as it is before the start; ends with Surveyed."""

    command_id: str
    migration_id: str
    options: Options
    plan_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveScope:
    """Which wave, and its key:

    `reason` comes back from Cruise Control as `migration_id/wave/attempt`.
    """

    migration_id: str
    wave: int
    attempt: int
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    lane: Lane = Lane.REST
    selection: Selection | None = (
        None  # a part of the sources, which the agent moves itself; None: all, by Cruise Control
    )

    @property
    def key(self) -> str:
        return f"{self.migration_id}/{self.wave}/{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCluster:
    """Look whether the wave may move; ends with Checked."""

    scope: WaveScope


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWave:
    """Set the throttle, then ask Cruise Control for remove_broker; ends with ExecutionAsked."""

    scope: WaveScope
    throttle_by: ThrottleBy
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int
    progress_check_interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePartitions:
    """Move a wave's selection by Kafka's own reassignment, so many at once; asked again as they
    end: ExecutionAsked.
    """

    scope: WaveScope
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int
    begins: bool  # the throttle is set first


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneWave:
    """Change rate and concurrency of what is moving; ends with Performed."""

    scope: WaveScope
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWave:
    """Stop the execution, wait until nothing of it moves, clear the throttle; ends with
    Performed.
    """

    scope: WaveScope
    at_once: bool  # an execution of ours is known to run: stop first, look after
    asked_at: float = 0.0  # that is known for a few seconds; a life that comes later looks first


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseWave:
    """Clear the throttle, elect preferred leaders, and look what Kafka shows; ends with
    Inspected.
    """

    scope: WaveScope


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSnapshot:
    """Compare the assignment with the one saved before the start, election run first; ends with
    Compared.
    """

    migration_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEndpoints:
    """Have these brokers' endpoints in the service: reachable, answering, passing; ends with
    Registered.
    """

    broker_ids: tuple[int, ...]
    # whose entries are only looked at, so that they can be put back
    other_broker_ids: tuple[int, ...] = ()
    restore: tuple[Endpoint, ...] = ()  # entries to be put back as they were


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregisterEndpoints:
    """Take out those that no client is connected to any more; ends with Deregistered."""

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchWave:
    """Standing: look at the wave again and again, and post WaveObserved."""

    scope: WaveScope
    throttled: bool  # a throttle of ours should be in force


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSources:
    """Standing: look at the drained brokers again and again, and post SourcesObserved."""

    source_broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchThrottle:
    """Standing: while nothing moves, clear what a broker that was down brings back of our
    throttle; ThrottleSwept.
    """

    destination_broker_ids: tuple[int, ...]
    throttle_rates_set: tuple[int, ...]


Effect: TypeAlias = (
    MakePlan
    | PrepareMigration
    | CheckCluster
    | StartWave
    | MovePartitions
    | TuneWave
    | StopWave
    | CloseWave
    | CompareSnapshot
    | RegisterEndpoints
    | DeregisterEndpoints
    | SurveyKraft
    | RestartNode
    | ReleaseZooKeeper
)
# Those that drive no wave: they do not touch the clock of the waves' line.
CONCURRENT_EFFECTS = (MakePlan, PrepareMigration, SurveyKraft, RestartNode, ReleaseZooKeeper)
Watch: TypeAlias = WatchWave | WatchSources | WatchThrottle | WatchKraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An effect that was asked for and has not ended."""

    effect_id: str
    effect: Effect
    since: float
