"""Stops a wave: stops its mover, waits until nothing of it moves, and cleans up.

Part of performer.py. A pause waits for the stop, so it sends no more requests than it needs: each
costs time on brokers that may be overloaded, and Cruise Control takes only a few.
"""

from dataclasses import dataclass, field, replace

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import verification
from agent.core.migration import Migration
from agent.core.model.cluster import BrokerLogs, ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.core.planning.selection import EVERYTHING
from agent.performer import reassign, replica_order, wave_throttle
from agent.performer.offload import freeze_heap, gc_paused, run_off_loop
from agent.performer.ports import PortError, Ports

# How long one stop waits; then its outcome is Busy, and the core requests it again.
STOP_SECONDS_MAX = 30.0
STOP_RETRY_SECONDS = 5.0
STOP_POLL_SECONDS = 0.5
QUIET_POLL_SECONDS = 0.3  # between the checks that show that nothing moves any more
STOP_AT_ONCE_SECONDS = 2.0  # a stop that was requested earlier checks first who executes
# The execution of somebody else must not be stopped.
_STOPPABLE = (msg.Executor.OURS, msg.Executor.IDLE)
_RUNNING = frozenset({msg.TaskStatus.ACTIVE, msg.TaskStatus.IN_EXECUTION})


@dataclass(frozen=True, slots=True)
class _CopyLook:
    """What the brokers hold once nothing is in flight any more."""

    facts: ClusterFacts
    is_current: bool  # the metadata does not come from a broker that is behind
    source_logs: dict[int, BrokerLogs]
    orphaned_bytes: int
    is_proof: bool  # it proves that nothing of the wave is being copied


