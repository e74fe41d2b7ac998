"""What must hold before a start and before each wave, as far as it must be asked of the brokers;
cluster_checks.py has the rest.

Pure: facts in, every result out. Called by survey.py, and by watches.py for what can change while
replicas move.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.core.checks import broker_settings, cluster_checks, disk_space
from agent.core.checks.check_input import BrokerCheckInput, ClusterCheckInput
from agent.core.checks.cluster_checks import with_title
from agent.core.model.reasons import BlockedWave, CheckResult, Code, Reason
from agent.core.model.throttle import (
    NEEDED,
    ThrottleFacts,
    own_throttle,
    topics_with_foreign_entries,
)
from agent.core.model.words import EXAMPLES_MAX, ids, listed
from agent.core.planning.policy import Limits
from agent.core.planning.wave import Direction
from agent.core.planning.wave_sizing import lower_limit

# What producers write to the partitions that move must stay below this share of the throttle, or no
# copy catches up with its leader.
PRODUCE_SHARE_MAX = 0.8
BLOCKED_WAVES_MAX = 50  # in the event of a plan


def check(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> tuple[CheckResult, ...]:
    """All results, in the order in which an operator reads them."""
    return tuple(with_title(title, one(cluster_input, broker_input)) for title, one in CHECKS)


@dataclass(frozen=True, slots=True)
class _DiskDemand:
    """What each destination of one pair of broker sets must have room for."""

    destinations: tuple[int, ...]
    replicas: int
    size_bytes: float
    largest_bytes: int  # of one replica
    growth_bytes: float  # what producers add while everything moves


def _disk_demands(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> list[_DiskDemand]:
    """Several waves may lead from the same sources to the same destinations: they count once."""
    seconds = sum(w.estimate.high_seconds for w in cluster_input.waves if w.estimate)
    growth: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = defaultdict(float)
    for w in cluster_input.waves:
        route = (w.source_broker_ids, w.destination_broker_ids)
        growth[route] += w.estimate.growth_bytes_per_second if w.estimate else 0.0
    demands = []
    for (sources, destinations), bytes_per_second in growth.items():
        logs = [broker_input.logs[b] for b in sources if b in broker_input.logs]
        shared_by = max(len(destinations), 1)
        demands.append(
            _DiskDemand(
                destinations=destinations,
                replicas=-(-sum(len(log.size_bytes) for log in logs) // shared_by),
                size_bytes=sum(log.totals.size_bytes for log in logs) / shared_by,
                largest_bytes=max((n for log in logs for n in log.size_bytes.values()), default=0),
                growth_bytes=bytes_per_second * seconds / shared_by,
            )
        )
    return demands


def disk_headroom(cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput) -> CheckResult:
    """A destination has room for all that comes and for what producers add to it meanwhile.

    Nothing is freed on a destination while replicas move.
    """
    short: list[str] = []
    unknown: set[int] = set()
    for demand in _disk_demands(cluster_input, broker_input):
        for b in demand.destinations:
            log = broker_input.logs.get(b)
            if log is None or not disk_space.reports_free_space(log):
                unknown.add(b)
            if log is None:
                continue
            full = disk_space.log_dirs_without_room(
                log,
                demand.replicas,
                demand.size_bytes,
                demand.largest_bytes,
                demand.growth_bytes,
            )
            short += [
                f"broker {b} has {one.free_bytes:,} bytes free in {one.path}, {needed:,} may be "
                "needed"
                for one, needed in full
            ]
    seen = "; ".join(short[:EXAMPLES_MAX]) or "every log dir of the destinations has room"
    if unknown:
        seen += f" (brokers {ids(unknown)} did not report their free space)"
    needed = (
        f"in each log dir its share of what comes, {disk_space.HEADROOM:.0%} more, and what "
        "producers add meanwhile"
    )
    return CheckResult(code=Code.DISK_HEADROOM, ok=not short, seen=seen, needed=needed)


def rollback_fits_disks(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """A source has room to take everything back: what leaves frees its space, but what producers
    add meanwhile needs more.
    """
    short: list[str] = []
    seconds = sum(w.estimate.high_seconds for w in cluster_input.waves if w.estimate)
    grows: dict[int, float] = {}
    for w in cluster_input.waves:
        if w.direction is Direction.FORWARD and w.estimate is not None:
            for b in w.source_broker_ids:
                share = w.estimate.growth_bytes_per_second / max(len(w.source_broker_ids), 1)
                grows[b] = grows.get(b, 0.0) + share
    for b, rate in sorted(grows.items()):
        free, grown = (
            broker_input.logs[b].totals.free_bytes if b in broker_input.logs else -1,
            int(rate * seconds),
        )
        if 0 <= free < grown:
            short.append(
                f"broker {b} has {free:,} bytes free, and what leaves it will grow by "
                f"{grown:,} bytes"
            )
    seen = (
        "; ".join(short[:EXAMPLES_MAX])
        if short
        else "the sources have room to take back what leaves them"
    )
    return CheckResult(
        code=Code.ROLLBACK_IMPOSSIBLE,
        ok=not short,
        seen=seen,
        needed="room on the sources for a rollback",
    )


def within_capacity_limits(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """Replicas and network of each destination stay within the limits of the policy; Kafka itself
    has no such limits.
    """
    limits, rate = broker_input.limits, broker_input.rate_bytes_per_second
    grows: dict[int, float] = defaultdict(float)
    for w in cluster_input.waves:
        for b in w.destination_broker_ids if w.estimate else ():
            grows[b] += (
                w.estimate.growth_bytes_per_second / len(w.destination_broker_ids)
                if w.estimate
                else 0.0
            )
    over: list[str] = []
    for b in sorted(cluster_input.destinations & broker_input.load.keys()):
        one = broker_input.load[b]
        if limits.replicas_max is not None and one.replicas_after > limits.replicas_max:
            over.append(
                f"broker {b} would have {one.replicas_after:,} replicas, at most "
                f"{limits.replicas_max:,}"
            )
        comes = max(one.written_bytes_per_second_after, grows[b]) + (rate or 0)
        if (
            limits.network_bytes_per_second_max is not None
            and comes > limits.network_bytes_per_second_max
        ):
            most = f"at most {limits.network_bytes_per_second_max:,}"
            over.append(
                f"broker {b} would receive {comes:,.0f} bytes/s, the throttle included, {most}"
            )
    seen = "; ".join(over[:EXAMPLES_MAX]) or "every destination stays within the policy's limits"
    if not over and limits == Limits():
        seen = (
            "the policy has no limits (`limits` in clusters.yaml: replicas_max, "
            "network_bytes_per_second_max)"
        )
    return CheckResult(
        code=Code.DESTINATION_CAPACITY, ok=not over, seen=seen, needed="the limits of the policy"
    )


def throttle_above_produce(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """The throttle is above what producers write to the partitions that move; otherwise a copy
    never catches up (KIP-73).
    """
    rate, written, ok = broker_input.rate_bytes_per_second, 0.0, True
    for w in cluster_input.waves:
        if w.estimate is None or not ok:
            continue
        written = w.estimate.in_flight_growth_bytes_per_second
        rate = lower_limit(broker_input.rate_bytes_per_second, w.throttle_bytes_per_second_max)
        ok = rate is None or written <= rate * PRODUCE_SHARE_MAX
    seen = f"producers write {written:,.0f} bytes/s to what moves at once on a broker"
    seen += ", and no throttle is set" if rate is None else f", the throttle is {rate:,} bytes/s"
    needed = f"at most {PRODUCE_SHARE_MAX:.0%} of the throttle"
    return CheckResult(code=Code.THROTTLE_TOO_LOW, ok=ok, seen=seen, needed=needed)


def no_foreign_throttle(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """No throttle of anyone else is set: it would slow our copies, or be cleared together with
    ours.
    """
    facts = broker_input.throttle
    own = own_throttle(
        facts,
        cluster_input.destinations | broker_input.migration_destinations,
        broker_input.throttle_rates_set,
    )
    rates = sorted(
        b for b, rate in facts.rates.items() if b not in own.rates and not rate.is_static
    )
    topics = sorted(topics_with_foreign_entries(facts, own))
    parts = []
    if rates:
        parts.append(f"rates on brokers {ids(rates)}")
    if topics:
        moving = {r.topic for r in cluster_input.reassignments}
        stale = [t for t in topics if t not in moving]
        state = f", {len(stale)} of them stale: nothing of them moves" if stale else ""
        parts.append(
            f"throttled replicas of {len(topics)} topics{state}: {listed(topics)} "
            f"({_owner(facts, topics)})"
        )
    seen = (
        f"set by someone else: {'; '.join(parts)}" if parts else "no throttle of anyone else is set"
    )
    return CheckResult(code=Code.FOREIGN_THROTTLE, ok=not parts, seen=seen, needed=NEEDED)


def no_static_throttle(_: ClusterCheckInput, broker_input: BrokerCheckInput) -> CheckResult:
    """No broker has a throttle in server.properties, which no request can remove."""
    static = [b for b, rate in broker_input.throttle.rates.items() if rate.is_static]
    seen = f"brokers {ids(static)} have one" if static else "no broker has one in its properties"
    return CheckResult(
        code=Code.STATIC_THROTTLE,
        ok=not static,
        seen=seen,
        needed="no throttle in server.properties",
    )


def broker_settings_match(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """Sources and destinations have the same protocol version, accept the same records and keep
    them as long.
    """
    return broker_settings.settings_match(
        broker_input.settings, cluster_input.sources | cluster_input.destinations
    )


def broker_ids_are_fixed(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """A destination keeps its broker id even if its volume is lost."""
    return broker_settings.broker_ids_are_fixed(broker_input.settings, cluster_input.destinations)


def reporters(cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput) -> CheckResult:
    """Cruise Control gets metrics from every destination."""
    return broker_settings.reporters(
        broker_input.settings,
        cluster_input.sources,
        cluster_input.destinations,
        broker_input.reporting,
    )


def listeners_reachable(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> CheckResult:
    """The advertised address of each destination accepts connections; clients will follow the
    leaders there.
    """
    gone = sorted(
        (b, why) for b, why in broker_input.unreachable.items() if b in cluster_input.destinations
    )
    seen = "; ".join(f"broker {b} at {why}" for b, why in gone[:EXAMPLES_MAX])
    if not gone:
        seen = "every destination broker takes a connection"
    return CheckResult(
        code=Code.LISTENER_UNREACHABLE, ok=not gone, seen=seen, needed="a TCP connection to each"
    )


CHECKS: tuple[tuple[str, Callable[[ClusterCheckInput, BrokerCheckInput], CheckResult]], ...] = (
    ("disk headroom", disk_headroom),
    ("replicas and network of the destinations", within_capacity_limits),
    ("throttle above what is produced", throttle_above_produce),
    ("room for a rollback", rollback_fits_disks),
    ("throttles of others", no_foreign_throttle),
    ("static throttles", no_static_throttle),
    ("broker settings alike", broker_settings_match),
    ("broker ids", broker_ids_are_fixed),
    ("Cruise Control's reporter", reporters),
    ("destination listeners", listeners_reachable),
)

# What can change while a wave moves, and can be seen without reading the configs of every topic.
WHILE_MOVING: tuple[Callable[[ClusterCheckInput, BrokerCheckInput], CheckResult], ...] = (
    disk_headroom,
    broker_settings_match,
    listeners_reachable,
)


def broker_reasons_to_pause(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> tuple[Reason, ...]:
    """Why a wave that moves should stop now; empty if it may go on."""
    return tuple(v.reason for one in WHILE_MOVING if not (v := one(cluster_input, broker_input)).ok)


def blocked_waves_of(
    cluster_input: ClusterCheckInput, broker_input: BrokerCheckInput
) -> tuple[BlockedWave, ...]:
    """What blocks single waves: brokers, AZs, disks and listeners. Everything else holds for all
    waves alike.
    """
    blocked = []
    for w in cluster_input.waves:
        one = replace(
            cluster_input, waves=(w,), cluster=replace(cluster_input.cluster, partitions=())
        )
        checks = (cluster_checks.brokers_alive, cluster_checks.racks_known, cluster_checks.same_az)
        check_results = [
            *(c(one) for c in checks),
            *(c(one, broker_input) for c in (disk_headroom, listeners_reachable)),
        ]
        if red := tuple(v.reason for v in check_results if not v.ok):
            blocked.append(BlockedWave(wave=w.number, reasons=red))
    return tuple(blocked[:BLOCKED_WAVES_MAX])


def _owner(facts: ThrottleFacts, topics: list[str]) -> str:
    """Which tool writes lists in this way (field notes, trap 3). KIP-73 stores no owner."""
    owners = set()
    for t in topics:
        leaders, followers = facts.leaders.get(t, frozenset()), facts.followers.get(t, frozenset())
        if leaders is None or followers is None:
            owners.add("`*`, set by hand")
        elif leaders == followers:
            owners.add("the same list for both ends, as Cruise Control sets them")
        elif leaders and followers:
            owners.add("only what is added follows, as kafka-reassign-partitions sets them")
        else:
            owners.add("one end only, set by hand")
    return "; ".join(sorted(owners))
