"""Where replicas land among log dirs, and whether they fit."""

import pytest

from agent.core.checks.disk_space import log_dirs_without_room, shares
from agent.core.model.cluster import BrokerLogs, LogDir


def _dirs(*counts: int, free_bytes: int = 100) -> tuple[LogDir, ...]:
    return tuple(LogDir(f"/d{n}", count, free_bytes, 1_000) for n, count in enumerate(counts))


@pytest.mark.parametrize(
    ("counts", "replicas", "expected"),
    [
        ((0,), 4, [1.0]),
        ((0, 0), 4, [0.5, 0.5]),
        ((0, 10), 4, [1.0, 0.0]),
        ((0, 2), 4, [0.75, 0.25]),
        ((5, 0, 5), 8, [1 / 8, 6 / 8, 1 / 8]),
    ],
)
def test_the_dir_with_the_fewest_replicas_is_filled_first(
    counts: tuple[int, ...], replicas: int, expected: list[float]
) -> None:
    """Kafka counts replicas, not bytes."""
    assert shares(_dirs(*counts), replicas) == pytest.approx(expected)


def test_each_dir_needs_its_share_and_room_for_the_largest() -> None:
    """Free space in one dir is of no use to another, and the largest may land in any that takes
    some.
    """
    log = BrokerLogs(31, {}, 200, _dirs(0, 0))
    assert log_dirs_without_room(log, 10, 180, 20) == []
    assert [d.path for d, _ in log_dirs_without_room(log, 10, 200, 20)] == ["/d0", "/d1"]
    assert [needed for _, needed in log_dirs_without_room(log, 10, 100, 101)] == [101, 101]
    assert log_dirs_without_room(BrokerLogs(31, {}, 200, _dirs(0, 50)), 10, 80, 101) != []


def test_a_dir_that_does_not_tell_is_let_through() -> None:
    """Before Kafka 3.3 nobody knows."""
    assert log_dirs_without_room(BrokerLogs(31, {}), 10, 10**12, 10**12) == []
