"""The errors of Cruise Control by their Java names, which clients read in the message.

This file has no input or output.
"""

from dataclasses import dataclass

_KAFKA_EXCEPTION = "com.linkedin.kafka.cruisecontrol.exception.KafkaCruiseControlException"
_OPTIMIZATION_FAILURE = "com.linkedin.kafka.cruisecontrol.exception.OptimizationFailureException"
_NOT_ENOUGH_WINDOWS = "com.linkedin.cruisecontrol.exception.NotEnoughValidWindowsException"
USER_REQUEST = "com.linkedin.kafka.cruisecontrol.servlet.UserRequestException"


class UserRequestError(Exception):
    """The request itself is wrong: status 400 with only the message, and no user task."""

    def __init__(
        self, message: str, java_name: str = USER_REQUEST, *, with_stack_trace: bool = True
    ) -> None:
        super().__init__(message)
        self.java_name = java_name
        self.with_stack_trace = with_stack_trace


class UnknownEndpointError(Exception):
    """There is no such endpoint: status 404."""


class NotEnabledError(Exception):
    """A setting has to switch this endpoint on first: status 403."""


@dataclass
class ServletError(Exception):
    """Status 500 outside of an operation.

    The text is `Error processing POST request '/admin' due to: '<message>'.`
    """

    message: str
    java_name: str = "java.lang.IllegalArgumentException"

    def __str__(self) -> str:
        return self.message


class OperationError(Exception):
    """Status 500 from an operation, whose message is the `toString` of the Java exception."""

    def __init__(self, *java_names: str, message: str) -> None:
        super().__init__(": ".join((*java_names, message)))


def illegal_argument(message: str) -> OperationError:
    return OperationError("java.lang.IllegalArgumentException", message=message)


def illegal_argument_in_model(message: str) -> OperationError:
    """The same from the work with the cluster model, which wraps the exception."""
    return OperationError(_KAFKA_EXCEPTION, "java.lang.IllegalArgumentException", message=message)


def illegal_state(message: str) -> OperationError:
    return OperationError("java.lang.IllegalStateException", message=message)


def not_enough_windows(message: str) -> OperationError:
    return OperationError(_KAFKA_EXCEPTION, _NOT_ENOUGH_WINDOWS, message=message)


def optimization_failure(message: str) -> OperationError:
    return OperationError(_OPTIMIZATION_FAILURE, message=message)


def timed_out(message: str) -> OperationError:
    return OperationError(
        _KAFKA_EXCEPTION, "org.apache.kafka.common.errors.TimeoutException", message=message
    )


ONGOING_EXECUTION = (
    "Cannot start a new execution while there is an ongoing execution. Please use "
    "stop_ongoing_execution=true to stop ongoing execution and start a new one."
)
