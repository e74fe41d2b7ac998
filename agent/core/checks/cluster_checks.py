"""What must hold before anything moves and while it moves, as far as one look at the cluster shows
it.

Pure: facts in, every result out. Called by survey.py and watches.py; `doctor` shows all results,
passed and failed. What must be asked of brokers one by one is in broker_checks.py.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from agent.core.checks import cruise_control_checks
from agent.core.checks.check_input import ClusterCheckInput, CruiseControlFacts
from agent.core.model.cluster import Partition, Reassignment
from agent.core.model.executor import Executor
from agent.core.model.reasons import CheckResult, Code, Reason, shortened
from agent.core.model.words import EXAMPLES_MAX, ids, listed


def check(cluster_input: ClusterCheckInput) -> tuple[CheckResult, ...]:
    """All results, in the order in which an operator reads them."""
    return tuple(with_title(title, one(cluster_input)) for title, one in CHECKS)


def with_title(title: str, result: CheckResult) -> CheckResult:
    """A result ready for an event: with its title, and with texts of bounded length."""
    return replace(
        result, title=title, seen=shortened(result.seen), needed=shortened(result.needed)
    )


def blocking_and_passing(
    check_results: Iterable[CheckResult],
) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """The reasons against a start: (what someone must change, what clears by itself)."""
    # another check says why something is unknown
    red = [v for v in check_results if not v.ok and not v.unknown]
    return tuple(v.reason for v in red if not v.passing), tuple(v.reason for v in red if v.passing)


def _names(partitions: Sequence[Partition] | Sequence[Reassignment]) -> str:
    return listed([p.name for p in partitions[:EXAMPLES_MAX]], len(partitions))


def brokers_alive(cluster_input: ClusterCheckInput) -> CheckResult:
    """Every source and destination is alive, and so is every broker that holds a replica."""
    alive = cluster_input.cluster.racks.keys()
    holding = {r for p in cluster_input.cluster.partitions for r in p.replicas}
    down = (
        cluster_input.sources | cluster_input.destinations | cluster_input.needed_later | holding
    ) - alive
    seen = f"brokers {ids(down)} are not registered" if down else f"{len(alive)} brokers are alive"
    return CheckResult(code=Code.BROKER_DOWN, ok=not down, seen=seen, needed="every broker alive")


def same_az(cluster_input: ClusterCheckInput) -> CheckResult:
    """Source and destination of each wave are in one AZ."""
    racks = cluster_input.cluster.racks
    wrong = []
    for w in cluster_input.waves:
        named = {
            b: racks[b] for b in (*w.source_broker_ids, *w.destination_broker_ids) if b in racks
        }
        if len(set(named.values())) > 1:
            wrong.append(", ".join(f"{b} in {rack}" for b, rack in sorted(named.items())))
    seen = f"a wave would cross AZs: {'; '.join(wrong)}" if wrong else "each wave stays in its AZ"
    return CheckResult(
        code=Code.AZ_MISMATCH,
        ok=not wrong,
        seen=seen,
        needed="source and destination in the same AZ",
    )


def racks_known(cluster_input: ClusterCheckInput) -> CheckResult:
    """Every source and destination has broker.rack set, which names its AZ."""
    racks = cluster_input.cluster.racks
    unknown = [
        b for b in cluster_input.sources | cluster_input.destinations if b in racks and not racks[b]
    ]
    seen = f"brokers {ids(unknown)} have no broker.rack" if unknown else "every broker names its AZ"
    return CheckResult(code=Code.RACK_UNKNOWN, ok=not unknown, seen=seen, needed="broker.rack set")


def no_offline_partition(cluster_input: ClusterCheckInput) -> CheckResult:
    """No partition is offline: without a leader it cannot be moved, and its clients fail
    already.
    """
    offline = [p for p in cluster_input.cluster.partitions if p.is_offline]
    seen = f"{len(offline)} offline: {_names(offline)}" if offline else "no partition is offline"
    return CheckResult(
        code=Code.OFFLINE_PARTITION, ok=not offline, seen=seen, needed="no offline partition"
    )


def none_under_replicated(cluster_input: ClusterCheckInput) -> CheckResult:
    """Every partition has all its replicas in sync; replicas being added do not count (KIP-352)."""
    under = [p for p in cluster_input.cluster.partitions if p.is_under_replicated]
    seen = (
        f"{len(under)} under-replicated: {_names(under)}"
        if under
        else "every partition is fully replicated"
    )
    return CheckResult(code=Code.UNDER_REPLICATED, ok=not under, seen=seen, needed="full ISR")


def none_under_min_isr(cluster_input: ClusterCheckInput) -> CheckResult:
    """No partition is under min ISR: producers with acks=all would fail."""
    under = [
        p for p in cluster_input.cluster.partitions if cluster_input.cluster.is_under_min_isr(p)
    ]
    seen = (
        f"{len(under)} under min ISR: {_names(under)}" if under else "no partition is under min ISR"
    )
    return CheckResult(
        code=Code.UNDER_MIN_ISR,
        ok=not under,
        seen=seen,
        needed="ISR of at least min.insync.replicas",
    )


def replicas_above_min_isr(cluster_input: ClusterCheckInput) -> CheckResult:
    """The replication factor is above min ISR; otherwise one slow broker stops producers.

    A topic with a single replica is accepted, as its owner chose that.
    """
    min_isr = cluster_input.cluster.min_isr
    spread = [p for p in cluster_input.cluster.partitions if len(p.replicas) > 1]
    tight = sorted(
        {p.topic for p in spread if len(p.origin) <= min_isr.get(p.topic, 1) and len(p.origin) > 1}
    )
    single = len(cluster_input.cluster.partitions) - len(spread)
    seen = "every topic can spare a replica"
    if tight:
        seen = f"{len(tight)} topics cannot spare a replica: {listed(tight)}"
    elif single:
        seen += f", but for {single} partitions with only one"
    return CheckResult(
        code=Code.RF_EQUALS_MIN_ISR, ok=not tight, seen=seen, needed="RF above min.insync.replicas"
    )


def replicas_per_az_possible(cluster_input: ClusterCheckInput) -> CheckResult:
    """After the move each AZ has as many replicas as before, each on a broker of its own, and one
    in each AZ.

    Cruise Control's RackAwareGoal refuses the whole request if a partition has two replicas in one
    AZ (recorded).
    """
    # A broker that is gone or has no AZ counts as an AZ of its own; other checks report it.
    azs: dict[int, str | int] = {b: rack or b for b, rack in cluster_input.cluster.racks.items()}
    ways = {(w.source_broker_ids, frozenset(w.destination_broker_ids)) for w in cluster_input.waves}
    to = {s: (frozenset(sources), destinations) for sources, destinations in ways for s in sources}
    crowded: list[Partition] = []
    stuck: list[Partition] = []
    for p in cluster_input.cluster.partitions:
        target = p.target
        if len({azs.get(r, r) for r in target}) != len(target):
            crowded.append(p)
        for r in target:
            if r in to and _lacks_destination(target, *to[r]):
                stuck.append(p)
                break
    parts = []
    if crowded:
        parts.append(f"{len(crowded)} have two replicas in one AZ: {_names(crowded)}")
    if stuck:
        parts.append(f"{len(stuck)} have a replica on each destination already: {_names(stuck)}")
    seen = "; ".join(parts) or "every replica has a place in its AZ"
    needed = "one replica in each AZ, and a destination there without a replica of the partition"
    # It passes by itself: a broker whose metadata is old shows old and new replicas at once.
    return CheckResult(
        code=Code.REPLICAS_PER_AZ, ok=not parts, seen=seen, needed=needed, passing=True
    )


def _lacks_destination(
    target: tuple[int, ...], sources: frozenset[int], destinations: frozenset[int]
) -> bool:
    if len(sources) == 1 and destinations.isdisjoint(
        target
    ):  # one source and one destination: the usual case
        return not destinations
    return len(destinations.difference(target)) < len(sources.intersection(target))


def rollback_brokers_alive(cluster_input: ClusterCheckInput) -> CheckResult:
    """Every source that was drained is alive until the end, since a rollback would go
    back to it.
    """
    known = (
        cluster_input.sources | cluster_input.destinations | cluster_input.needed_later
    )  # brokers_alive checks these
    gone = cluster_input.rollback_brokers - known - cluster_input.cluster.racks.keys()
    seen = (
        f"drained brokers {ids(gone)} have left"
        if gone
        else "the brokers that a rollback would need are alive"
    )
    needed = "every drained source alive until the migration ends"
    return CheckResult(code=Code.ROLLBACK_IMPOSSIBLE, ok=not gone, seen=seen, needed=needed)


def is_own_reassignment(
    move: Reassignment | Partition, sources: frozenset[int], destinations: frozenset[int]
) -> bool:
    """Whether a reassignment does what a wave of ours asks: it adds only destinations and removes
    only sources.

    A cancelled reassignment may show one of the two for a moment; it is still ours.
    """
    return (
        destinations.issuperset(move.adding)
        and sources.issuperset(move.removing)
        and bool(move.adding or move.removing)
    )


def no_foreign_reassignment(cluster_input: ClusterCheckInput) -> CheckResult:
    """No reassignment of anyone else is in flight: Cruise Control would cancel it without asking
    (recorded: rule 4).
    """
    foreign = [
        r
        for r in cluster_input.reassignments
        if not is_own_reassignment(r, cluster_input.sources, cluster_input.destinations)
    ]
    seen = (
        f"{len(foreign)} reassignments by someone "
        f"else{_mover(cluster_input.cruise_control)}: {_names(foreign)}"
    )
    if not foreign:
        seen = "no reassignment by anyone else is in flight"
    return CheckResult(
        code=Code.FOREIGN_REASSIGNMENT,
        ok=not foreign,
        seen=seen,
        needed="no reassignment in flight",
    )


def _mover(cc: CruiseControlFacts) -> str:
    """Who moves replicas, as far as can be known: Kafka stores no owner with a reassignment, Cruise
    Control stores its reason.
    """
    if not cc.reachable or not cc.executor_state:
        return ""
    if cc.executor is Executor.IDLE:
        return " (not Cruise Control, whose executor is idle)"
    return (
        f" (Cruise Control moves, for '{cc.executor_reason}')"
        if cc.executor_reason
        else " (Cruise Control moves)"
    )


def no_orphaned_move(cluster_input: ClusterCheckInput) -> CheckResult:
    """No reassignment of an earlier request is in flight: a new request would cancel it and lose
    the bytes copied.
    """
    ours = [
        r
        for r in cluster_input.reassignments
        if is_own_reassignment(r, cluster_input.sources, cluster_input.destinations)
    ]
    seen = (
        f"{len(ours)} moves of an earlier request are still in flight: {_names(ours)}"
        if ours
        else "nothing is in flight"
    )
    return CheckResult(
        code=Code.ORPHANED_MOVES,
        ok=not ours,
        seen=seen,
        needed="the end of these moves",
        passing=True,
    )


CHECKS: tuple[tuple[str, Callable[[ClusterCheckInput], CheckResult]], ...] = (
    ("brokers alive", brokers_alive),
    ("AZs known", racks_known),
    ("waves within an AZ", same_az),
    ("offline partitions", no_offline_partition),
    ("partitions under min ISR", none_under_min_isr),
    ("under-replicated partitions", none_under_replicated),
    ("replication factor above min ISR", replicas_above_min_isr),
    ("replicas of each AZ", replicas_per_az_possible),
    ("reassignments of others", no_foreign_reassignment),
    ("moves in flight", no_orphaned_move),
    ("Cruise Control answers", cruise_control_checks.reachable),
    ("Cruise Control idle", cruise_control_checks.idle),
    ("Cruise Control ready", cruise_control_checks.ready),
    ("Cruise Control self-healing", cruise_control_checks.no_self_healing),
    ("brokers for a rollback", rollback_brokers_alive),
)

# What can change while a wave moves. The handlers observe Cruise Control itself meanwhile.
WHILE_MOVING: tuple[Callable[[ClusterCheckInput], CheckResult], ...] = (
    brokers_alive,
    no_offline_partition,
    none_under_min_isr,
    none_under_replicated,
    replicas_above_min_isr,
    no_foreign_reassignment,
    cruise_control_checks.no_self_healing,
    rollback_brokers_alive,
)


def reasons_to_pause(cluster_input: ClusterCheckInput) -> tuple[Reason, ...]:
    """Why a wave that moves should stop now; empty if it may go on."""
    return tuple(
        v.reason for one in WHILE_MOVING if not (v := one(cluster_input)).ok and not v.unknown
    )
