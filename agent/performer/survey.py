"""Reads the whole cluster for a plan, a start, or the check before a wave.

Called by performer.py. Gathers facts; the checks and the plan are pure functions of them
(core/checks/cluster_checks.py, core/checks/broker_checks.py, core/planning/plan.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import broker_checks, check_input, cluster_checks
from agent.core.model.reasons import Code, Reason
from agent.core.planning import broker_load, estimate, plan_drift
from agent.core.planning.plan import Plan, Wave, choose_brokers, make_plan, pace
from agent.core.planning.policy import Limits
from agent.core.planning.selection import EVERYTHING
from agent.core.planning.wave_sizing import partitions_by_broker, with_estimates
from agent.performer import discovery
from agent.performer.offload import release_in_pieces, run_off_loop
from agent.performer.ports import PortError, RemoveBroker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.core.migration import Migration
    from agent.core.model.cluster import BrokerLogs, ClusterFacts, TopicPartition
    from agent.core.planning.policy import Policy
    from agent.core.planning.selection import Selection
    from agent.performer.ports import Ports


# Growth is measured as the difference between two reads of the log dirs, this many seconds apart.
GROWTH_SECONDS = 2.0


class Survey:
    """Reads one cluster once, for one effect."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._held: dict[int, BrokerLogs] = {}

    async def release_in_pieces(self) -> None:
        """Free what was read; only the outcome may be used afterwards."""
        await run_off_loop(
            sum(len(log.size_bytes) for log in self._held.values()), release_in_pieces, self._held
        )

    async def survey(
        self, effect: fx.MakePlan | fx.PrepareMigration, migration: Migration, policy: Policy
    ) -> msg.Surveyed:
        """Make the plan and check everything; for a start, also store the current assignment.

        Returns the plan, or the reasons against it. Raises PortError.
        """
        kafka = self._ports.kafka
        try:
            facts = await kafka.cluster()
        except PortError as trouble:
            return msg.Surveyed(reasons=(Reason(trouble.code, str(trouble)),), plan=None)
        sources, destinations = choose_brokers(effect.options, policy, facts)
        if unknown := await run_off_loop(
            len(facts.partitions), _unknown_brokers, (*sources, *destinations), facts
        ):
            return msg.Surveyed(reasons=(unknown,), plan=None)
        size = len(facts.partitions)
        logs, growth = await self._logs(
            [b for b in (*sources, *destinations) if b in facts.racks], facts
        )
        plan, against = await run_off_loop(
            size, make_plan, effect.options, policy, facts, logs, _plan_id(effect), growth
        )
        # The cluster is checked even without a plan, so that all reasons are reported together.
        cluster_input = await self._cluster_input(facts, plan.waves if plan else (), migration)
        rate = effect.options.throttle_bytes_per_second
        broker_input = await self._broker_input(
            facts, cluster_input, logs, migration, rate, reports=True
        )
        loads = await run_off_loop(
            size, broker_load.predict_loads, cluster_input.waves, facts, logs, growth
        )
        broker_input = replace(
            broker_input, limits=policy.limits, load={one.broker_id: one for one in loads}
        )
        check_results = (
            *await run_off_loop(size, cluster_checks.check, cluster_input),
            *await run_off_loop(size, broker_checks.check, cluster_input, broker_input),
        )
        check_results = (*check_results, *await discovery.check_results(self._ports, destinations))
        reasons = (*against, *(v.reason for v in check_results if not v.ok and not v.unknown))
        if plan is None:
            return msg.Surveyed(reasons=reasons, plan=None, check_results=check_results)
        if plan.replicas == 0:
            reasons = (*reasons, Reason(Code.NOTHING_TO_MOVE, "the source brokers hold no replica"))
        blocked = await run_off_loop(
            size, broker_checks.blocked_waves_of, cluster_input, broker_input
        )
        if isinstance(effect, fx.MakePlan):
            listed_loads = loads[: broker_load.BROKERS_MAX]
            return msg.Surveyed(
                reasons=reasons,
                plan=plan,
                check_results=check_results,
                blocked_waves=blocked,
                load=listed_loads,
            )
        plan, stale = _stored_plan(effect, plan, migration)
        reasons = (*reasons, *stale)
        if reasons:
            return msg.Surveyed(reasons=reasons, plan=plan)
        await self._ports.snapshots.save(effect.migration_id, facts.partitions)
        return msg.Surveyed(reasons=(), plan=plan, snapshot_partitions=len(facts.partitions))

    async def check(
        self, effect: fx.CheckCluster, migration: Migration, policy: Policy
    ) -> msg.Checked:
        """Check whether the wave may move now, and count what is on its sources.

        Raises PortError, except when the metadata cannot be read: that is a passing reason.
        """
        try:
            facts = await self._ports.kafka.cluster()
        except PortError as trouble:
            return msg.Checked(reasons=(), passing=(Reason(trouble.code, str(trouble)),))
        wave = next(w for w in migration.waves if w.number == effect.scope.wave)
        size = len(facts.partitions)
        sources = frozenset(wave.source_broker_ids)
        held, led = await run_off_loop(size, _count_on, sources, facts, wave.selection)
        involved = await self._ports.kafka.logs(
            b for b in sources.union(wave.destination_broker_ids) & facts.racks.keys()
        )
        cluster_input = await self._cluster_input(facts, (wave,), migration, start=False)
        # The check uses the requested rate: a rate that metrics have lowered rises again, but not
        # while the migration is paused because of this check.
        broker_input = await self._broker_input(
            facts, cluster_input, involved, migration, migration.asked_rate()
        )
        if not broker_checks.throttle_above_produce(cluster_input, broker_input).ok:
            # The plan's estimate may be old, so the check is repeated with the current growth.
            _, growth = await self._logs(list(involved), facts)
            holding = await run_off_loop(size, partitions_by_broker, facts, sources)
            now = await run_off_loop(
                size, with_estimates, (wave,), migration.options, facts, holding, involved, growth
            )
            cluster_input = replace(cluster_input, waves=now)
        if policy.limits != Limits():
            loads = await run_off_loop(
                size, broker_load.predict_loads, cluster_input.waves, facts, involved, {}
            )
            broker_input = replace(
                broker_input, limits=policy.limits, load={one.broker_id: one for one in loads}
            )
        check_results = (
            *await run_off_loop(size, cluster_checks.check, cluster_input),
            *await run_off_loop(size, broker_checks.check, cluster_input, broker_input),
        )
        reasons, passing = cluster_checks.blocking_and_passing(check_results)
        logs = {b: log for b, log in involved.items() if b in sources}
        is_selected = (wave.selection or EVERYTHING).contains
        return msg.Checked(
            reasons=reasons,
            passing=passing,
            replicas=held,
            leaders=led,
            size_bytes=sum(
                size
                for log in logs.values()
                for n, size in log.size_bytes.items()
                if is_selected(n)
            ),
        )

    async def _cluster_input(
        self,
        facts: ClusterFacts,
        waves: Sequence[Wave],
        migration: Migration,
        *,
        start: bool = True,
    ) -> check_input.ClusterCheckInput:
        in_flight = await self._ports.kafka.reassignments()
        cruise_control = await self._cruise_control(waves, migration, start=start)
        return check_input.ClusterCheckInput(
            cluster=facts,
            waves=waves,
            cruise_control=cruise_control,
            reassignments=in_flight,
            needed_later=migration.brokers_of_open_waves
            if migration.wave in waves
            else frozenset(),
            rollback_brokers=migration.rollback_brokers if migration.wave in waves else frozenset(),
        )

    async def _logs(
        self, brokers: Sequence[int], facts: ClusterFacts
    ) -> tuple[Mapping[int, BrokerLogs], Mapping[TopicPartition, float]]:
        """The log dirs, and the growth of each partition in bytes per second.

        Takes GROWTH_SECONDS between two reads.
        """
        kafka, clock, partitions = self._ports.kafka, self._ports.clock, facts.partitions
        before = dict(await kafka.logs(brokers))
        began = clock.now()
        await clock.sleep(GROWTH_SECONDS)
        self._held = dict(await kafka.logs(brokers))
        seconds = clock.now() - began
        growth = await run_off_loop(
            len(partitions), estimate.growth_between, partitions, before, self._held, seconds
        )
        await run_off_loop(len(partitions), release_in_pieces, before)
        return self._held, growth

    async def _broker_input(
        self,
        facts: ClusterFacts,
        cluster_input: check_input.ClusterCheckInput,
        logs: Mapping[int, BrokerLogs],
        migration: Migration,
        rate: int | None,
        *,
        reports: bool = False,
    ) -> check_input.BrokerCheckInput:
        kafka, live = self._ports.kafka, facts.racks.keys()
        return check_input.BrokerCheckInput(
            logs=logs,
            throttle=await kafka.throttle(live, None),
            throttle_rates_set=migration.throttle_rates_set,
            migration_destinations=frozenset(
                b for w in migration.waves for b in w.destination_broker_ids
            ),
            settings=await kafka.broker_settings(
                (cluster_input.sources | cluster_input.destinations) & live
            ),
            unreachable=await kafka.unreachable(cluster_input.destinations & live),
            rate_bytes_per_second=rate,
            reporting=await kafka.reporting(
                (cluster_input.sources | cluster_input.destinations) & live
            )
            if reports
            else None,
        )

    async def _cruise_control(
        self, waves: Sequence[Wave], migration: Migration, *, start: bool
    ) -> check_input.CruiseControlFacts:
        """The state of Cruise Control, and whether it could move the first of these waves.

        Before a start, a dry run always checks that. Between waves, a dry run costs a computation,
        and the request itself gives the same answer. So it is made only while no metric window is
        valid: they refill, and Cruise Control can often propose before they have.
        """
        cc = self._ports.cruise_control
        try:
            state = await cc.state(migration.migration_id)
        except PortError as trouble:
            return check_input.CruiseControlFacts(
                reachable=False, trouble=Reason(trouble.code, str(trouble))
            )
        refusal: Reason | None = None
        # The agent moves selections itself.
        its_own = bool(waves) and (start or waves[0].selection is None)
        asked = (
            its_own and state.executor is msg.Executor.IDLE and (start or not state.valid_windows)
        )
        if asked:
            answer = await cc.remove_broker(_dry_run(waves[0]))
            if isinstance(answer, (msg.Busy, msg.Unreachable, msg.Rejected)):
                refusal = answer.reason
        return check_input.CruiseControlFacts(
            reachable=True,
            executor=state.executor,
            executor_state=state.executor_state,
            executor_reason=state.executor_reason,
            self_healing=state.self_healing,
            valid_windows=state.valid_windows if start or its_own else None,
            dryrun=refusal,
            dryrun_answers=asked and refusal is None and not start,
        )


