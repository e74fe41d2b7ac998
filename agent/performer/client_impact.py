"""Compares end offsets and group lags before and after a wave, to see what it did to clients.

Called by performer.py. A lost end offset is a fault. When the offsets cannot be read, the wave goes
on without the comparison.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core.model.client_positions import compare_positions
from agent.core.model.reasons import Code, Reason
from agent.core.planning.selection import EVERYTHING
from agent.performer.ports import PortError

if TYPE_CHECKING:
    from agent.core.effects import WaveScope
    from agent.core.messages import Inspected
    from agent.core.model.client_positions import Positions
    from agent.performer.ports import KafkaPort, SnapshotPort

log = logging.getLogger("kafka_migration.client_side")


class ClientImpactCheck:
    """Compares the positions of one cluster; those from before a wave are stored in Kafka."""

    def __init__(self, kafka: KafkaPort, snapshots: SnapshotPort) -> None:
        self._kafka, self._snapshots = kafka, snapshots
        self._before: dict[tuple[str, int], Positions] = {}

    async def record_before(self, scope: WaveScope) -> None:
        """Read and store the positions before a wave's first attempt; later attempts keep those."""
        try:
            if (scope.migration_id, scope.wave) in self._before:
                return
            if scope.attempt > 1 and await self._saved_positions(scope) is not None:
                return
            logs = await self._kafka.logs(scope.source_broker_ids)
            is_selected = (scope.selection or EVERYTHING).contains
            names = frozenset(
                name for log in logs.values() for name in log.size_bytes if is_selected(name)
            )
            seen = await self._kafka.positions(names)
            await self._snapshots.save_positions(scope.migration_id, scope.wave, seen)
        except PortError as trouble:
            log.warning("%s: the end offsets before it could not be read: %s", scope.key, trouble)
            return
        self._before = {(scope.migration_id, scope.wave): seen}  # one at a time

    async def compare_after(self, scope: WaveScope, seen: Inspected) -> Inspected:
        """Return `seen` with the comparison added, once nothing else is left to do or wrong.

        While a coordinator loads, only their number is added.
        """
        if (
            seen.replicas_left
            or seen.reassignments
            or seen.not_in_sync
            or seen.not_preferred
            or seen.faults
        ):
            return seen
        try:
            if loading := await self._kafka.loading_coordinators(scope.destination_broker_ids):
                return replace(seen, coordinators_loading=len(loading))
            before = await self._saved_positions(scope)
            if before is None:
                return seen
            impact = compare_positions(before, await self._kafka.positions(before.ends))
        except PortError as trouble:
            log.warning("%s: the end offsets after it could not be read: %s", scope.key, trouble)
            return seen
        if not impact.end_offsets_lost:
            return replace(seen, clients=impact)
        what = f"{impact.end_offsets_lost} partitions: {'; '.join(impact.examples)}"
        return replace(
            seen,
            clients=impact,
            faults=(Reason(Code.END_OFFSET_LOST, what, "no end offset lower than before"),),
        )

    async def _saved_positions(self, scope: WaveScope) -> Positions | None:
        key = (scope.migration_id, scope.wave)
        if key not in self._before:
            found = await self._snapshots.load_positions(*key)
            if found is None:
                return None
            self._before = {key: found}
        return self._before[key]
