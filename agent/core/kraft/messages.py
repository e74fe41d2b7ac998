"""How effects on the way to KRaft end, and what the standing look sees; members of the unions
in messages.py.
"""

from dataclasses import dataclass

from agent.core.kraft.facts import KraftFacts
from agent.core.kraft.node_config import NodeChange


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftSurveyed:
    """SurveyKraft ends so."""

    facts: KraftFacts
    # (broker, the keys in its file that a migration changes): kept at the start, for the way back
    files: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequested:
    """RestartNode ends so: whoever restarts it has been told."""

    change: NodeChange
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperReleased:
    """ReleaseZooKeeper ends so: the znodes as they were; empty where there was none."""

    controller: str
    migration: str
    epoch_before: int = 0  # /controller_epoch
    epoch_after: int = 0  # raised to KRaft's where that was higher (KAFKA-20488)


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftObserved:
    """The standing look."""

    at: float
    kraft_id: str
    facts: KraftFacts
