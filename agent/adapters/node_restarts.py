"""Who restarts a node with new keys: people, the lab's supervisor, or people's own tool behind a
webhook. For kraft.py.

Each is told once for each attempt; whether it was done, the cluster itself shows.
"""

import asyncio
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from agent.adapters.http_login import HttpLogin
from agent.core.kraft.node_config import NodeChange, NodeMode
from agent.core.model.reasons import Code
from agent.performer.ports import PortError

METADATA_LOG = "__cluster_metadata-0"
WEBHOOK_SECONDS = 10.0


class ManualRestarts:
    """People: the event that follows tells them."""

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """The event is enough."""

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class LabRestarts:
    """The lab of that folder: its supervisor stops and starts the process."""

    directory: Path

    async def restart(self, kraft_id: str, change: NodeChange) -> None:  # noqa: ARG002
        """One node stopped in order and started with its new keys; returns when its process
        runs.
        """
        from deploy.lab.cluster.lab import LabError

        try:
            await asyncio.to_thread(self._restart, change)
        except (LabError, KeyError, OSError) as error:
            raise PortError(
                f"the lab in {self.directory} does not restart it: {error}", Code.EFFECT_FAILED
            ) from error

    def _restart(self, change: NodeChange) -> None:
        from deploy.lab.cluster.lab import Lab

        lab = Lab.at(self.directory)
        name = f"{'controller' if change.is_controller else 'broker'}-{change.node_id}"
        if lab.pid(name) is not None:
            lab.stop(name)
        if change.target is NodeMode.STOPPED:
            return
        data = lab.folders.data(name)
        if change.wipe_metadata_log:
            # A controller begins anew, formatted by its next start; a broker loses only its copy of
            # KRaft's log.
            shutil.rmtree(data if change.is_controller else data / METADATA_LOG, ignore_errors=True)
        kept = lab.folders.overrides(name)
        overrides: dict[str, str | None] = (
            json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        )
        overrides |= {**dict.fromkeys(change.remove), **dict(change.set)}
        lab.start(name, overrides, wait=False)

    async def close(self) -> None:
        """Nothing is open."""


class WebhookRestarts:
    """People's own tool: a POST of the change as JSON, answered with any 2xx when it was
    understood.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        transport: httpx.AsyncBaseTransport | None = None,
        token_file: Path | None = None,
    ) -> None:
        login = HttpLogin()
        if token:
            login.by_token(token, token_file)
        self._url = url
        self._http = httpx.AsyncClient(timeout=WEBHOOK_SECONDS, auth=login, transport=transport)

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Raises PortError with the status when it is not 2xx."""
        body = {
            "kraft_id": kraft_id,
            **asdict(change),
            "set": dict(change.set),
            "before": dict(change.before),
            "properties_diff": change.properties_diff(),
            "kubernetes_patch": json.loads(change.kubernetes_patch()),
            "instructions": change.instructions(),
        }
        try:
            answer = await self._http.post(self._url, json=body)
        except httpx.HTTPError as error:
            raise PortError(
                f"the webhook at {self._url} does not answer: {error!r}", Code.EFFECT_FAILED
            ) from error
        if not answer.is_success:
            raise PortError(
                f"the webhook at {self._url} answered {answer.status_code}", Code.EFFECT_FAILED
            )

    async def close(self) -> None:
        await self._http.aclose()
