"""The monitor: checks the cluster at intervals and answers /ready, /live and /metrics.

Run by `kafka-migration monitor`. core/checks/readiness.py decides what the answer is; this module
deals with the clock, the cluster and HTTP.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from aiohttp import web

from agent.cancellation import end
from agent.core.checks.readiness import (
    HealthObservation,
    Readiness,
    ReadinessResult,
    UnhealthyPartition,
    as_of,
    find_unhealthy,
    next_readiness,
    reasons,
)
from agent.core.model.reasons import Reason
from agent.core.model.what_to_do import WHAT_TO_DO
from agent.performer.ports import PortError
from agent.services.monitor.figures import MonitorMetrics
from agent.services.monitor.settings import MonitorSettings
from agent.services.pages import status_page

log = logging.getLogger("kafka_migration.monitor")

# The cluster adapter gives up a check after six request time-outs, so a check that lasts longer
# than this will never end.
HUNG_TIMEOUTS = 10


class HealthPort(Protocol):
    """The cluster, as far as the monitor needs it."""

    async def health(self) -> HealthObservation:
        """Returns the brokers and every partition that may be unhealthy. Raises PortError."""
        ...

    async def close(self) -> None:
        """Closes the connections; no other call may follow."""
        ...


class Monitor:
    """Checks the cluster, remembers whether it is ready, and reports it."""

    def __init__(
        self,
        settings: MonitorSettings,
        cluster: HealthPort,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._policy = settings.policy()
        self._cluster = cluster
        self._now = now
        self._state = Readiness(since=now())
        self._look: HealthObservation | None = None
        self._found = ReadinessResult()
        self._tried_at = now()
        self.figures = MonitorMetrics(settings.cluster)

    async def run(self) -> None:
        """Checks at the interval without end, one check at a time.

        A check that takes longer than the interval delays the next one.
        """
        while True:
            started = self._now()
            await self.check_once()
            await asyncio.sleep(max(0.0, started + self._settings.interval_seconds - self._now()))

    async def check_once(self) -> None:
        """Checks the cluster once and updates the answer, the metrics and the log."""
        started = self._now()
        before = self.readiness().ready
        try:
            self._look = await self._cluster.health()
        except PortError as error:
            self._look, self._found = None, ReadinessResult()
            against: tuple[Reason, ...] = (Reason(error.code, str(error), "an answer"),)
        else:
            self._found = find_unhealthy(self._look, self._policy)
            against = reasons(self._look, self._found)
        ended = self._tried_at = self._now()
        known = {r.code for r in self._state.reasons}
        self._state = next_readiness(self._state, against, ended, self._policy)
        self.figures.record_check(self._look, self._found, ended - started)
        if before != self._state.ready or known != {r.code for r in self._state.reasons}:
            why = "; ".join(map(str, self._state.reasons)) or "every check was healthy"
            log.info(
                "%s: %s: %s",
                self._settings.cluster,
                "ready" if self._state.ready else "not ready",
                why,
            )

    def readiness(self) -> Readiness:
        """Returns whether the cluster is ready now; an answer that is too old is not ready."""
        return as_of(self._state, self._now(), self._policy)

    def is_alive(self) -> bool:
        """Whether checks still end, with or without success.

        A failed check counts, since a restart of the monitor does not help a cluster that cannot
        be reached.
        """
        hung_seconds = (
            HUNG_TIMEOUTS * self._settings.request_timeout_seconds + self._settings.interval_seconds
        )
        return self._now() - self._tried_at < hung_seconds

    def report(self) -> dict[str, Any]:
        """Returns the body of /ready: the answer, its reasons, and some unhealthy partitions."""
        state, now, listed = self.readiness(), self._now(), self._settings.partitions_listed
        return {
            "ready": state.ready,
            "cluster": self._settings.cluster,
            "criterion": self._policy.criterion,
            "for_seconds": round(now - state.since, 1),
            "looked_seconds_ago": None
            if state.looked_at is None
            else round(now - state.looked_at, 1),
            "reasons": [
                {"code": r.code, "seen": r.seen, "needed": r.needed, "do": WHAT_TO_DO[r.code]}
                for r in state.reasons
            ],
            "partitions": [_partition_report(f) for f in self._found.named[:listed]],
            "partitions_left_off": max(self._found.total - listed, 0),
            "seen": None
            if self._look is None
            else {
                "broker_ids": self._look.broker_ids,
                "topics": self._look.topics,
                "partitions": self._look.partitions,
                "reassigning": self._look.reassigning,
            },
        }

    # ── HTTP ──────────────────────────────────────────────────────────────────────────────────────
    def app(self) -> web.Application:
        """Returns the application with the three pages; checks run as long as it does."""
        app = web.Application(client_max_size=1_024)
        app.add_routes(
            [
                web.get("/ready", status_page(self.report)),
                web.get("/live", status_page(lambda: {"alive": self.is_alive()}, "alive")),
                web.get("/metrics", self._metrics),
            ]
        )
        app.cleanup_ctx.append(self._checking)
        return app

    async def _checking(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run(), name="checks")
        task.add_done_callback(_say_why_it_ended)
        yield
        await end(task)
        await self._cluster.close()

    async def _metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self.figures.page(self.readiness(), self._now())
        return web.Response(body=body, headers={"Content-Type": content_type})


def _say_why_it_ended(task: asyncio.Task[None]) -> None:
    """Logs the bug that has ended the checks; /ready then becomes stale, and /live fails."""
    if not task.cancelled() and (error := task.exception()):
        log.error("a bug has ended the checks", exc_info=error)


def _partition_report(found: UnhealthyPartition) -> dict[str, Any]:
    p = found.partition
    return {
        "topic": p.topic,
        "partition": p.partition,
        "codes": found.codes,
        "leader": p.leader,
        "replicas": p.replicas,
        "isr": p.isr,
        "adding": p.adding,
        "min_isr": found.min_isr,
    }