@dataclass(slots=True)
class WaveStopper:
    """The part of the performer that stops waves, and the helpers that it shares with the rest."""

    ports: Ports
    _snapshots: dict[str, verification.Snapshot] = field(default_factory=dict, init=False)

    async def _stop(self, effect: fx.StopWave, migration: Migration) -> msg.Outcome:
        """Stop the wave; return when two checks in a row show that nothing of it moves.

        Kafka is checked each time. Cruise Control is asked before it is told to stop, and again
        once Kafka shows nothing of the wave. One answer that it does not work for us is enough,
        because it does not resume an execution that it has stopped.
        """
        clock, scope = self.ports.clock, effect.scope
        began = clock.now()
        stopped_at = float("-inf")
        quiet, look = 0, None
        snapshot: verification.Snapshot = {}
        # A stop "at once" certainly has something to stop. A later one checks first, because
        # somebody else's execution may run by then.
        at_once = effect.at_once and began < effect.asked_at + STOP_AT_ONCE_SECONDS
        running = msg.Executor.OURS if at_once else None
        in_flight, stopped_by = int(at_once), ""
        if at_once:
            await self._halt(scope)
            stopped_at = clock.now()
        while clock.now() < began + STOP_SECONDS_MAX:
            is_due = clock.now() >= stopped_at + STOP_RETRY_SECONDS
            # Cruise Control is told before Kafka is asked, because overloaded brokers answer late
            # or not at all. Once it has stopped, it is not asked again: the number of requests is
            # limited, and one too many costs five seconds.
            if not quiet and (is_due or not in_flight):
                running, stopped_by = await self._running(scope, migration)
            if running in _STOPPABLE and is_due:
                await self._halt(scope)
                stopped_at = clock.now()
            in_flight = await self._count_in_flight(scope)
            if in_flight and is_due and scope.selection is not None:
                await self._halt(scope)
                stopped_at = clock.now()
            quiet = 0 if running or in_flight else quiet + 1
            if not quiet:
                look = None
            elif look is None or not (look.is_current and look.is_proof):
                snapshot = await self._snapshot_if_usable(migration.migration_id)
                look = await self._look_at_copies(scope, snapshot, look)
            if quiet >= 2 and look is not None and look.is_proof:
                return await self._stopped(scope, migration, look, snapshot, stopped_by)
            await clock.sleep(QUIET_POLL_SECONDS if quiet else STOP_POLL_SECONDS)
        if in_flight and not running:
            seen = f"{in_flight} moves go on in Kafka that Cruise Control does not know"
            return msg.Busy(reason=Reason(Code.ORPHANED_MOVES, seen, "their end"))
        seen = f"it has not stopped after {STOP_SECONDS_MAX:.0f} s"
        return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor"))

    async def _look_at_copies(
        self, scope: fx.WaveScope, snapshot: verification.Snapshot, before: _CopyLook | None
    ) -> _CopyLook:
        """Check whether copies that the stop has orphaned still grow.

        They do while a leader does not know of the stop. The metadata and the sources' logs are
        read the first time only, unless they came from a broker that is behind.
        """
        kafka = self.ports.kafka
        destinations = frozenset(scope.destination_broker_ids)
        if before is not None and before.is_current:
            facts, sources = before.facts, frozenset[int]()
        else:
            facts, sources = await kafka.cluster(), frozenset(scope.source_broker_ids)
        logs = await kafka.logs((sources | destinations).intersection(facts.racks))
        orphaned_bytes = await self._orphaned_copy_bytes(
            facts, snapshot, {b: log for b, log in logs.items() if b in destinations}
        )
        size = len(facts.partitions)
        return _CopyLook(
            facts,
            is_current=await run_off_loop(size, _is_at_rest, facts, snapshot),
            source_logs={b: log for b, log in logs.items() if b in sources}
            if sources or before is None
            else before.source_logs,
            orphaned_bytes=orphaned_bytes,
            is_proof=not orphaned_bytes
            or (before is not None and orphaned_bytes <= before.orphaned_bytes),
        )

    async def _stopped(
        self,
        scope: fx.WaveScope,
        migration: Migration,
        look: _CopyLook,
        snapshot: verification.Snapshot,
        stopped_by: str,
    ) -> msg.Outcome:
        """Clean up after nothing of the wave moves any more, and return the outcome.

        `stopped_by`: who else had stopped it before us; empty when nobody had.
        """
        left = await self._clear_throttle(scope, migration, look.facts)
        _, left_alone = await self._restore_order_and_leaders(look.facts, migration, snapshot)
        if left:
            seen = f"{left} throttle entries of ours are still set"
            return msg.Busy(reason=Reason(Code.WAVE_NOT_VERIFIED, seen, "none"))
        performed = await self._left(scope, look.facts, look.source_logs, left_alone)
        return replace(performed, stopped_by=stopped_by)

    async def _left(
        self,
        scope: fx.WaveScope,
        facts: ClusterFacts,
        source_logs: dict[int, BrokerLogs],
        left_alone: Reason | None,
    ) -> msg.Performed:
        """What is still on the wave's sources; bytes are unknown if one of them does not answer.

        `left_alone`: why orders and leaders were not restored; the next check restores them.
        """
        sources = frozenset(scope.source_broker_ids)
        is_selected = (scope.selection or EVERYTHING).contains
        replicas_left, bytes_left = await run_off_loop(
            len(facts.partitions), verification.left_on, facts, sources, is_selected, source_logs
        )
        return msg.Performed(
            replicas_left=replicas_left, bytes_left=bytes_left, left_alone=left_alone
        )

    # ── shared with starting and closing a wave ───────────────────────────────────────────────────
    async def _halt(self, scope: fx.WaveScope) -> None:
        """Tell the wave's mover to stop."""
        if scope.selection is None:
            await self.ports.cruise_control.stop(scope.key)
        else:
            await reassign.cancel_selection(self.ports, scope)

    async def _running(
        self, scope: fx.WaveScope, migration: Migration
    ) -> tuple[msg.Executor | None, str]:
        """For whom the executor works, and who else has stopped our execution.

        The first is None unless the executor works for this migration or our request is accepted.
        FOREIGN means that our request is accepted while somebody else's is executed, which a stop
        would end. Cruise Control has no part in moving a selection.
        """
        if scope.selection is not None:
            return None, ""
        state = await self.ports.cruise_control.state(migration.migration_id)
        if state.executor is msg.Executor.OURS:
            return state.executor, ""
        tasks = await self.ports.cruise_control.user_tasks(scope.key)
        is_accepted = any(t.status in _RUNNING for t in tasks)
        return state.executor if is_accepted else None, tasks[-1].stopped_by if tasks else ""

    async def _stopped_by(self, scope: fx.WaveScope) -> str:
        """Who, other than we, has stopped the wave's execution; empty when nobody has."""
        if scope.selection is not None:
            return ""
        tasks = await self.ports.cruise_control.user_tasks(scope.key)
        return tasks[-1].stopped_by if tasks else ""

    async def _count_in_flight(self, scope: fx.WaveScope) -> int:
        """How many moves of the wave Kafka shows in flight."""
        return len(reassign.own_reassignments(await self.ports.kafka.reassignments(), scope))

    async def _orphaned_copy_bytes(
        self,
        facts: ClusterFacts,
        snapshot: verification.Snapshot,
        destination_logs: dict[int, BrokerLogs],
    ) -> int:
        """The bytes of replicas on the wave's destinations that no assignment has there."""
        return await run_off_loop(
            len(facts.partitions),
            verification.orphaned_copy_bytes,
            facts.partitions,
            snapshot,
            destination_logs,
        )

    async def _clear_throttle(
        self, scope: fx.WaveScope, migration: Migration, facts: ClusterFacts | None = None
    ) -> int:
        """Remove our throttle; return how many of its entries are still set."""
        return await wave_throttle.clear_own(self.ports, scope, migration, facts)

    async def _restore_order_and_leaders(
        self, facts: ClusterFacts, migration: Migration, snapshot: verification.Snapshot
    ) -> tuple[bool, Reason | None]:
        """Return whether the cluster was changed, and why it was left alone."""
        return await replica_order.restore(
            self.ports, facts, migration, snapshot, self._why_not_now
        )

    async def _why_not_now(self, migration: Migration) -> Reason | None:
        return await replica_order.why_not_now(self.ports, migration)

    async def _snapshot(self, migration_id: str) -> verification.Snapshot | None:
        """The assignment before the start; cached for the last migration only."""
        if migration_id not in self._snapshots:
            with gc_paused():
                found = await self.ports.snapshots.load(migration_id)
                if found is None:
                    return None
                freeze_heap(len(found))
            self._snapshots = {migration_id: found}
        return self._snapshots[migration_id]

    async def _snapshot_if_usable(self, migration_id: str) -> verification.Snapshot:
        """The snapshot for optional work; empty if it is missing or of a newer version."""
        try:
            return await self._snapshot(migration_id) or {}
        except PortError as trouble:
            if trouble.code is not Code.SNAPSHOT_FROM_NEWER_VERSION:
                raise
            return {}


def _is_at_rest(facts: ClusterFacts, snapshot: verification.Snapshot) -> bool:
    """Whether nothing moves, and no partition has more replicas than before the start.

    Metadata of a broker that is behind shows moves or extra replicas for a while after a stop.
    """
    return not any(
        p.is_moving or len(p.replicas) > len(snapshot.get(p.name, p.replicas))
        for p in facts.partitions
    )
