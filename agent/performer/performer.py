"""Performs effects on a real cluster, and keeps the standing watches.

Called by the effect tasks (agent/worker/effect_tasks.py).

Looks before it acts: every effect may be performed again after a crash. Decides nothing: it returns
what it found.
"""

from dataclasses import dataclass, field, replace

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import cluster_checks, verification
from agent.core.migration import Migration
from agent.core.model import throttle
from agent.core.model.cluster import ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import Policy, ThrottleBy
from agent.core.planning.plan import Wave
from agent.core.planning.selection import EVERYTHING
from agent.performer import discovery, reassign, replica_order
from agent.performer.client_impact import ClientImpactCheck
from agent.performer.kraft import KRAFT_EFFECTS, KraftPerformer
from agent.performer.offload import freeze_heap, gc_paused, run_off_loop
from agent.performer.ports import CruiseControlState, PortError, Ports, Post, RemoveBroker
from agent.performer.survey import Survey
from agent.performer.throttle_watch import ThrottleWatch
from agent.performer.watches import SourceWatch, WaveWatch, partitions_moved_by

# A stop's wait in one go; after it the core is told Busy, and asks again.
STOP_SECONDS_MAX = 30.0
STOP_RETRY_SECONDS = 5.0
STOP_POLL_SECONDS = 0.5
STOP_AT_ONCE_SECONDS = 2.0  # a stop that was asked for longer ago looks first who executes
CHECKED_SECONDS = 3.0  # a look at Cruise Control's executor is good for so long before a start
# Effects that hold the whole cluster in memory, and end within seconds.
_WHOLE_CLUSTER = (
    fx.MakePlan,
    fx.PrepareMigration,
    fx.CheckCluster,
    fx.CloseWave,
    fx.CompareSnapshot,
)
# Somebody else's execution is not ours to end.
_STOPPABLE = (msg.Executor.OURS, msg.Executor.IDLE)
_RUNNING = frozenset({msg.TaskStatus.ACTIVE, msg.TaskStatus.IN_EXECUTION})


