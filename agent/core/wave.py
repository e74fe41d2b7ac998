"""A wave and a plan as values. Made by plan.py, kept in the migration's state, told in events."""

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.estimate import Estimate, Undo
from agent.core.options import Options


class Direction(StrEnum):
    """Forward: source to destination. Back: a rollback's way."""

    FORWARD = "forward"
    BACK = "back"


class WaveState(StrEnum):
    """Where a wave stands."""

    PENDING = "pending"
    ACTIVE = "active"
    DONE = "done"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"  # a rollback began before its turn, or undoes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One request to Cruise Control, and what it was planned to move."""

    number: int  # from 1, never reused within a migration
    az: str
    source_broker_ids: tuple[int, ...]
    destination_broker_ids: tuple[int, ...]
    replicas: int = 0
    leaders: int = 0
    size_bytes: int = 0
    direction: Direction = Direction.FORWARD
    state: WaveState = WaveState.PENDING
    attempt: int = 0
    estimate: Estimate | None = None  # None: a way back, or a plan of an older version
    undo: Undo | None = None  # what a rollback after this wave would cost; None as above


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would move. `eta_seconds`: from the throttle alone; `estimate`: an interval, with the reasoning."""

    plan_id: str
    waves: tuple[Wave, ...]
    partitions: int
    replicas: int
    size_bytes: int
    leaders: int = 0
    eta_seconds: float | None = None
    options: Options = field(default_factory=Options)
    estimate: Estimate | None = None
    fingerprint: int = 0  # of which partitions lie on which source; 0: a plan of an older version
