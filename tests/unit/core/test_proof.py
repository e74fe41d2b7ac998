"""The proof after a wave: what counts as a fault, and what only is not over yet."""

from agent.core.cluster import Broker, ClusterFacts, Partition, TopicPartition
from agent.core.plan import Wave
from agent.core.proof import inspect
from agent.core.reasons import Code

WAVE = Wave(number=1, az="az-a", source_broker_ids=(11,), destination_broker_ids=(31,))
BROKERS = tuple(Broker(b, f"az-{'abc'[b % 10 - 1]}") for b in (11, 12, 13, 31, 32, 33))
BEFORE = {TopicPartition("t", 0): (11, 12, 13)}


def seen(*replicas: int, adding: tuple[int, ...] = (), removing: tuple[int, ...] = ()) -> ClusterFacts:
    p = Partition("t", 0, replicas[0], replicas, replicas, adding, removing)
    return ClusterFacts(brokers=BROKERS, partitions=(p,))


def test_a_moved_partition_is_settled() -> None:
    """The destination stands where the source stood: no fault, nothing in flight."""
    found = inspect(seen(31, 12, 13), WAVE, (WAVE,), BEFORE, {}, 0)
    assert (found.faults, found.reassignments, found.order_changed) == ((), 0, 0)


def test_old_and_new_replicas_at_once_are_a_move_that_is_not_over() -> None:
    """Metadata of a broker that lags shows the union without a reassignment: looked at again, not called a fault."""
    found = inspect(seen(31, 12, 13, 11), WAVE, (WAVE,), BEFORE, {}, 0)
    assert (found.faults, found.reassignments) == ((), 1)


def test_a_replica_on_a_broker_that_no_wave_knows_is_a_fault() -> None:
    """A fourth replica elsewhere, or one too few, is somebody's doing: the replication factor has changed."""
    for replicas in ((31, 12, 13, 33), (31, 12)):
        found = inspect(seen(*replicas), WAVE, (WAVE,), BEFORE, {}, 0)
        assert [r.code for r in found.faults] == [Code.REPLICATION_FACTOR_CHANGED]
