"""What Cruise Control says of its executor and of our request."""

from enum import StrEnum


class Executor(StrEnum):
    """Whom Cruise Control's executor works for."""

    IDLE = "idle"
    OURS = "ours"  # the reason carries this migration's id
    FOREIGN = "foreign"
    UNREACHABLE = "unreachable"


class TaskStatus(StrEnum):
    """The user task that bears our key, in Cruise Control's own words; NONE when it knows none."""

    NONE = "None"
    ACTIVE = "Active"
    IN_EXECUTION = "InExecution"
    COMPLETED = "Completed"
    COMPLETED_WITH_ERROR = "CompletedWithError"
