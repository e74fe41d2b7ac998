"""The worker's two pages, /ready and /metrics, as Faust views.

Called by app.py. The pages show names and numbers only, no contents of messages.
"""

from collections.abc import Callable
from typing import Any

from faust.web import Request, Response, View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def ready_view(
    is_ready: Callable[[], bool],
    drives: Callable[[], list[str]],
    cannot_drive: Callable[[], dict[str, str]],
) -> type[View]:
    """Return the view of /ready.

    It answers 200 while this worker drives, or could drive, its clusters; and 503 while it starts,
    or partitions are reassigned. `cannot_drive` returns the clusters whose saved record it does not
    touch, with the reasons. They do not make it unready, because it drives the others.
    """

    class Ready(View):  # type: ignore[misc]
        async def get(self, request: Request) -> Response:  # noqa: ARG002 - the form of a Faust view
            ready = is_ready()
            says = {"ready": ready, "drives": drives(), "cannot_drive": cannot_drive()}
            return self.json(says, status=200 if ready else 503)

    return Ready


def metrics_view() -> type[View]:
    """Return the view of /metrics, in Prometheus' text format."""

    class Metrics(View):  # type: ignore[misc]
        async def get(self, request: Request) -> Any:  # noqa: ARG002 - the form of a Faust view
            return self.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])

    return Metrics
