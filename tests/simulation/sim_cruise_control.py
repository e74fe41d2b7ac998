"""A Cruise Control in memory, with the behaviours and misbehaviours that were recorded of a
real one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.core.messages import (
    Busy,
    ExecutionRequested,
    Executor,
    Rejected,
    TaskStatus,
    Unreachable,
)
from agent.core.model.cluster import TopicPartition
from agent.core.model.reasons import Code, Reason
from agent.core.model.throttle import ThrottleChange
from agent.performer.ports import CruiseControlState, RemoveBroker, UserTask
from tests.simulation.world import World

Answer = ExecutionRequested | Busy | Rejected | Unreachable
WINDOWS_SECONDS = 2.0  # after a move or a restart its model has too few windows for so long
USER_TASKS_MAX = 5  # a stock one takes so many active user tasks, from all of its clients
SCAN_SECONDS = 5.0  # what was answered counts as active until the next scan
REFUSED_ACTIVE_SECONDS = 3.0  # a refused request leaves a user task that reads Active for so long
HEAL_SECONDS = 2.0  # self-healing that is on begins so soon after the executor fell idle
HEALING = "Self healing for GOAL_VIOLATION"
BY_HAND = "by hand"


@dataclass
class Task:
    """A user task; `refused`: it was answered with a 500.

    `stop`: when and by whom its execution was stopped first.
    """

    user_task_id: str
    reason: str
    status: TaskStatus
    began: float
    refused_at: float | None = None
    stop: tuple[float, str] | None = None


@dataclass
class Execution:
    """What the executor works on."""

    task: Task
    left: list[tuple[TopicPartition, list[int]]]
    concurrency: int
    interval: float
    next_poll: float
    began: float = 0.0
    in_flight: list[tuple[TopicPartition, list[int]]] = field(default_factory=list)
    stopping: bool = False
    failed: bool = False
    # Its own throttle, which is set at the start, cleared at the end, and left by a crash.
    throttle: ThrottleChange | None = None


@dataclass(frozen=True)
class Accepted:
    """A request that was accepted, for the invariants: it outlives a restart."""

    at: float
    reason: str
    user_task_id: str
    cancelled: tuple[TopicPartition, ...]  # reassignments in flight, which it has cancelled


@dataclass(frozen=True)
class Healed:
    """What self-healing has begun to move by itself, for the invariants."""

    at: float
    names: tuple[TopicPartition, ...]


class SimCruiseControl:
    """One executor, some user tasks; everything is forgotten at a restart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        self.hung = False  # answers, and executes nothing
        self.execution: Execution | None = None
        self.tasks: list[Task] = []
        self.accepted: list[Accepted] = []
        self.stops: list[tuple[float, str]] = []  # (when, reason): each is a user task too
        self.heals = False  # SelfHealingNotifier, and switched on by `admin`
        self.healed: list[Healed] = []
        self.idle_since = world.now
        self.windows_from = 0.0
        self.windows_seconds = WINDOWS_SECONDS
        self.rejects = False  # whatever is asked for: a two-step review, a wrong password
        self.lie_next = 0  # complete the next executions with so many moves left out
        self.lies_left = 0  # so many executions
        # It missed a replica order that was repaired after a stop, and requests the old one.
        self.stale_orders = False
        self._ids = 0
        self._counting: list[float] = []  # user tasks that count as active: when each was begun
        self.full_at: list[float] = []  # when a question found no place

    def restart(self) -> None:
        """kill -9 and start: it has forgotten its task, and Kafka goes on moving."""
        self.execution, self.tasks, self.stops, self.up, self.hung = None, [], [], True, False
        self.idle_since = self.world.now
        self._counting = []
        self.windows_from = self.world.now + self.windows_seconds

    def has_place(self, *, is_question: bool) -> bool:
        """Whether it takes one more request, which then counts."""
        now = self.world.now
        scanned_at = now - now % SCAN_SECONDS
        self._counting = [at for at in self._counting if at >= scanned_at]
        if len(self._counting) >= USER_TASKS_MAX:
            self.full_at += [now] if is_question else []
            return False
        self._counting.append(now)
        return True

    # ── the API ───────────────────────────────────────────────────────────────────────────────────
    def remove_broker(self, request: RemoveBroker) -> Answer:
        w = self.world
        self._ids += 1
        task = Task(f"task-{self._ids}", request.reason, TaskStatus.ACTIVE, w.now)
        if not request.dryrun:
            self.tasks.append(task)
        if self.execution and not request.dryrun:
            return self._refuse(task, Code.CRUISE_CONTROL_BUSY, "ongoing execution")
        crowded = any(len(p.replicas) > 3 for p in w.moving.values())
        cancelled = () if request.dryrun else tuple(w.moving)  # also when it then fails
        for name in cancelled:
            w.cancel(name)
        if refused := self._unfit(request, crowded=crowded):
            return self._refuse(task, *refused)
        if self.rejects:
            task.refused_at = w.now
            return Rejected(reason=Reason(Code.CRUISE_CONTROL_REJECTED, "it wants a review"))
        if request.dryrun:
            return ExecutionRequested(user_task_id=task.user_task_id)
        moves = self._proposals(request)[self.lie_next if self.lies_left else 0 :]
        self.lies_left = max(self.lies_left - 1, 0)
        task.status = TaskStatus.IN_EXECUTION
        self.accepted.append(Accepted(w.now, request.reason, task.user_task_id, cancelled))
        interval = request.progress_check_interval_ms / 1_000
        concurrency = request.partition_movements_per_broker
        throttle = self._throttle(moves, request.throttle_bytes_per_second)
        self.execution = Execution(
            task, moves, concurrency, interval, w.now + 0.2, w.now, throttle=throttle
        )
        return ExecutionRequested(user_task_id=task.user_task_id)

    def _unfit(self, request: RemoveBroker, *, crowded: bool) -> tuple[Code, str] | None:
        w = self.world
        if w.now < self.windows_from:
            return Code.CRUISE_CONTROL_NOT_READY, "NotEnoughValidWindows"
        if crowded:
            return Code.CRUISE_CONTROL_BUSY, "Insufficient number of racks"
        if not set(request.destination_broker_ids) <= w.alive:
            return Code.CRUISE_CONTROL_NOT_READY, "does not exist"
        dead = {r for p in w.partitions.values() for r in p.replicas} - w.alive
        if dead - set(request.source_broker_ids):
            return Code.CRUISE_CONTROL_NOT_READY, "empty rack id"
        return None

    def _refuse(self, task: Task, code: Code, words: str) -> Busy:
        task.refused_at = self.world.now
        return Busy(reason=Reason(code, words))

    def _proposals(self, request: RemoveBroker) -> list[tuple[TopicPartition, list[int]]]:
        racks = self.world.racks
        moves = []
        for p in self.world.partitions.values():
            source = next((s for s in request.source_broker_ids if s in p.replicas), None)
            if source is None:
                continue
            free = [
                d
                for d in request.destination_broker_ids
                if d not in p.replicas and racks[d] == racks[source]
            ]
            if free:
                placed = [
                    free[p.name.partition % len(free)] if r == source else r for r in p.replicas
                ]
                # It gives the first place to the present leader, as recorded.
                if p.leader in p.replicas[1:]:
                    at = p.replicas.index(p.leader)
                    placed[0], placed[at] = placed[at], placed[0]
                # Stock goals change the order of replicas, as recorded.
                if self.stale_orders or request.reason == BY_HAND:
                    placed = [placed[0], *reversed(placed[1:])]
                moves.append((p.name, placed))
        return moves

    def _throttle(
        self, moves: list[tuple[TopicPartition, list[int]]], rate: int | None
    ) -> ThrottleChange | None:
        if rate is None:
            return None
        leaders: dict[str, set[tuple[int, int]]] = {}
        followers: dict[str, set[tuple[int, int]]] = {}
        for name, target in moves:
            now = self.world.partitions[name].replicas
            leaders.setdefault(name.topic, set()).update((name.partition, b) for b in now)
            followers.setdefault(name.topic, set()).update(
                (name.partition, b) for b in target if b not in now
            )
        order = ThrottleChange(
            rates=dict.fromkeys(sorted(self.world.alive), rate),
            leaders={t: frozenset(r) for t, r in leaders.items()},
            followers={t: frozenset(r) for t, r in followers.items()},
        )
        self.world.set_throttle(order)
        return order

    def stop(self, reason: str = BY_HAND) -> None:
        self.stops.append((self.world.now, reason))
        if self.execution:
            self.execution.stopping = True
            if self.execution.task.stop is None:
                self.execution.task.stop = self.stops[-1]

    def set_concurrency(self, partition_movements_per_broker: int) -> None:
        if self.execution:
            self.execution.concurrency = partition_movements_per_broker

    def state(self, migration_id: str) -> CruiseControlState:
        e = self.execution
        whose = Executor.IDLE
        if e:
            ours = migration_id and e.task.reason.startswith(migration_id + "/")
            whose = Executor.OURS if ours else Executor.FOREIGN
        return CruiseControlState(
            executor=whose,
            executor_state="INTER_BROKER_REPLICA_MOVEMENT_TASK_IN_PROGRESS"
            if e
            else "NO_TASK_IN_PROGRESS",
            executor_reason=f"{e.task.reason} (Client: 127.0.0.1)" if e else "",
            valid_windows=int(self.world.now >= self.windows_from),
            self_healing=("GOAL_VIOLATION",) if self.heals else (),
        )

    def user_tasks(self, key: str, but: Sequence[str] = ()) -> list[UserTask]:
        """`but`: the ids of requests that the asker knows to have been refused."""
        found, own = [], key.split("/", 1)[0] + "/"
        for t in self.tasks:
            if t.user_task_id not in but and (t.reason == key or t.reason.startswith(key + "/")):
                refused = (
                    t.refused_at is not None
                    and self.world.now >= t.refused_at + REFUSED_ACTIVE_SECONDS
                )
                status = TaskStatus.COMPLETED_WITH_ERROR if refused else t.status
                first = next((s for s in self.stops if s[0] >= t.began), None)
                over = status is TaskStatus.COMPLETED or (
                    first is not None and first[1].startswith(own)
                )
                by = "" if first is None or over else f"(stop_proposal_execution at {first[0]:.2f})"
                found.append(
                    UserTask(
                        user_task_id=t.user_task_id, status=status, reason=t.reason, stopped_by=by
                    )
                )
        return found

    # ── time ──────────────────────────────────────────────────────────────────────────────────────
    @property
    def wakes_at(self) -> float | None:
        """When it looks at its execution again."""
        if not self.up or self.hung:
            return None
        if self.execution:
            return self.execution.next_poll
        return max(self.idle_since + HEAL_SECONDS, self.world.now + 0.5) if self.heals else None

    def advance(self) -> None:
        e = self.execution
        if e is None and self.heals and self.up and not self.hung:
            self._heal()
        if e is None or not self.up or self.hung or self.world.now < e.next_poll:
            return
        e.next_poll = self.world.now + e.interval
        if e.stopping:
            for name, _ in e.in_flight:
                self.world.cancel(name)
            self._end(e, TaskStatus.COMPLETED_WITH_ERROR)
            return
        self._look(e)
        while e.left and len(e.in_flight) < e.concurrency:
            name, target = e.left.pop(0)
            p = self.world.partitions.get(name)
            if p is None or p.is_moving or not set(target) <= self.world.alive:
                e.failed = True
            elif set(p.replicas) ^ set(target):
                self.world.reassign(name, target)
                e.in_flight.append((name, target))
        if not e.left and not e.in_flight:
            self._end(e, TaskStatus.COMPLETED_WITH_ERROR if e.failed else TaskStatus.COMPLETED)

    def _look(self, e: Execution) -> None:
        """Which of its moves have ended.

        Put in another order before it has looked, it puts its own back (recorded).
        """
        waiting = []
        for name, target in e.in_flight:
            p = self.world.partitions.get(name)
            if p is None or (not p.is_moving and p.replicas == target):
                continue
            if not set(target) <= self.world.alive:  # recorded: DEAD, counted as finished
                self.world.cancel(name)
                e.failed = True
            elif not p.is_moving and set(p.replicas) != set(target):
                e.failed = True  # someone has cancelled it
            else:
                if not p.is_moving:
                    self.world.reassign(name, target)  # "Found tasks to re-execute", at every poll
                waiting.append((name, target))
        e.in_flight = waiting

    def _heal(self) -> None:
        """From the fullest broker of an AZ to the emptiest: nobody asked for it, and it is no
        user task.
        """
        w = self.world
        if w.now < max(self.idle_since + HEAL_SECONDS, self.windows_from) or w.moving:
            return
        for az in sorted(set(w.racks.values())):
            live = sorted((len(w.held(b)), b) for b in w.alive if w.racks[b] == az)
            if len(live) < 2 or live[-1][0] - live[0][0] < 2:
                continue
            to, of = live[0][1], live[-1][1]
            movable = (
                p for p in w.partitions.values() if of in p.replicas and to not in p.replicas
            )
            moves = [(p.name, [to if r == of else r for r in p.replicas]) for p in movable][:1]
            self.healed.append(Healed(w.now, tuple(name for name, _ in moves)))
            task = Task("", HEALING, TaskStatus.IN_EXECUTION, w.now)
            self.execution = Execution(task, moves, 1, 1.0, w.now + 0.2, w.now)
            return

    def _end(self, e: Execution, status: TaskStatus) -> None:
        e.task.status = status
        if e.throttle:
            self.world.clear_throttle(e.throttle)
        self.execution = None
        self.idle_since = self.world.now
        self.windows_from = self.world.now + self.windows_seconds
