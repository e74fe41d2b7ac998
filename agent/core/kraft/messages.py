"""Outcomes and observations of the migration to KRaft; members of the unions in core/messages."""

from dataclasses import dataclass

from agent.core.kraft.facts import KraftFacts
from agent.core.kraft.node_config import NodeChange


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftSurveyed:
    """The outcome of SurveyKraft."""

    facts: KraftFacts
    # (broker, the settings in its file that a migration changes), kept at the start for a rollback
    files: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequested:
    """The outcome of RestartNode: whoever restarts nodes has been told."""

    change: NodeChange
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperReleased:
    """The outcome of ReleaseZooKeeper: the znodes as they were, empty where there was none."""

    controller: str
    migration: str
    epoch_before: int = 0  # /controller_epoch
    epoch_after: int = 0  # raised to KRaft's where that was higher (KAFKA-20488)


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftObserved:
    """WatchKraft has looked at the nodes."""

    at: float
    kraft_id: str
    facts: KraftFacts
