"""What comes in: commands, which may be refused, and observations, which are facts.

Each message carries its own time, in seconds since the epoch. decide.py meets them.
"""

from typing import TypeAlias

from agent.core.checks.inspection import (
    Compared,
    Inspected,
)
from agent.core.kraft.messages import (
    KraftObserved,
    KraftSurveyed,
    RestartRequested,
    ZooKeeperReleased,
)
from agent.core.messages.commands import (
    AnyCommand,
    ApproveMigration,
    CancelMigration,
    Command,
    KraftCommand,
    PauseMigration,
    PlanMigration,
    RefuseCommand,
    ResumeMigration,
    RetryWave,
    RollBackMigration,
    SkipWave,
    StartMigration,
    TuneMigration,
)
from agent.core.messages.observations import (
    AlertChanged,
    EffectEnded,
    Observation,
    SourcesObserved,
    ThrottleSwept,
    Tick,
    WaveObserved,
)
from agent.core.messages.outcomes import (
    Busy,
    Checked,
    ExecutionRequested,
    Outcome,
    Performed,
    Rejected,
    Surveyed,
    Unreachable,
)
from agent.core.metrics.observations import (
    BrokersObserved,
    HeadroomObserved,
    RuleStateObserved,
)
from agent.core.model.endpoints import (
    Deregistered,
    Registered,
)
from agent.core.model.executor import (
    Executor,
    TaskStatus,
)

Message: TypeAlias = AnyCommand | Observation

__all__ = [
    "AlertChanged",
    "AnyCommand",
    "ApproveMigration",
    "BrokersObserved",
    "Busy",
    "CancelMigration",
    "Checked",
    "Command",
    "Compared",
    "Deregistered",
    "EffectEnded",
    "ExecutionRequested",
    "Executor",
    "HeadroomObserved",
    "Inspected",
    "KraftCommand",
    "KraftObserved",
    "KraftSurveyed",
    "Message",
    "Observation",
    "Outcome",
    "PauseMigration",
    "Performed",
    "PlanMigration",
    "RefuseCommand",
    "Registered",
    "Rejected",
    "RestartRequested",
    "ResumeMigration",
    "RetryWave",
    "RollBackMigration",
    "RuleStateObserved",
    "SkipWave",
    "SourcesObserved",
    "StartMigration",
    "Surveyed",
    "TaskStatus",
    "ThrottleSwept",
    "Tick",
    "TuneMigration",
    "Unreachable",
    "WaveObserved",
    "ZooKeeperReleased",
]
