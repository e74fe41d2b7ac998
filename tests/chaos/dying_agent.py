"""An agent that kills itself (SIGKILL) once, at the boundary of an effect that DIE_AT names;
otherwise the real one.

Run as a process of its own by the chaos tests. DIE_ONCE names a file that remembers that it has
died already.
"""

import os
import signal
from pathlib import Path
from typing import Any

from agent.adapters.cruise_control.client import CruiseControl
from agent.core.messages import EffectEnded, ExecutionRequested, Message
from agent.worker import turn

BOUNDARIES = ("before_send", "after_send", "before_save", "after_save")


def _die(boundary: str) -> None:
    marker = Path(os.environ["DIE_ONCE"])
    if os.environ["DIE_AT"] == boundary and not marker.exists():
        marker.write_text(boundary)
        os.kill(os.getpid(), signal.SIGKILL)


class _DyingCruiseControl(CruiseControl):
    async def remove_broker(self, request: Any) -> Any:
        if request.dryrun:
            return await super().remove_broker(request)
        _die("before_send")
        answer = await super().remove_broker(request)
        if isinstance(answer, ExecutionRequested):
            _die("after_send")
        return answer


def _is_the_answer(message: Message) -> bool:
    return isinstance(message, EffectEnded) and isinstance(message.outcome, ExecutionRequested)


def main() -> None:
    """Put the dying parts in place of the real ones, then run the real agent."""
    from agent import main as agent_main
    from agent.worker import app, driven_cluster

    really_take = turn.apply_message

    def take(table: Any, cluster: str, message: Message, *rest: Any) -> turn.Turn:
        if _is_the_answer(message):
            _die("before_save")
        taken = really_take(table, cluster, message, *rest)
        if _is_the_answer(message):
            _die("after_save")
        return taken

    app.turn.apply_message = take
    driven_cluster.CruiseControl = _DyingCruiseControl  # type: ignore[misc]
    agent_main.run()


if __name__ == "__main__":
    main()
