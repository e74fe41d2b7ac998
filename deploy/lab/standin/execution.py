"""One execution: its moves, the state of each, and what the request specified.

The executor changes it, and `state` shows it.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from deploy.lab.standin.plan import Proposal


class ExecutorState(StrEnum):
    NO_TASK_IN_PROGRESS = "NO_TASK_IN_PROGRESS"
    GENERATING_PROPOSALS = "GENERATING_PROPOSALS_FOR_EXECUTION"
    MOVING_REPLICAS = "INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS"
    MOVING_LEADERS = "LEADER_MOVEMENT_TASK_IN_PROGRESS"
    STOPPING = "STOPPING_EXECUTION"


class MoveState(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    ABORTING = "ABORTING"
    ABORTED = "ABORTED"
    DEAD = "DEAD"
    COMPLETED = "COMPLETED"


FINISHED = frozenset({MoveState.COMPLETED, MoveState.ABORTED, MoveState.DEAD})


@dataclass
class Move:
    """The task of one partition. `leader_state` is that of its leadership task, if it has one."""

    execution_id: int
    proposal: Proposal
    state: MoveState = MoveState.PENDING
    leader_state: MoveState = MoveState.PENDING

    @property
    def data_mb(self) -> int:
        return self.proposal.data_to_move_mb


@dataclass
class ExecutionOptions:
    """What the request specified; None stands for the default."""

    concurrent_movements_per_broker: int | None = None
    max_movements_in_cluster: int | None = None
    progress_check_interval_ms: int | None = None
    throttle_bytes_per_second: int | None = None
    clear_throttle: bool = True
    """It is False only by an injected fault."""


@dataclass
class Execution:
    user_task_id: str
    reason: str
    options: ExecutionOptions
    moves: list[Move]
    concurrency: int
    cluster_concurrency: int
    interval_ms: int
    state: ExecutorState = ExecutorState.MOVING_REPLICAS
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False
    healing: bool = False
    """Whether self-healing started it, and no request."""
    seen: dict[int, MoveState] = field(default_factory=dict)

    def observe(self) -> None:
        """Store what `state` shows, which is the result of the last check.

        A batch that was sent since then is still shown as pending.
        """
        self.seen = {move.execution_id: move.state for move in self.moves}

    def seen_in_state(self, *states: MoveState) -> list[Move]:
        return [
            move
            for move in self.moves
            if self.seen.get(move.execution_id, MoveState.PENDING) in states
        ]

    def in_state(self, *states: MoveState) -> list[Move]:
        return [move for move in self.moves if move.state in states]

    def leader_moves(self) -> list[Move]:
        return [move for move in self.moves if move.proposal.moves_leader]