@dataclass(slots=True)
class Performer:
    """The hands of one cluster's migration."""

    ports: Ports
    kraft: KraftPerformer | None = None
    _snapshots: dict[str, verification.Snapshot] = field(default_factory=dict)
    _client_impact: ClientImpactCheck = field(init=False)

    def __post_init__(self) -> None:
        self._client_impact = ClientImpactCheck(self.ports.kafka, self.ports.snapshots)

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> msg.Outcome:
        """Do it, or find it done.

        In: the effect, the state that asked for it, the cluster's standing orders. Out: how it
        ended; trouble of the world is an outcome, an exception is a bug.
        """
        if not self.ports.lease.held():
            return msg.Busy(
                reason=Reason(
                    Code.OTHER_DRIVER, self.ports.lease.holder(), "the lease of this cluster"
                )
            )
        try:
            if isinstance(effect, _WHOLE_CLUSTER):
                with gc_paused():
                    return await self._perform(effect, migration, policy)
            return await self._perform(effect, migration, policy)
        except PortError as trouble:
            return msg.Unreachable(reason=Reason(trouble.code, str(trouble)))

    async def _perform(
        self, effect: fx.Effect, migration: Migration, policy: Policy
    ) -> msg.Outcome:
        if self.kraft is not None and isinstance(effect, KRAFT_EFFECTS):
            return await self.kraft.perform(effect)
        if isinstance(effect, (fx.MakePlan, fx.PrepareMigration)):
            survey = Survey(self.ports)
            try:
                return await survey.survey(effect, migration, policy)
            finally:
                await survey.release_in_pieces()
        if isinstance(effect, fx.CheckCluster):
            return await self._check(effect, migration, policy)
        if isinstance(effect, fx.StartWave):
            return await self._start(effect, migration)
        if isinstance(effect, fx.MovePartitions):
            if effect.begins:
                await self._client_impact.record_before(effect.scope)
                await self._set_throttle(effect.scope, effect.throttle_bytes_per_second, migration)
            return await reassign.move_selection(self.ports, effect, migration)
        if isinstance(effect, fx.TuneWave):
            return await self._tune(effect, migration)
        if isinstance(effect, fx.StopWave):
            return await self._stop(effect, migration)
        if isinstance(effect, fx.CloseWave):
            return await self._close(effect, migration)
        if isinstance(effect, fx.CompareSnapshot):
            return await self._compare(effect, migration)
        if isinstance(effect, fx.RegisterEndpoints):
            return await discovery.register(self.ports, effect)
        if isinstance(effect, fx.DeregisterEndpoints):
            return await discovery.deregister(self.ports, effect)
        raise RuntimeError(f"no way to perform {effect!r}")

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None:
        """Look again and again, and post what is seen; runs until it is cancelled."""
        if isinstance(watch, fx.WatchWave):
            snapshot = await self._snapshot(watch.scope.migration_id) or {}
            names = await run_off_loop(
                len(snapshot), partitions_moved_by, watch.scope, migration, snapshot
            )
            await WaveWatch(self.ports, watch, migration, names).run(post)
        elif isinstance(watch, fx.WatchSources):
            await SourceWatch(self.ports, watch).run(post)
        elif isinstance(watch, fx.WatchThrottle):
            await ThrottleWatch(self.ports, watch).run(post)
        elif self.kraft is not None:
            await self.kraft.watch(watch, post)

    async def _check(
        self, effect: fx.CheckCluster, migration: Migration, policy: Policy
    ) -> msg.Outcome:
        """Before a move, replica order and leaders are what they should be:

        Cruise Control would carry on both.
        """
        left_alone = None
        if not await self.ports.kafka.reassignments():
            snapshot = await self._snapshot(migration.migration_id)
            _, left_alone = await self._restore_order_and_leaders(
                await self.ports.kafka.cluster(), migration, snapshot or {}
            )
        checked = await Survey(self.ports).check(effect, migration, policy)
        if left_alone is None or any(r.code is left_alone.code for r in checked.passing):
            return checked
        # it has ended since: once more, in order
        return replace(checked, passing=(*checked.passing, left_alone))

    async def _restore_order_and_leaders(
        self, facts: ClusterFacts, migration: Migration, snapshot: verification.Snapshot
    ) -> tuple[ClusterFacts, Reason | None]:
        return await replica_order.put_right(self.ports, facts, migration, snapshot, self._executes)

    async def _executes(self, migration: Migration) -> Reason | None:
        return await replica_order.executes(self.ports, migration)

    # ── start, tune ───────────────────────────────────────────────────────────────────────────────
    async def _start(self, effect: fx.StartWave, migration: Migration) -> msg.Outcome:
        """Look whether it was asked before; set the throttle; ask.

        One execution, whatever crashes in between.
        """
        cc, key = self.ports.cruise_control, effect.scope.key
        # A task that ended with an error may never have executed (a 500 leaves one too): that one
        # is asked for again. Unless another hand has stopped it: then it has executed, and what
        # follows is an operator's to say.
        failed = msg.TaskStatus.COMPLETED_WITH_ERROR
        tasks = [t for t in await cc.user_tasks(key) if t.status is not failed or t.stopped_by]
        if tasks and tasks[-1].status is msg.TaskStatus.ACTIVE:
            seen = f"it is still computing our request {key}"
            return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "its answer"))
        if tasks:
            return msg.ExecutionRequested(user_task_id=tasks[-1].user_task_id, adopted=True)
        # The check before the wave has just seen it; what has begun since shows in Kafka, or is
        # refused by itself.
        state = await cc.state(migration.migration_id, age_seconds_max=CHECKED_SECONDS)
        if state.executor is not msg.Executor.IDLE:
            if _reason_key(state) == key:
                return msg.ExecutionRequested(user_task_id="", adopted=True)
            seen = f"its executor is {state.executor_state} for '{state.executor_reason}'"
            return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor"))
        if in_flight := await self.ports.kafka.reassignments():
            sources, destinations = _sets(effect.scope)
            ours = all(
                cluster_checks.is_own_reassignment(r, sources, destinations) for r in in_flight
            )
            code = Code.ORPHANED_MOVES if ours else Code.FOREIGN_REASSIGNMENT
            return msg.Busy(
                reason=Reason(code, f"{len(in_flight)} reassignments are in flight", "none")
            )
        by_agent = effect.throttle_by is ThrottleBy.AGENT
        await self._client_impact.record_before(effect.scope)
        await self._set_throttle(
            effect.scope, effect.throttle_bytes_per_second if by_agent else None, migration
        )
        if not self.ports.lease.held():  # it may have been lost while the throttle was set
            return msg.Busy(
                reason=Reason(
                    Code.OTHER_DRIVER, self.ports.lease.holder(), "the lease of this cluster"
                )
            )
        return await cc.remove_broker(
            RemoveBroker(
                source_broker_ids=effect.scope.source_broker_ids,
                destination_broker_ids=effect.scope.destination_broker_ids,
                reason=key,
                partition_movements_per_broker=effect.partition_movements_per_broker,
                progress_check_interval_ms=effect.progress_check_interval_ms,
                throttle_bytes_per_second=None if by_agent else effect.throttle_bytes_per_second,
            )
        )

    async def _tune(self, effect: fx.TuneWave, migration: Migration) -> msg.Outcome:
        # then the agent is the mover, and counts by itself
        selected = effect.scope.selection is not None
        if migration.options.throttle_by is ThrottleBy.AGENT or selected:
            await self._set_throttle(effect.scope, effect.throttle_bytes_per_second, migration)
        if effect.partition_movements_per_broker is not None and not selected:
            await self.ports.cruise_control.set_concurrency(effect.partition_movements_per_broker)
        return msg.Performed()

    async def _set_throttle(
        self, scope: fx.WaveScope, rate: int | None, migration: Migration
    ) -> None:
        """The throttle of the wave as it should be now; None: none of ours."""
        kafka = self.ports.kafka
        if rate is None:
            await self._clear_throttle(scope, migration)
            return
        moving, _ = await reassign.selected(self.ports, scope)
        alive = await kafka.alive()
        replaced = dict.fromkeys(scope.source_broker_ids, scope.destination_broker_ids)
        await kafka.set_throttle(
            await run_off_loop(len(moving), throttle.wave_throttle, moving, replaced, alive, rate)
        )

    async def _clear_throttle(self, scope: fx.WaveScope, migration: Migration) -> int:
        """Remove what is ours; returns how much of it is still found after."""
        if not migration.throttle_rates_set:
            return 0
        kafka = self.ports.kafka
        alive = await kafka.alive()
        found = throttle.own_throttle(
            await kafka.throttle(alive, None),
            scope.destination_broker_ids,
            migration.throttle_rates_set,
        )
        if not found.entries:
            return 0
        await kafka.clear_throttle(found)
        left = throttle.own_throttle(
            await kafka.throttle(alive, None),
            scope.destination_broker_ids,
            migration.throttle_rates_set,
        )
        return left.entries

    # ── stop, close, compare ──────────────────────────────────────────────────────────────────────
    async def _stop(self, effect: fx.StopWave, migration: Migration) -> msg.Outcome:
        """Stop what runs under our name, and return only when two looks in a row show nothing of
        it.

        Kafka is looked at each time. Cruise Control takes few questions: it is asked before a stop
        is given, and once Kafka shows nothing of it any more. It has then to say once that it works
        for us no more: what it has let go it does not take up.
        """
        clock = self.ports.clock
        began = clock.now()
        stopped_at = float("-inf")
        quiet, copied = 0, None
        # Until they are asked: what is to be stopped at once runs, and moves. Later somebody else's
        # may run.
        at_once = effect.at_once and began < effect.asked_at + STOP_AT_ONCE_SECONDS
        running = msg.Executor.OURS if at_once else None
        in_flight, stopped_by = int(at_once), ""
        if at_once:
            await self._halt(effect.scope)
            stopped_at = clock.now()
        while clock.now() < began + STOP_SECONDS_MAX:
            is_due = clock.now() >= stopped_at + STOP_RETRY_SECONDS
            # Told before Kafka is asked: brokers that are overrun answer late, or not at all.
            if is_due or not (in_flight or quiet):
                running, stopped_by = await self._running(effect.scope, migration)
            if running in _STOPPABLE and is_due:
                await self._halt(effect.scope)
                stopped_at = clock.now()
            in_flight = await self._count_in_flight(effect.scope)
            if in_flight and is_due and effect.scope.selection is not None:
                await self._halt(effect.scope)
                stopped_at = clock.now()
            quiet = 0 if running or in_flight else quiet + 1
            if quiet >= 2:
                facts, snapshot = (
                    await self.ports.kafka.cluster(),
                    await self._snapshot(migration.migration_id) or {},
                )
                before, copied = (
                    copied,
                    await self._orphaned_copy_bytes(effect.scope, facts, snapshot),
                )
                # else a leader has not yet heard of it
                if not copied or (before is not None and copied <= before):
                    return await self._stopped(effect.scope, migration, facts, snapshot, stopped_by)
            await clock.sleep(STOP_POLL_SECONDS)
        if in_flight and not running:
            seen = f"{in_flight} moves go on in Kafka that Cruise Control does not know"
            return msg.Busy(reason=Reason(Code.ORPHANED_MOVES, seen, "their end"))
        seen = f"it has not stopped after {STOP_SECONDS_MAX:.0f} s"
        return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor"))

    async def _stopped(
        self,
        scope: fx.WaveScope,
        migration: Migration,
        facts: ClusterFacts,
        snapshot: verification.Snapshot,
        stopped_by: str,
    ) -> msg.Outcome:
        """Tidy up: nothing of it moves any more.

        `stopped_by`: another hand that had stopped it before.
        """
        left = await self._clear_throttle(scope, migration)
        _, left_alone = await self._restore_order_and_leaders(facts, migration, snapshot)
        if left:
            seen = f"{left} throttle entries of ours are still set"
            return msg.Busy(reason=Reason(Code.WAVE_NOT_VERIFIED, seen, "none"))
        return replace(await self._left(scope, facts, left_alone), stopped_by=stopped_by)

    async def _left(
        self, scope: fx.WaveScope, facts: ClusterFacts, left_alone: Reason | None
    ) -> msg.Performed:
        """What is on the wave's sources now that nothing of it moves.

        No figure holds up a stop that is proved.

        `left_alone`: why orders and leaders were not put right: the next check, or the proof, does
        so.
        """
        try:
            logs = await self.ports.kafka.logs(
                b for b in scope.source_broker_ids if b in facts.racks
            )
        except PortError:
            logs = {}
        sources = frozenset(scope.source_broker_ids)
        takes = (scope.selection or EVERYTHING).contains
        replicas_left, bytes_left = await run_off_loop(
            len(facts.partitions), verification.left_on, facts, sources, takes, logs
        )
        return msg.Performed(
            replicas_left=replicas_left, bytes_left=bytes_left, left_alone=left_alone
        )

    async def _halt(self, scope: fx.WaveScope) -> None:
        """Tell the wave's mover to stop."""
        if scope.selection is None:
            await self.ports.cruise_control.stop(scope.key)
        else:
            await reassign.cancel_selection(self.ports, scope)

    async def _running(
        self, scope: fx.WaveScope, migration: Migration
    ) -> tuple[msg.Executor | None, str]:
        """Whom the executor works for, if for this migration or if a request of ours is met; who
        has stopped it.

        FOREIGN: a request of ours is met while somebody else's is executed, which a stop would end.
        Cruise Control has no part in a selection. Who, other than we, has stopped the execution is
        told once it has ended.
        """
        if scope.selection is not None:
            return None, ""
        state = await self.ports.cruise_control.state(migration.migration_id)
        if state.executor is msg.Executor.OURS:
            return state.executor, ""
        tasks = await self.ports.cruise_control.user_tasks(scope.key)
        met = any(t.status in _RUNNING for t in tasks)
        return state.executor if met else None, tasks[-1].stopped_by if tasks else ""

    async def _count_in_flight(self, scope: fx.WaveScope) -> int:
        """Our moves in flight, by Kafka's word."""
        return len(reassign.own_reassignments(await self.ports.kafka.reassignments(), scope))

    async def _orphaned_copy_bytes(
        self, scope: fx.WaveScope, facts: ClusterFacts, snapshot: verification.Snapshot
    ) -> int:
        """Bytes that lie on the wave's destinations and are not at home there."""
        logs = await self.ports.kafka.logs(
            b for b in scope.destination_broker_ids if b in facts.racks
        )
        return await run_off_loop(
            len(facts.partitions),
            verification.orphaned_copy_bytes,
            facts.partitions,
            snapshot,
            logs,
        )

    async def _close(self, effect: fx.CloseWave, migration: Migration) -> msg.Outcome:
        """Clear, elect, and look: the figures are Kafka's, and the core judges them."""
        scope, kafka = effect.scope, self.ports.kafka
        wave = _wave(migration, scope.wave)
        snapshot = await self._snapshot(migration.migration_id)
        if snapshot is None:
            return _no_snapshot(migration.migration_id)
        if (
            migration.options.throttle_by is ThrottleBy.CRUISE_CONTROL
            and (await self._running(scope, migration))[0]
        ):
            seen = "Cruise Control is still clearing its throttle"
            return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor"))
        # whatever was seen before: what moves keeps its throttle
        if in_flight := await self._count_in_flight(scope):
            return msg.Busy(
                reason=Reason(
                    Code.ORPHANED_MOVES,
                    f"{in_flight} moves of this wave are in flight",
                    "their end",
                )
            )
        left = await self._clear_throttle(scope, migration)
        facts, left_alone = await self._restore_order_and_leaders(
            await kafka.cluster(), migration, snapshot
        )
        if left_alone is not None:
            return msg.Busy(reason=left_alone)
        logs = await kafka.logs(b for b in scope.source_broker_ids if b in facts.racks)
        found = await run_off_loop(
            len(facts.partitions),
            verification.inspect_wave,
            facts,
            wave,
            migration.waves,
            snapshot,
            logs,
            left,
        )
        return await self._client_impact.compare_after(scope, found)

    async def _compare(self, effect: fx.CompareSnapshot, migration: Migration) -> msg.Outcome:
        snapshot = await self._snapshot(effect.migration_id)
        if snapshot is None:
            return _no_snapshot(effect.migration_id)
        facts, left_alone = await self._restore_order_and_leaders(
            await self.ports.kafka.cluster(), migration, snapshot
        )
        if left_alone is not None:
            return msg.Busy(reason=left_alone)
        return await run_off_loop(
            len(facts.partitions), verification.compare_with_snapshot, facts, snapshot
        )

    async def _snapshot(self, migration_id: str) -> verification.Snapshot | None:
        if migration_id not in self._snapshots:
            with gc_paused():
                found = await self.ports.snapshots.load(migration_id)
                if found is None:
                    return None
                freeze_heap(len(found))
            self._snapshots = {migration_id: found}  # one a cluster: the last migration's
        return self._snapshots[migration_id]


def _no_snapshot(migration_id: str) -> msg.Unreachable:
    seen = f"the assignment before the start of {migration_id} is not whole in the snapshots topic"
    return msg.Unreachable(reason=Reason(Code.SNAPSHOT_MISSING, seen))


def _reason_key(state: CruiseControlState) -> str:
    """Our key out of Cruise Control's reason, to which it appends who asked and when."""
    return state.executor_reason.split(" ", 1)[0]


def _sets(scope: fx.WaveScope) -> tuple[frozenset[int], frozenset[int]]:
    return frozenset(scope.source_broker_ids), frozenset(scope.destination_broker_ids)


def _wave(migration: Migration, number: int) -> Wave:
    return next(w for w in migration.waves if w.number == number)
