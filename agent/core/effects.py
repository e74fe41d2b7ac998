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
    """Survey the cluster and make a plan. Its outcome is Surveyed."""

    command_id: str
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareMigration:
    """Survey, plan, and save the assignment as it is before the start. Its outcome is Surveyed."""

    command_id: str
    migration_id: str
    options: Options
    plan_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveScope:
    """The wave and the attempt that an effect is for.

    `key` is the `reason` of our request, by which we find it again among Cruise Control's tasks.
    """

    migration_id: str
    wave: int
    attempt: int
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    lane: Lane = Lane.REST
    selection: Selection | None = (
        None  # what the agent moves by itself; None: all of the sources, by Cruise Control
    )

    @property
    def key(self) -> str:
        """Names this attempt of this wave to Cruise Control: `migration/wave/attempt`."""
        return f"{self.migration_id}/{self.wave}/{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCluster:
    """Check whether the wave may move. Its outcome is Checked."""

    scope: WaveScope


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWave:
    """Set the throttle, then ask Cruise Control for remove_broker.

    Its outcome is ExecutionRequested.
    """

    scope: WaveScope
    throttle_by: ThrottleBy
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int
    progress_check_interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePartitions:
    """Move a wave's selection by Kafka's own reassignment, a bounded number at once.

    Requested again as they end. Its outcome is ExecutionRequested.
    """

    scope: WaveScope
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int
    begins: bool  # the throttle is set first


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneWave:
    """Change the throttle and the concurrency of what moves. Its outcome is Performed."""

    scope: WaveScope
    throttle_bytes_per_second: int | None
    partition_movements_per_broker: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWave:
    """Stop the execution, wait until nothing of it moves, and clear the throttle.

    Its outcome is Performed.
    """

    scope: WaveScope
    at_once: bool  # our execution is known to run: stop it first, and look afterwards
    # That is known for a few seconds only: a worker that performs it later looks first.
    asked_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseWave:
    """Clear the throttle, elect preferred leaders, and inspect what Kafka shows.

    Its outcome is Inspected.
    """

    scope: WaveScope


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSnapshot:
    """Elect preferred leaders, then compare the assignment with the one saved before the start.

    Its outcome is Compared.
    """

    migration_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEndpoints:
    """Register these brokers' endpoints in the service, and wait until their checks pass.

    Its outcome is Registered.
    """

    broker_ids: tuple[int, ...]
    # Their entries are only read, so that a rollback can put them back.
    other_broker_ids: tuple[int, ...] = ()
    restore: tuple[Endpoint, ...] = ()  # entries to be put back as they were


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregisterEndpoints:
    """Take brokers that no client is connected to out of the service.

    Its outcome is Deregistered.
    """

    broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchWave:
    """Look at the wave again and again, and post WaveObserved."""

    scope: WaveScope
    throttled: bool  # whether a throttle of ours should be in force


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSources:
    """Look at the drained brokers again and again, and post SourcesObserved."""

    source_broker_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchThrottle:
    """While nothing moves, clear our throttle where a broker that was down brings it back.

    Posts ThrottleSwept.
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
    """An effect that was requested and has not ended."""

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
