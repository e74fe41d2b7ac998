"""Kafka's replication throttle (KIP-73) as values: rates, throttled replicas, and which of them are
ours.

Pure. Leader lists name the replicas that may be copied from. Follower lists name only the replicas
being added, so that an in-sync replica which falls behind recovers at full speed (field notes, trap
3). Kafka throttles a replica only while it is not in sync.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.model.cluster import Partition
from agent.core.model.reasons import Code, Reason
from agent.core.model.words import EXAMPLES_MAX, listed

LEADER_RATE = "leader.replication.throttled.rate"
FOLLOWER_RATE = "follower.replication.throttled.rate"
LEADER_REPLICAS = "leader.replication.throttled.replicas"
FOLLOWER_REPLICAS = "follower.replication.throttled.replicas"

RATES_MAX = 10  # of different rates, in one observation
NEEDED = "no throttle set by anyone else"
# A list is Kafka's own form: `partition:broker`, comma separated; `*` means every replica.
Replicas = frozenset[tuple[int, int]]  # (partition, broker)
_NONE: Replicas = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleChange:
    """What to set or to clear: rates on brokers, and lists of replicas on topics."""

    # broker id -> bytes per second, both directions
    rates: Mapping[int, int] = field(default_factory=dict)
    leaders: Mapping[str, Replicas] = field(default_factory=dict)  # topic -> replicas that send
    # topic -> replicas that receive
    followers: Mapping[str, Replicas] = field(default_factory=dict)

    @property
    def entries(self) -> int:
        """The number of settings: each rate on a broker counts one, each throttled replica counts
        one.
        """
        lists = (*self.leaders.values(), *self.followers.values())
        return len(self.rates) + sum(len(replicas) for replicas in lists)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerRate:
    """The rates found on one broker, in bytes per second. `is_static`: set in server.properties,
    which no request can change.
    """

    leader: int | None
    follower: int | None
    is_static: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleFacts:
    """The throttle settings in Kafka's dynamic configs. None as a list of replicas stands
    for `*`.
    """

    rates: Mapping[int, BrokerRate] = field(default_factory=dict)
    leaders: Mapping[str, Replicas | None] = field(default_factory=dict)
    followers: Mapping[str, Replicas | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no rate and no throttled replica is set."""
        return not (self.rates or self.leaders or self.followers)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSeen:
    """One rate in force in either direction, and some of the brokers that have it."""

    bytes_per_second: int
    brokers: int
    broker_ids: tuple[int, ...]  # the first few


def wave_throttle(
    partitions: Iterable[Partition],
    replaced: Mapping[int, tuple[int, ...]],
    brokers: Iterable[int],
    rate_bytes_per_second: int,
) -> ThrottleChange:
    """The throttle for a wave.

    In: the partitions that will move; source -> possible destinations; the live brokers; the rate
    of each broker in bytes per second. Out: the rate for all live brokers, since any of them may be
    a leader; as leaders the replicas as they are now; as followers those that may be added.
    """
    leaders: dict[str, set[tuple[int, int]]] = defaultdict(set)
    followers: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for p in partitions:
        origin = p.origin
        added = {d for s in origin for d in replaced.get(s, ()) if d not in origin}
        if not added:
            continue
        leaders[p.topic].update((p.partition, r) for r in origin)
        followers[p.topic].update((p.partition, d) for d in added)
    return ThrottleChange(
        rates=dict.fromkeys(brokers, rate_bytes_per_second),
        leaders={t: frozenset(r) for t, r in leaders.items()},
        followers={t: frozenset(r) for t, r in followers.items()},
    )


