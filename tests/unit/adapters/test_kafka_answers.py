"""How answers of brokers are read: with the library's own structs, no broker needed."""

from typing import Any

import pytest
from kafka.admin import AlterConfigOp, ConfigSourceType
from kafka.errors import ClusterAuthorizationFailedError, InvalidConfigurationError
from kafka.protocol.admin import DescribeConfigsResponse, DescribeLogDirsResponse
from kafka.protocol.metadata import MetadataResponse

from agent.adapters.kafka import admin_requests, log_dirs, metadata, throttle
from agent.core.model.cluster import Partition, Reassignment, TopicPartition
from agent.core.model.throttle import (
    FOLLOWER_RATE,
    FOLLOWER_REPLICAS,
    LEADER_RATE,
    LEADER_REPLICAS,
    ThrottleChange,
    ThrottleFacts,
)

Topic = MetadataResponse.MetadataResponseTopic
LogDir = DescribeLogDirsResponse.DescribeLogDirsResult
Result = DescribeConfigsResponse.DescribeConfigsResult


def topic(replicas: list[int], isr: list[int], leader: int = 11) -> Any:
    partition = Topic.MetadataResponsePartition(
        error_code=0, partition_index=0, leader_id=leader, replica_nodes=replicas, isr_nodes=isr
    )
    return Topic(error_code=0, name="t", partitions=[partition])


def read(answer: Any, *flying: Reassignment) -> Partition:
    (p,) = metadata.of_topic(answer, {(r.topic, r.partition): r for r in flying})
    return p


MOVE = Reassignment("t", 0, (31, 11, 12), (31,), (11,))


def test_a_move_is_laid_over_metadata() -> None:
    """Adding and removing replicas come from the reassignments, all else from metadata."""
    p = read(topic([31, 11, 12], [11, 12]), MOVE)
    assert p == Partition("t", 0, 11, (31, 11, 12), (11, 12), adding=(31,), removing=(11,))
    assert not p.is_under_replicated


def test_a_move_that_metadata_does_not_know_is_not_laid_over_it() -> None:
    """Two answers of two moments: metadata from before the move, or from after it, is left as
    it is.
    """
    before = read(topic([11, 12], [11, 12]), MOVE)
    after = read(topic([31, 12], [31, 12], leader=31), MOVE)
    assert (before.target, before.is_moving) == ((11, 12), False)
    assert (after.target, after.is_moving) == ((31, 12), False)


def test_partitions_come_in_order() -> None:
    """A broker in KRaft mode tells them as they come; whoever names the first five names the
    same five each time.
    """
    partition = Topic.MetadataResponsePartition
    told = [
        partition(error_code=0, partition_index=n, leader_id=11, replica_nodes=[11], isr_nodes=[11])
        for n in (2, 0, 1)
    ]
    answer = Topic(error_code=0, name="t", partitions=told)
    assert [p.partition for p in metadata.of_topic(answer, {})] == [0, 1, 2]


def log_dir(usable_bytes: int, **sizes: int) -> Any:
    log_topic = LogDir.DescribeLogDirsTopic
    partitions = [
        log_topic.DescribeLogDirsPartition(
            partition_index=n,
            partition_size=size,
            offset_lag=0,
            is_future_key=key.startswith("future"),
        )
        for n, (key, size) in enumerate(sizes.items())
    ]
    topics = [log_topic(name=f"in-{usable_bytes}", partitions=partitions)]
    return LogDir(
        error_code=0, log_dir="/data", topics=topics, total_bytes=100, usable_bytes=usable_bytes
    )


def test_log_dirs_are_added_up() -> None:
    """Sizes and free bytes of all dirs of a broker; a replica that only moves between two dirs
    is counted once.
    """
    answer = DescribeLogDirsResponse(
        error_code=0, results=[log_dir(40, one=7, future_two=3), log_dir(2, three=5)]
    )
    found = log_dirs.of_broker(31, answer)
    assert found.size_bytes == {TopicPartition("in-40", 0): 7, TopicPartition("in-2", 0): 5}
    assert found.free_bytes == 42


def test_a_full_disk_is_not_an_unknown_one() -> None:
    """No usable bytes is 0; a broker that does not tell is -1."""
    assert (
        log_dirs.of_broker(
            31, DescribeLogDirsResponse(error_code=0, results=[log_dir(0)])
        ).free_bytes
        == 0
    )
    assert (
        log_dirs.of_broker(
            31, DescribeLogDirsResponse(error_code=0, results=[log_dir(-1)])
        ).free_bytes
        == -1
    )


def entry(name: str, value: str | None, source: ConfigSourceType) -> Any:
    return Result.DescribeConfigsResourceResult(
        name=name, value=value, read_only=False, config_source=source.value
    )


