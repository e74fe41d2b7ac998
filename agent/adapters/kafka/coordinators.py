"""Finds the brokers that are loading group or transaction coordinators. Called by cluster.py.

A broker that becomes the leader of a partition of an internal topic has to read it from its start.
Until then the groups or transactional producers of that partition wait, and ListGroups and
ListTransactions answer with an error that says so.
"""

from collections.abc import Sequence

from kafka import KafkaAdminClient
from kafka.protocol.admin import ListGroupsRequest, ListTransactionsRequest

from agent.adapters.kafka import admin_requests

# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE
_LOADING = {14: "loading", 15: "not available"}
_RARE_STATE = ["Dead"]  # almost nothing is in this state, so that the answers stay small


def loading(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, str]:
    """Return the brokers that load coordinators, with what they load as text ("groups loading").

    Brokers that have finished, or do not answer, are left out.

    The library's list_transactions is no use here: it asks one broker after the other, and raises
    the error without the broker's id.
    """
    found: dict[int, list[str]] = {}
    questions = (
        ("groups", ListGroupsRequest(states_filter=_RARE_STATE, types_filter=[])),
        (
            "transactions",
            ListTransactionsRequest(
                state_filters=_RARE_STATE, producer_id_filters=[], min_version=0
            ),
        ),
    )
    for what, question in questions:
        answers = admin_requests.ask_each(admin, dict.fromkeys(brokers, question))
        for broker, answer in answers.given.items():
            if state := _LOADING.get(answer.error_code):
                found.setdefault(broker, []).append(f"{what} {state}")
    return {broker: ", ".join(states) for broker, states in sorted(found.items())}
