"""Asks Cruise Control about the execution of a wave. Called by watches.py.

Cruise Control takes five requests at a time from all of its clients, and each counts for 5 s. Kafka
shows the progress of a wave, so Cruise Control is asked only from time to time, and as soon as the
moves in Kafka begin or end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.core import messages as msg
from agent.core.model.reasons import Reason
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from agent.core import effects as fx
    from agent.core.migration import Migration
    from agent.performer.ports import Ports

MOVING_SECONDS = 10.0
STILL_SECONDS = 3.0  # while nothing moves, or it could not be asked


class Word(NamedTuple):
    """An answer of Cruise Control; `executor` is None when it was not asked."""

    executor: msg.Executor | None
    task: msg.TaskStatus = msg.TaskStatus.NONE
    trouble: Reason | None = None
    stopped_by: str = ""  # who else has stopped our task; empty when nobody has


NOT_ASKED = Word(None)


class MoverLook:
    """Asks for whom the executor works, and for the status of our request."""

    def __init__(self, ports: Ports, scope: fx.WaveScope, migration: Migration) -> None:
        self._ports = ports
        self._scope = scope
        self._migration_id = migration.migration_id
        self._moved: bool | None = None  # at the last answer
        self._due = 0.0
        self.self_healing: tuple[str, ...] = ()

    async def look(self, ours: int, replicas_left: int) -> Word:
        """Ask Cruise Control if that is due; never raises: `trouble` says why it did not answer.

        `ours` is the number of the wave's moves that Kafka shows in flight. For a selection, which
        the agent moves itself, that number alone decides the result. `replicas_left` is the number
        of replicas on the sources.
        """
        word, is_over = NOT_ASKED, not ours and not replicas_left
        if not is_over and self._is_wanted(is_moving=bool(ours)):
            word = await self._ask(is_moving=bool(ours))
        if self._scope.selection is None:
            return word
        return Word(msg.Executor.OURS if ours else msg.Executor.IDLE)

    def _is_wanted(self, *, is_moving: bool) -> bool:
        changed = self._moved is not is_moving
        is_due = changed or self._ports.clock.now() >= self._due
        return is_due and self._ports.cruise_control.can_spare_a_question()

    async def _ask(self, *, is_moving: bool) -> Word:
        cruise_control, clock = self._ports.cruise_control, self._ports.clock
        seconds = MOVING_SECONDS if is_moving else STILL_SECONDS
        try:
            state = await cruise_control.state(self._migration_id)
            self.self_healing = state.self_healing
            # If the executor works for us, it executes our request.
            word = Word(state.executor, msg.TaskStatus.IN_EXECUTION)
            if state.executor is not msg.Executor.OURS and self._scope.selection is None:
                tasks = await cruise_control.user_tasks(self._scope.key)
                word = Word(state.executor)
                if tasks:
                    word = word._replace(task=tasks[-1].status, stopped_by=tasks[-1].stopped_by)
        except PortError as trouble:
            word = Word(msg.Executor.UNREACHABLE, trouble=Reason(trouble.code, str(trouble)))
            seconds = STILL_SECONDS
        self._moved = is_moving
        self._due = clock.now() + seconds
        return word
