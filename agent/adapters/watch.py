"""The standing watches: look at a moving wave, or at drained brokers, and post what is seen. Called by perform.py.

A look costs by what is in flight; full metadata is fetched only as often as its cost allows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.adapters.aside import aside
from agent.adapters.ports import KafkaPort, PortError
from agent.core import effects as fx
from agent.core import fitness, safety, throttle
from agent.core import messages as msg
from agent.core.plan import Direction
from agent.core.reasons import Code, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.adapters.perform import Ports, Post
    from agent.core.cluster import BrokerLogs, ClusterFacts, Reassignment, TopicPartition
    from agent.core.migration import Migration
    from agent.core.proof import Snapshot

WAVE_SECONDS = 1.0
SOURCES_SECONDS = 3.0
SWEEP_SECONDS = 10.0
# Full metadata at most this often, and never for more than a twentieth of the time.
HEALTH_SECONDS = 2.0
HEALTH_SHARE = 20.0
THROTTLE_SECONDS = 5.0
BROKERS_SECONDS = 15.0  # settings and listeners: asked of each broker of the wave


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    replicas_left: int
    bytes_left: int
    bytes_moved: int


def moved_by(scope: fx.WaveScope, migration: Migration, snapshot: Snapshot) -> frozenset[TopicPartition]:
    """What the wave moves: the partitions that its forward source held before the start."""
    wave = next((w for w in migration.waves if w.number == scope.wave), None)
    back = wave is not None and wave.direction is Direction.BACK
    held = frozenset(scope.destination_broker_ids if back else scope.source_broker_ids)
    return frozenset(name for name, replicas in snapshot.items() if not held.isdisjoint(replicas))


class WaveWatch:
    """Looks at one attempt of one wave."""

    def __init__(
        self, ports: Ports, watch: fx.WatchWave, migration: Migration, moved_names: frozenset[TopicPartition]
    ) -> None:
        self._ports = ports
        self._scope = watch.scope
        self._throttled = watch.throttled
        self._m = migration
        self._sources = frozenset(watch.scope.source_broker_ids)
        self._destinations = frozenset(watch.scope.destination_broker_ids)
        self._moved_names = moved_names
        self._unsafe: tuple[Reason, ...] = ()
        self._health_due = 0.0
        self._throttle_due = 0.0
        self._throttle_reason: tuple[Reason, ...] = ()
        self._self_healing: tuple[str, ...] = ()
        self._brokers_due = 0.0
        self._settings: Mapping[int, Mapping[str, str]] = {}
        self._unreachable: Mapping[int, str] = {}
        self._settled: dict[TopicPartition, int] = {}  # what has arrived, at its size then: producers make it grow

    async def run(self, post: Post) -> None:
        """Until cancelled."""
        clock = self._ports.clock
        while True:
            began = clock.now()
            if (seen := await self._look()) is not None:
                await post(seen)
            await clock.sleep(max(WAVE_SECONDS - (clock.now() - began), 0.05))

    async def _look(self) -> msg.WaveObserved | None:
        kafka = self._ports.kafka
        try:
            alive = await kafka.alive()
            flying = await kafka.reassignments()
            logs = await kafka.logs(b for b in self._sources | self._destinations if b in alive)
            await self._ask_brokers(alive)
            facts = await self._health(alive, flying, logs)
            if facts is None and self._sources - logs.keys():
                facts = await kafka.cluster()  # a source that does not answer is counted by its assignments
            await self._check_throttle(flying)
            figures = self._figures(logs, flying, facts)
            ours = sum(safety.is_ours(r, self._sources, self._destinations) for r in flying)
            if not ours and figures.replicas_left and self._sources <= logs.keys():
                here = await assigned_here(kafka, logs, self._sources)
                figures = replace(figures, replicas_left=sum(here.values()))
        except PortError:
            return None  # nothing is known, so nothing is said; the lease and the broker watch speak up by themselves
        executor, task = await self._cruise_control()
        return msg.WaveObserved(
            at=self._ports.clock.now(),
            wave=self._scope.wave,
            attempt=self._scope.attempt,
            replicas_left=figures.replicas_left,
            bytes_left=figures.bytes_left,
            bytes_moved=figures.bytes_moved,
            moving=ours,
            executor=executor,
            task=task,
            reasons=(*self._unsafe, *self._throttle_reason),
        )

    async def _ask_brokers(self, alive: Mapping[int, str | None]) -> None:
        """What can change on the brokers themselves: settings, and whether they can be reached."""
        clock = self._ports.clock
        if clock.now() < self._brokers_due:
            return
        self._brokers_due = clock.now() + BROKERS_SECONDS
        self._settings = await self._ports.kafka.broker_settings((self._sources | self._destinations) & alive.keys())
        self._unreachable = await self._ports.kafka.unreachable(self._destinations & alive.keys())

    async def _health(
        self, alive: Mapping[int, str | None], flying: Sequence[Reassignment], logs: Mapping[int, BrokerLogs]
    ) -> ClusterFacts | None:
        """Full metadata when it is due, or at once when a broker of the wave is gone."""
        clock = self._ports.clock
        gone = (self._sources | self._destinations | self._m.brokers_to_come) - alive.keys()
        if not gone and clock.now() < self._health_due:
            return None
        began = clock.now()
        facts = await self._ports.kafka.cluster()
        self._health_due = clock.now() + max(HEALTH_SECONDS, (clock.now() - began) * HEALTH_SHARE)
        wave = next(w for w in self._m.waves if w.number == self._scope.wave)
        world = safety.World(
            cluster=facts,
            waves=(replace(wave, estimate=None),),  # what producers add was seen to fit before the wave
            cruise_control=safety.CruiseControlFacts(reachable=True, self_healing=self._self_healing),
            reassignments=flying,
            needed_later=self._m.brokers_to_come,
            way_back=self._m.way_back,
        )
        findings = fitness.Findings(
            logs=self._still_to_come(logs, flying), settings=self._settings, unreachable=self._unreachable
        )
        unsafe = await aside(len(facts.partitions), safety.unsafe, world)
        self._unsafe = (*unsafe, *fitness.unfit(world, findings))
        return facts

    def _still_to_come(self, logs: Mapping[int, BrokerLogs], flying: Sequence[Reassignment]) -> dict[int, BrokerLogs]:
        """The sources' logs without what of them has been copied already: only the rest needs room."""
        moving = {(r.topic, r.partition) for r in flying}
        arrived: dict[TopicPartition, int] = {}
        for b in self._destinations & logs.keys():
            arrived.update((n, size) for n, size in logs[b].size_bytes.items() if n in moving)
        rest = dict(logs)
        for b in self._sources & logs.keys():
            left = {n: max(size - arrived.get(n, 0), 0) for n, size in logs[b].size_bytes.items()}
            rest[b] = replace(logs[b], size_bytes=left)
        return rest

    async def _check_throttle(self, flying: Sequence[Reassignment]) -> None:
        """What we set must still be set, on the brokers and for what is in flight."""
        clock = self._ports.clock
        if not self._throttled or clock.now() < self._throttle_due:
            return
        self._throttle_due = clock.now() + THROTTLE_SECONDS
        ours = [r for r in flying if safety.is_ours(r, self._sources, self._destinations)]
        found = await self._ports.kafka.throttle(self._destinations, {r.topic for r in ours})
        bare = [b for b in self._destinations if b not in found.rates]
        unlisted = [
            r
            for r in ours
            if (listed := found.followers.get(r.topic, frozenset())) is not None
            and not {(r.partition, b) for b in r.adding} <= listed
        ]
        self._throttle_reason = ()
        if bare or unlisted:
            seen = f"no rate on brokers {bare}" if bare else f"{len(unlisted)} moving partitions are not listed"
            self._throttle_reason = (Reason(Code.THROTTLE_NOT_IN_FORCE, seen, "the throttle that was set"),)

    async def _cruise_control(self) -> tuple[msg.Executor, msg.TaskStatus]:
        cc = self._ports.cruise_control
        try:
            state = await cc.state(self._m.migration_id)
            self._self_healing = state.self_healing
            tasks = await cc.user_tasks(self._scope.key)
        except PortError:
            return msg.Executor.UNREACHABLE, msg.TaskStatus.NONE
        return state.executor, tasks[-1].status if tasks else msg.TaskStatus.NONE

    def _figures(
        self, logs: Mapping[int, BrokerLogs], flying: Sequence[Reassignment], facts: ClusterFacts | None
    ) -> _Figures:
        moving = {(r.topic, r.partition) for r in flying}
        arrived: dict[TopicPartition, int] = {}
        for b in self._destinations & logs.keys():
            for name, size in logs[b].size_bytes.items():
                if name in self._moved_names:
                    arrived[name] = max(size, arrived.get(name, 0))
        for name in arrived.keys() - moving:
            arrived[name] = self._settled.setdefault(name, arrived[name])
        here = [log for b, log in logs.items() if b in self._sources]
        held = sum(len(log.size_bytes) for log in here)
        if self._sources - logs.keys() and facts is not None:
            held = sum(1 for _ in facts.held_by(self._sources))
        left = sum(
            max(size - (arrived.get(name, 0) if name in moving else 0), 0)
            for log in here
            for name, size in log.size_bytes.items()
        )
        return _Figures(replicas_left=held, bytes_left=left, bytes_moved=sum(arrived.values()))


