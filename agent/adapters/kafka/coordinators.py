"""Which brokers are loading group or transaction coordinators, through kafka-python.

Called by cluster.py.

A broker that has become the leader of a partition of an internal topic reads it from its start, and
until it has, every group or transactional producer of that partition waits: ListGroups and
ListTransactions say so by their error.
"""

from collections.abc import Sequence

from kafka import KafkaAdminClient
from kafka.protocol.admin import ListGroupsRequest, ListTransactionsRequest

from agent.adapters.kafka import admin_requests

# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE
_LOADING = {14: "loading", 15: "not available"}
_NOBODY = ["Dead"]  # a state in which next to nobody is: the answer stays small


def loading(admin: KafkaAdminClient, brokers: Sequence[int]) -> dict[int, str]:
    """Broker -> what of it loads, in words; those that have loaded, or do not answer, are left
    out.

    The library's list_transactions asks one broker after the other, and raises the error that is
    the answer here without saying whose it is.
    """
    found: dict[int, list[str]] = {}
    questions = (
        ("groups", ListGroupsRequest(states_filter=_NOBODY, types_filter=[])),
        (
            "transactions",
            ListTransactionsRequest(state_filters=_NOBODY, producer_id_filters=[], min_version=0),
        ),
    )
    for what, question in questions:
        answers = admin_requests.ask_each(admin, dict.fromkeys(brokers, question))
        for broker, answer in answers.given.items():
            if state := _LOADING.get(answer.error_code):
                found.setdefault(broker, []).append(f"{what} {state}")
    return {broker: ", ".join(states) for broker, states in sorted(found.items())}
