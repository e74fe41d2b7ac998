"""Who restarts a node with new settings on the way to KRaft: people, or a tool behind a webhook.

Another package may add its own way (`agent.config.extensions`); the lab does. Each is asked once
for each attempt; whether the restart was done, the cluster itself shows.
"""

import json
from dataclasses import asdict
from pathlib import Path

import httpx

from agent.adapters.http_client import HttpConnection
from agent.core.kraft.node_config import NodeChange
from agent.core.model.reasons import Code
from agent.performer.ports import PortError

WEBHOOK_SECONDS = 10.0


class ManualRestarts:
    """People restart the node; the event that follows tells them to."""

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Nothing to do: the event is enough."""

    async def close(self) -> None:
        """Nothing is open."""


class WebhookRestarts:
    """People's own tool: it gets the change as JSON by POST, and answers any 2xx once it has
    understood it.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        transport: httpx.AsyncBaseTransport | None = None,
        token_file: Path | None = None,
    ) -> None:
        self._url = url
        self._http = HttpConnection(
            url=url, token=token, token_file=token_file, timeout_seconds=WEBHOOK_SECONDS
        ).client(transport)

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Raises PortError when it does not answer, or with another status than 2xx."""
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
