"""Restarts a node of the lab with new settings, through the lab's supervisor.

It implements the agent's `Restarts`. The agent finds it by the entry point `lab` of the group
`kafka_migration.restarts` where clusters.yaml says `restart_by: lab`.
"""

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.core.kraft.node_config import NodeChange, NodeMode
from agent.core.model.reasons import Code
from agent.performer.ports import PortError
from deploy.lab.cluster.lab import Lab, LabError

METADATA_LOG = "__cluster_metadata-0"


@dataclass(slots=True)
class LabRestarts:
    """Restarts nodes of the lab in `directory`."""

    directory: Path

    async def restart(self, kraft_id: str, change: NodeChange) -> None:  # noqa: ARG002
        """Stop one node in order and start it with its new settings.

        Returns when its process runs. Raises PortError when the lab refuses or does not run.
        """
        try:
            await asyncio.to_thread(self._restart, change)
        except (LabError, KeyError, OSError) as error:
            raise PortError(
                f"the lab in {self.directory} does not restart it: {error}", Code.EFFECT_FAILED
            ) from error

    def _restart(self, change: NodeChange) -> None:
        lab = Lab.at(self.directory)
        name = f"{'controller' if change.is_controller else 'broker'}-{change.node_id}"
        if lab.pid(name) is not None:
            lab.stop(name)
        if change.target is NodeMode.STOPPED:
            return
        data = lab.folders.data(name)
        if change.wipe_metadata_log:
            # The next start formats the folder of a controller. A broker loses only its copy of
            # KRaft's log.
            shutil.rmtree(data if change.is_controller else data / METADATA_LOG, ignore_errors=True)
        saved = lab.folders.overrides(name)
        overrides: dict[str, str | None] = (
            json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else {}
        )
        overrides |= {**dict.fromkeys(change.remove), **dict(change.set)}
        lab.start(name, overrides, wait=False)

    async def close(self) -> None:
        """Nothing has to be closed."""
