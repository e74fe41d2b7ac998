"""Who restarts a node with new settings on the way to KRaft: people, or a tool behind a webhook.

Another package may add its own way (`agent.config.extensions`); the lab does. Each is asked once
for each attempt; whether the restart was done, the cluster itself shows.
"""

import json
from dataclasses import asdict
from pathlib import Path

import httpx

from agent.adapters.http_login import HttpLogin
from agent.core.kraft.node_config import NodeChange
from agent.core.model.reasons import Code
from agent.performer.ports import PortError

WEBHOOK_SECONDS = 10.0


class ManualRestarts:
    """People: the event that follows tells them."""

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """The event is enough."""

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
