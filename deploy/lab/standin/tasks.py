"""User tasks: what Cruise Control remembers of requests, by User-Task-ID.

The api uses it. A restart loses them all. A finished task counts as active until the next scan, as
in the original; one in execution never does.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from deploy.lab.standin import errors
from deploy.lab.standin.clock import Clock
from deploy.lab.standin.settings import Settings


class TaskState(StrEnum):
    ACTIVE = "Active"
    IN_EXECUTION = "InExecution"
    COMPLETED = "Completed"
    COMPLETED_WITH_ERROR = "CompletedWithError"


class EndpointKind(StrEnum):
    """Completed tasks are kept and listed by kind, in this order."""

    CRUISE_CONTROL_MONITOR = "CRUISE_CONTROL_MONITOR"
    KAFKA_MONITOR = "KAFKA_MONITOR"
    KAFKA_ADMIN = "KAFKA_ADMIN"
    CRUISE_CONTROL_ADMIN = "CRUISE_CONTROL_ADMIN"


@dataclass(frozen=True)
class Answer:
    """The result of an operation: a JSON body, or the message of an error."""

    status: int
    body: Any
    error: Exception | None = None


@dataclass
class Step:
    """One step in the progress of an operation."""

    name: str
    description: str
    started: float
    ended: float | None = None


@dataclass
class Progress:
    operation: str
    steps: list[Step] = field(default_factory=list)


@dataclass
class UserTask:
    id: str
    endpoint: str
    kind: EndpointKind
    method_and_url: str
    client: str
    started: float
    progress: Progress
    state: TaskState = TaskState.ACTIVE
    executing: bool = False
    failed: bool = False
    answer: Answer | None = None
    work: "asyncio.Task[None] | None" = None


def check_uuid(text: str, error: Callable[[str], Exception]) -> None:
    try:
        UUID(text)
    except ValueError:
        raise error(f"Invalid UUID string: {text}") from None


class UserTasks:
    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._active: OrderedDict[str, UserTask] = OrderedDict()
        self._completed: dict[EndpointKind, OrderedDict[str, UserTask]] = {
            kind: OrderedDict() for kind in EndpointKind
        }
        self._by_session: dict[tuple[str, str], tuple[str, float]] = {}

    def find(
        self, task_id: str | None, session: str | None, method_and_url: str
    ) -> UserTask | None:
        """The task to which this request already belongs.

        A session that requests the same URL gets the same task, and so the same answer, until it
        has been silent for its expiry time. A client that keeps cookies therefore polls a `state`
        that never changes.

        Raises an error when the request names a task that does not exist.
        """
        if task_id is not None:
            check_uuid(task_id, errors.ServletError)
            task = self.get(task_id)
            if task is None or task.method_and_url != method_and_url:
                raise errors.ServletError(
                    f"Unexpected header {task_id} (value: User-Task-ID) in the request."
                )
            return task
        remembered = self._by_session.get((session or "", method_and_url))
        if (
            remembered is None
            or self._clock.now() - remembered[1] > self._settings.session_expiry_seconds
        ):
            return None
        return self.get(remembered[0])

    def get(self, task_id: str) -> UserTask | None:
        for tasks in (self._active, *self._completed.values()):
            if task_id in tasks:
                return tasks[task_id]
        return None

    def start(
        self,
        endpoint: str,
        kind: EndpointKind,
        method_and_url: str,
        client: str,
        work: Callable[[UserTask], Awaitable[Answer]],
        operation: str,
    ) -> UserTask:
        """Open a task and start its work. Raises an error when too many are active."""
        if len(self._active) >= self._settings.max_active_user_tasks:
            raise errors.ServletError(
                (
                    f"There are already {len(self._active)} active user tasks, which has reached "
                    "the servlet capacity."
                ),
                "java.lang.RuntimeException",
            )
        now = self._clock.now()
        pending = Step("PENDING", "Operation enqueued, waiting to be executed.", now)
        task = UserTask(
            str(uuid4()),
            endpoint,
            kind,
            method_and_url,
            client,
            now,
            Progress(operation, [pending]),
        )
        self._active[task.id] = task
        task.work = asyncio.create_task(self._run(task, work), name=f"user-task-{endpoint}")
        return task

    def remember_session(self, session: str, task: UserTask) -> None:
        """Give this task to later requests of this session for the same URL."""
        self._by_session[session, task.method_and_url] = (task.id, self._clock.now())

    async def _run(self, task: UserTask, work: Callable[[UserTask], Awaitable[Answer]]) -> None:
        task.answer = await work(task)
        task.failed = task.failed or task.answer.status != 200

    def mark_executing(self, task_id: str) -> None:
        task = self._active[task_id]
        task.executing = True
        task.state = TaskState.IN_EXECUTION

    def mark_execution_finished(self, task_id: str, *, succeeded: bool) -> None:
        task = self.get(task_id)
        if task is None:
            return
        task.executing = False
        task.failed = task.failed or not succeeded
        if task.answer is not None:
            self._complete(task)
        else:
            task.state = TaskState.ACTIVE

    def scan(self) -> None:
        """Move finished tasks out of the active ones.

        The oldest completed tasks and expired sessions are forgotten.
        """
        for task in list(self._active.values()):
            if task.answer is not None and not task.executing:
                self._complete(task)
        now = self._clock.now()
        expired = [
            k
            for k, (_, at) in self._by_session.items()
            if now - at > self._settings.session_expiry_seconds
        ]
        for key in expired:
            del self._by_session[key]

    def _complete(self, task: UserTask) -> None:
        self._active.pop(task.id, None)
        task.state = TaskState.COMPLETED_WITH_ERROR if task.failed else TaskState.COMPLETED
        completed = self._completed[task.kind]
        completed[task.id] = task
        while len(completed) > self._settings.max_cached_completed_user_tasks:
            completed.popitem(last=False)

    def all(self) -> list[UserTask]:
        """The active tasks, then those in execution, then the completed ones by kind."""
        active = [task for task in self._active.values() if not task.executing]
        executing = [task for task in self._active.values() if task.executing]
        return (
            active
            + executing
            + [task for tasks in self._completed.values() for task in tasks.values()]
        )

    async def close(self) -> None:
        works = [
            task.work
            for task in self._active.values()
            if task.work is not None and not task.work.done()
        ]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
