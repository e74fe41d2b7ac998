"""Puts replica orders and leaders right, where nothing executes. Called by performer.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.checks import verification
from agent.core.migration import Migration
from agent.core.model.cluster import ClusterFacts
from agent.core.model.reasons import Code, Reason
from agent.performer.offload import run_off_loop
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.performer.ports import Ports


async def put_right(
    ports: Ports,
    facts: ClusterFacts,
    migration: Migration,
    snapshot: verification.Snapshot,
    may_not: Callable[[Migration], Awaitable[Reason | None]],
) -> tuple[ClusterFacts, Reason | None]:
    """Mend replica order and leaders, where nothing executes.

    `may_not` says why they are not to be touched now, or None.
    Out: the cluster as it is then, and why they were left alone; None: they are as they should be.
    """
    kafka, size = ports.kafka, len(facts.partitions)
    wrong = await run_off_loop(
        size, verification.misordered, facts.partitions, migration.waves, snapshot
    )
    not_on_preferred_leader = await run_off_loop(
        size, verification.not_on_preferred_leader, facts.partitions
    )
    if not (wrong or not_on_preferred_leader):
        return facts, None
    if executing := await may_not(migration):
        told = (
            f"{len(wrong)} replica orders and {len(not_on_preferred_leader)} leaders are left "
            f"alone: {executing.seen}"
        )
        return facts, replace(executing, seen=told)
    if wrong:
        await kafka.reorder_replicas(wrong)
        facts = await kafka.cluster()
        not_on_preferred_leader = await run_off_loop(
            size, verification.not_on_preferred_leader, facts.partitions
        )
    if not_on_preferred_leader:
        await kafka.elect_preferred([p.name for p in not_on_preferred_leader])
        facts = await kafka.cluster()
    return facts, None


async def executes(ports: Ports, migration: Migration) -> Reason | None:
    """Why replica orders and leaders are not to be touched now; None:

    Cruise Control's executor is idle.

    Whoever asked for it: an execution waits for the very order that it asked for, and puts it back
    at every poll. Told another one it never ends, and neither do we. One that cannot be asked
    counts as one that executes.
    """
    try:
        state = await ports.cruise_control.state(migration.migration_id)
    except PortError as trouble:
        return Reason(trouble.code, str(trouble), "an idle executor")
    if state.executor is msg.Executor.IDLE:
        return None
    whose = "our" if state.executor is msg.Executor.OURS else "somebody else's"
    seen = (
        f"Cruise Control's executor is {state.executor_state} for {whose} '{state.executor_reason}'"
    )
    return Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor")
