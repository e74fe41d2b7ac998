"""What must hold before a start, over and above safety.py: it costs too much, or changes too seldom, for every wave.

Called by survey.py with what it has gathered. Pure: facts in, verdicts out, all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.core.cluster import BrokerLogs
from agent.core.reasons import Code, Verdict
from agent.core.safety import EXAMPLES_MAX, World, titled
from agent.core.throttle import Replicas, ThrottleFacts, ours

# What must be left free on a destination, in parts of what comes to it: it grows while it is copied.
HEADROOM = 0.1
# Other values on one side than on the other break replication, or refuse records that were accepted before the move.
ALIKE_SETTINGS = ("inter.broker.protocol.version", "message.max.bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was gathered for these checks alone."""

    logs: Mapping[int, BrokerLogs] = field(default_factory=dict)  # of sources and destinations that answered
    throttle: ThrottleFacts = field(default_factory=ThrottleFacts)  # of all brokers and topics
    own_rates: tuple[int, ...] = ()  # every rate that we have ever set here
    own_destinations: frozenset[int] = frozenset()  # of the waves of the last migration
    settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)  # broker id -> name -> value
    unreachable: Mapping[int, str] = field(default_factory=dict)  # broker id -> its address, and why


def check(world: World, found: Findings) -> tuple[Verdict, ...]:
    """All verdicts, in the order an operator reads them."""
    return tuple(titled(title, one(world, found)) for title, one in CHECKS)


def replicas_above_min_isr(world: World, _: Findings) -> Verdict:
    """RF must be above min ISR, or one slow broker stops producers. A single replica is its owner's choice."""
    min_isr = world.cluster.min_isr
    spread = [p for p in world.cluster.partitions if len(p.origin) > 1]
    tight = sorted({p.topic for p in spread if len(p.origin) <= min_isr.get(p.topic, 1)})
    single = len(world.cluster.partitions) - len(spread)
    seen = "every topic can spare a replica"
    if tight:
        seen = f"{len(tight)} topics cannot spare a replica: {_some(tight)}"
    elif single:
        seen += f", but for {single} partitions with only one"
    return Verdict(code=Code.RF_EQUALS_MIN_ISR, ok=not tight, seen=seen, needed="RF above min.insync.replicas")


def disk_headroom(world: World, found: Findings) -> Verdict:
    """Nothing is freed on the way: a destination needs room for all that comes to it."""
    short: list[str] = []
    unknown: set[int] = set()
    for w in world.waves:
        comes = sum(found.logs[b].figures.size_bytes for b in w.source_broker_ids if b in found.logs)
        free = {b: found.logs[b].free_bytes if b in found.logs else -1 for b in w.destination_broker_ids}
        silent = {b for b, there in free.items() if there < 0}
        unknown |= silent
        share = comes / max(len(free), 1)
        for b, there in sorted(free.items()):
            if b not in silent and there < share * (1 + HEADROOM):
                short.append(f"broker {b} has {there:,} bytes free, {share:,.0f} would come")
    seen = "; ".join(short[:EXAMPLES_MAX]) if short else "there is room on every destination broker that tells"
    if unknown:
        seen += f" (not told by brokers {_ids(unknown)})"
    needed = f"what comes and {HEADROOM:.0%} more"
    return Verdict(code=Code.DISK_HEADROOM, ok=not short, seen=seen, needed=needed)


def no_foreign_throttle(world: World, found: Findings) -> Verdict:
    """A throttle of someone else would hold our copies back, or be cleared with ours."""
    facts = found.throttle
    own = ours(facts, world.destinations | found.own_destinations, found.own_rates)
    rates = sorted(b for b, rate in facts.rates.items() if b not in own.rates and not rate.is_static)
    topics = sorted(
        _not_in(facts.leaders, own.leaders) | _not_in(facts.followers, own.followers),
    )
    parts = []
    if rates:
        parts.append(f"rates on brokers {_ids(rates)}")
    if topics:
        parts.append(f"throttled replicas of {len(topics)} topics: {_some(topics)}")
    seen = f"set by someone else: {'; '.join(parts)}" if parts else "no throttle of someone else is set"
    return Verdict(code=Code.FOREIGN_THROTTLE, ok=not parts, seen=seen, needed="no throttle that is not ours")


def no_static_throttle(_: World, found: Findings) -> Verdict:
    """No request can take it away."""
    static = [b for b, rate in found.throttle.rates.items() if rate.is_static]
    seen = f"brokers {_ids(static)} have one" if static else "no broker has one in its properties"
    return Verdict(code=Code.STATIC_THROTTLE, ok=not static, seen=seen, needed="no throttle in server.properties")


def settings_alike(world: World, found: Findings) -> Verdict:
    """Both sides speak the same protocol version and take records of the same size."""
    differ = []
    for name in ALIKE_SETTINGS:
        having: dict[str, list[int]] = {}
        for b in sorted(world.sources | world.destinations):
            value = found.settings.get(b, {}).get(name)
            if value is not None:
                having.setdefault(value, []).append(b)
        if len(having) > 1:
            differ.append(f"{name}: " + "; ".join(f"{value} on {_ids(b)}" for value, b in sorted(having.items())))
    seen = ", ".join(differ) if differ else "both sides agree on " + " and ".join(ALIKE_SETTINGS)
    return Verdict(code=Code.BROKER_SETTINGS_DIFFER, ok=not differ, seen=seen, needed="the same on all brokers")


def listeners_reachable(world: World, found: Findings) -> Verdict:
    """Clients will follow the leaders to the destinations' advertised addresses."""
    gone = sorted((b, why) for b, why in found.unreachable.items() if b in world.destinations)
    seen = "; ".join(f"broker {b} at {why}" for b, why in gone[:EXAMPLES_MAX])
    if not gone:
        seen = "every destination broker takes a connection"
    return Verdict(code=Code.LISTENER_UNREACHABLE, ok=not gone, seen=seen, needed="a TCP connection to each")


CHECKS: tuple[tuple[str, Callable[[World, Findings], Verdict]], ...] = (
    ("replication factor above min ISR", replicas_above_min_isr),
    ("disk headroom", disk_headroom),
    ("throttles of others", no_foreign_throttle),
    ("static throttles", no_static_throttle),
    ("broker settings alike", settings_alike),
    ("destination listeners", listeners_reachable),
)


def _not_in(found: Mapping[str, Replicas | None], own: Mapping[str, Replicas]) -> set[str]:
    """Topics with an entry that is not ours; None stands for `*`, which never is."""
    return {t for t, listed in found.items() if listed is None or listed - own.get(t, frozenset())}


def _ids(brokers: "set[int] | list[int]") -> str:
    return ", ".join(str(b) for b in sorted(brokers))


def _some(topics: list[str]) -> str:
    more = f" and {len(topics) - EXAMPLES_MAX} more" if len(topics) > EXAMPLES_MAX else ""
    return ", ".join(topics[:EXAMPLES_MAX]) + more
