"""A wave and a plan as values. Made by plan.py, kept in the migration's state, told in events."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.core.planning.estimate import Estimate, Undo
from agent.core.planning.options import Options
from agent.core.planning.selection import Lane, Selection

PLANS_MAX = 3
PLAN_WAVES_MAX = 400  # of all kept plans together: about 250 kB of the saved state


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
    """What moves in one go between the same brokers: by Cruise Control, or, a selection, by the
    agent itself.
    """

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
    # on its sources, as Kafka showed it last; None: not looked at yet
    replicas_left: int | None = None
    bytes_left: int | None = None
    estimate: Estimate | None = None  # None: a way back
    undo: Undo | None = None  # what a rollback after this wave would cost; None as above
    lane: Lane = Lane.REST
    selection: Selection | None = None  # None: all that is on the sources, by Cruise Control
    # below the migration's own, for what shall go slowly
    throttle_bytes_per_second_max: int | None = None
    partition_movements_max: int | None = None  # so many at once on a broker, at most

    @property
    def left(self) -> tuple[int, int]:
        """Replicas and bytes that are still on its sources: what was seen last, or else all
        that was planned.
        """
        if self.state is WaveState.DONE:
            return 0, 0
        replicas = self.replicas if self.replicas_left is None else self.replicas_left
        return replicas, self.size_bytes if self.bytes_left is None else self.bytes_left

    @property
    def replicas_moved(self) -> int:
        return max(self.replicas - self.left[0], 0)

    @property
    def bytes_moved(self) -> int:
        return max(self.size_bytes - self.left[1], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would move.

    `eta_seconds`: from the throttle alone; `estimate`: an interval, with the reasoning.
    """

    plan_id: str
    waves: tuple[Wave, ...]
    partitions: int
    replicas: int
    size_bytes: int
    leaders: int = 0
    eta_seconds: float | None = None
    options: Options = field(default_factory=Options)
    estimate: Estimate | None = None
    fingerprint: int = 0  # of which partitions lie on which source


def with_new_plan(plans: tuple[Plan, ...], new: Plan) -> tuple[Plan, ...]:
    """The last plans with a new one, as many as the saved state has room for; the newest in any
    case.

    Figures are kept without their reasoning, which has been told.
    """
    about = (
        replace(w, estimate=replace(w.estimate, reasoning="")) if w.estimate else w
        for w in new.waves
    )
    kept = (*plans, replace(new, waves=tuple(about)))[-PLANS_MAX:]
    while len(kept) > 1 and sum(len(p.waves) for p in kept) > PLAN_WAVES_MAX:
        kept = kept[1:]
    return kept
