"""A Cruise Control in memory, with the behaviours and misbehaviours that were recorded of a real one."""

from dataclasses import dataclass, field

from agent.adapters.ports import CruiseControlState, RemoveBroker, UserTask
from agent.core.cluster import TopicPartition
from agent.core.messages import Busy, ExecutionAsked, Executor, Rejected, TaskStatus, Unreachable
from agent.core.reasons import Code, Reason
from tests.simulation.world import World


@dataclass
class Execution:
    """What the executor works on."""

    task_id: str
    reason: str
    pairs: dict[int, tuple[int, ...]]
    left: list[tuple[TopicPartition, list[int]]]
    concurrency: int
    interval: float
    next_poll: float
    in_flight: list[tuple[TopicPartition, list[int]]] = field(default_factory=list)
    stopping: bool = False
    failed: bool = False


class SimCruiseControl:
    """One executor, some user tasks; everything is forgotten at a restart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        self.execution: Execution | None = None
        self.tasks: list[UserTask] = []
        self.executions_started: list[str] = []  # reasons, for the invariants: it survives restarts
        self.starts = 0
        self.windows_from = 0.0
        self.lie_next = 0  # complete the next execution with so many moves left out

    # ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────
    def restart(self) -> None:
        """kill -9 and start: it has forgotten the task, and Kafka goes on moving."""
        self.execution, self.tasks, self.up = None, [], True

    # ── the API ─────────────────────────────────────────────────────────────────────────────────────────────────
    def remove_broker(self, request: RemoveBroker) -> ExecutionAsked | Busy | Rejected | Unreachable:
        w = self.world
        if w.now < self.windows_from:
            return self._busy(request, Code.CRUISE_CONTROL_NOT_READY, "NotEnoughValidWindows")
        if any(len(p.replicas) > 3 for p in w.partitions.values()):
            return self._busy(request, Code.CRUISE_CONTROL_BUSY, "Insufficient number of racks")
        if self.execution and not request.dryrun:
            return self._busy(request, Code.CRUISE_CONTROL_BUSY, "ongoing execution")
        named = {*request.source_broker_ids, *request.destination_broker_ids}
        if not set(request.destination_broker_ids) <= w.alive or not named <= set(w.racks):
            return self._busy(request, Code.CRUISE_CONTROL_NOT_READY, "does not exist")
        dead = {r for p in w.partitions.values() for r in p.replicas} - w.alive
        if dead - set(request.source_broker_ids):
            return self._busy(request, Code.CRUISE_CONTROL_NOT_READY, "empty rack id")
        self.starts += 1
        task_id = f"task-{self.starts}"
        if request.dryrun:
            return ExecutionAsked(user_task_id=task_id)
        moves = self._proposals(request)
        for name in [r for r in w.reassignments()]:  # rule 4: it cancels other tools' reassignments
            w.cancel(TopicPartition(name.topic, name.partition))
        if self.lie_next:
            moves, self.lie_next = moves[self.lie_next :], 0
        self.tasks.append(UserTask(user_task_id=task_id, status=TaskStatus.IN_EXECUTION, reason=request.reason))
        self.executions_started.append(request.reason)
        interval = request.progress_check_interval_ms / 1_000
        self.execution = Execution(
            task_id,
            request.reason,
            {},
            moves,
            request.partition_movements_per_broker,
            interval,
            w.now + 0.2,
        )
        return ExecutionAsked(user_task_id=task_id)

    def _busy(self, request: RemoveBroker, code: Code, words: str) -> Busy:
        return Busy(reason=Reason(code, words))

    def _proposals(self, request: RemoveBroker) -> list[tuple[TopicPartition, list[int]]]:
        moves = []
        for p in self.world.partitions.values():
            source = next((s for s in request.source_broker_ids if s in p.replicas), None)
            if source is None:
                continue
            rack = self.world.racks[source]
            free = [d for d in request.destination_broker_ids if d not in p.replicas and self.world.racks[d] == rack]
            if free:
                placed = [free[0] if r == source else r for r in p.replicas]
                if p.leader in p.replicas[1:]:  # it lets the present leader's place be the first (seen)
                    at = p.replicas.index(p.leader)
                    placed[0], placed[at] = placed[at], placed[0]
                moves.append((p.name, placed))
        return moves

    def stop(self) -> None:
        if self.execution:
            self.execution.stopping = True

    def state(self, migration_id: str) -> CruiseControlState:
        e = self.execution
        whose = Executor.IDLE
        if e:
            whose = Executor.OURS if migration_id and e.reason.startswith(migration_id + "/") else Executor.FOREIGN
        return CruiseControlState(
            executor=whose,
            executor_state="INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS" if e else "NO_TASK_IN_PROGRESS",
            executor_reason=f"{e.reason} (Client: 127.0.0.1)" if e else "",
            valid_windows=int(self.world.now >= self.windows_from),
        )

    def user_tasks(self, key: str) -> list[UserTask]:
        return [t for t in self.tasks if t.reason == key or t.reason.startswith(key + "/")]

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────────
    def advance(self) -> None:
        e = self.execution
        if not self.up or e is None or self.world.now < e.next_poll:
            return
        e.next_poll = self.world.now + e.interval
        if e.stopping:
            for name, _ in e.in_flight:
                if name in self.world.partitions:
                    self.world.cancel(name)
            self._end(TaskStatus.COMPLETED_WITH_ERROR)
            return
        waiting = []
        for name, target in e.in_flight:
            p = self.world.partitions.get(name)
            if p is None or p.replicas == target:
                continue
            if not set(target) <= self.world.alive:  # recorded: DEAD, counted as finished
                self.world.cancel(name)
                e.failed = True
            elif not p.adding and not p.removing:
                e.failed = True  # someone cancelled it
            else:
                waiting.append((name, target))
        e.in_flight = waiting
        while e.left and len(e.in_flight) < e.concurrency:
            name, target = e.left.pop(0)
            p = self.world.partitions.get(name)
            if p and not p.adding and set(target) <= self.world.alive:
                self.world.reassign(name, target)
                e.in_flight.append((name, target))
        if not e.left and not e.in_flight:
            self._end(TaskStatus.COMPLETED_WITH_ERROR if e.failed else TaskStatus.COMPLETED)

    def _end(self, status: TaskStatus) -> None:
        assert self.execution
        ended = self.execution.task_id
        self.tasks = [
            UserTask(user_task_id=t.user_task_id, status=status, reason=t.reason) if t.user_task_id == ended else t
            for t in self.tasks
        ]
        self.execution = None
        self.windows_from = self.world.now + 2.0
