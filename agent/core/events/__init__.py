"""Everything that can happen to a migration, by subject.

An event is folded into the state (core/evolve) and published as a progress event; `str(event)` is
its sentence. Each class is declared once, in the module of its subject; schemas/events.py derives
the wire form from it.
"""

from typing import TypeAlias

from agent.core.events.commands import CommandAccepted, CommandConsidered, CommandRefused, PlanMade
from agent.core.events.drained_sources import (
    LeftoverThrottleCleared,
    SourceEmptyAgain,
    SourceLeft,
    SourceMayBeShutDown,
    SourceRefilled,
    SourceReturned,
)
from agent.core.events.effects import EffectAbandoned, EffectFinished, EffectRequested
from agent.core.events.endpoints import EndpointsDeregistered, EndpointsRegistered
from agent.core.events.metrics import (
    CauseSuppressed,
    FlapLimitReached,
    RuleStateChanged,
    SuppressedCauseCleared,
    ThrottleAdapted,
)
from agent.core.events.migration import (
    MigrationBlocked,
    MigrationCancelled,
    MigrationCompleted,
    MigrationDrained,
    MigrationStarted,
    RollbackCompleted,
    RollbackMoved,
    RollbackStarted,
    Waiting,
)
from agent.core.events.pauses import (
    MigrationPaused,
    MigrationResumed,
    MigrationTuned,
    PauseCauseAdded,
    PauseCauseLifted,
    SlowCauseAdded,
    SlowCauseLifted,
    StopRequested,
)
from agent.core.events.waves import (
    ApprovalAwaited,
    ApprovalGiven,
    ChecksPassed,
    ExecutionStarted,
    ExecutorSeen,
    HealthChanged,
    MovementStalled,
    SourceEmptied,
    WaveBegun,
    WaveFellShort,
    WaveProgressed,
    WaveReopened,
    WaveSkipped,
    WaveVerified,
)
from agent.core.kraft.events import KraftEvent
from agent.core.model.event import Event, because

AnyEvent: TypeAlias = (
    CommandConsidered
    | CommandAccepted
    | CommandRefused
    | PlanMade
    | EffectRequested
    | EffectFinished
    | EffectAbandoned
    | MigrationStarted
    | Waiting
    | HealthChanged
    | ExecutorSeen
    | WaveBegun
    | ChecksPassed
    | ExecutionStarted
    | WaveProgressed
    | MovementStalled
    | SourceEmptied
    | WaveFellShort
    | WaveVerified
    | WaveSkipped
    | WaveReopened
    | ApprovalAwaited
    | ApprovalGiven
    | MigrationBlocked
    | PauseCauseAdded
    | PauseCauseLifted
    | SlowCauseAdded
    | SlowCauseLifted
    | StopRequested
    | MigrationPaused
    | MigrationResumed
    | MigrationTuned
    | RollbackStarted
    | RollbackMoved
    | RollbackCompleted
    | MigrationCancelled
    | MigrationDrained
    | SourceMayBeShutDown
    | SourceRefilled
    | SourceEmptyAgain
    | SourceLeft
    | SourceReturned
    | RuleStateChanged
    | CauseSuppressed
    | SuppressedCauseCleared
    | FlapLimitReached
    | ThrottleAdapted
    | LeftoverThrottleCleared
    | MigrationCompleted
    | EndpointsRegistered
    | EndpointsDeregistered
    | KraftEvent
)

__all__ = [
    "AnyEvent",
    "ApprovalAwaited",
    "ApprovalGiven",
    "CauseSuppressed",
    "ChecksPassed",
    "CommandAccepted",
    "CommandConsidered",
    "CommandRefused",
    "EffectAbandoned",
    "EffectFinished",
    "EffectRequested",
    "EndpointsDeregistered",
    "EndpointsRegistered",
    "Event",
    "ExecutionStarted",
    "ExecutorSeen",
    "FlapLimitReached",
    "HealthChanged",
    "LeftoverThrottleCleared",
    "MigrationBlocked",
    "MigrationCancelled",
    "MigrationCompleted",
    "MigrationDrained",
    "MigrationPaused",
    "MigrationResumed",
    "MigrationStarted",
    "MigrationTuned",
    "MovementStalled",
    "PauseCauseAdded",
    "PauseCauseLifted",
    "PlanMade",
    "RollbackCompleted",
    "RollbackMoved",
    "RollbackStarted",
    "RuleStateChanged",
    "SlowCauseAdded",
    "SlowCauseLifted",
    "SourceEmptied",
    "SourceEmptyAgain",
    "SourceLeft",
    "SourceMayBeShutDown",
    "SourceRefilled",
    "SourceReturned",
    "StopRequested",
    "SuppressedCauseCleared",
    "ThrottleAdapted",
    "Waiting",
    "WaveBegun",
    "WaveFellShort",
    "WaveProgressed",
    "WaveReopened",
    "WaveSkipped",
    "WaveVerified",
    "because",
]
