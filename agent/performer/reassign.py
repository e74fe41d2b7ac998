"""Moves a wave's selection by Kafka's own reassignment (KIP-455), without Cruise Control.

Called by performer.py, stop.py and watches.py. Reads the state before each change, and cancels only
the wave's own reassignments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.checks import cluster_checks
from agent.core.model.reasons import Code, Reason
from agent.core.planning.lanes import next_moves
from agent.core.planning.selection import EVERYTHING, Lane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.core.migration import Migration
    from agent.core.model.cluster import Partition, Reassignment, TopicPartition
    from agent.performer.ports import Ports


SEEN_IDLE_SECONDS = 5.0  # how old an answer may be in which Cruise Control's executor was idle


async def move_selection(
    ports: Ports, effect: fx.MovePartitions, migration: Migration
) -> msg.Outcome:
    """Begin as many moves of the selection as may be in flight at once.

    Partitions that are moving or have moved are left alone. Returns ExecutionRequested, or Busy
    with what has to end first. Raises PortError.
    """
    scope, kafka = effect.scope, ports.kafka
    # Cruise Control cancels reassignments that are not its own as soon as it executes, so no move
    # begins beside it. Moves that it has begun since it was seen idle show in Kafka.
    state = await ports.cruise_control.state(
        migration.migration_id, age_seconds_max=SEEN_IDLE_SECONDS
    )
    if state.executor is not msg.Executor.IDLE:
        seen = f"its executor is {state.executor_state} for '{state.executor_reason}'"
        return msg.Busy(reason=Reason(Code.CRUISE_CONTROL_BUSY, seen, "an idle executor"))
    in_flight = await kafka.reassignments()
    own = own_reassignments(in_flight, scope)
    if len(own) < len(in_flight):
        seen = f"{len(in_flight) - len(own)} reassignments of someone else are in flight"
        return msg.Busy(reason=Reason(Code.FOREIGN_REASSIGNMENT, seen, "none"))
    free = effect.partition_movements_per_broker - len(own)
    held, sizes = await selected(ports, scope)
    (source,), (destination,) = scope.source_broker_ids, scope.destination_broker_ids
    moves = next_moves(
        held, sizes, source, destination, free, largest_first=scope.lane is Lane.LARGE
    )
    if not ports.lease.held():  # it may have been lost during the requests above
        return msg.Busy(
            reason=Reason(Code.OTHER_DRIVER, ports.lease.holder(), "the lease of this cluster")
        )
    if moves:
        await kafka.reassign(moves)
    return msg.ExecutionRequested(user_task_id="", adopted=bool(own))


async def cancel_selection(ports: Ports, scope: fx.WaveScope) -> None:
    """Cancel the moves of the selection that are in flight.

    Replicas that have arrived stay; partly copied ones are lost. Raises PortError.
    """
    own = own_reassignments(await ports.kafka.reassignments(), scope)
    if own and ports.lease.held():
        await ports.kafka.reassign({r.name: None for r in own})


def own_reassignments(in_flight: Iterable[Reassignment], scope: fx.WaveScope) -> list[Reassignment]:
    """Return the reassignments in flight that belong to this wave."""
    sources = frozenset(scope.source_broker_ids)
    destinations = frozenset(scope.destination_broker_ids)
    is_selected = (scope.selection or EVERYTHING).contains
    return [
        r
        for r in in_flight
        if cluster_checks.is_own_reassignment(r, sources, destinations) and is_selected(r.name)
    ]


async def selected(
    ports: Ports, scope: fx.WaveScope
) -> tuple[list[Partition], dict[TopicPartition, int]]:
    """Return the partitions of the selection that are still on the sources, and their sizes there.

    Sizes are in bytes; 0 where a source does not answer. Raises PortError.
    """
    kafka, is_selected = ports.kafka, (scope.selection or EVERYTHING).contains
    logs = await kafka.logs(scope.source_broker_ids)
    sizes = {
        n: size for log in logs.values() for n, size in log.size_bytes.items() if is_selected(n)
    }
    # The partitions of a source that does not answer are moved as well.
    if silent := frozenset(scope.source_broker_ids) - logs.keys():
        sizes |= {p.name: 0 for p in (await kafka.cluster()).held_by(silent) if is_selected(p.name)}
    return list(await kafka.describe(sizes)) if sizes else [], sizes
