"""The standing watches: observe a moving wave, or drained brokers, and post the observations.

Called by performer.py.

The cost of an observation depends on what is in flight. Full metadata is read only when a decision
needs it: when a broker of the wave has gone or returned, and from time to time for unhealthy
partitions elsewhere, as often as its cost allows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import broker_checks, check_input, cluster_checks
from agent.core.model.cluster import Broker, ClusterFacts, TopicPartition
from agent.core.planning.plan import Direction
from agent.core.planning.selection import EVERYTHING
from agent.performer import reassign
from agent.performer.coordinator_watch import CoordinatorWatch
from agent.performer.mover_status import MoverLook
from agent.performer.offload import gc_paused, run_off_loop
from agent.performer.ports import KafkaPort, PortError
from agent.performer.throttle_watch import WaveThrottleWatch
from agent.performer.wave_logs import WaveLogs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agent.core.checks.verification import Snapshot
    from agent.core.migration import Migration
    from agent.core.model.cluster import Reassignment
    from agent.core.model.reasons import Reason
    from agent.performer.ports import Ports, Post

WAVE_SECONDS = 1.0
SOURCES_SECONDS = 3.0
HEALTH_SECONDS = 2.0  # how often moving and unhealthy partitions are checked
# Full metadata is read at most this often, and takes at most 1 / FULL_METADATA_SHARE of the time.
FULL_METADATA_SECONDS = 2.0
FULL_METADATA_SHARE = 20.0
UNHEALTHY_MAX = 1_000  # partitions that are checked again; one is enough for a pause
BROKERS_SECONDS = 15.0  # how often each broker of the wave is asked for settings and listeners


def partitions_moved_by(
    scope: fx.WaveScope, migration: Migration, snapshot: Snapshot
) -> frozenset[TopicPartition]:
    """Return the partitions that the wave moves.

    They are the partitions that its forward source held before the start, as far as the wave takes
    them.
    """
    wave = next((w for w in migration.waves if w.number == scope.wave), None)
    back = wave is not None and wave.direction is Direction.BACK
    held = frozenset(scope.destination_broker_ids if back else scope.source_broker_ids)
    is_selected = (scope.selection or EVERYTHING).contains
    # Partitions that lanes of the same pair have moved before are not progress of a whole wave.
    way = (scope.source_broker_ids, scope.destination_broker_ids)
    lanes = [
        w
        for w in migration.waves
        if w.selection and (w.source_broker_ids, w.destination_broker_ids) == way
    ]
    others = [
        (w.selection or EVERYTHING).contains for w in lanes if scope.selection is None and not back
    ]
    return frozenset(
        name
        for name, replicas in snapshot.items()
        if not held.isdisjoint(replicas)
        and is_selected(name)
        and not any(other(name) for other in others)
    )


class WaveWatch:
    """Watches one attempt of one wave."""

    def __init__(
        self,
        ports: Ports,
        watch: fx.WatchWave,
        migration: Migration,
        moved_names: frozenset[TopicPartition],
    ) -> None:
        self._ports = ports
        self._scope = watch.scope
        self._m = migration
        self._sources = frozenset(watch.scope.source_broker_ids)
        self._destinations = frozenset(watch.scope.destination_broker_ids)
        self._coordinators = CoordinatorWatch(ports, self._sources | self._destinations)
        self._throttle = WaveThrottleWatch(ports, watch.scope, throttled=watch.throttled)
        self._is_selected = (watch.scope.selection or EVERYTHING).contains
        is_selected = self._is_selected if watch.scope.selection else None
        self._logs = WaveLogs(
            ports.kafka, ports.clock, self._sources, self._destinations, moved_names, is_selected
        )
        self._pause_reasons: tuple[Reason, ...] = ()
        self._health_due = 0.0
        self._mover = MoverLook(ports, watch.scope, migration)
        self._brokers_due = 0.0
        self._settings: Mapping[int, Mapping[str, str]] = {}
        self._unreachable: Mapping[int, str] = {}
        self._full_metadata_due = 0.0
        self._gone: frozenset[int] = frozenset()
        # from the last check of the whole cluster
        self._unhealthy: frozenset[TopicPartition] = frozenset()
        self._min_isr: Mapping[str, int] = {}
        self._assigned = 0  # replicas assigned to the sources, from that check
        # replicas on a source's disks that no assignment names
        self._stray: frozenset[tuple[int, TopicPartition]] = frozenset()
        self._stray_due = 0.0

    async def run(self, post: Post) -> None:
        """Observe the wave every WAVE_SECONDS and post what is seen, until cancelled."""
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
            in_flight = await kafka.reassignments()
            ours = reassign.own_reassignments(in_flight, self._scope)
            moving = {TopicPartition(r.topic, r.partition) for r in ours}
            await self._logs.refresh(alive, moving)
            await self._read_broker_settings(alive)
            await self._health(alive, in_flight, moving)
            throttle = await self._throttle.observe(alive, ours)
            coordinators = await self._coordinators.observe(alive, moving)
            totals = self._logs.totals(moving)
            left = await self._replicas_left(totals.replicas_left, moving)
        except PortError:
            # Nothing is known, so nothing is posted; the lease and the broker watch report a loss.
            return None
        mover = await self._mover.look(len(ours), left)
        return msg.WaveObserved(
            at=self._ports.clock.now(),
            wave=self._scope.wave,
            attempt=self._scope.attempt,
            replicas_left=left,
            bytes_left=totals.bytes_left,
            bytes_moved=totals.bytes_moved,
            moving=len(ours),
            executor=mover.executor,
            task=mover.task,
            trouble=mover.trouble,
            reasons=(*self._pause_reasons, *throttle.reasons, *coordinators),
            rates=throttle.rates,
            silent=bool(self._logs.silent),
            stopped_by=mover.stopped_by,
        )

    async def _replicas_left(self, on_disk: int, moving: Collection[TopicPartition]) -> int:
        """The number of replicas on the sources, by the log dirs and without stray ones.

        While a source does not answer, it is the number of assigned replicas instead.
        """
        if self._logs.silent:
            return self._assigned
        clock = self._ports.clock
        if on_disk and not moving and clock.now() >= self._stray_due:
            began = clock.now()
            self._stray = await stray_replicas(self._ports.kafka, self._logs.held)
            self._stray_due = clock.now() + max(
                HEALTH_SECONDS, (clock.now() - began) * FULL_METADATA_SHARE
            )
        held = self._logs.held
        self._stray = frozenset(
            (b, name) for b, name in self._stray if name in held[b] and name not in moving
        )
        return on_disk - len(self._stray)

    async def _read_broker_settings(self, alive: Mapping[int, str | None]) -> None:
        """Read, when due, the settings of the brokers and whether they can be reached."""
        clock = self._ports.clock
        if clock.now() < self._brokers_due:
            return
        self._brokers_due = clock.now() + BROKERS_SECONDS
        self._settings = await self._ports.kafka.broker_settings(
            (self._sources | self._destinations) & alive.keys()
        )
        self._unreachable = await self._ports.kafka.unreachable(self._destinations & alive.keys())

    async def _health(
        self,
        alive: Mapping[int, str | None],
        in_flight: Sequence[Reassignment],
        moving: Collection[TopicPartition],
    ) -> None:
        """Find the reasons to pause.

        Checks the whole cluster when that is due, else the partitions that move or were unhealthy.
        """
        clock = self._ports.clock
        gone = (self._sources | self._destinations | self._m.brokers_of_open_waves) - alive.keys()
        began = clock.now()
        if (
            gone != self._gone
            or began >= self._full_metadata_due
            or (self._logs.silent and not self._assigned)
        ):
            with gc_paused():
                facts = await self._ports.kafka.cluster()
                await run_off_loop(
                    len(facts.partitions), self._check_whole_cluster, facts, in_flight, moving
                )
                del facts  # free it before the garbage collector is switched on again
            self._gone = gone
            self._full_metadata_due = clock.now() + max(
                FULL_METADATA_SECONDS, (clock.now() - began) * FULL_METADATA_SHARE
            )
        elif began >= self._health_due:
            some = await self._ports.kafka.describe({*moving, *self._unhealthy})
            brokers = tuple(Broker(b, rack) for b, rack in sorted(alive.items()))
            facts = ClusterFacts(brokers, tuple(some), self._min_isr)
            self._pause_reasons = await run_off_loop(
                self._logs.sizes, self._find_pause_reasons, facts, in_flight, moving
            )
        else:
            return
        self._health_due = clock.now() + HEALTH_SECONDS

    def _check_whole_cluster(
        self,
        facts: ClusterFacts,
        in_flight: Sequence[Reassignment],
        moving: Collection[TopicPartition],
    ) -> None:
        self._pause_reasons = self._find_pause_reasons(facts, in_flight, moving)
        self._min_isr = facts.min_isr
        # A replica that is leaving counts until it has left, as in stray_replicas().
        here = (p for p in facts.partitions if not self._sources.isdisjoint(p.replicas))
        self._assigned = sum(1 for p in here if self._is_selected(p.name))
        unhealthy = (p.name for p in facts.partitions if p.is_under_replicated or p.is_offline)
        self._unhealthy = frozenset(islice(unhealthy, UNHEALTHY_MAX))

    def _find_pause_reasons(
        self,
        facts: ClusterFacts,
        in_flight: Sequence[Reassignment],
        moving: Collection[TopicPartition],
    ) -> tuple[Reason, ...]:
        wave = next(w for w in self._m.waves if w.number == self._scope.wave)
        cluster_input = check_input.ClusterCheckInput(
            cluster=facts,
            # Before the wave, the check has shown that the growth fits.
            waves=(replace(wave, estimate=None),),
            cruise_control=check_input.CruiseControlFacts(
                reachable=True, self_healing=self._mover.self_healing
            ),
            reassignments=in_flight,
            needed_later=self._m.brokers_of_open_waves,
            rollback_brokers=self._m.rollback_brokers,
        )
        broker_input = check_input.BrokerCheckInput(
            logs=self._logs.remaining_logs(moving),
            settings=self._settings,
            unreachable=self._unreachable,
        )
        return (
            *cluster_checks.reasons_to_pause(cluster_input),
            *broker_checks.broker_reasons_to_pause(cluster_input, broker_input),
        )


async def stray_replicas(
    kafka: KafkaPort, held: Mapping[int, Mapping[TopicPartition, int]]
) -> frozenset[tuple[int, TopicPartition]]:
    """Return the replicas on these brokers' disks that no assignment has there. Raises PortError.

    Nothing depends on them. A replica that is leaving is assigned until it has left; otherwise a
    wave that begins during the check would seem to be drained. Only metadata of the partitions
    found on disk is read, and a drained broker has almost none.
    """
    names = {name for sizes in held.values() for name in sizes}
    if not names:
        return frozenset()
    assigned = {(b, p.name) for p in await kafka.describe(names) for b in p.replicas}
    return frozenset(
        (b, name) for b, sizes in held.items() for name in sizes if (b, name) not in assigned
    )


class SourceWatch:
    """Watches drained brokers until they have left the cluster."""

    def __init__(self, ports: Ports, watch: fx.WatchSources) -> None:
        self._ports = ports
        self._brokers = watch.source_broker_ids
        # brokers that do not answer -> replicas that assignments have on them
        self._missing: dict[int, int] = {}
        self._full_metadata_due = 0.0

    async def run(self, post: Post) -> None:
        """Observe the brokers every SOURCES_SECONDS and post what is seen, until cancelled."""
        while True:
            if (seen := await self._look()) is not None:
                await post(seen)
            await self._ports.clock.sleep(SOURCES_SECONDS)

    async def _look(self) -> msg.SourcesObserved | None:
        kafka = self._ports.kafka
        try:
            alive = await kafka.alive()
            logs = await kafka.logs(b for b in self._brokers if b in alive)
            sizes = {b: log.size_bytes for b, log in logs.items()}
            stray = [b for b, _ in await stray_replicas(kafka, sizes)]
            held = {b: len(found) - stray.count(b) for b, found in sizes.items()}
            held |= await self._assigned_to(frozenset(self._brokers) - held.keys())
        except PortError:
            return None
        return msg.SourcesObserved(
            at=self._ports.clock.now(),
            replicas=tuple(sorted(held.items())),
            alive=tuple(sorted(b for b in self._brokers if b in alive)),
        )

    async def _assigned_to(self, missing: frozenset[int]) -> dict[int, int]:
        """The numbers of replicas that are assigned to brokers which do not answer.

        A broker with assigned replicas has not left for good. Full metadata is read when another
        broker is missing, and then as often as its cost allows, because no replicas are assigned
        to a broker that is gone.
        """
        clock = self._ports.clock
        began = clock.now()
        if missing - self._missing.keys() or (missing and began >= self._full_metadata_due):
            with gc_paused():
                facts = await self._ports.kafka.cluster()
                self._missing = await run_off_loop(
                    len(facts.partitions), _replicas_assigned_to, missing, facts
                )
                del facts
            self._full_metadata_due = clock.now() + max(
                FULL_METADATA_SECONDS, (clock.now() - began) * FULL_METADATA_SHARE
            )
        return {b: self._missing[b] for b in missing}


def _replicas_assigned_to(brokers: frozenset[int], facts: ClusterFacts) -> dict[int, int]:
    held = dict.fromkeys(brokers, 0)
    for p in facts.partitions:
        for b in brokers.intersection(p.replicas):
            held[b] += 1
    return held
