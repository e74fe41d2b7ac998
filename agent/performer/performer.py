"""Performs effects on one cluster, and runs its watches.

Called by agent/worker/effect_tasks.py. Every effect may be performed again after a crash, so each
reads the state before it changes anything. Decides nothing: it returns what it found.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import cluster_checks, verification
from agent.core.migration import Migration
from agent.core.model.cluster import ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.core.planning.options import ThrottleBy
from agent.core.planning.plan import Wave
from agent.core.planning.policy import Policy
from agent.performer import discovery, reassign, wave_throttle
from agent.performer.client_impact import ClientImpactCheck
from agent.performer.kraft import KRAFT_EFFECTS, KraftPerformer
from agent.performer.offload import gc_paused, run_off_loop
from agent.performer.ports import CruiseControlState, PortError, Post, RemoveBroker
from agent.performer.stop import WaveStopper
from agent.performer.survey import Survey
from agent.performer.throttle_watch import ThrottleWatch
from agent.performer.watches import SourceWatch, WaveWatch, partitions_moved_by

CHECKED_SECONDS = 3.0  # how old the state of Cruise Control's executor may be before a start
Perform = Callable[[Any, Migration], Awaitable[msg.Outcome]]
# Effects that hold the whole cluster in memory, and end within seconds.
_WHOLE_CLUSTER = (
    fx.MakePlan,
    fx.PrepareMigration,
    fx.CheckCluster,
    fx.CloseWave,
    fx.CompareSnapshot,
)


@dataclass(slots=True)
class Performer(WaveStopper):
    """Performs the effects of one cluster's migration, and runs its watches."""

    kraft: KraftPerformer | None = None
    _client_impact: ClientImpactCheck = field(init=False)

    def __post_init__(self) -> None:
        self._client_impact = ClientImpactCheck(self.ports.kafka, self.ports.snapshots)

    async def perform(self, effect: fx.Effect, migration: Migration, policy: Policy) -> msg.Outcome:
        """Perform the effect, or find that it was performed already, and return how it ended.

        `migration` is the state that requested it. Failures of Kafka, Cruise Control or a registry
        are outcomes; an exception is a bug.
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
        perform = self._table(policy).get(type(effect))
        if perform is None:
            raise RuntimeError(f"no way to perform {effect!r}")
        return await perform(effect, migration)

    def _table(self, policy: Policy) -> dict[type[fx.Effect], Perform]:
        """The function that performs each kind of effect."""
        table: dict[type[fx.Effect], Perform] = {
            fx.MakePlan: partial(self._survey, policy=policy),
            fx.PrepareMigration: partial(self._survey, policy=policy),
            fx.CheckCluster: partial(self._check, policy=policy),
            fx.StartWave: self._start,
            fx.MovePartitions: self._move,
            fx.TuneWave: self._tune,
            fx.StopWave: self._stop,
            fx.CloseWave: self._close,
            fx.CompareSnapshot: self._compare,
            fx.RegisterEndpoints: lambda effect, _: discovery.register(self.ports, effect),
            fx.DeregisterEndpoints: lambda effect, _: discovery.deregister(self.ports, effect),
        }
        if (kraft := self.kraft) is not None:
            table |= dict.fromkeys(KRAFT_EFFECTS, lambda effect, _: kraft.perform(effect))
        return table

    async def watch(self, watch: fx.Watch, migration: Migration, post: Post) -> None:
        """Observe the cluster again and again, and post the observations, until cancelled."""
        if isinstance(watch, fx.WatchWave):
            snapshot = await self._snapshot_if_usable(watch.scope.migration_id)
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

    # ── before a move ─────────────────────────────────────────────────────────────────────────────
    async def _survey(
        self, effect: fx.MakePlan | fx.PrepareMigration, migration: Migration, policy: Policy
    ) -> msg.Outcome:
        survey = Survey(self.ports)
        try:
            return await survey.survey(effect, migration, policy)
        finally:
            await survey.release_in_pieces()

    async def _check(
        self, effect: fx.CheckCluster, migration: Migration, policy: Policy
    ) -> msg.Outcome:
        """Restore replica orders and leaders before a move, then check the cluster.

        Cruise Control would keep a wrong order.
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
        # The execution has ended since, so the next check can restore them.
        return replace(checked, passing=(*checked.passing, left_alone))

    # ── start, tune ───────────────────────────────────────────────────────────────────────────────
    async def _start(self, effect: fx.StartWave, migration: Migration) -> msg.Outcome:
        """Set the throttle and request the execution, unless it was requested before.

        There is one execution only, whatever crashes in between.
        """
        cc, key = self.ports.cruise_control, effect.scope.key
        # A task that ended with an error may never have executed (a 500 leaves one too), so it is
        # requested again. If somebody else has stopped it, it has executed, and an operator has to
        # decide what follows.
        failed = msg.TaskStatus.COMPLETED_WITH_ERROR
        tasks = [t for t in await cc.user_tasks(key) if t.status is not failed or t.stopped_by]
        if tasks and tasks[-1].status is msg.TaskStatus.ACTIVE:
            seen = f"it is still computing our request {key}"
            return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "its answer"))
        if tasks:
            return msg.ExecutionRequested(user_task_id=tasks[-1].user_task_id, adopted=True)
        # The check before the wave has just read this state. An execution that has begun since
        # shows in Kafka, or makes Cruise Control refuse the request.
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

    async def _move(self, effect: fx.MovePartitions, migration: Migration) -> msg.Outcome:
        if effect.begins:
            await self._client_impact.record_before(effect.scope)
            await self._set_throttle(effect.scope, effect.throttle_bytes_per_second, migration)
        return await reassign.move_selection(self.ports, effect, migration)

    async def _tune(self, effect: fx.TuneWave, migration: Migration) -> msg.Outcome:
        # The agent moves a selection itself, and limits the number of moves itself.
        selected = effect.scope.selection is not None
        if migration.options.throttle_by is ThrottleBy.AGENT or selected:
            await self._set_throttle(effect.scope, effect.throttle_bytes_per_second, migration)
        if effect.partition_movements_per_broker is not None and not selected:
            await self.ports.cruise_control.set_concurrency(effect.partition_movements_per_broker)
        return msg.Performed()

    async def _set_throttle(
        self, scope: fx.WaveScope, rate: int | None, migration: Migration
    ) -> None:
        """Throttle the wave to `rate` bytes per second; None removes our throttle."""
        if rate is None:
            await self._clear_throttle(scope, migration)
        else:
            await wave_throttle.set_rate(self.ports, scope, rate)

    # ── close, compare ────────────────────────────────────────────────────────────────────────────
    async def _close(self, effect: fx.CloseWave, migration: Migration) -> msg.Outcome:
        """Clear the throttle, restore leaders, and count what Kafka shows; the core decides."""
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
        # Partitions that move keep their throttle, whatever was observed before.
        if in_flight := await self._count_in_flight(scope):
            return msg.Busy(
                reason=Reason(
                    Code.ORPHANED_MOVES,
                    f"{in_flight} moves of this wave are in flight",
                    "their end",
                )
            )
        left = await self._clear_throttle(scope, migration)
        facts = await self._restored(migration, snapshot)
        if isinstance(facts, msg.Busy):
            return facts
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
        if found.replicas_left:
            found = replace(found, stopped_by=await self._stopped_by(scope))
        return await self._client_impact.compare_after(scope, found)

    async def _compare(self, effect: fx.CompareSnapshot, migration: Migration) -> msg.Outcome:
        snapshot = await self._snapshot(effect.migration_id)
        if snapshot is None:
            return _no_snapshot(effect.migration_id)
        facts = await self._restored(migration, snapshot)
        if isinstance(facts, msg.Busy):
            return facts
        return await run_off_loop(
            len(facts.partitions), verification.compare_with_snapshot, facts, snapshot
        )

    async def _restored(
        self, migration: Migration, snapshot: verification.Snapshot
    ) -> ClusterFacts | msg.Busy:
        """The cluster after restoring replica orders and leaders; Busy if that is not possible."""
        facts = await self.ports.kafka.cluster()
        was_changed, left_alone = await self._restore_order_and_leaders(facts, migration, snapshot)
        if left_alone is not None:
            return msg.Busy(reason=left_alone)
        return await self.ports.kafka.cluster() if was_changed else facts


def _no_snapshot(migration_id: str) -> msg.Unreachable:
    seen = f"the snapshots topic has no complete assignment for {migration_id}"
    return msg.Unreachable(reason=Reason(Code.SNAPSHOT_MISSING, seen))


def _reason_key(state: CruiseControlState) -> str:
    """Our key from Cruise Control's reason, to which it appends client and time."""
    return state.executor_reason.split(" ", 1)[0]


def _sets(scope: fx.WaveScope) -> tuple[frozenset[int], frozenset[int]]:
    return frozenset(scope.source_broker_ids), frozenset(scope.destination_broker_ids)


def _wave(migration: Migration, number: int) -> Wave:
    return next(w for w in migration.waves if w.number == number)
