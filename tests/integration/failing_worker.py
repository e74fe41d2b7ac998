"""The real agent with one fault in it, named by FAIL_AT, that strikes once at a command of that id.

A process of tests.

FAIL_ONCE names a file that remembers that it has struck. `bug`: an exception in a turn. `saved`:
the process dies when the state is in Kafka and its events are not. `join`: its part in the consumer
group fails. `table`: a share of the clusters comes, and Faust does not begin to read the table for
it.
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import Recovery

from agent import main
from agent.core.messages import Message
from agent.worker import publisher, turn
from schemas.events import ProgressEvent

# How long Faust's buffer may take to write what was saved; an idle machine needs milliseconds.
CHANGELOG_SECONDS = 1.0


def _strikes(fault: str, command_id: str | None) -> bool:
    struck = Path(os.environ["FAIL_ONCE"])
    if os.environ["FAIL_AT"] != fault or command_id != fault or struck.exists():
        return False
    struck.touch()
    return True


def install() -> None:
    """Put the faults where they belong."""
    really_take, really_publish = turn.apply_message, publisher.WorkerPublisher.events

    def take(records: Any, cluster: str, message: Message, *rest: Any) -> turn.Turn:
        if _strikes("bug", getattr(message, "command_id", None)):
            raise ZeroDivisionError("a bug")
        return really_take(records, cluster, message, *rest)

    async def publish(
        out: publisher.WorkerPublisher, cluster: str, events: Iterable[ProgressEvent]
    ) -> None:
        events = tuple(events)
        if any(_strikes("saved", e.data.get("command_id")) for e in events):
            await asyncio.sleep(CHANGELOG_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)
        await really_publish(out, cluster, events)

    really_join = PartitionAssignor.on_assignment

    def join(assignor: PartitionAssignor, assignment: Any) -> None:
        if _strikes("join", "join"):
            raise AssertionError("as Faust does when a member's URL has changed")
        really_join(assignor, assignment)

    really_recover = Recovery.on_rebalance

    async def recover(recovery: Recovery, *given: Any) -> None:
        if not _strikes("table", "table"):  # as where it says "rebalance again", and none comes
            await really_recover(recovery, *given)

    Recovery.on_rebalance = recover  # type: ignore[method-assign]
    PartitionAssignor.on_assignment = join
    turn.apply_message = take  # type: ignore[assignment]  # the point of this program
    publisher.WorkerPublisher.events = publish  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    install()
    main.run()
