"""Reads and writes the settings of a throttle (KIP-73) with kafka-python's admin client.

Called by cluster.py, in the thread of admin_thread.py.

To send few requests, topics are batched and both lists of a topic are changed together. Each broker
is asked about itself. Lists are changed by APPEND and SUBTRACT, which Kafka applies to the current
list, so that entries which others add at the same time stay.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import AlterConfigOp, ConfigSourceType
from kafka.errors import InvalidConfigurationError, KafkaError, KafkaTimeoutError

from agent.adapters.kafka import admin_requests, quorum
from agent.core.model.throttle import (
    FOLLOWER_RATE,
    FOLLOWER_REPLICAS,
    LEADER_RATE,
    LEADER_REPLICAS,
    BrokerRate,
    Replicas,
    ThrottleChange,
    ThrottleFacts,
    parse_replicas,
    render_replicas,
)

TOPICS_PER_REQUEST = 200
_LISTS = (LEADER_REPLICAS, FOLLOWER_REPLICAS)
_RATES = (LEADER_RATE, FOLLOWER_RATE)
_NO_RATE = 2**63 - 1  # Kafka's default
_STATIC = ConfigSourceType.STATIC_BROKER_CONFIG
_OF_THIS_BROKER = ConfigSourceType.DYNAMIC_BROKER_CONFIG
# A change reaches the brokers through ZooKeeper within milliseconds, except one that is in trouble.
IN_FORCE_SECONDS = 10.0
IN_FORCE_POLL_SECONDS = 0.05


def read(
    admin: KafkaAdminClient, brokers: Sequence[int], topics: Sequence[str] | None
) -> ThrottleFacts:
    """Return the rates of these brokers, and the replica lists of these topics (None: all).

    Rates are in bytes per second. Brokers that do not answer are left out. Raises KafkaError.
    """
    rates: dict[int, BrokerRate] = {}
    for b, entries in sorted(admin_requests.broker_configs(admin, brokers, _RATES).given.items()):
        leader, follower = (_rate(entries.get(key)) for key in _RATES)
        if leader is not None or follower is not None:
            is_static = any(_is_static(entries.get(key)) for key in _RATES)
            rates[b] = BrokerRate(leader=leader, follower=follower, is_static=is_static)
    if topics is None:
        topics = [topic.name for topic in admin_requests.taken(admin_requests.topics(admin, None))]
    leaders: dict[str, Replicas | None] = {}
    followers: dict[str, Replicas | None] = {}
    for names in _batches(topics):
        for topic, entries in admin_requests.topic_configs(admin, names, _LISTS).items():
            for key, lists in zip(_LISTS, (leaders, followers), strict=True):
                if key in entries and (value := entries[key].value):
                    lists[topic] = parse_replicas(value)
    return ThrottleFacts(rates=rates, leaders=leaders, followers=followers)


def apply_change(admin: KafkaAdminClient, change: ThrottleChange) -> None:
    """Set the rates of `change`, then add its entries to the replica lists.

    Raises KafkaError when Kafka refuses something, or does not apply it within IN_FORCE_SECONDS.

    The rates come first, and entries that are listed already are not sent again, so that a new rate
    for a move in flight takes effect at once.
    """
    _await_rates(admin, _send_rates(admin, change.rates))
    named = sorted({*change.leaders, *change.followers})
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while True:
        changes = _appended(change, read(admin, (), named))
        refused = _alter_topics(admin, changes)
        # Entries beside a `*` are invalid. The broker that returned the list did not yet know of
        # the star, so the list is read again.
        if not any(isinstance(why, InvalidConfigurationError) for why in refused.values()):
            break
        if time.monotonic() > deadline:
            break
        time.sleep(IN_FORCE_POLL_SECONDS)
    _raise_first(refused)
    _await_lists(admin, {t: ops for t, ops in changes.items() if t not in refused}, change)


def remove_change(admin: KafkaAdminClient, change: ThrottleChange) -> None:
    """Remove the rates and entries of `change`; a list that becomes empty is deleted.

    What is not set is no error. Raises KafkaError as apply_change does.

    Brokers under load take seconds to use another rate; the lists are changed meanwhile.
    """
    waiting = _send_rates(admin, dict.fromkeys(change.rates))
    named = sorted({*change.leaders, *change.followers})
    found = read(admin, (), named) if named else ThrottleFacts()
    changes: dict[str, dict[str, tuple[AlterConfigOp, str | None]]] = {}
    for key, ours, now in _sides(change, found):
        for topic, replicas in ours.items():
            listed = now.get(topic)
            if not listed or not (leaving := listed & replicas):
                continue  # the entries are gone, or the list is `*`, which is not ours
            rest = listed - leaving
            operation = (
                (AlterConfigOp.SUBTRACT, render_replicas(leaving))
                if rest
                else (AlterConfigOp.DELETE, None)
            )
            changes.setdefault(topic, {})[key] = operation
    _raise_first(_alter_topics(admin, changes))
    _await_rates(admin, waiting)
    _await_lists(admin, changes, change)


def _appended(
    change: ThrottleChange, found: ThrottleFacts
) -> dict[str, dict[str, tuple[AlterConfigOp, str | None]]]:
    """The entries that are missing, by topic and list; a list of `*` has every replica."""
    changes: dict[str, dict[str, tuple[AlterConfigOp, str | None]]] = {}
    for key, ours, now in _sides(change, found):
        for topic, replicas in ours.items():
            listed = now.get(topic, frozenset())
            if listed is not None and (missing := replicas - listed):
                changes.setdefault(topic, {})[key] = (
                    AlterConfigOp.APPEND,
                    render_replicas(missing),
                )
    return changes


def _sides(
    change: ThrottleChange, found: ThrottleFacts
) -> Iterator[tuple[str, Mapping[str, Replicas], Mapping[str, Any]]]:
    yield LEADER_REPLICAS, change.leaders, found.leaders
    yield FOLLOWER_REPLICAS, change.followers, found.followers


def _alter_topics(
    admin: KafkaAdminClient, changes: Mapping[str, admin_requests.Operations]
) -> dict[str, KafkaError]:
    """Return the errors by topic, without those for deleted topics, which need no throttle."""
    refused = admin_requests.alter_topics(admin, changes)
    return {
        t: why for t, why in refused.items() if not admin_requests.is_gone(getattr(why, "errno", 0))
    }


def _await_lists(
    admin: KafkaAdminClient,
    changes: Mapping[str, admin_requests.Operations],
    change: ThrottleChange,
) -> None:
    """In KRaft, return when every broker that answers shows the changed lists.

    There a change is acknowledged by the controllers. A leader that does not know of it yet would
    copy without a throttle, and a broker might still return the old list. Brokers apply changes in
    order, so it is enough to wait for the last ones. With ZooKeeper, brokers show a change at once.
    """
    if not changes or not quorum.is_kraft(admin):
        return
    names = sorted(changes)[-TOPICS_PER_REQUEST:]
    waiting = frozenset(admin_requests.known_brokers(admin))
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while waiting:
        shown = admin_requests.each_brokers_topic_configs(admin, waiting, names, _LISTS)
        waiting = frozenset(
            b for b, topics in shown.items() if not _all_listed(topics, changes, change)
        )
        if waiting and time.monotonic() > deadline:
            seconds = f"{IN_FORCE_SECONDS:.0f} s"
            raise KafkaTimeoutError(
                f"brokers {sorted(waiting)} do not show the throttled replicas within {seconds}"
            )
        if waiting:
            time.sleep(IN_FORCE_POLL_SECONDS)


def _all_listed(
    topics: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, admin_requests.Operations],
    change: ThrottleChange,
) -> bool:
    """Whether a broker shows the changes to our entries; deleted topics show nothing."""
    ours = {LEADER_REPLICAS: change.leaders, FOLLOWER_REPLICAS: change.followers}
    for topic, entries in topics.items():
        for key, (operation, _) in changes[topic].items():
            value = entries[key].value if key in entries else None
            listed = parse_replicas(value) if value else frozenset()
            wanted = ours[key][topic]
            is_there = listed is None or wanted <= listed
            is_gone = listed is None or not wanted & listed
            if not (is_there if operation is AlterConfigOp.APPEND else is_gone):
                return False
    return True


def _send_rates(admin: KafkaAdminClient, rates: Mapping[int, int | None]) -> dict[int, int | None]:
    """Set the rates, or delete them (None). Return those that the brokers are to use.

    A broker that is down keeps its old setting, which is cleared when it returns; others do not
    wait for it (CC#1865).
    """
    changes: dict[int, admin_requests.Operations] = {
        b: dict.fromkeys(
            _RATES, (AlterConfigOp.DELETE, None) if rate is None else (AlterConfigOp.SET, str(rate))
        )
        for b, rate in rates.items()
    }
    failed = admin_requests.alter_brokers(admin, changes)
    if failed:
        alive = {
            b["broker_id"] for b in admin.describe_cluster()["brokers"] if not b.get("is_fenced")
        }
        _raise_first({b: why for b, why in failed.items() if b in alive})
    return {b: rate for b, rate in rates.items() if b not in failed}


def _await_rates(admin: KafkaAdminClient, waiting: Mapping[int, int | None]) -> None:
    """Return when the brokers use these rates: an answer only means that ZooKeeper (or a
    controller) has them.
    """
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while waiting:
        found = admin_requests.broker_configs(admin, waiting, _RATES).given
        waiting = {b: waiting[b] for b, entries in found.items() if not _has(entries, waiting[b])}
        if waiting and time.monotonic() > deadline:
            seconds = f"{IN_FORCE_SECONDS:.0f} s"
            raise KafkaTimeoutError(
                f"brokers {sorted(waiting)} have not taken their throttle rate within {seconds}"
            )
        if waiting:
            time.sleep(IN_FORCE_POLL_SECONDS)


def _has(entries: Mapping[str, Any], rate: int | None) -> bool:
    """Whether a broker's own dynamic rates are `rate`; None: it has none.

    Rates in a properties file or in the cluster's default stay when ours are removed.
    """
    ours = [
        e
        for key in _RATES
        if (e := entries.get(key)) is not None and e.config_source == _OF_THIS_BROKER
    ]
    if rate is None:
        return not ours
    return [_rate(e) for e in ours] == [rate] * len(_RATES)


def _raise_first(refused: Mapping[Any, Exception]) -> None:
    for why in refused.values():
        raise why


def _rate(entry: Any) -> int | None:
    """The rate in bytes per second; Kafka's default, the largest long, means no throttle."""
    return (
        None
        if entry is None or entry.value is None or int(entry.value) >= _NO_RATE
        else int(entry.value)
    )


def _is_static(entry: Any) -> bool:
    """Whether the rate comes from a properties file, which no request can change."""
    return _rate(entry) is not None and entry.config_source == _STATIC


def _batches(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (
        names[start : start + TOPICS_PER_REQUEST]
        for start in range(0, len(names), TOPICS_PER_REQUEST)
    )
