"""Reads end offsets of partitions and lags of consumer groups.

Called by cluster.py, in the thread of admin_thread.py.

The numbers of topics, partitions and groups are limited, and so is the time. Groups that this agent
may not see are counted and are no error: the numbers inform people, and nothing depends on them.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.protocol.admin import ListGroupsRequest
from kafka.protocol.consumer import ListOffsetsRequest

from agent.adapters.kafka import admin_requests
from agent.core.model.client_positions import Positions, lags_of, sample
from agent.core.model.cluster import TopicPartition

TOPICS_MAX = 200  # metadata is requested by topic
PARTITIONS_MAX = 2_000
GROUPS_MAX = 500
GROUPS_PER_CALL = 50
SECONDS_MAX = 10.0
ATTEMPTS_MAX = 5  # a new leader does not know its high watermark at once (KIP-207)
RETRY_SECONDS = 0.2
_LATEST, _ANY_REPLICA, _READ_UNCOMMITTED = -1, -1, 0

_Topic = ListOffsetsRequest.ListOffsetsTopic
_Partition = _Topic.ListOffsetsPartition


def positions(admin: KafkaAdminClient, names: Iterable[TopicPartition]) -> Positions:
    """Return the end offsets of a sample of these partitions, and the lags of groups on them.

    Raises KafkaError when Kafka does not answer at all.
    """
    moved = list(names)
    deadline = time.monotonic() + SECONDS_MAX
    ends = _ends(admin, sample(moved, TOPICS_MAX, PARTITIONS_MAX))
    committed, unreadable = _committed(admin, deadline)
    return Positions(
        partitions=len(moved),
        ends=ends,
        lags=lags_of(ends, committed),
        groups_unreadable=unreadable,
    )


def _ends(admin: KafkaAdminClient, names: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """High watermarks, asked of each leader; partitions whose leader does not answer are left out.

    The library's list_partition_offsets is no use here: it asks one leader after the other, and
    raises for all partitions when one has no leader that answers.
    """
    found: dict[TopicPartition, int] = {}
    wanted = set(names)
    for attempt in range(ATTEMPTS_MAX):
        if attempt:
            time.sleep(RETRY_SECONDS)
        by_leader: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for topic in admin_requests.topics(admin, sorted({name.topic for name in wanted})):
            for p in topic.partitions:
                if p.leader_id >= 0 and (topic.name, p.partition_index) in wanted:
                    by_leader[p.leader_id][topic.name].append(p.partition_index)
        answers = admin_requests.ask_each(
            admin, {b: _latest(topics) for b, topics in by_leader.items()}
        )
        for response in answers.given.values():
            for topic in response.topics:
                for p in topic.partitions:
                    if not p.error_code:
                        found[TopicPartition(topic.name, p.partition_index)] = p.offset
        wanted -= found.keys()
        if not wanted:
            break
    return found


def _latest(topics: dict[str, list[int]]) -> ListOffsetsRequest:
    return ListOffsetsRequest(
        replica_id=_ANY_REPLICA,
        isolation_level=_READ_UNCOMMITTED,
        topics=[
            _Topic(
                name=name,
                partitions=[
                    _Partition(partition_index=n, current_leader_epoch=-1, timestamp=_LATEST)
                    for n in numbers
                ],
            )
            for name, numbers in topics.items()
        ],
        min_version=1,
    )


def _committed(
    admin: KafkaAdminClient, deadline: float
) -> tuple[dict[str, dict[TopicPartition, int]], int]:
    """Group -> partition -> committed offset, and the number of groups that could not be read."""
    answers = admin_requests.ask_each(
        admin, {b: ListGroupsRequest() for b in admin_requests.known_brokers(admin)}
    )
    groups = sorted(
        {g.group_id for r in answers.given.values() if not r.error_code for g in r.groups}
    )
    found: dict[str, dict[TopicPartition, int]] = {}
    asked = groups[:GROUPS_MAX]
    waiting = [
        asked[start : start + GROUPS_PER_CALL] for start in range(0, len(asked), GROUPS_PER_CALL)
    ]
    while waiting and time.monotonic() < deadline:
        some = waiting.pop()
        try:
            answer = admin.list_group_offsets(dict.fromkeys(some))
        except KafkaError:
            # One group that is not visible, or whose coordinator is moving, fails the whole call.
            waiting += [[group] for group in some] if len(some) > 1 else []
            continue
        for group, offsets in answer.items():
            found[group] = {
                TopicPartition(tp.topic, tp.partition): o.offset for tp, o in offsets.items()
            }
    return found, len(groups) - len(found)