@pytest.mark.parametrize(
    ("source", "is_static"),
    [
        (ConfigSourceType.STATIC_BROKER_CONFIG, True),
        (ConfigSourceType.DYNAMIC_BROKER_CONFIG, False),
    ],
)
def test_where_a_rate_comes_from(source: ConfigSourceType, is_static: bool) -> None:
    """A rate of the properties file is static; Kafka's default, the largest long, is no rate."""
    assert throttle._is_static(entry(LEADER_RATE, "5", source)) is is_static
    assert throttle._rate(entry(LEADER_RATE, str(2**63 - 1), source)) is None


def test_a_rate_is_in_force_when_both_directions_have_it() -> None:
    """One of two is not enough; a removal leaves what is not this broker's own setting."""
    own = {
        key: entry(key, "5", ConfigSourceType.DYNAMIC_BROKER_CONFIG)
        for key in (LEADER_RATE, FOLLOWER_RATE)
    }
    default = {LEADER_RATE: entry(LEADER_RATE, "9", ConfigSourceType.DYNAMIC_DEFAULT_BROKER_CONFIG)}
    assert throttle._has(own, 5)
    assert not throttle._has(own, 6)
    assert not throttle._has({LEADER_RATE: own[LEADER_RATE]}, 5)
    assert not throttle._has(own, None)
    assert throttle._has(default, None)


def test_only_what_is_missing_is_appended() -> None:
    """What is listed is not listed again, and where every replica is throttled nothing is added."""
    replicas = frozenset({(0, 11), (0, 12)})
    order = ThrottleChange(leaders={"t": replicas, "u": replicas}, followers={"t": replicas})
    found = ThrottleFacts(
        leaders={"t": None, "u": replicas}, followers={"t": frozenset({(0, 11), (7, 7)})}
    )
    assert throttle._appended(order, found) == {
        "t": {FOLLOWER_REPLICAS: (AlterConfigOp.APPEND, "0:12")}
    }


def test_a_broker_that_lags_does_not_show_the_lists_yet() -> None:
    """In KRaft a list is in force on a broker once it shows what was added, and none of what
    was taken away.
    """
    ours = frozenset({(0, 11), (0, 12)})
    order = ThrottleChange(leaders={"t": ours})

    def shows(value: str | None, operation: AlterConfigOp) -> bool:
        topics = {
            "t": {
                LEADER_REPLICAS: entry(
                    LEADER_REPLICAS, value, ConfigSourceType.DYNAMIC_TOPIC_CONFIG
                )
            }
        }
        told = topics if value is not None else {"t": {}}
        return throttle._all_listed(told, {"t": {LEADER_REPLICAS: (operation, None)}}, order)

    added, removed = AlterConfigOp.APPEND, AlterConfigOp.SUBTRACT
    assert [shows(v, added) for v in (None, "", "0:11", "7:7", "0:11,7:7,0:12", "*")] == [
        False, False, False, False, True, True,
    ]  # fmt: skip
    assert [shows(v, removed) for v in (None, "", "0:11", "7:7", "0:11,7:7,0:12")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert shows(None, AlterConfigOp.DELETE)
    assert throttle._all_listed({}, {"t": {LEADER_REPLICAS: (added, None)}}, order), (
        "the topic is gone"
    )


def test_settings_of_a_deleted_topic_are_left_out_and_refused_ones_are_raised() -> None:
    """Only "unknown topic" means gone; any other error code is raised."""
    gone = Result(
        error_code=3, error_message=None, resource_type=2, resource_name="gone", configs=[]
    )
    there = Result(
        error_code=0, error_message=None, resource_type=2, resource_name="there", configs=[]
    )
    hidden = Result(
        error_code=31, error_message=None, resource_type=4, resource_name="31", configs=[]
    )
    assert admin_requests._configs(DescribeConfigsResponse(results=[gone, there])) == {"there": {}}
    with pytest.raises(ClusterAuthorizationFailedError, match="the settings of 31"):
        admin_requests._configs(DescribeConfigsResponse(results=[there, hidden]))


def test_an_error_says_whose_it_is() -> None:
    """Kafka's own words, what they are about, and what to grant if rights are missing; never
    pages of a request.
    """
    told = admin_requests.error(40, "bad value", "the settings of t")
    assert isinstance(told, InvalidConfigurationError)
    assert admin_requests.words(told).endswith("the settings of t: bad value")
    assert "grant this agent's user Describe" in admin_requests.words(
        admin_requests.error(31, "no" * 5_000, "broker 11")
    )
    assert len(admin_requests.words(admin_requests.error(31, "no" * 5_000, "broker 11"))) < 500
