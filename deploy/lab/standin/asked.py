"""What the parameters of a request mean: the goals of a plan, and which user tasks to list."""

from collections.abc import Callable, Mapping
from typing import Any

from deploy.lab.standin import errors
from deploy.lab.standin.goals import HARD_GOALS, STOCK_GOALS, SUPPORTED_GOALS
from deploy.lab.standin.tasks import TaskState, UserTask

Values = Mapping[str, Any]

_MISSING_HARD_GOALS = (
    "Missing hard goals [{missing}] in the provided goals: [{given}]. "
    "Add skip_hard_goal_check=true parameter to ignore this sanity check."
)


def goals(values: Values, *, check_hard: bool) -> tuple[str, ...]:
    """The requested goals in stock order, or the stock goals when none are named.

    Raises OperationError for an unknown goal and, with `check_hard`, for a missing hard goal.
    """
    given = values.get("goals")
    if not given:
        return STOCK_GOALS
    unknown = [goal for goal in given if goal not in SUPPORTED_GOALS]
    if unknown:
        raise errors.illegal_argument(
            f"Goals [{', '.join(unknown)}] are not supported. Supported: "
            f"[{', '.join(SUPPORTED_GOALS)}]"
        )
    missing = [goal for goal in HARD_GOALS if goal not in given]
    if check_hard and missing and not values.get("skip_hard_goal_check", False):
        raise errors.illegal_argument(
            _MISSING_HARD_GOALS.format(missing=", ".join(HARD_GOALS), given=", ".join(given))
        )
    return tuple(goal for goal in STOCK_GOALS if goal in given)


def task_filter(values: Values) -> Callable[[UserTask], bool]:
    """Whether a user task is among those that the request to `user_tasks` selects."""
    ids = values.get("user_task_ids")
    clients = values.get("client_ids")
    endpoints = {name.lower() for name in values.get("endpoints", ())}
    types = {name.lower() for name in values.get("types", ())}

    def wanted(task: UserTask) -> bool:
        state = (
            "completed"
            if task.state is TaskState.COMPLETED_WITH_ERROR and "completed" in types
            else task.state
        )
        return (
            (not ids or task.id in ids)
            and (not clients or task.client in clients)
            and (not endpoints or task.endpoint in endpoints)
            and (not types or state.lower() in types)
        )

    return wanted
