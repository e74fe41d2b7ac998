"""Restores replica orders and preferred leaders while Cruise Control is idle.

Called by performer.py and stop.py.
"""

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

# How old an idle answer of Cruise Control may be if Kafka shows nothing in flight. Another question
# may have to wait for seconds, because the number of requests is limited.
IDLE_SECONDS = 1.0


async def restore(
    ports: Ports,
    facts: ClusterFacts,
    migration: Migration,
    snapshot: verification.Snapshot,
    executing: Callable[[Migration], Awaitable[Reason | None]],
) -> tuple[bool, Reason | None]:
    """Give partitions the replica order of the snapshot, then elect preferred leaders.

    `facts`: the cluster as it was just read. `executing` returns why orders and leaders must not be
    changed now, or None; it is called only when there is something to restore.

    Returns whether the cluster was changed, so that `facts` is out of date; and why it was left
    alone, or None. Raises PortError.
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
        reordered = await kafka.describe(misordered)  # their preferred leaders have changed
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
    """Return why replica orders and leaders must not be changed now; None if nothing executes.

    It does not matter whose execution it is. An execution waits for exactly the replica order that
    it requested and restores it at every poll, so it never ends if the order is changed. A Cruise
    Control that does not answer counts as executing.
    """
    cruise_control, migration_id = ports.cruise_control, migration.migration_id
    try:
        state = await cruise_control.state(migration_id, age_seconds_max=IDLE_SECONDS)
        if state.executor is msg.Executor.IDLE and await ports.kafka.reassignments():
            state = await cruise_control.state(migration_id)  # an execution may have begun since
    except PortError as trouble:
        return Reason(trouble.code, str(trouble), "an idle executor")
    if state.executor is msg.Executor.IDLE:
        return None
    whose = "our" if state.executor is msg.Executor.OURS else "somebody else's"
    seen = (
        f"Cruise Control's executor is {state.executor_state} for {whose} '{state.executor_reason}'"
    )
    return Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor")
