"""What clients would notice of a wave."""

from agent.core.model.client_positions import Positions, compare_positions, lags_of, sample
from agent.core.model.cluster import TopicPartition

T0, T1, U0 = TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)


def _seen(ends: dict[TopicPartition, int], **lags: int) -> Positions:
    return Positions(partitions=10, ends=ends, lags=lags)


def test_an_end_that_went_back_is_lost() -> None:
    """A partition that ends before where it ended has lost records; one that grew has been
    written to.
    """
    found = compare_positions(_seen({T0: 100, T1: 50}), _seen({T0: 90, T1: 70}))
    assert (found.end_offsets_lost, found.records_written, found.partitions_compared) == (1, 20, 2)
    assert found.examples == ("t-0 ended at 100 and ends at 90",)


def test_what_was_seen_only_once_is_not_compared() -> None:
    """A topic deleted meanwhile, or a group that has come, says nothing of the wave."""
    found = compare_positions(_seen({T0: 100, U0: 5}, a=7, gone=9), _seen({T0: 100}, a=3, new=1))
    assert (found.partitions_compared, found.end_offsets_lost) == (1, 0)
    assert (found.groups, found.lag_records_before, found.lag_records_after) == (1, 7, 3)
    assert "of 10 partitions" in str(found)


def test_a_lag_is_the_distance_to_the_end() -> None:
    """Summed over the partitions whose end is known; without a commit, or ahead of the end, a
    group is not behind.
    """
    ends = {T0: 100, T1: 50}
    committed = {"a": {T0: 90, T1: 50, U0: 0}, "b": {U0: 3}, "c": {T0: -1}, "d": {T1: 55}}
    assert lags_of(ends, committed) == {"a": 10, "d": 0}


def test_a_sample_is_bounded_even_and_always_the_same() -> None:
    """Some topics and some partitions of each, whatever the order they come in."""
    names = [TopicPartition(f"t{t:03}", p) for t in range(50) for p in range(20)]
    some = sample(names, 10, 40)
    assert len(some) == 40
    assert len({n.topic for n in some}) == 10
    assert sample(names[::-1], 10, 40) == some
    assert sample(names, 100, 5_000) == names
