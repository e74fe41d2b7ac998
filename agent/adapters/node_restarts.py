"""Ways to have a node restarted with new settings during a migration to KRaft.

Either people restart it, or a tool behind a webhook does. Another package may add its own way
(`agent.config.extensions`), as the lab does. `restart` is called once for each attempt; the cluster
itself shows whether the restart has happened.
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
    """Leaves the restart to people, whom the published event asks for it."""

    async def restart(self, kraft_id: str, change: NodeChange) -> None:
        """Do nothing: the event that asks people is published by the core."""

    async def close(self) -> None:
        """Do nothing: no connection is open."""


class WebhookRestarts:
    """Hands the restart to a tool of the operators, by POST with the change as JSON.

    Any 2xx status means that the tool has accepted the change, not that the node has restarted.
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
        """Send the change of one node to the webhook.

        Raises PortError when the webhook does not answer, or answers with a status other than 2xx.
        """
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
        """Close the connections to the webhook."""
        await self._http.aclose()
