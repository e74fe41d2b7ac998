"""Restores replica orders and preferred leaders where nothing executes. Called by performer.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.checks import verification
from agent.core.model.reasons import Code, Reason
from agent.performer.offload import run_off_loop
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.core.migration import Migration
    from agent.core.model.cluster import ClusterFacts
    from agent.performer.ports import Ports

# An idle answer of Cruise Control is believed for so long, if Kafka shows nothing in flight now:
# its questions are rationed, and one more may have to wait for seconds.
IDLE_SECONDS = 1.0


async def restore(
    ports: Ports,
    facts: ClusterFacts,
    migration: Migration,
    snapshot: verification.Snapshot,
    executing: Callable[[Migration], Awaitable[Reason | None]],
) -> tuple[bool, Reason | None]:
    """Give partitions the replica order of the snapshot, then elect preferred leaders.

    `facts`: the cluster as it was just read. `executing`: why orders and leaders must not be
    touched now, or None; it is only asked when there is something to restore.
    Out: whether the cluster was changed, so that `facts` is out of date; and why it was left alone,
    or None.
    """
    kafka, size = ports.kafka, len(facts.partitions)
    misordered = await run_off_loop(
        size, verification.misordered, facts.partitions, migration.waves, snapshot
    )
    misled = await run_off_loop(size, verification.not_on_preferred_leader, facts.partitions)
    if not (misordered or misled):
        return False, None
    if reason := await executing(migration):
        seen = (
            f"{len(misordered)} replica orders and {len(misled)} leaders are left "
            f"alone: {reason.seen}"
        )
        return False, replace(reason, seen=seen)
    if misordered:
        await kafka.reorder_replicas(misordered)
        reordered = await kafka.describe(misordered)  # their preferred leader is another one now
        misled = [
            *(p for p in misled if p.name not in misordered),
            *await run_off_loop(
                len(reordered), verification.not_on_preferred_leader, list(reordered)
            ),
        ]
    if misled:
        await kafka.elect_preferred([p.name for p in misled])
    return True, None


async def why_not_now(ports: Ports, migration: Migration) -> Reason | None:
    """Why replica orders and leaders must not be touched now; None while Cruise Control is idle.

    It does not matter whose execution it is: an execution waits for the very order that it
    requested, and restores it at every poll, so that one which is given another order never ends. A
    Cruise Control that does not answer counts as one that executes.
    """
    cruise_control, migration_id = ports.cruise_control, migration.migration_id
    try:
        state = await cruise_control.state(migration_id, age_seconds_max=IDLE_SECONDS)
        if state.executor is msg.Executor.IDLE and await ports.kafka.reassignments():
            state = await cruise_control.state(migration_id)  # it may have begun since
    except PortError as trouble:
        return Reason(trouble.code, str(trouble), "an idle executor")
    if state.executor is msg.Executor.IDLE:
        return None
    whose = "our" if state.executor is msg.Executor.OURS else "somebody else's"
    seen = (
        f"Cruise Control's executor is {state.executor_state} for {whose} '{state.executor_reason}'"
    )
    return Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor")
