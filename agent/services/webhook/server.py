"""The webhook's HTTP side: POST /alertmanager and POST /alert, with a bearer token.

Built by `kafka-migration webhook`. It is a process of its own for three reasons: it can run twice
behind one address, while two collectors would send each sample twice; the process that can be
reached from outside has no credentials of Prometheus; and a slow scrape delays no alert.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from prometheus_client import Counter

from agent.services import pages
from agent.services.publisher import MetricsTopic, NotPublishedError
from agent.services.webhook.alerts import Wrong, identity, read_alertmanager, read_plain
from agent.services.webhook.settings import WebhookSettings
from schemas.metrics import Alert

log = logging.getLogger("kafka_migration.webhook")

RETRY_AFTER_SECONDS = 5
# The webhook is not ready for this long after Kafka refused an alert. Then senders may try again,
# since only an alert can show whether Kafka accepts alerts.
TROUBLE_SECONDS = 15.0
RECEIVED = Counter("kafka_migration_webhook_alerts", "Alerts published", ["cluster", "state"])
REFUSED = Counter(
    "kafka_migration_webhook_refused", "Requests that were not answered with 200", ["status"]
)

Read = Callable[[Any, WebhookSettings], tuple[list[Alert], list[Wrong]]]


class Webhook:
    """The two routes for alerts.

    `clusters` are the clusters that the agent knows; alerts of others are refused. When it is
    empty, alerts of all clusters are accepted.
    """

    def __init__(
        self, settings: WebhookSettings, topic: MetricsTopic, clusters: frozenset[str] = frozenset()
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._clusters = clusters
        self._token = settings.secret()
        self._trouble, self._troubled_at = "", 0.0

    @property
    def trouble(self) -> str:
        """Why alerts are not accepted now; empty when they are, or when senders may try again."""
        return self._trouble if time.monotonic() < self._troubled_at + TROUBLE_SECONDS else ""

    def application(self) -> web.Application:
        """Returns the application with both routes, /ready and /metrics."""
        application = pages.pages(lambda: self.trouble, self._settings.body_bytes_max)
        application.router.add_post("/alertmanager", self._alertmanager)
        application.router.add_post("/alert", self._plain)
        return application

    async def _alertmanager(self, request: web.Request) -> web.Response:
        return await self._take(request, read_alertmanager)

    async def _plain(self, request: web.Request) -> web.Response:
        return await self._take(
            request, lambda body, settings: read_plain(body, settings, datetime.now(UTC))
        )

    async def _take(self, request: web.Request, read: Read) -> web.Response:
        """Publishes every alert of the request that can be read, even when others cannot.

        Answers 200 when Kafka has stored all of them, 400 with a list of the alerts that could
        not be read, and 503 when the sender should repeat the request, which does no harm.
        """
        if not self._is_known(request):
            says = (
                "Authorization: Bearer TOKEN is missing or wrong; the token is in the "
                "webhook's token_file"
            )
            return _answer(401, says, headers={"WWW-Authenticate": "Bearer"})
        try:
            body = json.loads(await request.read())
        except web.HTTPRequestEntityTooLarge:
            limit = self._settings.body_bytes_max
            return _answer(
                413,
                f"the body has more than {limit} bytes: raise body_bytes_max, or set max_alerts",
            )
        except ValueError as error:
            return _answer(400, f"the body is not JSON: {error}")
        alerts, wrong = read(body, self._settings)
        known = [a for a in alerts if not self._clusters or a.cluster in self._clusters]
        wrong += [
            Wrong(
                "cluster",
                f"no cluster {c!r} in clusters.yaml; it has {', '.join(sorted(self._clusters))}",
            )
            for c in sorted({a.cluster for a in alerts if a not in known})
        ]
        try:
            await asyncio.gather(*(self._topic.publish(alert, identity(alert)) for alert in known))
        except NotPublishedError as error:
            self._trouble, self._troubled_at = str(error), time.monotonic()
            log.warning("alerts were not published: %s", error)
            return _answer(503, str(error), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        self._trouble = ""
        for alert in known:
            RECEIVED.labels(alert.cluster, alert.state).inc()
            log.info(
                "%s: alert %s is %s (%s)", alert.cluster, alert.name, alert.state, alert.action
            )
        if wrong:
            for w in wrong:
                log.warning("%s: %s", w.field, w.problem)
            return _answer(400, "some alerts could not be read", published=len(known), wrong=wrong)
        return web.json_response({"published": len(known)})

    def _is_known(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode(errors="replace")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"


def _answer(
    status: int,
    says: str,
    *,
    published: int = 0,
    wrong: list[Wrong] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    REFUSED.labels(str(status)).inc()
    body: dict[str, Any] = {"error": says, "published": published}
    if wrong:
        body["wrong"] = [{"field": w.field, "problem": w.problem} for w in wrong]
    return web.json_response(body, status=status, headers=headers)
