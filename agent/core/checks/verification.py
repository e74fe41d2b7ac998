"""What Kafka shows after a wave or a rollback, compared with the assignment before the start. Pure;
used by the performer.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto

from agent.core.checks.inspection import Compared, Inspected
from agent.core.model.cluster import BrokerLogs, ClusterFacts, Partition, TopicPartition
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import EXAMPLES_MAX
from agent.core.planning.plan import Direction, Wave
from agent.core.planning.selection import EVERYTHING

Snapshot = Mapping[TopicPartition, tuple[int, ...]]


def replacements(waves: Iterable[Wave]) -> dict[int, frozenset[int]]:
    """Source broker -> the brokers that may take its place, by the forward waves of the plan."""
    return {
        s: frozenset(w.destination_broker_ids)
        for w in waves
        if w.direction is Direction.FORWARD
        for s in w.source_broker_ids
    }


def moved_partitions(facts: ClusterFacts, wave: Wave) -> list[Partition]:
    """The partitions of a wave that have a replica on one of its destinations: the wave moved them,
    or they were there before.
    """
    destinations, is_selected = (
        frozenset(wave.destination_broker_ids),
        (wave.selection or EVERYTHING).contains,
    )
    return [
        p for p in facts.partitions if not destinations.isdisjoint(p.target) and is_selected(p.name)
    ]


def misordered(
    partitions: Iterable[Partition], waves: Sequence[Wave], snapshot: Snapshot
) -> dict[TopicPartition, tuple[int, ...]]:
    """Partitions on the right brokers whose replicas are in another order than before the start,
    with the right order.

    A cancelled reassignment leaves such an order behind: while it moves, Kafka puts the target
    first, and cancelling [11,12,13] -> 31 gives [12,13,11] back (seen on Kafka 3.9). Cruise Control
    then keeps that order.
    """
    replacing = replacements(waves)
    wrong: dict[TopicPartition, tuple[int, ...]] = {}
    for p in partitions:
        before = snapshot.get(p.name)
        if before is None or p.is_moving or len(before) != len(p.target):
            continue
        here = frozenset(p.target)
        right = tuple(
            next((h for h in (b, *replacing.get(b, ())) if h in here), -1) for b in before
        )
        if right != p.target and frozenset(right) == here:
            wrong[p.name] = right
    return wrong


def not_on_preferred_leader(partitions: Iterable[Partition]) -> list[Partition]:
    """Partitions that do not move and are not led by their preferred replica, the first of the
    list.
    """
    return [p for p in partitions if not p.is_moving and p.target and p.leader != p.target[0]]


def orphaned_copy_bytes(
    partitions: Iterable[Partition], snapshot: Snapshot, logs: Mapping[int, BrokerLogs]
) -> int:
    """Bytes of replicas on these brokers that no assignment names: a stop has left them until Kafka
    deletes them.

    While they grow, some leader has not yet heard that the reassignment was cancelled. Brokers obey
    the controller one request after the other, on a slow machine seconds late.
    """
    held = [(b, log.size_bytes) for b, log in logs.items() if log.size_bytes]
    if not held:
        return 0
    orphaned_bytes = 0
    for p in partitions:
        before = snapshot.get(p.name)
        if before is None:
            continue
        # More replicas than before: this broker still has the metadata of the move.
        home = p.origin if len(p.origin) <= len(before) else before
        orphaned_bytes += sum(sizes.get(p.name, 0) for b, sizes in held if b not in home)
    return orphaned_bytes


def left_on(
    facts: ClusterFacts,
    sources: frozenset[int],
    takes: Callable[[TopicPartition], bool],
    logs: Mapping[int, BrokerLogs],
) -> tuple[int, int | None]:
    """(replicas, bytes) of a wave that are still on its sources; bytes are None while a source does
    not answer.
    """
    held = [p for p in facts.held_by(sources) if takes(p.name)]
    if sources - logs.keys():
        return len(held), None
    sizes = (
        logs[b].size_bytes.get(p.name, 0) for p in held for b in sources.intersection(p.target)
    )
    return len(held), sum(sizes)


def inspect_wave(
    facts: ClusterFacts,
    wave: Wave,
    waves: Sequence[Wave],
    snapshot: Snapshot,
    logs: Mapping[int, BrokerLogs],
    throttles_left: int,
) -> Inspected:
    """The figures of WaveVerified.

    In: the cluster now; the wave; all waves, which say which broker may replace which; the
    assignment before the start; the log dirs of the live sources of the wave; and how many throttle
    entries of ours are still set.
    """
    sources = frozenset(wave.source_broker_ids)
    is_selected = (wave.selection or EVERYTHING).contains
    moved = moved_partitions(facts, wave)
    placed = _by_placement(moved, snapshot, facts.racks, replacements(waves))
    assigned = {p.name for p in facts.held_by(sources) if is_selected(p.name)}
    left_in_logs = [
        (name, size)
        for broker, log in logs.items()
        if broker in sources
        for name, size in log.size_bytes.items()
        if is_selected(name)
    ]
    return Inspected(
        stray_bytes=sum(size for name, size in left_in_logs if name not in assigned),
        replicas_left=len(assigned),
        bytes_left=sum(size for _, size in left_in_logs),
        leaders_left=sum(p.leader in sources and is_selected(p.name) for p in facts.partitions),
        reassignments=sum(p.is_moving for p in moved) + len(placed[_Placement.MID_MOVE]),
        not_in_sync=sum(not set(p.target) <= set(p.isr) for p in moved),
        not_preferred=len(not_on_preferred_leader(moved)),
        throttles_left=throttles_left,
        order_changed=len(placed[_Placement.ORDER_CHANGED]),
        partitions=len(moved),
        faults=_faults(placed, snapshot),
    )


class _Placement(Enum):
    """Where the replicas of a partition are, against where they were before the start."""

    EXPECTED = auto()
    NOT_COMPARED = auto()  # younger than the start, or still moving, which is counted apart
    MID_MOVE = auto()
    REPLICATION_FACTOR_CHANGED = auto()
    AZ_SPREAD_CHANGED = auto()
    ORDER_CHANGED = auto()


def _by_placement(
    partitions: Iterable[Partition],
    snapshot: Snapshot,
    racks: Mapping[int, str | None],
    replacing: Mapping[int, frozenset[int]],
) -> Mapping[_Placement, list[Partition]]:
    placed: defaultdict[_Placement, list[Partition]] = defaultdict(list)
    for p in partitions:
        placed[_placement(p, snapshot.get(p.name), racks, replacing)].append(p)
    return placed


def _placement(
    partition: Partition,
    before: Sequence[int] | None,
    racks: Mapping[int, str | None],
    replacing: Mapping[int, frozenset[int]],
) -> _Placement:
    now = partition.target
    if before is None or partition.is_moving:
        return _Placement.NOT_COMPARED
    if _is_mid_move(before, now, replacing):
        return _Placement.MID_MOVE
    if len(before) != len(now):
        return _Placement.REPLICATION_FACTOR_CHANGED
    if not _same_azs(before, now, racks, replacing):
        return _Placement.AZ_SPREAD_CHANGED
    if not _is_in_order(before, now, replacing):
        return _Placement.ORDER_CHANGED
    return _Placement.EXPECTED


def _faults(
    placed: Mapping[_Placement, Sequence[Partition]], snapshot: Snapshot
) -> tuple[Reason, ...]:
    """What a wave must never do, with the first few partitions to which it was done."""
    faults = []
    if changed := placed[_Placement.REPLICATION_FACTOR_CHANGED]:
        examples = [
            f"{p.name} had {len(snapshot[p.name])} replicas and has {len(p.target)}"
            for p in changed[:EXAMPLES_MAX]
        ]
        seen = f"{len(changed)} partitions: {'; '.join(examples)}"
        faults.append(Reason(Code.REPLICATION_FACTOR_CHANGED, seen))
    if changed := placed[_Placement.AZ_SPREAD_CHANGED]:
        examples = [
            f"{p.name} was on {list(snapshot[p.name])} and is on {list(p.target)}"
            for p in changed[:EXAMPLES_MAX]
        ]
        seen = f"{len(changed)} partitions: {'; '.join(examples)}"
        faults.append(Reason(Code.AZ_SPREAD_CHANGED, seen))
    return tuple(faults)


def _is_mid_move(
    before: Sequence[int], now: Sequence[int], replacing: Mapping[int, frozenset[int]]
) -> bool:
    """Whether old and new replicas are there at once, which a broker with old metadata still shows
    after a move has ended.
    """
    known = frozenset(before).union(*(replacing.get(b, ()) for b in before))
    return len(now) > len(before) and known.issuperset(now)


def _is_in_order(
    before: Sequence[int], now: Sequence[int], replacing: Mapping[int, frozenset[int]]
) -> bool:
    """Whether each replica is in its place in the list, or one that replaces it is."""
    return all(n == b or n in replacing.get(b, ()) for b, n in zip(before, now, strict=True))


def _same_azs(
    before: Sequence[int],
    now: Sequence[int],
    racks: Mapping[int, str | None],
    replacing: Mapping[int, frozenset[int]],
) -> bool:
    """Whether each AZ has as many replicas as before; a broker that is gone counts with the AZ of
    the brokers that replace it.
    """

    def az(broker: int) -> str | None:
        if broker in racks:
            return racks[broker]
        return next((racks[h] for h in replacing.get(broker, ()) if h in racks), None)

    then, today = [az(b) for b in before], [az(b) for b in now]
    if None in then or None in today:
        return True  # the broker has left, and its AZ is unknown
    return sorted(map(str, then)) == sorted(map(str, today))


def compare_with_snapshot(facts: ClusterFacts, snapshot: Snapshot) -> Compared:
    """Compare the assignment after a rollback with the one before the start, the order of replicas
    included.

    Topics deleted or created since are left out.
    """
    different: list[str] = []
    looked_at = [p for p in facts.partitions if p.name in snapshot]
    for p in looked_at:
        before = snapshot[p.name]
        if p.target != before:
            different.append(f"{p.name}: {list(before)} before, {list(p.target)} now")
    return Compared(
        partitions=len(looked_at),
        different=len(different),
        not_preferred=len(not_on_preferred_leader(looked_at)),
        examples=tuple(different[:EXAMPLES_MAX]),
    )