async def assigned_here(kafka: KafkaPort, logs: Mapping[int, BrokerLogs], brokers: frozenset[int]) -> dict[int, int]:
    """Replicas on these brokers that an assignment names; logs that none names are strays, and nothing depends on them.

    Only the partitions found on disk are asked for: next to none on a broker that is drained.
    """
    names = {name for b in brokers & logs.keys() for name in logs[b].size_bytes}
    held = dict.fromkeys(brokers & logs.keys(), 0)
    for p in await kafka.describe(names) if names else ():
        for b in held.keys() & set(p.target):
            held[b] += 1
    return held


class SourceWatch:
    """Looks at drained brokers until they have left."""

    def __init__(self, ports: Ports, watch: fx.WatchSources) -> None:
        self._ports = ports
        self._brokers = watch.source_broker_ids

    async def run(self, post: Post) -> None:
        """Until cancelled."""
        while True:
            if (seen := await self._look()) is not None:
                await post(seen)
            await self._ports.clock.sleep(SOURCES_SECONDS)

    async def _look(self) -> msg.SourcesObserved | None:
        kafka = self._ports.kafka
        try:
            alive = await kafka.alive()
            logs = await kafka.logs(b for b in self._brokers if b in alive)
            held = await assigned_here(kafka, logs, frozenset(self._brokers))
            if set(self._brokers) - held.keys():
                # A broker that has left may still be named in assignments: then it has not left for good.
                facts = await kafka.cluster()
                for b in set(self._brokers) - held.keys():
                    held[b] = sum(1 for _ in facts.held_by(frozenset({b})))
        except PortError:
            return None
        return msg.SourcesObserved(
            at=self._ports.clock.now(),
            replicas=tuple(sorted(held.items())),
            alive=tuple(sorted(b for b in self._brokers if b in alive)),
        )


