"""What the agent does to the outside, one class for each action, and the table of their facts.

An event asks for an effect, the state keeps it as pending, and performer/performer.py performs it.
The worker may perform an effect again after a crash, so a performer looks before it acts and
changes nothing twice.

A new effect is a class, a member of `Effect`, and one row in `EFFECTS`.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
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
Watch: TypeAlias = WatchWave | WatchSources | WatchThrottle | WatchKraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An effect that was asked for and has not ended."""

    effect_id: str
    effect: Effect
    since: float


@unique
class Room(StrEnum):
    """The part of the performer that performs an effect."""

    SURVEY = "survey"  # reads the whole cluster and makes a plan
    WAVE = "wave"  # moves replicas and sets throttles
    DISCOVERY = "discovery"  # writes to the service registry
    KRAFT = "kraft"  # restarts nodes and writes to ZooKeeper


@unique
class OutcomeRule(StrEnum):
    """What meets the outcome of an effect; each has a function in handlers/effect_outcomes.py.

    A name stands here and not the function, because effects are below handlers.
    """

    PLAN_SURVEY = "plan survey"  # answers the command that waits for a plan
    WAVE = "wave"  # carries the current wave on, by the type of the outcome
    REGISTRY = "registry"  # records where clients find the brokers
    KRAFT_SURVEY = "kraft survey"  # answers the KRaft command that waits for the facts
    KRAFT_STEP = "kraft step"  # records what was asked of a node or taken out of ZooKeeper


@unique
class RetryRule(StrEnum):
    """Whether the retry clock (`Migration.retry_at`) belongs to an effect; each has a function in
    handlers/effect_outcomes.py.
    """

    NONE = "none"  # a command or the next look asks again; the clock stays as it is
    WAVE = "wave"  # always: the effect drives the wave
    REGISTRY = "registry"  # only where no wave needs the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSpec:
    """The facts of one type of effect."""

    performed_by: Room
    outcome: OutcomeRule
    retry: RetryRule
    # It changes nothing on the brokers, so it neither waits for a cancelled effect to leave nor is
    # waited for.
    concurrent: bool = False


_PLAN_SURVEY = EffectSpec(
    performed_by=Room.SURVEY,
    outcome=OutcomeRule.PLAN_SURVEY,
    retry=RetryRule.NONE,
    concurrent=True,
)
_WAVE = EffectSpec(performed_by=Room.WAVE, outcome=OutcomeRule.WAVE, retry=RetryRule.WAVE)
_REGISTRY = EffectSpec(
    performed_by=Room.DISCOVERY, outcome=OutcomeRule.REGISTRY, retry=RetryRule.REGISTRY
)
_KRAFT_STEP = EffectSpec(
    performed_by=Room.KRAFT, outcome=OutcomeRule.KRAFT_STEP, retry=RetryRule.NONE
)
EFFECTS: dict[type[Effect], EffectSpec] = {
    MakePlan: _PLAN_SURVEY,
    PrepareMigration: _PLAN_SURVEY,
    CheckCluster: _WAVE,
    StartWave: _WAVE,
    MovePartitions: _WAVE,
    TuneWave: _WAVE,
    StopWave: _WAVE,
    CloseWave: _WAVE,
    CompareSnapshot: _WAVE,
    RegisterEndpoints: _REGISTRY,
    DeregisterEndpoints: _REGISTRY,
    SurveyKraft: EffectSpec(
        performed_by=Room.KRAFT,
        outcome=OutcomeRule.KRAFT_SURVEY,
        retry=RetryRule.NONE,
        concurrent=True,
    ),
    RestartNode: _KRAFT_STEP,
    ReleaseZooKeeper: _KRAFT_STEP,
}
# Effects that drive the wave, at most one of them at a time.
WAVE_EFFECTS: tuple[type[Effect], ...] = tuple(
    kind for kind, spec in EFFECTS.items() if spec.retry is RetryRule.WAVE
)


def is_concurrent(effect: Effect) -> bool:
    """Whether the effect may run while another one of the same cluster runs or ends."""
    return EFFECTS[type(effect)].concurrent