def own_throttle(
    facts: ThrottleFacts, destinations: Iterable[int], throttle_rates_set: Iterable[int]
) -> ThrottleChange:
    """The part of the throttle in force that this migration has set.

    In: the throttle in force, the destinations of the migration, and every rate it has ever set, in
    bytes per second. A rate is ours if the migration has set that value; static rates never are.
    The entries of a partition are ours if they include one of the destinations, since only a move
    to it throttles that replica.
    """
    to, rates = frozenset(destinations), frozenset(throttle_rates_set)
    moved: dict[str, set[int]] = defaultdict(set)
    for lists in (facts.followers, facts.leaders):
        for topic, replicas in lists.items():
            moved[topic].update(partition for partition, broker in replicas or () if broker in to)

    def own(lists: Mapping[str, Replicas | None]) -> dict[str, Replicas]:
        kept = {
            t: frozenset(r for r in replicas or () if r[0] in moved[t])
            for t, replicas in lists.items()
        }
        return {t: replicas for t, replicas in kept.items() if replicas}

    return ThrottleChange(
        rates={
            b: rate
            for b, found in facts.rates.items()
            if not found.is_static and (rate := found.leader or found.follower or 0) in rates
        },
        leaders=own(facts.leaders),
        followers=own(facts.followers),
    )


def rates_seen(facts: ThrottleFacts) -> tuple[RateSeen, ...]:
    """Every rate in force, the one with the most brokers first. The migration state knows which of
    them are ours.
    """
    having: dict[int, list[int]] = defaultdict(list)
    for broker, found in sorted(facts.rates.items()):
        for rate in {found.leader, found.follower} - {None}:
            having[rate or 0].append(broker)
    seen = (
        RateSeen(
            bytes_per_second=rate, brokers=len(brokers), broker_ids=tuple(brokers[:EXAMPLES_MAX])
        )
        for rate, brokers in having.items()
    )
    return tuple(sorted(seen, key=lambda rate: (-rate.brokers, rate.bytes_per_second))[:RATES_MAX])


def foreign_rates(
    seen: Iterable[RateSeen], throttle_rates_set: Iterable[int]
) -> tuple[Reason, ...]:
    """A reason if a rate is in force that this migration has never set: something else has
    overwritten the throttle, or set one where we set none.
    """
    own = frozenset(throttle_rates_set)
    strange = [r for r in seen if r.bytes_per_second not in own]
    if not strange:
        return ()
    found = "; ".join(
        f"{r.bytes_per_second:,} bytes/s on brokers {listed(r.broker_ids, r.brokers)}"
        for r in strange[:EXAMPLES_MAX]
    )
    return (
        Reason(Code.FOREIGN_THROTTLE, f"set by someone else while the wave moves: {found}", NEEDED),
    )


def foreign_replica_lists(facts: ThrottleFacts, destinations: Iterable[int]) -> tuple[Reason, ...]:
    """A reason if a list has entries that no move of this migration made: `*`, or replicas that go
    elsewhere.
    """
    topics = sorted(topics_with_foreign_entries(facts, own_throttle(facts, destinations, ())))
    if not topics:
        return ()
    seen = f"throttled replicas of topics that move were listed by someone else: {listed(topics)}"
    return (Reason(Code.FOREIGN_THROTTLE, seen, NEEDED),)


def topics_with_foreign_entries(facts: ThrottleFacts, own: ThrottleChange) -> set[str]:
    """Topics with an entry that is not ours; a `*` (None) never is."""
    both_lists = ((facts.leaders, own.leaders), (facts.followers, own.followers))
    return {
        t
        for found, mine in both_lists
        for t, listed in found.items()
        if listed is None or listed - mine.get(t, _NONE)
    }


def parse_replicas(text: str) -> Replicas | None:
    """Parse Kafka's form `partition:broker,...`. Returns None for `*`; raises ValueError for
    anything else.
    """
    if text.strip() == "*":
        return None
    pairs = (entry.split(":") for entry in text.split(",") if entry)
    return frozenset((int(partition), int(broker)) for partition, broker in pairs)


def render_replicas(replicas: Replicas) -> str:
    """Write Kafka's form `partition:broker,...`, sorted, so that equal sets give equal texts."""
    return ",".join(f"{partition}:{broker}" for partition, broker in sorted(replicas))
