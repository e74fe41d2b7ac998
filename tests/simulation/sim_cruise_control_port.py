"""Cruise Control's port over the simulated world: every call is a scheduling point.

What changes the world travels on a wire: once sent, it arrives, also when its sender has been
closed or has died since.
"""

from collections.abc import Callable, Sequence

from agent.adapters.cruise_control.client import FULL_RETRY_SECONDS, FULL_SECONDS_MAX
from agent.adapters.cruise_control.request_budget import Questions
from agent.core.messages import Busy, ExecutionRequested, Executor, Rejected, Unreachable
from agent.core.model.reasons import Code, Reason
from agent.performer.ports import CruiseControlState, PortError, RemoveBroker, UserTask
from tests.simulation.sim_cruise_control import SimCruiseControl
from tests.simulation.sim_ports import TIMEOUT_SECONDS, Acting, Trouble, Wire, until
from tests.simulation.world import World

Asked = Callable[[RemoveBroker], None]
Answer = tuple[ExecutionRequested | Busy | Unreachable | Rejected, str]  # with the user task's id


class SimCruiseControlPort:
    """One client of Cruise Control; like the real one it remembers what was refused, and asks
    seldom.
    """

    def __init__(
        self,
        world: World,
        cc: SimCruiseControl,
        trouble: Trouble,
        wire: Wire,
        asked: Asked,
        stopping: Acting = lambda: None,
    ) -> None:
        self._w, self._cc, self._trouble, self._wire, self._asked = world, cc, trouble, wire, asked
        self._stopping = stopping
        self._refused: list[str] = []
        self._questions = Questions()
        self._idle_at = float("-inf")
        self._idle: CruiseControlState | None = None  # the last answer, and when it was asked for

    async def _ask(self, *, before_an_order: bool = False) -> None:
        """A question, in its turn."""
        await self._turn(before_an_order=before_an_order)
        self._questions.begin()
        try:
            await self._call(is_question=True)
        finally:
            self._questions.end(self._w.now)

    async def _turn(self, *, before_an_order: bool = False) -> None:
        asked = self._questions
        while (
            seconds := asked.seconds_to_wait(self._w.now, before_an_order=before_an_order)
        ) > 0.0:
            await until(self._w.now + seconds)

    async def _call(self, *, is_question: bool = False) -> None:
        if not is_question:
            self._idle = None
            self._questions.order(self._w.now)
        await until(self._w.now + self._trouble.call_seconds)
        if self._is_down:
            await until(self._w.now + TIMEOUT_SECONDS)
            raise PortError("Cruise Control does not answer", Code.CRUISE_CONTROL_UNREACHABLE)
        if self._trouble.login_refused:
            raise PortError("it answered 401", Code.CRUISE_CONTROL_LOGIN_REFUSED)
        full_until = self._w.now + (0.0 if is_question else FULL_SECONDS_MAX)
        while (
            full := self._trouble.crowded or not self._cc.has_place(is_question=is_question)
        ) and (self._w.now < full_until):
            await until(self._w.now + FULL_RETRY_SECONDS)
        if full:
            raise PortError("There are already 5 active user tasks", Code.CRUISE_CONTROL_BUSY)

    @property
    def _is_down(self) -> bool:
        return self._trouble.cruise_control_down or not self._cc.up

    def can_spare_a_question(self) -> bool:
        return self._questions.can_spare_one(self._w.now)

    async def state(self, migration_id: str, *, age_seconds_max: float = 0.0) -> CruiseControlState:
        asked_at = self._w.now
        if self._idle is not None and asked_at - self._idle_at < age_seconds_max:
            return self._idle
        await self._ask()
        state = self._cc.state(migration_id)
        self._idle_at, self._idle = asked_at, state if state.executor is Executor.IDLE else None
        return state

    async def user_tasks(self, key: str) -> Sequence[UserTask]:
        await self._ask(before_an_order=True)
        return self._cc.user_tasks(key, self._refused)

    async def remove_broker(
        self, request: RemoveBroker
    ) -> ExecutionRequested | Busy | Unreachable | Rejected:
        if request.dryrun:
            await self._turn()
            self._questions.begin()
            try:
                return await self._remove_broker(request)
            finally:
                self._questions.end(self._w.now)
        self._idle = None
        self._questions.order(self._w.now)
        self._asked(request)
        return await self._remove_broker(request)

    async def _remove_broker(
        self, request: RemoveBroker
    ) -> ExecutionRequested | Busy | Unreachable | Rejected:
        lost = Unreachable(reason=Reason(Code.CRUISE_CONTROL_UNREACHABLE, "timed out"))
        answers: list[Answer] = []
        loses = not request.dryrun and self._take("lose_request")
        if not loses:
            await until(
                self._wire.send(self._trouble.call_seconds, lambda: self._arrive(request, answers))
            )
        if loses or not answers or (not request.dryrun and self._take("accept_then_time_out")):
            await until(self._w.now + TIMEOUT_SECONDS)
            return lost
        await until(self._w.now + self._trouble.call_seconds)  # the way back: a crash may fall here
        answer, user_task_id = answers[0]
        if isinstance(answer, Busy):
            self._refused.append(user_task_id)
        return answer

    def _arrive(self, request: RemoveBroker, answers: list[Answer]) -> None:
        if self._is_down:
            return
        if self._trouble.login_refused:
            answers.append(
                (Rejected(reason=Reason(Code.CRUISE_CONTROL_LOGIN_REFUSED, "it answered 401")), "")
            )
        elif self._trouble.crowded or not self._cc.has_place(is_question=request.dryrun):
            answers.append(
                (Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, "5 active user tasks")), "")
            )
        else:
            answer = self._cc.remove_broker(request)
            answers.append((answer, "" if request.dryrun else self._cc.tasks[-1].user_task_id))

    def _take(self, name: str) -> bool:
        left: int = getattr(self._trouble, name)
        setattr(self._trouble, name, max(left - 1, 0))
        return left > 0

    async def stop(self, reason: str) -> None:
        self._stopping()
        await self._call()
        await until(self._wire.send(self._trouble.call_seconds, lambda: self._cc.stop(reason)))

    async def set_concurrency(self, partition_movements_per_broker: int) -> None:
        await self._call()
        self._cc.set_concurrency(partition_movements_per_broker)
