"""What each endpoint does, between the HTTP server (api) and planner, executor and monitor.

It knows nothing of HTTP.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from deploy.lab.standin import asked, errors, render, render_state
from deploy.lab.standin.clock import Clock, iso
from deploy.lab.standin.cluster import Cluster
from deploy.lab.standin.execution import ExecutionOptions
from deploy.lab.standin.executor import Executor
from deploy.lab.standin.faults import Fault, Faults
from deploy.lab.standin.goals import STOCK_GOALS
from deploy.lab.standin.monitor import LoadMonitor
from deploy.lab.standin.parameters import ANOMALY_TYPES, CONCURRENCY_TYPES, SUBSTATES
from deploy.lab.standin.plan import Limits, Plan, Removal
from deploy.lab.standin.planner import plan_rebalance, plan_removal
from deploy.lab.standin.render_executor import Trigger, executor_state
from deploy.lab.standin.settings import Settings
from deploy.lab.standin.tasks import Step, UserTask, UserTasks

log = logging.getLogger(__name__)

Values = Mapping[str, Any]
Body = dict[str, Any]

_ALL_ENTRIES = 2**31 - 1
_NOT_IMITATED = {
    "concurrent_intra_broker_partition_movements": "Intra-broker partition movement concurrency",
    "concurrent_leader_movements": "Cluster Leadership movement concurrency",
    "broker_concurrent_leader_movements": "Broker Leadership movement concurrency",
}
"""Accepted and answered, but without effect in the stand-in."""
_HEALED = "GOAL_VIOLATION"
"""The only anomaly type that the stand-in heals."""
_WAITING = "The job requires a cluster model and it is waiting to get the cluster model lock."


class CruiseControl:
    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.faults = Faults()
        self.tasks = UserTasks(settings, clock)
        self.monitor = LoadMonitor(cluster, settings, clock)
        self.executor = Executor(cluster, settings, clock)
        self._cluster = cluster
        self._planning = asyncio.Lock()
        self._generating: Trigger | None = None
        self._min_isr_based_adjustment = False
        self._self_healing = dict.fromkeys(ANOMALY_TYPES, False)
        self._concurrency_adjuster = dict.fromkeys(CONCURRENCY_TYPES, False)
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._background = [
            asyncio.create_task(self.monitor.run()),
            asyncio.create_task(self._scan()),
        ]
        if self.settings.self_healing_notifier:
            self._background.append(asyncio.create_task(self._heal()))

    async def close(self) -> None:
        """End like a killed process: Kafka continues what it was told to do."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.tasks.close()
        await self.executor.close()
        await self._cluster.close()

    async def _scan(self) -> None:
        while True:
            await self.clock.sleep(self.settings.user_task_scan_seconds)
            self.tasks.scan()

    async def _heal(self) -> None:
        """Repair a violated goal after nothing has been executed for a while.

        A running execution delays it.
        """
        idle_since = self.clock.now()
        while True:
            await self.clock.sleep(1.0)
            if self.executor.execution is not None or self._planning.locked():
                idle_since = self.clock.now()
            elif self.clock.now() < idle_since + self.settings.self_healing_delay_seconds:
                continue
            elif self._self_healing[_HEALED]:
                async with self._planning:
                    await self._heal_once()

    async def _heal_once(self) -> None:
        try:
            model = await self.monitor.model()
            self.monitor.require_windows(len(model.view.partitions), whole=True)
            plan = plan_rebalance(model, STOCK_GOALS, frozenset(), ())
        except (errors.OperationError, errors.ServletError) as refused:
            log.info("Self-healing cannot plan: %s", refused)
            return
        if plan.proposals:
            reason = f"Self healing for {_HEALED}"
            options = ExecutionOptions()
            self.executor.start(
                plan, options, str(uuid4()), reason, self._on_execution_finished, healing=True
            )

    # ---- GET

    async def state(self, values: Values, _task: UserTask) -> Body:
        substates = values.get("substates") or SUBSTATES
        verbose = values.get("verbose", False) or values.get("super_verbose", False)
        monitor = self.monitor
        body: Body = {}
        if "ANALYZER" in substates:
            body["AnalyzerState"] = render_state.analyzer_state(ready=monitor.warm, verbose=verbose)
        if "MONITOR" in substates:
            body["MonitorState"] = render_state.monitor_state(
                windows=monitor.windows if monitor.warm else 0,
                loading=monitor.loading,
                now=self.clock.now(),
                verbose=values.get("super_verbose", False),
            )
        if "EXECUTOR" in substates:
            body["ExecutorState"] = executor_state(
                self.executor.execution,
                self._generating,
                self.executor.recently_removed(),
                verbose=verbose,
            )
        if "ANOMALY_DETECTOR" in substates:
            body["AnomalyDetectorState"] = render_state.anomaly_detector_state(
                monitor.failures, self._self_healing, 100.0
            )
        return render.versioned(body)

    async def kafka_cluster_state(self, values: Values, _task: UserTask) -> Body:
        view = await self.monitor.view()
        topic = values.get("topic")
        shown = [tp for tp in view.partitions if topic is None or topic.fullmatch(tp.topic)]
        min_in_sync = await self._cluster.min_in_sync({tp.topic for tp in shown})
        log_dirs = await self._cluster.log_dirs(view.brokers)
        return render.kafka_cluster_state(
            view, log_dirs, min_in_sync, shown, verbose=values.get("verbose", False)
        )

    async def load(self, _values: Values, task: UserTask) -> Body:
        self._step(task, "WAITING_FOR_CLUSTER_MODEL", _WAITING)
        model = await self.monitor.model()
        self.monitor.require_windows(len(model.view.partitions), whole=False)
        return render.versioned(
            render.load(
                model, self.settings.disk_capacity_mb, self.settings.network_capacity_kb_per_second
            )
        )

    async def partition_load(self, values: Values, _task: UserTask) -> Body:
        model = await self.monitor.model()
        self.monitor.require_windows(len(model.view.partitions), whole=True)
        return render.partition_load(
            model, values.get("resource", "disk"), values.get("entries", _ALL_ENTRIES)
        )

    async def proposals(self, values: Values, task: UserTask) -> Body:
        goals = asked.goals(values, check_hard=False)
        model = await self.monitor.model()
        self.monitor.require_windows(len(model.view.partitions), whole=True)
        destinations = values.get("destination_broker_ids", ())
        excluded = self._excluded(values, destinations)
        self._step(task, "OPTIMIZATION", "Optimizing the cluster load.")
        return self._render_plan(
            plan_rebalance(model, goals, excluded, destinations), sorted(excluded), values
        )

    async def user_tasks(self, values: Values, task: UserTask) -> Body:
        wanted = asked.task_filter(values)
        rows = []
        for found in self.tasks.all():
            if found is task or not wanted(found):
                continue
            fetch = values.get("fetch_completed_task", False) and found.answer is not None
            rows.append(
                render.user_task(
                    found, json.dumps(found.answer.body) if fetch and found.answer else None
                )
            )
        return render.versioned({"userTasks": rows[: values.get("entries", _ALL_ENTRIES)]})

    # ---- remove_broker

    async def remove_broker(self, values: Values, task: UserTask) -> Body:
        goals = asked.goals(values, check_hard=True)
        destinations = values.get("destination_broker_ids", ())
        if values.get("dryrun", True):
            plan = await self._plan_removal(values, goals, task)
            return self._render_plan(plan, sorted(self._excluded(values, destinations)), values)
        if self.executor.execution is not None or self._planning.locked():
            if not values.get("stop_ongoing_execution", False):
                raise errors.illegal_state(errors.ONGOING_EXECUTION)
            self.executor.stop()
            await self.executor.wait_until_idle()
        async with self._planning:
            self._generating = Trigger(task.id, self._reason(values, task))
            try:
                await self.executor.cancel_external_reassignments()
                return await self._execute_removal(values, goals, task)
            finally:
                self._generating = None

    async def _execute_removal(
        self, values: Values, goals: tuple[str, ...], task: UserTask
    ) -> Body:
        destinations = values.get("destination_broker_ids", ())
        options = ExecutionOptions(
            concurrent_movements_per_broker=values.get("concurrent_partition_movements_per_broker"),
            max_movements_in_cluster=values.get("max_partition_movements_in_cluster"),
            progress_check_interval_ms=values.get("execution_progress_check_interval_ms"),
            throttle_bytes_per_second=values.get("replication_throttle"),
        )
        plan = await self._plan_removal(values, goals, task)
        fault = self.faults.take("remove_broker", planning=True)
        executed = plan
        if fault is not None and fault.fault is Fault.LEAK_THROTTLE:
            options.clear_throttle = False
        elif fault is not None:
            kept = 0 if fault.fault is Fault.ZERO_MOVES else int(fault.amount)
            executed = replace(plan, proposals=plan.proposals[:kept])
        try:
            self.executor.check_options(options)
        except errors.ServletError as refused:
            raise errors.illegal_argument_in_model(str(refused)) from None
        self.executor.drop_recently_removed(destinations)
        self.executor.add_recently_removed(values["brokerid"])
        self.executor.start(
            executed, options, task.id, self._reason(values, task), self._on_execution_finished
        )
        self.tasks.mark_executing(task.id)
        return self._render_plan(plan, sorted(self._excluded(values, destinations)), values)

    def _on_execution_finished(self, user_task_id: str, succeeded: bool, moved: bool) -> None:
        if moved:
            self.monitor.lose_windows(self.settings.window_refill_seconds)
        self.tasks.mark_execution_finished(user_task_id, succeeded=succeeded)

    async def _plan_removal(self, values: Values, goals: tuple[str, ...], task: UserTask) -> Plan:
        destinations = values.get("destination_broker_ids", ())
        self._step(task, "WAITING_FOR_CLUSTER_MODEL", _WAITING)
        model = await self.monitor.model()
        self.monitor.require_windows(len(model.view.partitions), whole=True)
        self._step(task, "OPTIMIZATION", "Optimizing the cluster load.")
        limits = Limits(
            self.settings.replica_capacity,
            self.settings.disk_capacity_mb * self.settings.disk_capacity_threshold,
        )
        request = Removal(
            values["brokerid"], destinations, goals, self._excluded(values, destinations), limits
        )
        return plan_removal(model, request)

    def _render_plan(self, plan: Plan, excluded: list[int], values: Values) -> Body:
        return render.optimization_result(
            plan,
            excluded=excluded,
            recent_windows=self.monitor.windows,
            disk_capacity_mb=self.settings.disk_capacity_mb,
            network_capacity_kb=self.settings.network_capacity_kb_per_second,
            verbose=values.get("verbose", False),
        )

    def _excluded(self, values: Values, destinations: tuple[int, ...]) -> frozenset[int]:
        """Brokers that may take no replicas, which are those removed recently.

        An explicit destination may take replicas.
        """
        if not values.get("exclude_recently_removed_brokers", True):
            return frozenset()
        return frozenset(self.executor.recently_removed()) - frozenset(destinations)

    def _reason(self, values: Values, task: UserTask) -> str:
        reason = values.get("reason") or "No reason provided"
        return f"{reason} (Client: {task.client}, Date: {iso(self.clock.now())})"

    def _step(self, task: UserTask, name: str, description: str) -> None:
        now = self.clock.now()
        task.progress.steps[-1].ended = now
        task.progress.steps.append(Step(name, description, now))

    # ---- the other POSTs

    async def stop_proposal_execution(self, values: Values, _task: UserTask) -> Body:
        self.executor.stop()
        if values.get("stop_external_agent", True):
            await self.executor.cancel_external_reassignments()
        message = "Proposal execution stopped."
        if values.get("force_stop", False):
            message += (
                " For replica reassignments force-stop is deprecated and acts as a graceful stop."
            )
        return render.versioned({"message": message})

    async def admin(self, values: Values, _task: UserTask) -> Body:
        body: Body = {}
        changes = self._change_ongoing(values)
        if changes:
            body["ongoingConcurrencyChangeRequest"] = "".join(f"{change}\n" for change in changes)
        for key, name, switches in (
            ("self_healing", "selfHealingEnabled", self._self_healing),
            ("concurrency_adjuster", "concurrencyAdjusterEnabled", self._concurrency_adjuster),
        ):
            for verb, value in (("enable", True), ("disable", False)):
                for switch in values.get(f"{verb}_{key}_for", ()):
                    body.setdefault(f"{name}Before", {})[switch] = switches[switch]
                    switches[switch] = value
                    body.setdefault(f"{name}After", {})[switch] = value
        if "min_isr_based_concurrency_adjustment" in values:
            before, after = (
                self._min_isr_based_adjustment,
                values["min_isr_based_concurrency_adjustment"],
            )
            self._min_isr_based_adjustment = after
            body["minIsrBasedConcurrencyAdjustmentRequest"] = (
                f"MinISR-based concurrency adjustment is modified (before: {str(before).lower()} "
                f"after: {str(after).lower()})."
            )
        if "drop_recently_removed_brokers" in values:
            body["dropRecentBrokersRequest"] = self._drop_recently_removed(
                values["drop_recently_removed_brokers"]
            )
        return render.versioned(body)

    def _drop_recently_removed(self, dropped: tuple[int, ...]) -> str:
        present = self.executor.recently_removed()
        if not set(dropped) & set(present):
            return (
                f"None of the brokers to drop ({list(dropped)}) are in the recently removed "
                f"broker set ({present}).\n"
            )
        self.executor.drop_recently_removed(dropped)
        return (
            f"Dropped recently removed brokers (requested: {list(dropped)} "
            f"after-dropping: {self.executor.recently_removed()}).\n"
        )

    def _change_ongoing(self, values: Values) -> list[str]:
        changes = []
        if (concurrency := values.get("concurrent_partition_movements_per_broker")) is not None:
            self.executor.change_concurrency(concurrency)
            changes.append(f"Inter-broker partition movement concurrency is set to {concurrency}")
        if (movements := values.get("max_partition_movements_in_cluster")) is not None:
            self.executor.change_cluster_concurrency(movements)
            changes.append(f"Max inter-broker partition movements is set to {movements}")
        for name, what in _NOT_IMITATED.items():
            if name in values:
                changes.append(f"{what} is set to {values[name]}")
        if (interval_ms := values.get("execution_progress_check_interval_ms")) is not None:
            self.executor.change_interval(interval_ms)
            changes.append(f"Execution progress check interval is set to {interval_ms}Ms")
        return changes
