"""A wave and a plan as values: made by plan.py, kept in the state of the migration, sent
in events.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.core.planning.estimate import Estimate, Undo
from agent.core.planning.options import Options
from agent.core.planning.selection import Lane, Selection

PLANS_MAX = 3
PLAN_WAVES_MAX = 400  # of all kept plans together: about 250 kB of the saved state


class Direction(StrEnum):
    """Forward: from source to destination. Back: in a rollback."""

    FORWARD = "forward"
    BACK = "back"


class WaveState(StrEnum):
    """The state of a wave."""

    PENDING = "pending"
    ACTIVE = "active"
    DONE = "done"
    SKIPPED = "skipped"
    ABANDONED = "abandoned"  # a rollback began before it did, or has undone it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What moves at one time between the same brokers: by Cruise Control or, with a selection, by
    the agent itself.
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
    # on its source brokers, as Kafka last showed; None: not seen yet
    replicas_left: int | None = None
    bytes_left: int | None = None
    estimate: Estimate | None = None  # None: a rollback wave
    undo: Undo | None = None  # what a rollback after this wave would cost; None: a rollback wave
    lane: Lane = Lane.REST
    selection: Selection | None = None  # None: everything on the sources, by Cruise Control
    # a limit below the throttle of the migration, for what must go slowly
    throttle_bytes_per_second_max: int | None = None
    partition_movements_max: int | None = None  # at the same time on one broker

    @property
    def left(self) -> tuple[int, int]:
        """(replicas, bytes) still on its source brokers, as last seen; before that, as planned."""
        if self.state is WaveState.DONE:
            return 0, 0
        replicas = self.replicas if self.replicas_left is None else self.replicas_left
        return replicas, self.size_bytes if self.bytes_left is None else self.bytes_left

    @property
    def replicas_moved(self) -> int:
        """How many replicas the wave has moved so far."""
        return max(self.replicas - self.left[0], 0)

    @property
    def bytes_moved(self) -> int:
        """How many bytes the wave has moved so far."""
        return max(self.size_bytes - self.left[1], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a migration would move.

    `eta_seconds` follows from the throttle alone; `estimate` is an interval with its reasoning.
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
    fingerprint: int = 0  # of which partitions are on which source


def with_new_plan(plans: tuple[Plan, ...], new: Plan) -> tuple[Plan, ...]:
    """The kept plans with a new one added, as many as the saved state has room for; the newest
    always stays.

    The reasoning of estimates is dropped, since the event of the plan has it.
    """
    about = (
        replace(w, estimate=replace(w.estimate, reasoning="")) if w.estimate else w
        for w in new.waves
    )
    kept = (*plans, replace(new, waves=tuple(about)))[-PLANS_MAX:]
    while len(kept) > 1 and sum(len(p.waves) for p in kept) > PLAN_WAVES_MAX:
        kept = kept[1:]
    return kept