def _dry_run(wave: Wave) -> RemoveBroker:
    concurrency, interval_ms = pace(wave.replicas, wave.size_bytes, None)
    return RemoveBroker(
        source_broker_ids=wave.source_broker_ids,
        destination_broker_ids=wave.destination_broker_ids,
        reason="kafka-migration readiness",
        partition_movements_per_broker=concurrency,
        progress_check_interval_ms=interval_ms,
        dryrun=True,
    )


def _plan_id(effect: fx.MakePlan | fx.PrepareMigration) -> str:
    """The id of the command that requests a plan; a start without a plan makes its own."""
    return effect.command_id


def _count_on(
    brokers: frozenset[int], facts: ClusterFacts, selection: Selection | None
) -> tuple[int, int]:
    """The numbers of replicas and leaders on these brokers, of the partitions that a wave takes."""
    is_selected = (selection or EVERYTHING).contains
    held = [p for p in facts.held_by(brokers) if is_selected(p.name)]
    return len(held), sum(1 for p in held if p.leader in brokers)


def _unknown_brokers(brokers: Sequence[int], facts: ClusterFacts) -> Reason | None:
    """A reason for brokers that are not alive and hold no replica: most likely a typing error."""
    known = set(facts.racks) | {r for p in facts.partitions for r in p.replicas}
    strangers = sorted(set(brokers) - known)
    if not strangers:
        return None
    named = ", ".join(map(str, strangers))
    return Reason(
        Code.UNKNOWN_BROKER, f"brokers {named} are not in the cluster", f"some of {sorted(known)}"
    )


def _stored_plan(
    effect: fx.PrepareMigration, now: Plan, migration: Migration
) -> tuple[Plan, tuple[Reason, ...]]:
    """The plan to run, and why it cannot be run.

    It is the stored one if the command names one, else the one made now.
    """
    if effect.plan_id is None:
        return now, ()
    planned = next((p for p in migration.plans if p.plan_id == effect.plan_id), None)
    if planned is None:
        return now, (Reason(Code.UNKNOWN_PLAN, f"plan '{effect.plan_id}' is not known"),)
    return planned, plan_drift.drift_reasons(planned, now)
