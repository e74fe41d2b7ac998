"""The JSON of the executor's state, with the keys that were recorded in each of its phases."""

from dataclasses import dataclass
from typing import Any

from deploy.lab.standin.execution import FINISHED, Execution, ExecutorState, Move, MoveState
from deploy.lab.standin.render import proposal

CLUSTER_LEADER_CONCURRENCY = 1000
BROKER_LEADER_CONCURRENCY = 250

_REPLICA_ACTION = "INTER_BROKER_REPLICA_ACTION"
_LEADER_ACTION = "LEADER_ACTION"
_MOVE_LISTS = {
    "pendingPartitionMovement": MoveState.PENDING,
    "inProgressPartitionMovement": MoveState.IN_PROGRESS,
    "abortingPartitionMovement": MoveState.ABORTING,
    "abortedPartitionMovement": MoveState.ABORTED,
    "deadPartitionMovement": MoveState.DEAD,
    "completedPartitionMovement": MoveState.COMPLETED,
}


@dataclass(frozen=True)
class Trigger:
    """Who requested what is being done."""

    user_task_id: str
    reason: str


def executor_state(
    execution: Execution | None,
    generating: Trigger | None,
    recently_removed: list[int],
    *,
    verbose: bool,
) -> dict[str, Any]:
    """`generating` means that proposals are computed for an execution that has not begun."""
    body: dict[str, Any] = {"state": ExecutorState.NO_TASK_IN_PROGRESS.value}
    if recently_removed:
        body["recentlyRemovedBrokers"] = recently_removed
    trigger = Trigger(execution.user_task_id, execution.reason) if execution else generating
    if trigger is None:
        return body
    healing = execution is not None and execution.healing
    body |= {
        "state": ExecutorState.GENERATING_PROPOSALS.value,
        "triggeredUserTaskId": "" if healing else trigger.user_task_id,
        "triggeredSelfHealingTaskId": trigger.user_task_id if healing else "",
        "triggeredTaskReason": trigger.reason,
    }
    if execution is None:
        return body
    body["state"] = execution.state.value
    if execution.state is ExecutorState.MOVING_REPLICAS:
        return body | _replica_movements(execution, verbose=verbose)
    if execution.state is ExecutorState.MOVING_LEADERS:
        return body | _leader_movements(execution, verbose=verbose)
    return body | _stopping(execution, verbose=verbose)


def _replica_movements(execution: Execution, *, verbose: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "numTotalPartitionMovements": len(execution.moves),
        "numPendingPartitionMovements": len(execution.seen_in_state(MoveState.PENDING)),
        "numInProgressPartitionMovements": len(execution.seen_in_state(MoveState.IN_PROGRESS)),
        "abortingPartitions": len(execution.seen_in_state(MoveState.ABORTING)),
        "numFinishedPartitionMovements": len(execution.seen_in_state(*FINISHED)),
        "totalDataToMove": sum(move.data_mb for move in execution.moves),
        "finishedDataMovement": sum(
            move.data_mb for move in execution.seen_in_state(MoveState.COMPLETED)
        ),
        "maximumConcurrentPartitionMovementsPerBroker": execution.concurrency,
        "minimumConcurrentPartitionMovementsPerBroker": execution.concurrency,
        "averageConcurrentPartitionMovementsPerBroker": float(execution.concurrency),
    }
    if verbose:
        for key, state in _MOVE_LISTS.items():
            body[key] = [
                _task(move, state, _REPLICA_ACTION) for move in execution.seen_in_state(state)
            ]
    return body


def _leader_movements(execution: Execution, *, verbose: bool) -> dict[str, Any]:
    moves = execution.leader_moves()
    pending = [move for move in moves if move.leader_state is not MoveState.COMPLETED]
    body: dict[str, Any] = {
        "numTotalLeadershipMovements": len(moves),
        "numPendingLeadershipMovements": len(pending),
        "numFinishedLeadershipMovements": len(moves) - len(pending),
        "clusterLeaderMovementConcurrency": CLUSTER_LEADER_CONCURRENCY,
        "maximumBrokerLeaderMovementConcurrency": BROKER_LEADER_CONCURRENCY,
        "minimumBrokerLeaderMovementConcurrency": BROKER_LEADER_CONCURRENCY,
        "averageBrokerLeaderMovementConcurrency": float(BROKER_LEADER_CONCURRENCY),
    }
    if verbose:
        body["pendingLeadershipMovement"] = [
            _task(move, MoveState.IN_PROGRESS, _LEADER_ACTION) for move in pending
        ]
    return body


def _stopping(execution: Execution, *, verbose: bool) -> dict[str, Any]:
    cancelled = execution.in_state(MoveState.PENDING)
    in_progress = execution.in_state(MoveState.IN_PROGRESS)
    leaders = execution.leader_moves()
    body: dict[str, Any] = {
        "numCancelledPartitionMovements": len(cancelled),
        "numInProgressPartitionMovements": len(in_progress),
        "abortingPartitions": 0,
        "numCancelledLeadershipMovements": len(leaders),
        "numCancelledIntraBrokerPartitionMovements": 0,
        "numInProgressIntraBrokerPartitionMovements": 0,
        "numAbortingIntraBrokerPartitionMovements": 0,
        "maximumConcurrentPartitionMovementsPerBroker": execution.concurrency,
        "maximumConcurrentIntraBrokerPartitionMovementsPerBroker": 0,
        "maximumBrokerLeaderMovementConcurrency": BROKER_LEADER_CONCURRENCY,
        "clusterLeaderMovementConcurrency": CLUSTER_LEADER_CONCURRENCY,
    }
    if verbose:
        body |= {
            "cancelledPartitionMovement": [
                _task(move, move.state, _REPLICA_ACTION) for move in cancelled
            ],
            "inProgressPartitionMovement": [
                _task(move, move.state, _REPLICA_ACTION) for move in in_progress
            ],
            "abortingPartitionMovement": [],
            "cancelledLeadershipMovement": [
                _task(move, MoveState.PENDING, _LEADER_ACTION) for move in leaders
            ],
            "cancelledIntraBrokerPartitionMovement": [],
            "inProgressIntraBrokerPartitionMovement": [],
            "abortingIntraBrokerPartitionMovement": [],
        }
    return body


def _task(move: Move, state: MoveState, kind: str) -> dict[str, Any]:
    return {
        "executionId": move.execution_id,
        "type": kind,
        "state": state.value,
        "proposal": proposal(move.proposal),
    }
