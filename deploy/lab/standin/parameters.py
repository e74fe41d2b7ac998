"""A table of endpoints and their parameters, and the refusals (400, 404) that follow from it.

This file has no input or output.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.lab.standin.errors import UnknownEndpointError, UserRequestError
from deploy.lab.standin.goals import simple_name
from deploy.lab.standin.settings import Role
from deploy.lab.standin.tasks import EndpointKind, check_uuid

Parser = Callable[[str], Any]

SUBSTATES = ("ANALYZER", "MONITOR", "EXECUTOR", "ANOMALY_DETECTOR")
ANOMALY_TYPES = (
    "BROKER_FAILURE",
    "DISK_FAILURE",
    "GOAL_VIOLATION",
    "METRIC_ANOMALY",
    "TOPIC_ANOMALY",
    "MAINTENANCE_EVENT",
)
CONCURRENCY_TYPES = (
    "INTER_BROKER_REPLICA",
    "LEADERSHIP_CLUSTER",
    "INTRA_BROKER_REPLICA",
    "LEADERSHIP_BROKER",
)
LOAD_RESOURCES = ("disk", "networkInbound", "networkOutbound", "cpu")


def boolean(text: str) -> bool:
    """As Java reads a boolean: whatever is not "true" is false."""
    return text.lower() == "true"


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        message = f'For input string: "{text}"'
        raise UserRequestError(message, "java.lang.NumberFormatException") from None


def number_list(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(integer(part) for part in text.split(",")))


def entries(text: str) -> int:
    value = integer(text)
    if value <= 0:
        raise UserRequestError(f"The requested entries must be positive (Requested: {value}).")
    return value


def uuid_list(text: str) -> tuple[str, ...]:
    for part in name_list(text):
        check_uuid(
            part, lambda message: UserRequestError(message, "java.lang.IllegalArgumentException")
        )
    return name_list(text)


def name_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def goal_list(text: str) -> tuple[str, ...]:
    return tuple(simple_name(goal) for goal in name_list(text))


def concurrency(text: str) -> int:
    value = integer(text)
    if value <= 0:
        raise UserRequestError(
            f"The requested movement concurrency must be positive (Requested: {value})."
        )
    return value


def movements_in_cluster(text: str) -> int:
    value = integer(text)
    if value <= 0:
        raise UserRequestError(
            f"The requested max partition movement must be positive (Requested: {value})."
        )
    return value


def throttle(text: str) -> int:
    value = integer(text)
    if value < 0:
        raise UserRequestError(
            f"Requested rebalance throttle must be non-negative (Requested: {value})."
        )
    return value


def pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserRequestError(f"{error}", "java.util.regex.PatternSyntaxException") from None


def one_of(what: str, supported: Sequence[str]) -> Parser:
    def parse(text: str) -> tuple[str, ...]:
        names = name_list(text)
        unsupported = [name for name in names if name.upper() not in supported]
        if unsupported:
            raise UserRequestError(
                f"Unsupported {what} in [{', '.join(names)}]. Supported: [{', '.join(supported)}]"
            )
        return tuple(name.upper() for name in names)

    return parse


def resource(text: str) -> str:
    by_name = {name.lower(): name for name in LOAD_RESOURCES} | {
        "nw_in": "networkInbound",
        "nw_out": "networkOutbound",
    }
    if text.lower() not in by_name:
        raise UserRequestError(
            f"Invalid resource type {text}. The resource type must be one of the following: "
            "CPU, DISK, NW_IN, NW_OUT"
        )
    return by_name[text.lower()]


@dataclass(frozen=True)
class Endpoint:
    """`operation` is the name in the progress of an operation that is not done yet.

    With `asynchronous`, a session that repeats the request gets the same user task.
    """

    name: str
    method: str
    kind: EndpointKind
    operation: str
    parameters: Mapping[str, Parser]
    role: Role
    asynchronous: bool = False


_COMMON: dict[str, Parser] = {
    "json": boolean,
    "get_response_schema": boolean,
    "doas": str,
    "reason": str,
}
_POST: dict[str, Parser] = {**_COMMON, "review_id": integer}
_PLANNING: dict[str, Parser] = {
    "verbose": boolean,
    "goals": goal_list,
    "destination_broker_ids": number_list,
    "excluded_topics": pattern,
    "exclude_recently_removed_brokers": boolean,
    "exclude_recently_demoted_brokers": boolean,
    "allow_capacity_estimation": boolean,
    "use_ready_default_goals": boolean,
    "kafka_assigner": boolean,
    "data_from": str,
    "fast_mode": boolean,
}
_EXECUTION: dict[str, Parser] = {
    "dryrun": boolean,
    "skip_hard_goal_check": boolean,
    "stop_ongoing_execution": boolean,
    "concurrent_partition_movements_per_broker": concurrency,
    "max_partition_movements_in_cluster": movements_in_cluster,
    "concurrent_leader_movements": concurrency,
    "broker_concurrent_leader_movements": concurrency,
    "execution_progress_check_interval_ms": integer,
    "replication_throttle": throttle,
    "replica_movement_strategies": name_list,
}

_TABLE = (
    Endpoint("state", "GET", EndpointKind.CRUISE_CONTROL_MONITOR, "Get state",
             {**_COMMON, "substates": one_of("substates", SUBSTATES), "verbose": boolean,
              "super_verbose": boolean},
             Role.USER, asynchronous=True),
    Endpoint("user_tasks", "GET", EndpointKind.CRUISE_CONTROL_MONITOR, "Get user tasks",
             {**_COMMON, "user_task_ids": uuid_list, "client_ids": name_list,
              "endpoints": name_list, "types": name_list, "entries": entries,
              "fetch_completed_task": boolean}, Role.VIEWER),
    Endpoint("review_board", "GET", EndpointKind.CRUISE_CONTROL_MONITOR, "Get review board",
             {**_COMMON, "review_ids": number_list}, Role.VIEWER),
    Endpoint("permissions", "GET", EndpointKind.CRUISE_CONTROL_MONITOR, "Get permissions", _COMMON,
             Role.VIEWER),
    Endpoint("kafka_cluster_state", "GET", EndpointKind.KAFKA_MONITOR, "Get Kafka cluster state",
             {**_COMMON, "topic": pattern, "verbose": boolean}, Role.VIEWER),
    Endpoint("load", "GET", EndpointKind.KAFKA_MONITOR, "Get broker stats",
             {**_COMMON, "start": integer, "end": integer, "time": str,
              "allow_capacity_estimation": boolean, "populate_disk_info": boolean,
              "capacity_only": boolean}, Role.USER, asynchronous=True),
    Endpoint("partition_load", "GET", EndpointKind.KAFKA_MONITOR, "Get partition load",
             {**_COMMON, "resource": resource, "entries": entries, "start": integer, "end": integer,
              "topic": pattern, "partition": str, "min_valid_partition_ratio": float,
              "allow_capacity_estimation": boolean, "max_load": boolean, "avg_load": boolean,
              "brokerid": number_list}, Role.USER, asynchronous=True),
    Endpoint("proposals", "GET", EndpointKind.KAFKA_MONITOR, "Get customized proposals",
             {**_COMMON, **_PLANNING, "ignore_proposal_cache": boolean, "rebalance_disk": boolean},
             Role.USER, asynchronous=True),
    Endpoint("remove_broker", "POST", EndpointKind.KAFKA_ADMIN, "Remove brokers",
             {**_POST, **_PLANNING, **_EXECUTION, "brokerid": number_list,
              "throttle_removed_broker": boolean},
             Role.ADMIN, asynchronous=True),
    Endpoint("stop_proposal_execution", "POST", EndpointKind.KAFKA_ADMIN, "Stop proposal execution",
             {**_POST, "force_stop": boolean, "stop_external_agent": boolean}, Role.ADMIN),
    Endpoint("admin", "POST", EndpointKind.CRUISE_CONTROL_ADMIN, "Admin",
             {**_POST,
              "concurrent_partition_movements_per_broker": concurrency,
              "max_partition_movements_in_cluster": movements_in_cluster,
              "concurrent_intra_broker_partition_movements": concurrency,
              "concurrent_leader_movements": concurrency,
              "broker_concurrent_leader_movements": concurrency,
              "execution_progress_check_interval_ms": integer,
              "disable_self_healing_for": one_of("anomaly types", ANOMALY_TYPES),
              "enable_self_healing_for": one_of("anomaly types", ANOMALY_TYPES),
              "disable_concurrency_adjuster_for": one_of("concurrency types", CONCURRENCY_TYPES),
              "enable_concurrency_adjuster_for": one_of("concurrency types", CONCURRENCY_TYPES),
              "min_isr_based_concurrency_adjustment": boolean,
              "drop_recently_removed_brokers": number_list,
              "drop_recently_demoted_brokers": number_list}, Role.ADMIN),
    Endpoint("review", "POST", EndpointKind.CRUISE_CONTROL_ADMIN, "Review",
             {**_COMMON, "approve": number_list, "discard": number_list}, Role.ADMIN),
)  # fmt: skip

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    (endpoint.method, endpoint.name): endpoint for endpoint in _TABLE
}

_REAL_ENDPOINTS = {
    "GET": ("BOOTSTRAP", "TRAIN", "LOAD", "PARTITION_LOAD", "PROPOSALS", "STATE",
            "KAFKA_CLUSTER_STATE", "USER_TASKS", "REVIEW_BOARD", "PERMISSIONS"),
    "POST": ("ADD_BROKER", "REMOVE_BROKER", "FIX_OFFLINE_REPLICAS", "REBALANCE",
             "STOP_PROPOSAL_EXECUTION", "PAUSE_SAMPLING", "RESUME_SAMPLING", "DEMOTE_BROKER",
             "ADMIN", "REVIEW", "TOPIC_CONFIGURATION", "RIGHTSIZE", "REMOVE_DISKS"),
}  # fmt: skip
"""What the original lists in a 404. The stand-in serves only those in ENDPOINTS."""


def find_endpoint(method: str, name: str) -> Endpoint:
    endpoint = ENDPOINTS.get((method, name.lower()))
    if endpoint is None:
        supported = ", ".join(_REAL_ENDPOINTS.get(method, ()))
        raise UnknownEndpointError(
            f"Unrecognized endpoint in request '/{name}'\nSupported {method} endpoints: "
            f"[{supported}]"
        )
    return endpoint


def parse(endpoint: Endpoint, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The values by lower-case name, since the case of names does not matter.

    Raises UserRequestError.
    """
    unknown = [name for name, _ in query if name.lower() not in endpoint.parameters]
    if unknown:
        raise UserRequestError(
            f"Unrecognized endpoint parameters in {endpoint.name.upper()} {endpoint.method} "
            f"request: [{', '.join(unknown)}].",
            with_stack_trace=False,
        )
    values = {name.lower(): endpoint.parameters[name.lower()](text) for name, text in query}
    if endpoint.name == "admin" and not values.keys() - _COMMON.keys():
        raise UserRequestError("Nothing executable found in request.")
    if values.get("use_ready_default_goals") and values.get("goals"):
        raise UserRequestError(
            "Cannot set use_ready_default_goals parameter to true when explicitly specifying "
            "goals in the request."
        )
    if endpoint.name == "remove_broker" and "review_id" not in values:
        _check_removal(values)
    return values


def _check_removal(values: Mapping[str, Any]) -> None:
    brokers = values.get("brokerid", ())
    if not brokers:
        raise UserRequestError("Target broker ID is not provided for REMOVE_BROKER request")
    overlap = [broker for broker in brokers if broker in values.get("destination_broker_ids", ())]
    if overlap:
        raise UserRequestError(
            "No overlap is allowed between the specified destination broker ids and broker ids. "
            f"Intersection: [{', '.join(map(str, overlap))}]."
        )
    if values.get("stop_ongoing_execution") and values.get("dryrun", True):
        raise UserRequestError("stop_ongoing_execution and dryrun cannot both be set to true.")