class ThrottleWatch:
    """Clears our throttle where it comes back: a broker that was down kept its setting, and only it can change it."""

    def __init__(self, ports: Ports, watch: fx.WatchThrottle) -> None:
        self._ports = ports
        self._destinations = watch.destination_broker_ids
        self._own_rates = watch.own_rates
        self._clean: frozenset[int] = frozenset()

    async def run(self, post: Post) -> None:
        """Until cancelled."""
        while True:
            if (swept := await self._look()) is not None:
                await post(swept)
            await self._ports.clock.sleep(SWEEP_SECONDS)

    async def _look(self) -> msg.ThrottleSwept | None:
        """Only brokers that were not seen clean since they came are asked."""
        kafka = self._ports.kafka
        try:
            alive = frozenset(await kafka.alive())
            doubtful = alive - self._clean
            if doubtful and self._ports.lease.held():
                # Lists belong to topics: they can be cleared whoever is down, and are looked at with the first look.
                found = await kafka.throttle(doubtful, None if not self._clean else ())
                order = throttle.ours(found, self._destinations, self._own_rates)
                self._clean = alive
                if order.entries:
                    self._clean = frozenset()
                    await kafka.clear_throttle(order)
                    return msg.ThrottleSwept(
                        at=self._ports.clock.now(), entries=order.entries, broker_ids=tuple(sorted(order.rates))
                    )
            self._clean &= alive
        except PortError:
            return None
        return None
